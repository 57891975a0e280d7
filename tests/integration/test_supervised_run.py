"""A real orchestrator below a service manager, with a health file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.fleet import BRISK, Fleet

if TYPE_CHECKING:
    from pathlib import Path

FLOW = """\
import json, os
import msgspec
from workers.steps import Flow

class Params(msgspec.Struct):
    ledger: str

flow = Flow("telling", params=Params, browser=False)

@flow.step(flag="told")
async def tell(ctx):
    with open(ctx.params.ledger, "a") as file:
        file.write(json.dumps({"profile_id": ctx.profile_id, "effect": "told", "env": sorted(os.environ)}) + "\\n")
"""


def started(fleet: Fleet, environ: dict[str, str], *args: object) -> subprocess.Popen[bytes]:
    with (fleet.directory / "orchestrator.out").open("ab") as out:
        return subprocess.Popen(
            fleet.command(*args), stdout=out, stderr=subprocess.STDOUT, cwd=fleet.directory, env=os.environ | environ
        )


@pytest.mark.timeout(120)
def test_a_run_is_watched_from_its_first_job_to_its_end(tmp_path: Path):
    """READY, signs of life, what it does, STOPPING; the file says the same; no worker hears of either."""
    fleet = Fleet(directory=tmp_path)
    flow = tmp_path / "telling.py"
    flow.write_text(FLOW, "utf-8")
    queue = fleet.write_queue(["a"], flow=flow)
    health = tmp_path / "health.json"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        manager.settimeout(60)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "200000"}
        run = started(fleet, environ, queue, "--watch", "--health-file", health, *BRISK)
        try:
            heard: list[str] = []

            def hear_until(wanted: str) -> None:
                while not any(line.startswith(wanted) for line in heard):
                    heard.extend(manager.recv(65536).decode().split("\n"))

            hear_until("READY=1")
            assert heard[0] == "READY=1" and run.poll() is None
            hear_until("STATUS=1 of 1 done")
            beats = heard.count("WATCHDOG=1")
            while heard.count("WATCHDOG=1") < beats + 3:
                heard.extend(manager.recv(65536).decode().split("\n"))

            def seen() -> dict | None:
                found = json.loads(health.read_bytes())
                return found if found["done"] else None

            found = fleet.wait_for(seen)
            assert (found["pid"], found["run"], found["state"], found["running"]) == (run.pid, 1, "running", 0)
            run.send_signal(signal.SIGTERM)
            assert run.wait(60) == 0
            hear_until("STOPPING=1")
        finally:
            run.kill()
            run.wait()
    found = json.loads(health.read_bytes())
    assert (found["state"], found["exit_code"], found["done"]) == ("ended", 0, 1)
    [told] = fleet.ledger()
    assert "PATH" in told["env"] and not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(told["env"])


def test_a_queue_is_not_taken_for_a_health_file(tmp_path: Path):
    """Named by mistake, it stays as it is, and nothing is launched."""
    fleet = Fleet(directory=tmp_path)
    queue = fleet.write_queue(["a"])
    before = queue.read_bytes()
    done = fleet.run(queue, "--health-file", queue)
    assert done.returncode == 2 and "expected a new file, or a health file, found another file at" in done.stderr
    assert queue.read_bytes() == before and fleet.events() == []
