"""The fake of a ``Reaper``: it knows the workers of a scripted launcher, and no processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.lowlevel

from core.domain.model import ProcessStamp
from core.process.scripted import HOST

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.domain.model import AttemptRecord
    from core.process.scripted import ScriptedChild, ScriptedLauncher


class ScriptedReaper:
    """Knows a launcher's workers, and what the test says an earlier run left behind.

    Args:
        launcher: whose living workers are found; None for none.
        left: number of processes that are left of an attempt, by nonce.
        unknown: stamps of which nothing can be known.

    Attributes:
        reaped: attempts it was asked to reap, in order.
        graces: seconds it was given for each.
    """

    def __init__(
        self,
        launcher: ScriptedLauncher | None = None,
        left: dict[str, int] | None = None,
        unknown: Iterable[ProcessStamp] = (),
    ) -> None:
        self._launcher = launcher
        self._unknown = frozenset(unknown)
        self.left = dict(left or {})
        self.reaped: list[AttemptRecord] = []
        self.graces: list[float] = []

    def is_alive(self, stamp: ProcessStamp) -> bool | None:
        """Whether one of the launcher's workers with this stamp lives; None for the unknown ones."""
        if stamp in self._unknown:
            return None
        return any(child.stamp == stamp and child.is_alive for child in self._children())

    async def reap(self, attempt: AttemptRecord, grace: float) -> int:
        """End what is left of the attempt."""
        await anyio.lowlevel.checkpoint()
        self.reaped.append(attempt)
        self.graces.append(grace)
        count = self.left.pop(attempt.nonce, 0)
        for child in self._children():
            if child.command.nonce == attempt.nonce and child.is_alive:
                child.terminate()
                count += await child.kill_tree(attempt.user_data_dir) or child.plan.tree
        return count

    async def leftovers(self, known: Iterable[AttemptRecord]) -> list[ProcessStamp]:
        """Return stamps of what lives: the launcher's own, and made-up ones for what the test says is left."""
        await anyio.lowlevel.checkpoint()
        nonces = {attempt.nonce for attempt in known}
        found = [child.stamp for child in self._children() if child.command.nonce in nonces and child.is_alive]
        for nonce in sorted(nonces & self.left.keys()):
            for number in range(self.left[nonce]):
                found.append(ProcessStamp(host=HOST, pid=len(found) + 1, started=float(number)))
        return found

    def _children(self) -> list[ScriptedChild]:
        return [] if self._launcher is None else self._launcher.spawned
