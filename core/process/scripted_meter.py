"""The fake of a ``HostMeter``: the host is as loaded as the test says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from core.domain.admission import Load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.domain.model import ProcessStamp


class ScriptedMeter:
    """Measures what it is told to.

    Attributes:
        load: the next answer; ``lag`` is the caller's, and what attempts use is added for those that run.
        each: bytes that each attempt uses.
        asked: profiles of each call, in order.
    """

    def __init__(self, load: Load | None = None, *, each: int = 0) -> None:
        self.load = Load() if load is None else load
        self.each = each
        self.asked: list[tuple[str, ...]] = []

    def measure(self, attempts: Mapping[str, ProcessStamp], lag: float) -> Load:
        """Return the load; see the port."""
        self.asked.append(tuple(attempts))
        return msgspec.structs.replace(self.load, lag=max(lag, self.load.lag), used=dict.fromkeys(attempts, self.each))
