"""Reads back from the event log what was announced of attempts that were cut off."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from core.domain import events
from core.domain.model import Announced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from core.domain.model import AttemptRecord

TAIL = 16 * 1024 * 1024
"""How much of the log's end is looked at, in bytes: attempts that were cut off are the latest ones."""


class JsonlHistory:
    """Over ``logs/events.jsonl``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def announced(self, attempts: Sequence[AttemptRecord]) -> Mapping[str, Announced]:
        """Return, by nonce, what the log holds of these attempts; absent where it holds no plan."""
        wanted = {(attempt.job_id, attempt.number): attempt.nonce for attempt in attempts}
        flags: dict[str, dict[str, str]] = {}
        committed: dict[str, set[str]] = {}
        for event in self._tail():
            if not isinstance(event, (events.StepsPlanned, events.StepCommitted)):
                continue
            nonce = wanted.get((event.job, event.attempt))
            if nonce is None:
                continue
            if isinstance(event, events.StepsPlanned):
                # numbers start anew with a job's next generation: the last plan counts
                flags[nonce], committed[nonce] = event.flags, set()
            else:
                committed.setdefault(nonce, set()).add(event.step)
        return {nonce: Announced(flags=flags[nonce], committed=frozenset(committed[nonce])) for nonce in flags}

    def _tail(self) -> Iterator[events.Event]:
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - TAIL))
                for line in file:
                    if b'"steps_planned"' in line or b'"step_committed"' in line:
                        # a line cut by the tail or by a kill says nothing
                        with suppress(msgspec.ValidationError, msgspec.DecodeError):
                            yield events.decode(line)
        except FileNotFoundError:
            return
