"""The whole engine on virtual time: whatever happens, and in whatever order, the promises hold."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from core.domain import retry
from core.domain.planning import Plan, plan
from tests.simulation import virtual_time
from tests.simulation.fleet import simulate
from tests.simulation.judge import findings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 1000
AGAIN = 25
"""Each of so many seeds is run twice."""


def wrong_in(seed: int) -> list[str]:
    """Return what is wrong in one simulation, each with how to see it again."""
    found = simulate(seed)
    again = f"; again: .venv/bin/python -m tests.simulation {seed}"
    return [one + again for one in found.bugs + findings(found.journal)]


def digest(seeds: Iterable[int]) -> str:
    """Return a hash of all that happens in these simulations."""
    sha = hashlib.sha256()
    for seed in seeds:
        sha.update(b"\n".join(simulate(seed).journal))
    return sha.hexdigest()


@pytest.mark.parametrize("seed", range(24))
def test_the_promises_hold(seed: int) -> None:
    """Kills, stops, full disks, hogs, clocks that are set, crashes and persons, at the moments that the seed says."""
    assert wrong_in(seed) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_promises_hold_for_a_thousand_seeds() -> None:
    """The same, more often; a seed is run twice now and then, and both runs are the same to the byte."""
    wrong = []
    for seed in range(SEEDS):
        wrong += wrong_in(seed)
        if seed % AGAIN == 0 and digest([seed]) != digest([seed]):
            wrong.append(f"two runs of seed {seed} differ")
    assert wrong == []


def test_the_same_seed_gives_the_same_events_to_the_byte_in_another_process() -> None:
    """Neither hashes of texts nor addresses of objects decide anything."""
    code = "import sys; from tests.simulation.test_simulator import digest; print(digest(range(4)))"
    said = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert said == {digest(range(4))}


def test_other_seeds_give_other_events() -> None:
    """The seed decides."""
    assert digest([1]) != digest([2])


async def _wait_for_nobody() -> None:
    await anyio.Event().wait()


def test_who_waits_for_ever_is_noticed() -> None:
    """Where no time will end it, the loop says so instead of standing still."""
    with pytest.raises(virtual_time.Deadlock):
        virtual_time.run(_wait_for_nobody)


def _overfull(self: Any, limit: int) -> None:
    self._limiter = anyio.CapacityLimiter(limit + 1)


def _open(self: Any, reason: str) -> None:
    """A gate that nobody holds."""


def _asleep(view: Any, now: float) -> Plan:
    planned = plan(view, now)
    return planned if planned.start or planned.finished else Plan()


def _hasty(policy: Any, *args: Any, **kwargs: Any) -> Any:
    return retry.decide(msgspec.structs.replace(policy, poison_limit=2), *args, **kwargs)


def _costly(policy: Any, counters: Any, *args: Any, **kwargs: Any) -> Any:
    counters = msgspec.structs.replace(counters, failures=counters.failures + 1)
    return retry.decide(policy, counters, *args, **kwargs)


async def _forgetful(self: Any) -> list[Any]:
    return []


def _silent(self: Any, claim: Any, announced: Any) -> tuple[str, ...]:
    return ()


@pytest.mark.parametrize(
    ("where", "defect", "rule"),
    [
        ("core.dispatch.admission.Slots.__init__", _overfull, "never_more_than_the_limit"),
        ("core.dispatch.admission.LaunchGate.hold", _open, "nothing_starts_that_is_held_or_stopped"),
        ("core.dispatch.dispatcher.plan", _asleep, "nobody_waits_for_nothing"),
        ("core.dispatch.completion.decide", _hasty, "costs_are_as_promised"),
        ("core.dispatch.completion.decide", _costly, "costs_are_as_promised"),
        ("core.dispatch.recovery.Recovery.unfinished", _forgetful, "ends_leave_nothing"),
        ("core.dispatch.completion.Completion._recovered", _silent, "commits_are_announced"),
    ],
)
def test_a_defect_is_noticed(
    monkeypatch: pytest.MonkeyPatch, where: str, defect: Callable[..., Any], rule: str
) -> None:
    """Each of these mistakes breaks its promise within a few seeds: the judge can say no."""
    monkeypatch.setattr(where, defect)
    said: set[str] = set()
    for seed in range(30):
        said |= {finding.partition(":")[0] for finding in findings(simulate(seed).journal)}
        if rule in said:
            return
    pytest.fail(f"not noticed; only {said or 'nothing'}")


def line(kind: str, *, event: bool = False, **what: Any) -> bytes:
    return msgspec.json.encode((1.0, event, {"type" if event else "fact": kind, **what}))


def go(pid: int, fence: int) -> bytes:
    return line("told_to_go", profile="a", job="a", pid=pid, fence=fence)


def did(kind: str, fence: int = 1) -> bytes:
    return line(kind, profile="a", job="a", pid=1, step="s", fence=fence)


GONE = line("worker_gone", profile="a", job="a", pid=1, code=0)
DONE = line("job_changed", event=True, job="a", state="done", retry_at=None)


@pytest.mark.parametrize(
    ("journal", "rule"),
    [
        ([go(1, 1), go(2, 2)], "one_attempt_of_a_profile"),
        ([go(1, 1), did("committed"), did("acted")], "committed_steps_are_never_done_again"),
        ([go(1, 1), did("committed"), did("committed")], "committed_steps_are_never_done_again"),
        ([go(1, 2), did("acted", fence=1)], "committed_steps_are_never_done_again"),
        ([go(1, 1), GONE, go(2, 1)], "committed_steps_are_never_done_again"),
        ([line("attempt_launched", event=True, job="a")], "attempts_go_in_order"),
        ([DONE, line("attempt_started", event=True, job="a")], "outcomes_are_recorded_once"),
    ],
)
def test_what_must_not_be_is_noticed(journal: list[bytes], rule: str) -> None:
    """Promises that are kept twice over, so that no single mistake breaks them: journals in which they are broken."""
    assert rule in {finding.partition(":")[0] for finding in findings(journal)}
