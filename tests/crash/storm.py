"""A kill storm: a fleet on the demo site while a seeded hand kills parts of it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

from tests.fleet import ROOT, Fleet, children_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEMO_FLOW = ROOT / "examples" / "demo" / "flow.py"
DEMO_EFFECTS = ("mail_created", "shop_signup", "dev_registration", "two_fa_enabled", "order_placed")


@contextmanager
def demo_site(directory: Path) -> Iterator[int]:
    """Serve the demo site for as long as the block lasts; yield its port."""
    command = [sys.executable, "-m", "examples.demo", "--state-dir", str(directory)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as site:
        try:
            assert site.stdout is not None
            line = site.stdout.readline()
            assert line.startswith("ready"), line
            yield int(line.split()[1].rstrip("/").rsplit(":", 1)[1])
        finally:
            site.terminate()


@dataclass(kw_only=True)
class Storm(Fleet):
    """A fleet on the demo site, and what was killed of it."""

    kills: Counter[str] = field(default_factory=Counter)

    @property
    def ledger_file(self) -> Path:
        return self.directory / "site" / "demo" / "ledger.jsonl"

    def demo_queue(self, profiles: int, port: int) -> Path:
        """Write a queue of demo profiles."""
        ids = [f"storm{number:03d}" for number in range(profiles)]
        queue = self.directory / "queue.json"
        queue.write_text(json.dumps({"defaults": {"flow": str(DEMO_FLOW), "params": {"port": port}}, "jobs": ids}))
        return queue

    def rage(self, queue: Path, *args: object, kills: int, seed: int, deadline: float) -> int:
        """Run the fleet to its end under ``kills`` SIGKILLs at seeded random moments; return its exit code."""
        chance = random.Random(seed)
        end = time.monotonic() + deadline
        orchestrator = self.start(queue, *args)
        try:
            while time.monotonic() < end:
                with suppress(subprocess.TimeoutExpired):
                    code = orchestrator.wait(chance.uniform(0.1, 1.5))
                    if code != -signal.SIGKILL:
                        return code
                    orchestrator = self.start(queue, *args)
                    continue
                if self.kills.total() < kills:
                    self._strike(chance, orchestrator)
            message = f"not over after {deadline} s: {dict(self.kills)}; {self.output()[-2000:]}"
            raise TimeoutError(message)
        finally:
            orchestrator.kill()
            orchestrator.wait()

    def _strike(self, chance: random.Random, orchestrator: subprocess.Popen[bytes]) -> None:
        kind = chance.choices(["orchestrator", "worker", "driver", "browser"], [2, 3, 2, 3])[0]
        if kind == "orchestrator":
            orchestrator.kill()
            self.kills[kind] += 1
            return
        victims = children_of(orchestrator.pid)[kind]
        if victims:
            with suppress(psutil.Error):
                chance.choice(victims).kill()
                self.kills[kind] += 1

    def repeated_after_commit(self) -> list[str]:
        """Return effects that happened after their step's commit had been announced."""
        flags: dict[str, str] = {}
        committed: dict[tuple[str, str], float] = {}
        for event in self.events():
            if event["type"] == "steps_planned":
                flags |= event["flags"]
            elif event["type"] == "step_committed":
                committed.setdefault((event["profile_id"], event["step"]), event["at"])
        moments = {(profile, flags[step]): at for (profile, step), at in committed.items() if step in flags}
        return [
            f"{line['effect']} of {line['profile_id']}"
            for line in self.ledger()
            if line["at"] > moments.get((line["profile_id"], line["effect"]), float("inf"))
        ]
