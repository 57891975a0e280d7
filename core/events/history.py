"""Reads back from the event log what was announced of attempts that were cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from core.domain.events import StepCommitted, StepsPlanned
from core.domain.model import Announced
from core.events.recent import newest_first

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from core.domain.model import AttemptRecord

log = structlog.get_logger(__name__)


class JsonlHistory:
    """Over ``logs/events.jsonl`` and its older parts: attempts that were cut off are the latest ones."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def announced(self, attempts: Sequence[AttemptRecord]) -> Mapping[str, Announced]:
        """Return, by nonce, what was announced of these attempts; absent where nothing was planned.

        A job that was asked for again counts its attempts from one again, so only events since an attempt's start are its
        own.
        """
        wanted = {(attempt.job_id, attempt.number): attempt for attempt in attempts}
        flags: dict[str, dict[str, str]] = {}
        committed: dict[str, set[str]] = {}
        try:
            for event in newest_first(self._path, ("steps_planned", "step_committed")) if wanted else ():
                if not isinstance(event, (StepsPlanned, StepCommitted)):
                    continue
                attempt = wanted.get((event.job, event.attempt))
                if attempt is None or event.at < attempt.started_at:
                    continue
                if isinstance(event, StepsPlanned):
                    flags.setdefault(attempt.nonce, event.flags)
                else:
                    committed.setdefault(attempt.nonce, set()).add(event.step)
        except OSError as exc:
            # what is done stands in the sessions; only the announcement is missing
            log.warning("events_not_read", path=str(self._path), reason=exc.strerror)
        return {
            nonce: Announced(flags=planned, committed=frozenset(committed.get(nonce, ())))
            for nonce, planned in flags.items()
        }
