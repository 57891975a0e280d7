"""What brings a queue that an earlier version wrote up to date: each step is the difference to the schema before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.queue.reconciling import Statements

OLDEST = 1
STEPS: Mapping[int, tuple[str, ...]] = {
    2: (
        "ALTER TABLE jobs ADD COLUMN code TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE jobs ADD COLUMN codes TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE attempts ADD COLUMN generation INTEGER",
        "ALTER TABLE attempts ADD COLUMN code TEXT",
        "ALTER TABLE attempts ADD COLUMN reason TEXT",
        # nobody noted what it was; a job that can be chosen by its code must have one
        "UPDATE jobs SET code = 'needs_person' WHERE state = 'parked'",
        "UPDATE jobs SET code = 'unknown' WHERE state IN ('waiting', 'failed', 'quarantined')",
    ),
    3: (
        "ALTER TABLE jobs ADD COLUMN after TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE jobs ADD COLUMN every REAL",
        "ALTER TABLE jobs ADD COLUMN anchor REAL",
        "CREATE INDEX jobs_after ON jobs (id) WHERE after <> '[]'",
        "CREATE INDEX jobs_recurring ON jobs (state) WHERE every IS NOT NULL",
        "CREATE INDEX jobs_again ON jobs (due_at) WHERE turn = 4",
        "CREATE INDEX jobs_too_far ON jobs (due_at - every) WHERE turn = 4",
        "CREATE TABLE afters (parent TEXT NOT NULL, job_id TEXT NOT NULL, PRIMARY KEY (parent, job_id)) WITHOUT ROWID",
        "CREATE INDEX afters_job ON afters (job_id, parent)",
    ),
}
"""By the schema that they lead to. Columns and tables are only ever added, with defaults: a version that does not know them, and has the
file open meanwhile, goes on.
"""


def migrate(connection: Statements, found: int) -> None:
    """Take all steps that are missing, in the caller's transaction.

    Args:
        connection: inside a transaction that may write.
        found: the schema that the file has.
    """
    for version in sorted(STEPS):
        if version > found:
            for statement in STEPS[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")
