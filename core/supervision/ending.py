"""The end of a run is told however it comes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from core.domain import events
from core.domain.outcome import ExitCode
from core.errors import HolderAlive, OstlerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from core.clock import Clock
    from core.domain.model import JobState
    from core.events.port import EventSink
    from core.supervision.standing import Standing


@contextlib.contextmanager
def told_to_the_end(
    run: int, sink: EventSink, standing: Standing, counts: Callable[[], Mapping[JobState, int]], clock: Clock
) -> Iterator[None]:
    """Emit ``run_ended`` where an error takes a run's end from it.

    Args:
        run: its number.
        sink: hears of it.
        standing: whether the end was told.
        counts: jobs by state; what cannot be counted any more is left out.
        clock: for the time it took.
    """
    started = clock.monotonic()
    try:
        yield
    except BaseException as exc:
        if standing.snapshot.exit_code is None:
            numbers: Mapping[JobState, int] = {}
            with contextlib.suppress(OstlerError):
                numbers = counts()
            sink.emit(
                events.RunEnded(
                    at=clock.now(),
                    run=run,
                    exit_code=_exit_code(exc),
                    counts={str(state): number for state, number in numbers.items()},
                    seconds=clock.monotonic() - started,
                )
            )
        raise


def _exit_code(exc: BaseException) -> ExitCode:
    """Return the exit code that the shell will return for an error; an unknown one is Python's own, which is 1."""
    if isinstance(exc, HolderAlive):
        return ExitCode.HOLDER_ALIVE
    if isinstance(exc, OstlerError):
        return ExitCode.HOST_FAULT
    return ExitCode.INTERRUPTED if isinstance(exc, KeyboardInterrupt) else ExitCode.FAILED
