-- Statements of core/queue/reconciling.py, each under its name. `incoming` is the feed, as it was read.

-- name: create
CREATE TEMP TABLE incoming (
    position INTEGER PRIMARY KEY, id TEXT, profile_id TEXT, flow TEXT, params TEXT, priority INTEGER,
    not_before REAL, timeout REAL, max_attempts INTEGER, template TEXT, device TEXT, proxy TEXT, after TEXT, every REAL,
    revision TEXT
);

-- name: load
INSERT INTO incoming (id, profile_id, flow, params, priority, not_before, timeout, max_attempts, template, device, proxy, after, every,
                      revision)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: index
CREATE UNIQUE INDEX temp.incoming_id ON incoming (id);

-- name: known
SELECT jobs.state,
       jobs.revision = new.revision AND jobs.priority = new.priority AND jobs.not_before IS new.not_before
       AND jobs.after = new.after AND jobs.every IS new.every AS same,
       jobs.code IN (SELECT value FROM json_each(:codes)) AS retry,
       jobs.every IS NOT NULL OR new.every IS NOT NULL AS recurs,
       count(*)
FROM incoming AS new JOIN jobs ON jobs.id = new.id
GROUP BY 1, 2, 3, 4;

-- name: update
UPDATE jobs SET
    profile_id = new.profile_id, flow = new.flow, params = new.params, priority = new.priority,
    not_before = new.not_before, timeout = new.timeout, max_attempts = new.max_attempts, template = new.template,
    device = new.device, proxy = new.proxy, after = new.after, every = new.every, revision = new.revision, updated_at = :now,
    due_at = CASE
        WHEN state = 'queued' THEN new.not_before
        WHEN state = 'waiting' THEN max(due_at, coalesce(new.not_before, due_at))
        WHEN jobs.every IS new.every OR new.every IS NULL THEN iif(new.every IS NULL, NULL, due_at)
        ELSE next_due(coalesce(anchor, :now), new.every, :now) END
FROM incoming AS new
WHERE jobs.id = new.id AND jobs.state = :before
  AND NOT (jobs.revision = new.revision AND jobs.priority = new.priority AND jobs.not_before IS new.not_before
           AND jobs.after = new.after AND jobs.every IS new.every)
  AND (:before IN ('queued', 'waiting') OR jobs.every IS NOT NULL OR new.every IS NOT NULL);

-- name: requeue
UPDATE jobs SET
    profile_id = new.profile_id, flow = new.flow, params = new.params, priority = new.priority,
    not_before = new.not_before, timeout = new.timeout, max_attempts = new.max_attempts, template = new.template,
    device = new.device, proxy = new.proxy, after = new.after, every = new.every, revision = new.revision, updated_at = :now,
    state = :after, due_at = new.not_before, reason = '', code = ''
FROM incoming AS new
WHERE jobs.id = new.id AND jobs.state = :before;

-- name: renew
UPDATE jobs SET
    profile_id = new.profile_id, flow = new.flow, params = new.params, priority = new.priority,
    not_before = new.not_before, timeout = new.timeout, max_attempts = new.max_attempts, template = new.template,
    device = new.device, proxy = new.proxy, after = new.after, every = new.every, revision = new.revision, updated_at = :now,
    state = :after, due_at = new.not_before, reason = '', code = '', codes = '{}',
    generation = generation + 1, attempts = 0, failures = 0, crash_streak = 0, busy = 0,
    steps_done = 0, steps_total = 0, run_seconds = 0
FROM incoming AS new
WHERE jobs.id = new.id AND jobs.state = :before AND (:again OR jobs.code IN (SELECT value FROM json_each(:codes)));

-- name: own
UPDATE jobs SET feed = :feed FROM incoming AS new WHERE jobs.id = new.id AND jobs.feed <> :feed;

-- name: cancel
UPDATE jobs SET state = :after, reason = :reason, code = '', due_at = NULL, updated_at = :now
WHERE state = :before AND feed = :feed AND NOT EXISTS (SELECT 1 FROM incoming WHERE incoming.id = jobs.id);

-- name: release
UPDATE jobs SET feed = ''
WHERE feed = :feed AND state IN ('done', 'failed', 'quarantined')
  AND NOT EXISTS (SELECT 1 FROM incoming WHERE incoming.id = jobs.id);

-- name: add
INSERT INTO jobs (
    id, profile_id, flow, params, priority, not_before, timeout, max_attempts, template, device, proxy, after,
    every, revision, feed, state, due_at, added_at, updated_at
)
SELECT new.id, new.profile_id, new.flow, new.params, new.priority, new.not_before, new.timeout, new.max_attempts,
       new.template, new.device, new.proxy, new.after, new.every, new.revision, :feed, :after, new.not_before, :now, :now
FROM incoming AS new LEFT JOIN jobs ON jobs.id = new.id
WHERE jobs.id IS NULL
ORDER BY new.position;

-- name: unrelate
-- each list is read once, however long it is
DELETE FROM afters WHERE (parent, job_id) NOT IN (
    SELECT one.value, jobs.id FROM jobs, json_each(jobs.after) AS one WHERE jobs.after <> '[]'
);

-- name: relate
INSERT OR IGNORE INTO afters (parent, job_id)
SELECT one.value, jobs.id FROM jobs, json_each(jobs.after) AS one WHERE jobs.after <> '[]';
