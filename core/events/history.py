"""Reads back from the event log what was announced of attempts that were cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from core.domain.events import AttemptStarted, StepCommitted, StepsPlanned
from core.domain.model import Announced
from core.events.recent import newest_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from core.domain.events import Event
    from core.domain.model import AttemptRecord

KINDS = ("attempt_started", "steps_planned", "step_committed")
log = structlog.get_logger(__name__)


class JsonlHistory:
    """Over ``logs/events.jsonl`` and its older parts: attempts that were cut off are the latest ones."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def announced(self, attempts: Sequence[AttemptRecord]) -> Mapping[str, Announced]:
        """Return, by nonce, what was announced of these attempts; absent where nothing was planned."""
        try:
            return announced(newest_first(self._path, KINDS) if attempts else (), attempts)
        except OSError as exc:
            # what is done stands in the sessions; only the announcement is missing
            log.warning("events_not_read", path=str(self._path), reason=exc.strerror)
            return {}


def announced(newest: Iterable[Event], attempts: Sequence[AttemptRecord]) -> dict[str, Announced]:
    """Return, by nonce, what these events say of attempts.

    A job that was asked for again counts its attempts from one again: an attempt's own are those after its start, which its
    fence tells from others. Where its start is not to be found, its time decides, though the clock may have been set since.

    Args:
        newest: the newest first, of ``KINDS``.
        attempts: which.
    """
    wanted = {(attempt.job_id, attempt.number): attempt for attempt in attempts}
    since: dict[str, list[StepsPlanned | StepCommitted]] = {attempt.nonce: [] for attempt in attempts}
    found: set[str] = set()
    for event in newest:
        if not isinstance(event, (AttemptStarted, StepsPlanned, StepCommitted)):
            continue
        attempt = wanted.get((event.job, event.attempt))
        if attempt is None or attempt.nonce in found:
            continue
        if not isinstance(event, AttemptStarted):
            since[attempt.nonce].append(event)
            continue
        found.add(attempt.nonce)
        if event.fence != attempt.fence:
            since[attempt.nonce].clear()
    result = {}
    for attempt in attempts:
        own = [one for one in since[attempt.nonce] if attempt.nonce in found or one.at >= attempt.started_at]
        plans = [one.flags for one in own if isinstance(one, StepsPlanned)]
        committed = frozenset(one.step for one in own if isinstance(one, StepCommitted))
        if plans:
            result[attempt.nonce] = Announced(flags=plans[0], committed=committed)
    return result
