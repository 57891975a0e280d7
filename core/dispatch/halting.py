"""Ends a run early because of how its jobs end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from core.domain import events
from core.domain.halt import reason_to_halt
from core.domain.model import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.clock import Clock
    from core.dispatch.shutdown import Stop
    from core.domain.events import Event
    from core.domain.halt import Halt
    from core.domain.model import JobState

log = structlog.get_logger(__name__)


class Halting:
    """Counts the jobs that this run brings to an end.

    Args:
        rule: when to end; None: never.
        stop: the wish to end; once somebody else has it, there is nothing left to do.
        clock: for events.
        emit: tells why.

    Attributes:
        is_due: whether the run ends because of the rule.
    """

    def __init__(self, rule: Halt | None, stop: Stop, clock: Clock, emit: Callable[[Event], None]) -> None:
        self._rule = rule
        self._stop = stop
        self._clock = clock
        self._emit = emit
        self._ended: dict[JobState, int] = {}
        self.is_due = False

    def count(self, state: JobState) -> None:
        """A job stands so after its attempt; ask for the end of the run if that is too much."""
        if state not in TERMINAL or self._rule is None or self._stop.drain.is_set():
            return
        self._ended[state] = self._ended.get(state, 0) + 1
        reason = reason_to_halt(self._rule, self._ended)
        if not reason:
            return
        self.is_due = True
        log.warning("halted", reason=reason, at_once=self._rule.at_once)
        self._emit(events.RunHalted(at=self._clock.now(), reason=reason, at_once=self._rule.at_once))
        if self._rule.at_once:
            self._stop.at_once(f"stopped as the run was halted: {reason}")
        else:
            self._stop.ask()
