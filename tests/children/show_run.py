"""Feeds a made-up run through the console on standard output, slowly enough to be looked at.

python tests/children/show_run.py [--profiles N] [--slots N] [--pause SECONDS] [--nothing-to-do]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.clock import SystemClock
from core.console.open import open_console
from core.domain import events as ev

STEPS = ("log in", "create mail", "sign up at the shop", "register as developer", "enrol two-factor", "place the order")
HOSTILE = "[bold red]not markup[/] \x1b[31mno colour\x1b[0m :smile: two\nlines " + "and a long tail " * 8


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--profiles", type=int, default=12)
    parser.add_argument("--slots", type=int, default=5)
    parser.add_argument("--pause", type=float, default=0.05)
    parser.add_argument("--nothing-to-do", action="store_true")
    args = parser.parse_args()
    console = open_console(sys.stdout, SystemClock(), term=os.environ.get("TERM", ""))
    try:
        for event in nothing_to_do() if args.nothing_to_do else run(args.profiles, args.slots):
            console.emit(event)
            time.sleep(args.pause)
    finally:
        console.close()


def nothing_to_do():
    at = time.time()
    yield ev.FeedRead(at=at, source="queue.json", added=0, updated=0, unchanged=0, done=12, cancelled=0)
    yield ev.RunStarted(at=at, run=2, queued=0, max_concurrent=5)
    yield ev.RunEnded(at=at, run=2, exit_code=0, counts={"done": 12}, seconds=0.1)


def run(profiles: int, slots: int):
    began = time.time()
    ids = [f"profile_{number:03}" for number in range(profiles)]
    ids[0] = "a" * 32
    yield ev.FeedRead(at=began, source="queue.json", added=profiles, updated=0, unchanged=0, done=0, cancelled=0)
    yield ev.RunStarted(at=began, run=1, queued=profiles, max_concurrent=slots)
    queue, running = list(ids), {}
    while queue or running:
        while queue and len(running) < slots:
            name = queue.pop(0)
            running[name] = list(STEPS)
            of = {"profile_id": name, "job": name, "attempt": 1}
            yield ev.AttemptStarted(at=time.time(), pid=1, fence=1, **of)
            yield ev.PhaseStarted(at=time.time(), phase="clone", **of)
            yield ev.StepsPlanned(at=time.time(), done=(), todo=STEPS, **of)
        for name in list(running):
            of = {"profile_id": name, "job": name, "attempt": 1}
            step = running[name].pop(0)
            yield ev.StepStarted(at=time.time(), step=step, try_=1, **of)
            if name.endswith("3") and step == STEPS[2]:
                yield ev.StepFailed(at=time.time(), step=step, try_=1, reason=HOSTILE, will_retry=False, **of)
                yield from end(name, "failed", "failed", HOSTILE, step)
                del running[name]
                continue
            yield ev.StepCommitted(at=time.time(), step=step, seconds=0.4, **of)
            if not running[name]:
                del running[name]
                yield from end(name, "done", "done", "", "")
    failed = sum(name.endswith("3") for name in ids)
    counts = {"done": profiles - failed, "failed": failed}
    yield ev.RunEnded(at=time.time(), run=1, exit_code=int(failed > 0), counts=counts, seconds=time.time() - began)


def end(name: str, outcome: str, state: str, reason: str, step: str):
    at = time.time()
    of = {"profile_id": name, "job": name}
    yield ev.AttemptEnded(at=at, attempt=1, outcome=outcome, reason=reason, step=step, seconds=4.2, **of)
    done = 6 if state == "done" else 2
    yield ev.JobChanged(at=at, state=state, reason=reason, steps_done=done, steps_total=6, attempts=1, **of)


if __name__ == "__main__":
    main()
