"""Beats from the orchestrator's own loop: where the loop stands still, they stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import msgspec

from core.supervision.health import EVERY

if TYPE_CHECKING:
    from core.clock import Clock
    from core.supervision.health import Health, HealthFile
    from core.supervision.sd_notify import ServiceManager
    from core.supervision.standing import Standing

INTERVAL = 1.0
"""Seconds between two looks."""


class Attendant:
    """Tells a service manager and a health file that the loop goes round, and how the run stands.

    Args:
        standing: how it stands.
        clock: for both times.
        manager: whom to tell; None for nobody.
        watchdog: after how many seconds of silence it takes us for dead; None for never.
        health: what to rewrite; None for nothing.
    """

    def __init__(
        self,
        standing: Standing,
        clock: Clock,
        *,
        manager: ServiceManager | None,
        watchdog: float | None = None,
        health: HealthFile | None = None,
    ) -> None:
        self._standing = standing
        self._clock = clock
        self._manager = manager
        self._watchdog = watchdog
        self._health = health

    async def attend(self) -> None:
        """Say that jobs are taken, and go on until cancelled."""
        async with anyio.create_task_group() as tasks:
            if self._manager is not None:
                tasks.start_soon(self._tell, self._manager)
            if self._health is not None:
                # apart from the other: a disk that hangs is no loop that hangs
                tasks.start_soon(self._write, self._health)

    async def _tell(self, manager: ServiceManager) -> None:
        said = self._standing.line()
        manager.tell("READY=1", f"STATUS={said}")
        half = None if self._watchdog is None else self._watchdog / 2
        due = self._clock.monotonic()
        try:
            while True:
                news = []
                if half is not None and (now := self._clock.monotonic()) >= due:
                    due = now + half
                    news.append("WATCHDOG=1")
                if (line := self._standing.line()) != said:
                    said = line
                    news.append(f"STATUS={said}")
                if news:
                    manager.tell(*news)
                await anyio.sleep(INTERVAL if half is None else min(INTERVAL, half))
        finally:
            manager.tell("STOPPING=1")

    async def _write(self, file: HealthFile) -> None:
        last: Health | None = None
        while True:
            health = file.health(self._clock.now())
            if last is None or not last.at <= health.at < last.at + EVERY or _changed(last, health):
                last = health
                await anyio.to_thread.run_sync(file.write, health)
            await anyio.sleep(INTERVAL)


def _changed(before: Health, after: Health) -> bool:
    return msgspec.structs.replace(before, at=after.at) != after
