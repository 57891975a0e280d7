-- Statements of core/queue/lines.py that keep `turn` true, each under its name; schema.sql says what its values mean.

-- name: leave
UPDATE jobs SET turn = NULL
WHERE turn IS NOT NULL AND (
    (:scope IS NOT NULL AND feed <> :scope)
    OR CASE turn WHEN 4 THEN state NOT IN ('done', 'failed') OR every IS NULL OR feed = ''
                 ELSE state NOT IN ('queued', 'waiting') END
);

-- name: arrange
UPDATE jobs SET turn = wanted.turn
FROM (
    SELECT pending.seq, CASE
        WHEN pending.is_held THEN 3
        WHEN pending.due_at > :now THEN 0
        WHEN claimed.seq IS NULL
         AND row_number() OVER (PARTITION BY pending.profile_id, pending.is_held, coalesce(pending.due_at > :now, 0)
                                ORDER BY pending.priority DESC, pending.seq) = 1 THEN 2
        ELSE 1 END AS turn
    FROM (
        SELECT seq, profile_id, priority, due_at, after <> '[]' AND EXISTS (
            SELECT 1 FROM afters JOIN jobs AS first ON first.id = afters.parent
            WHERE afters.job_id = jobs.id AND first.state <> 'done'
        ) AS is_held
        FROM jobs WHERE state IN ('queued', 'waiting') AND (:scope IS NULL OR feed = :scope)
    ) AS pending
    LEFT JOIN jobs AS claimed
           ON claimed.profile_id = pending.profile_id AND claimed.state IN ('prepared', 'running')
) AS wanted
WHERE jobs.seq = wanted.seq AND jobs.turn IS NOT wanted.turn;

-- name: rest
UPDATE jobs SET turn = 4
WHERE every IS NOT NULL AND state IN ('done', 'failed') AND feed <> '' AND (:scope IS NULL OR feed = :scope)
  AND turn IS NOT 4;

-- name: woken
SELECT DISTINCT profile_id FROM jobs WHERE turn = 0 AND due_at <= :now LIMIT :most;

-- name: wake
UPDATE jobs SET turn = 1 WHERE turn = 0 AND due_at <= :now;

-- name: demote
UPDATE jobs SET turn = 1 WHERE turn = 2 AND profile_id = :profile_id;

-- name: promote
UPDATE jobs SET turn = 2 WHERE seq = (
    SELECT seq FROM jobs WHERE turn = 1 AND profile_id = :profile_id ORDER BY priority DESC, seq LIMIT 1
) AND NOT EXISTS (SELECT 1 FROM jobs WHERE profile_id = :profile_id AND state IN ('prepared', 'running'));

-- name: hold
UPDATE jobs SET turn = 3
WHERE id = :id AND turn IN (0, 1, 2) AND after <> '[]' AND EXISTS (
    SELECT 1 FROM afters JOIN jobs AS first ON first.id = afters.parent
    WHERE afters.job_id = jobs.id AND first.state <> 'done'
);

-- name: freed
SELECT later.id, later.profile_id FROM afters JOIN jobs AS later ON later.id = afters.job_id
WHERE afters.parent = :id AND later.turn = 3 AND NOT EXISTS (
    SELECT 1 FROM afters AS other JOIN jobs AS first ON first.id = other.parent
    WHERE other.job_id = later.id AND first.state <> 'done'
) LIMIT :most;

-- name: free
UPDATE jobs SET turn = CASE WHEN due_at > :now THEN 0 ELSE 1 END WHERE id = :id;

-- name: plan_again
UPDATE jobs SET due_at = next_due(coalesce(anchor, :now), every, :now),
                turn = CASE WHEN feed <> '' AND (:scope IS NULL OR feed = :scope) THEN 4 END
WHERE id = :id AND every IS NOT NULL AND state IN ('done', 'failed');

-- name: mend
UPDATE jobs SET due_at = next_due(coalesce(anchor, :now), every, :now) WHERE turn = 4 AND due_at - every > :now + 1;

-- name: again_due
SELECT id, profile_id FROM jobs WHERE turn = 4 AND due_at <= :now ORDER BY due_at, seq;

-- name: begin_again
-- `+`: by time, since very many may be in that state
UPDATE jobs SET state = :after, anchor = due_at, due_at = NULL, reason = '', code = '', codes = '{}', turn = 1,
    generation = generation + 1, attempts = 0, failures = 0, crash_streak = 0, busy = 0,
    steps_done = 0, steps_total = 0, run_seconds = 0, updated_at = :now
WHERE turn = 4 AND due_at <= :now AND +state = :before;

-- name: has_later
SELECT EXISTS (SELECT 1 FROM afters WHERE parent = :id);
