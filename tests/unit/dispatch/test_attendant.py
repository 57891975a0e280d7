"""What runs beside a run, for as long as jobs are taken."""

from __future__ import annotations

import anyio

from core.domain import events as ev
from core.domain.outcome import ExitCode
from tests.unit.dispatch.bench import Bench


class Attendant:
    """Notes when it is there."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.seen: list[str] = []

    async def attend(self) -> None:
        self.seen.append(f"began after {len(self.bench.seen(ev.RunStarted))} start")
        try:
            await anyio.sleep_forever()
        finally:
            self.seen.append(f"ended with {self.bench.states()['a']}, before {len(self.bench.seen(ev.RunEnded))} end")


async def test_an_attendant_is_there_while_jobs_are_taken():
    """From when the run has begun until nothing is left, and it keeps no run from ending."""
    bench = Bench()
    bench.add("a")
    bench.attendant = Attendant(bench)
    assert await bench.run() is ExitCode.DONE
    assert bench.attendant.seen == ["began after 1 start", "ended with done, before 0 end"]
