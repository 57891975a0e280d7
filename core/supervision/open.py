"""Chooses what a run is watched by."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from core.supervision.attendant import Attendant
from core.supervision.health import HealthFile, refuse_others
from core.supervision.sd_notify import service_manager, watchdog
from core.supervision.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from core.clock import Clock


class Supervision:
    """What one run is watched by.

    Attributes:
        standing: a sink that has to hear of everything.
        attendant: what has to run on the loop; None where nobody watches.
    """

    def __init__(self, standing: Standing, attendant: Attendant | None) -> None:
        self.standing = standing
        self.attendant = attendant


PLACE = "--health-file"


def check_health_file(health_file: str | None, *, place: str = PLACE) -> None:
    """Refuse a place where no health file can be; nothing is written.

    Raises:
        BadInput: something else is there, or no directory for it.
    """
    if health_file is not None:
        refuse_others(Path(health_file), place)


@contextlib.contextmanager
def open_supervision(
    health_file: str | None, env: Mapping[str, str], clock: Clock, *, place: str = PLACE
) -> Iterator[Supervision]:
    """Give what a run is watched by; on leaving, the health file says that it has ended.

    Args:
        health_file: absolute path; None for none.
        env: of this process: who started it may want to be told.
        clock: for its times.
        place: what named the file, for messages.

    Raises:
        BadInput: something else is where the file is to be.
    """
    standing = Standing()
    health = None if health_file is None else HealthFile(Path(health_file), standing, place)
    manager = service_manager(env)
    attendant = None
    if manager is not None or health is not None:
        beat = watchdog(env, os.getpid())
        attendant = Attendant(standing, clock, manager=manager, watchdog=beat, health=health)
    try:
        yield Supervision(standing, attendant)
    finally:
        if health is not None and standing.snapshot.exit_code is not None:
            health.write(health.health(clock.now()))
        if manager is not None:
            manager.close()
