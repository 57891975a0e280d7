-- Statements of core/queue/reconciling.py, each under its name. `incoming` is the feed, as it was read.

-- name: create
CREATE TEMP TABLE incoming (
    position INTEGER PRIMARY KEY, id TEXT, profile_id TEXT, flow TEXT, params TEXT, priority INTEGER,
    not_before REAL, timeout REAL, max_attempts INTEGER, template TEXT, device TEXT, proxy TEXT, revision TEXT
);

-- name: load
INSERT INTO incoming (id, profile_id, flow, params, priority, not_before, timeout, max_attempts, template, device, proxy, revision)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: index
CREATE UNIQUE INDEX temp.incoming_id ON incoming (id);

-- name: known
SELECT jobs.state,
       jobs.revision = new.revision AND jobs.priority = new.priority AND jobs.not_before IS new.not_before AS same,
       jobs.code IN (SELECT value FROM json_each(:codes)) AS retry,
       count(*)
FROM incoming AS new JOIN jobs ON jobs.id = new.id
GROUP BY 1, 2, 3;

-- name: update
UPDATE jobs SET
    profile_id = new.profile_id, flow = new.flow, params = new.params, priority = new.priority,
    not_before = new.not_before, timeout = new.timeout, max_attempts = new.max_attempts, template = new.template,
    device = new.device, proxy = new.proxy, revision = new.revision, updated_at = :now,
    due_at = CASE state WHEN 'queued' THEN new.not_before ELSE max(due_at, coalesce(new.not_before, due_at)) END
FROM incoming AS new
WHERE jobs.id = new.id AND jobs.state = :before
  AND NOT (jobs.revision = new.revision AND jobs.priority = new.priority AND jobs.not_before IS new.not_before);

-- name: requeue
UPDATE jobs SET
    profile_id = new.profile_id, flow = new.flow, params = new.params, priority = new.priority,
    not_before = new.not_before, timeout = new.timeout, max_attempts = new.max_attempts, template = new.template,
    device = new.device, proxy = new.proxy, revision = new.revision, updated_at = :now,
    state = :after, due_at = new.not_before, reason = '', code = ''
FROM incoming AS new
WHERE jobs.id = new.id AND jobs.state = :before;

-- name: renew
UPDATE jobs SET
    profile_id = new.profile_id, flow = new.flow, params = new.params, priority = new.priority,
    not_before = new.not_before, timeout = new.timeout, max_attempts = new.max_attempts, template = new.template,
    device = new.device, proxy = new.proxy, revision = new.revision, updated_at = :now,
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
    id, profile_id, flow, params, priority, not_before, timeout, max_attempts, template, device, proxy, revision,
    feed, state, due_at, added_at, updated_at
)
SELECT new.id, new.profile_id, new.flow, new.params, new.priority, new.not_before, new.timeout, new.max_attempts,
       new.template, new.device, new.proxy, new.revision, :feed, :after, new.not_before, :now, :now
FROM incoming AS new LEFT JOIN jobs ON jobs.id = new.id
WHERE jobs.id IS NULL
ORDER BY new.position;
