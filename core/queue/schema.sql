-- The durable queue. `application_id` ("Ostl") and `user_version` say whose file it is; core/queue/header.py checks both.
-- Whoever changes this adds to core/queue/migrating.py what brings an older file up to date.
PRAGMA application_id = 1332966508;
PRAGMA user_version = 3;

CREATE TABLE jobs (
    seq          INTEGER PRIMARY KEY,      -- the order they came in
    id           TEXT    NOT NULL UNIQUE,
    profile_id   TEXT    NOT NULL,
    flow         TEXT    NOT NULL,
    params       TEXT    NOT NULL,         -- JSON
    priority     INTEGER NOT NULL,
    not_before   REAL,
    timeout      REAL,
    max_attempts INTEGER,
    template     TEXT,
    device       TEXT,
    proxy        TEXT,
    revision     TEXT    NOT NULL,         -- what makes it a different job
    feed         TEXT    NOT NULL,         -- that named it last
    state        TEXT    NOT NULL,
    due_at       REAL,                     -- not before this, queued or waiting
    -- Its place in line, kept so that a claim and a look at what is ready cost the same at any length:
    -- 0 its time has not come, 1 it stands behind another job of its profile or the profile is in use,
    -- 2 it is the next of its profile and may be claimed, 3 it waits for other jobs to be done, 4 it has ended and is run
    -- again at `due_at`, NULL it is in no line (not pending, or not this run's feed).
    turn         INTEGER,
    reason       TEXT    NOT NULL DEFAULT '',
    attempts     INTEGER NOT NULL DEFAULT 0,
    failures     INTEGER NOT NULL DEFAULT 0,
    crash_streak INTEGER NOT NULL DEFAULT 0,
    busy         INTEGER NOT NULL DEFAULT 0,
    generation   INTEGER NOT NULL DEFAULT 1,
    steps_done   INTEGER NOT NULL DEFAULT 0,
    steps_total  INTEGER NOT NULL DEFAULT 0,
    run_seconds  REAL    NOT NULL DEFAULT 0,
    added_at     REAL    NOT NULL,
    updated_at   REAL    NOT NULL,
    code         TEXT    NOT NULL DEFAULT '',   -- of what went wrong (core/domain/failure.py); goes with the reason
    codes        TEXT    NOT NULL DEFAULT '{}', -- JSON: how many attempts ended by each code
    after        TEXT    NOT NULL DEFAULT '[]', -- JSON: IDs of jobs that must be done first
    every        REAL,                          -- seconds from one start to the next
    anchor       REAL                           -- when the present generation was to start: the next ones are so many times `every` later
);
CREATE INDEX jobs_next ON jobs (priority DESC, seq) WHERE turn = 2;
CREATE INDEX jobs_asleep ON jobs (due_at) WHERE turn = 0;
CREATE INDEX jobs_behind ON jobs (profile_id, priority DESC, seq) WHERE turn = 1;
CREATE INDEX jobs_head ON jobs (profile_id) WHERE turn = 2;
CREATE INDEX jobs_state ON jobs (state, feed);
CREATE INDEX jobs_after ON jobs (id) WHERE after <> '[]';
CREATE INDEX jobs_recurring ON jobs (state) WHERE every IS NOT NULL;
CREATE INDEX jobs_again ON jobs (due_at) WHERE turn = 4;
CREATE INDEX jobs_too_far ON jobs (due_at - every) WHERE turn = 4;
-- at most one claimed job per profile, whatever the code above it believes
CREATE UNIQUE INDEX jobs_claimed ON jobs (profile_id) WHERE state IN ('prepared', 'running');

-- `jobs.after` the other way round: whom the end of a job may set free.
CREATE TABLE afters (
    parent TEXT NOT NULL,
    job_id TEXT NOT NULL,
    PRIMARY KEY (parent, job_id)
) WITHOUT ROWID;
CREATE INDEX afters_job ON afters (job_id, parent);

CREATE TABLE runs (
    number     INTEGER PRIMARY KEY,
    feed       TEXT,                       -- the only one whose jobs it sees; NULL for all
    started_at REAL NOT NULL
);

-- The run registry: one row per execution, durable before its worker may do anything.
CREATE TABLE attempts (
    nonce         TEXT PRIMARY KEY,
    job_id        TEXT    NOT NULL REFERENCES jobs (id),
    profile_id    TEXT    NOT NULL,
    number        INTEGER NOT NULL,
    run           INTEGER NOT NULL,
    fence         INTEGER,
    process       TEXT,                    -- JSON of the process stamp
    user_data_dir TEXT,
    started_at    REAL    NOT NULL,
    ended_at      REAL,
    seconds       REAL,
    outcome       TEXT,
    generation    INTEGER,                 -- of the job
    code          TEXT,
    reason        TEXT
);
CREATE INDEX attempts_open ON attempts (started_at) WHERE ended_at IS NULL;
CREATE INDEX attempts_fence ON attempts (profile_id, fence);
CREATE INDEX attempts_job ON attempts (job_id);
