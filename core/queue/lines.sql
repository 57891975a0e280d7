-- Statements of core/queue/lines.py that keep `turn` true, each under its name; schema.sql says what its values mean.

-- name: leave
UPDATE jobs SET turn = NULL
WHERE turn IS NOT NULL AND (state NOT IN ('queued', 'waiting') OR (:scope IS NOT NULL AND feed <> :scope));

-- name: arrange
UPDATE jobs SET turn = wanted.turn
FROM (
    SELECT pending.seq, CASE
        WHEN pending.due_at > :now THEN 0
        WHEN claimed.seq IS NULL
         AND row_number() OVER (PARTITION BY pending.profile_id, coalesce(pending.due_at > :now, 0)
                                ORDER BY pending.priority DESC, pending.seq) = 1 THEN 2
        ELSE 1 END AS turn
    FROM jobs AS pending
    LEFT JOIN jobs AS claimed
           ON claimed.profile_id = pending.profile_id AND claimed.state IN ('prepared', 'running')
    WHERE pending.state IN ('queued', 'waiting') AND (:scope IS NULL OR pending.feed = :scope)
) AS wanted
WHERE jobs.seq = wanted.seq AND jobs.turn IS NOT wanted.turn;

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
