"""Reads back from the event log what was announced of attempts that were cut off."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from core.domain.events import StepCommitted, StepsPlanned
from core.domain.model import Announced
from core.events.tail import event_of
from core.rotation import rotated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from core.domain.model import AttemptRecord

TAIL = 32 * 1024 * 1024
"""How much of a file's end is looked at, in bytes: attempts that were cut off are the latest ones."""
_MARKS = (b'"steps_planned"', b'"step_committed"')


class JsonlHistory:
    """Over ``logs/events.jsonl`` and its youngest rotated file: opening the log may just have rotated it."""

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
        for event in self._plans_and_commits() if wanted else ():
            attempt = wanted.get((event.job, event.attempt))
            if attempt is None or event.at < attempt.started_at:
                continue
            if isinstance(event, StepsPlanned):
                flags[attempt.nonce] = event.flags
            else:
                committed.setdefault(attempt.nonce, set()).add(event.step)
        return {
            nonce: Announced(flags=planned, committed=frozenset(committed.get(nonce, ())))
            for nonce, planned in flags.items()
        }

    def _plans_and_commits(self) -> Iterator[StepsPlanned | StepCommitted]:
        for path in (rotated(self._path, 1), self._path):
            try:
                with path.open("rb") as stream:
                    stream.seek(max(stream.seek(0, os.SEEK_END) - TAIL, 0))
                    for line in stream:
                        # most lines are of other kinds; parsing only what looks right keeps a restart quick
                        if any(mark in line for mark in _MARKS):
                            event = event_of(line)
                            if isinstance(event, (StepsPlanned, StepCommitted)):
                                yield event
            except FileNotFoundError:
                continue
