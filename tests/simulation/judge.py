"""Says what is wrong with a journal: reads events and facts, and knows nothing of how the fleet decides.

Each rule is a function of the journal that yields a sentence for each thing that must not be. ``DESIGN.md`` has the promises.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from core.domain.failure import Code
from core.domain.policy import POLICIES, Cost
from tests.simulation.world import EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FINAL = {"done", "failed", "quarantined"}
COSTLESS = {"interrupted", "busy", "host_fault"}
MOST_FAILURES = MOST_CRASHES = 3
PAUSED = "paused by the operator"
SOON = 1.0
"""Seconds that what was on its way when starts were held, or a stop was asked for, may still take."""
IDLE = 7.0
"""Seconds for which nobody may wait while somebody is due and nothing is in the way: a delay between batches, and a retry."""
JUMPED = 40.0
"""The same, while the wall clock was set not long ago."""


class Line(NamedTuple):
    """One thing that happened: ``kind`` is the type of an event, or the name of a fact."""

    at: float
    kind: str
    what: dict[str, Any]


Journal = list[Line]


def read(journal: Sequence[bytes]) -> Journal:
    """Return a journal's lines."""
    lines = []
    for raw in journal:
        at, is_event, what = msgspec.json.decode(raw, type=tuple[float, bool, dict[str, Any]])
        lines.append(Line(at, what["type" if is_event else "fact"], what))
    return lines


def findings(journal: Sequence[bytes]) -> list[str]:
    """Return everything that is wrong; empty if nothing is."""
    lines = read(journal)
    return [f"{rule.__name__}: {finding}" for rule in RULES for finding in rule(lines)]


def one_attempt_of_a_profile(lines: Journal) -> Iterator[str]:
    """Who was told to go is gone before the next one of its profile is told."""
    holder: dict[str, int] = {}
    for at, kind, what in lines:
        if kind == "told_to_go":
            if what["profile"] in holder:
                yield f"{at:.3f} {what['profile']} has two workers"
            holder[what["profile"]] = what["pid"]
        elif kind == "worker_gone" and holder.get(what["profile"]) == what["pid"]:
            del holder[what["profile"]]
    for profile in holder:
        yield f"the worker of {profile} lives on"


def never_more_than_the_limit(lines: Journal) -> Iterator[str]:
    """Browsers that wait for nobody are as many as there were slots; who was given one keeps it when there are fewer."""
    most = 0
    open_: set[str] = set()
    parked: set[str] = set()
    for at, kind, what in lines:
        match kind:
            case "run_started":
                # those of an earlier run hold slots of this one until they are gone
                most = max(what["max_concurrent"], len(open_ - parked))
            case "limit_changed":
                most = max(most, what["max_concurrent"])
            case "attempt_parked":
                parked.add(what["job"])
            case "browser_on":
                open_.add(what["job"])
            case "worker_gone":
                open_.discard(what["job"])
            case _:
                pass
        if kind in ("worker_gone", "attempt_resumed"):
            parked.discard(what["job"])
        if len(open_ - parked) > most:
            yield f"{at:.3f} {len(open_ - parked)} browsers with {most} slots"
            return


def committed_steps_are_never_done_again(lines: Journal) -> Iterator[str]:
    """Each step is committed once, nothing is done for it afterwards, and nobody writes with an old number."""
    done: set[tuple[str, str]] = set()
    newest: dict[str, int] = {}
    for at, kind, what in lines:
        if kind in ("acted", "committed"):
            profile, step = what["profile"], what["step"]
            if (profile, step) in done:
                yield f"{at:.3f} {step} of {profile} was {kind} after its commit"
            if what["fence"] < newest[profile]:
                yield f"{at:.3f} {profile} was written by an old holder"
            if kind == "committed":
                done.add((profile, step))
        elif kind == "told_to_go":
            if what["fence"] <= newest.get(what["profile"], 0):
                yield f"{at:.3f} the number of {what['profile']} did not rise"
            newest[what["profile"]] = what["fence"]


def commits_are_announced(lines: Journal) -> Iterator[str]:
    """What was announced was committed; what was committed is announced, unless the attempt's end was lost with its run."""
    committed: dict[tuple[str, str], str] = {}
    announced: Counter[tuple[str, str]] = Counter()
    for at, kind, what in lines:
        if kind == "committed":
            committed[what["profile"], what["step"]] = what["job"]
        elif kind == "step_committed":
            announced[what["profile_id"], what["step"]] += 1
            if (what["profile_id"], what["step"]) not in committed:
                yield f"{at:.3f} {what['step']} of {what['profile_id']} was announced before its commit"
    lost = untold(lines)
    for (profile, step), job in committed.items():
        if not announced[profile, step] and not lost[job]:
            yield f"{step} of {profile} was never announced"


def attempts_go_in_order(lines: Journal) -> Iterator[str]:
    """Started, prepared, launched, perhaps parked and resumed, ended."""
    after = {
        "attempt_started": ("",),
        "attempt_prepared": ("attempt_started",),
        "attempt_launched": ("attempt_prepared",),
        "attempt_parked": ("attempt_launched", "attempt_resumed"),
        "attempt_resumed": ("attempt_parked",),
    }
    stands: dict[str, str] = {}
    for at, kind, what in lines:
        if kind == "orchestrator_started":
            stands.clear()
        elif kind == "attempt_ended":
            stands.pop(what["job"], None)
        elif kind in after:
            if stands.get(what["job"], "") not in after[kind]:
                yield f"{at:.3f} {what['job']}: {kind} after {stands.get(what['job'], 'nothing')}"
            stands[what["job"]] = kind


def outcomes_are_recorded_once(lines: Journal) -> Iterator[str]:
    """A job that is at its end is left alone."""
    final: dict[str, str] = {}
    for at, kind, what in lines:
        job = what.get("job", "")
        if kind in ("told_to_go", "attempt_started", "attempt_ended", "job_changed") and job in final:
            yield f"{at:.3f} {job} is {final[job]}, and then there was {kind}"
        if kind == "job_changed" and what["state"] in FINAL:
            final[job] = what["state"]


def untold(lines: Journal) -> Counter[str]:
    """Return, by job, how many attempts may have ended without an event: their orchestrator was killed before it said so."""
    begun = Counter(what["job"] for _, kind, what in lines if kind == "worker_born")
    told = Counter(what["job"] for _, kind, what in lines if kind == "attempt_ended")
    return begun - told


def costs_are_as_promised(lines: Journal) -> Iterator[str]:  # noqa: C901 - one case for each cost
    """What costs nothing costs nothing; a job fails at its last attempt, and is poison at the third crash in a row, not before."""
    lost = untold(lines)
    failures: Counter[str] = Counter()
    of_code: Counter[tuple[str, str]] = Counter()
    streak: Counter[str] = Counter()
    committed: set[str] = set()
    last: dict[str, dict[str, Any]] = {}
    for at, kind, what in lines:
        job = what.get("job", "")
        if kind == "committed":
            committed.add(job)
        elif kind == "attempt_ended":
            last[job] = what
            if job in committed:
                committed.discard(job)
                streak[job] = 0
            if what["outcome"] == "done" or what["outcome"] in COSTLESS:
                continue
            cost = POLICIES[Code(what["code"])].cost
            of_code[job, what["code"]] += 1
            failures[job] += cost is Cost.ATTEMPT
            streak[job] = streak[job] + 1 if cost is Cost.CRASH else 0
        elif kind == "job_changed":
            ended, spare = last.get(job, {"outcome": "nothing", "code": ""}), lost[job]
            limit = POLICIES[Code(ended["code"])].attempts if ended["code"] else None
            own = limit is not None and of_code[job, ended["code"]] + spare >= limit
            if what["state"] in ("failed", "quarantined") and ended["outcome"] in COSTLESS:
                yield f"{at:.3f} {job} is {what['state']} for something that costs nothing"
            if what["state"] == "failed" and not own and not MOST_FAILURES - spare <= failures[job] <= MOST_FAILURES:
                yield f"{at:.3f} {job} failed after {failures[job]} attempts"
            if what["state"] == "quarantined" and not own and not MOST_CRASHES - spare <= streak[job] <= MOST_CRASHES:
                yield f"{at:.3f} {job} is poison after {streak[job]} crashes in a row"
            if what["state"] in ("waiting", "queued") and (
                failures[job] >= MOST_FAILURES or streak[job] >= MOST_CRASHES
            ):
                yield f"{at:.3f} {job} goes on after {failures[job]} failures and {streak[job]} crashes in a row"


def nothing_starts_that_is_held_or_stopped(lines: Journal) -> Iterator[str]:
    """While starts are held nobody is launched, but for one where the host alone is the reason and no other runs; after a stop was
    asked for nobody is started.
    """
    held: dict[str, float] = {}
    working: set[str] = set()
    stopped: float | None = None
    for at, kind, what in lines:
        match kind:
            case "orchestrator_started":
                held.clear()
                working.clear()
                stopped = None
            case "starts_held":
                held[what["reason"]] = at
            case "starts_resumed":
                del held[what["reason"]]
            case "stop_obeyed":
                stopped = at if stopped is None else stopped
            case "browser_on" | "attempt_resumed":
                working.add(what["job"])
            case "worker_gone" | "attempt_parked":
                working.discard(what["job"])
            case "attempt_launched" if held and at - min(held.values()) > SOON and (working or PAUSED in held):
                yield f"{at:.3f} {what['job']} was launched while held for {', '.join(held)}"
            case "attempt_launched" | "attempt_started" if stopped is not None and at - stopped > SOON:
                yield f"{at:.3f} {what['job']}: {kind} after a stop"


def ends_leave_nothing(lines: Journal) -> Iterator[str]:  # noqa: C901 - one case for each line that matters
    """An orchestrator that ends by itself leaves no process; the counts that it gives are those of all jobs."""
    jobs = 0
    counted: dict[str, int] | None = None
    for at, kind, what in lines:
        match kind:
            case "queue":
                jobs = len(what["jobs"])
            case "never_ended":
                yield f"after {at / 3600:g} hours there were jobs left"
            case "orchestrator_started" | "cancelled_by_hand":
                counted = None
            case "orchestrator_ended" if what["alive"]:
                yield f"{at:.3f} an orchestrator left {what['alive']}"
            case "run_ended":
                counted = what["counts"]
                if sum(counted.values()) != jobs:
                    yield f"{at:.3f} there are {jobs} jobs, and {counted} were counted"
            case "at_the_end":
                # one whose disk was full, or that was killed, at the very end has no last word
                if counted is not None and what["counts"] != counted:
                    yield f"the last run counted {counted}, and the queue has {what['counts']}"
                if what["locked"]:
                    yield f"still locked: {what['locked']}"
            case _:
                pass


def nobody_waits_for_nothing(lines: Journal) -> Iterator[str]:  # noqa: C901, PLR0912 - one case for each line that matters
    """While a run is up, nothing is held, the disk is there and nobody works, no job is due for long; of one whose end may be
    untold nobody knows.
    """
    lost = untold(lines)
    due: dict[str, float] = {}
    living: set[int] = set()
    away: defaultdict[str, int] = defaultdict(int)
    skew, jumped, since = 0.0, float("-inf"), 0.0
    up = False
    for at, kind, what in lines:
        job = what.get("job", "")
        first = min(due.values(), default=float("inf"))
        is_idle = up and not living and not any(away.values())
        begins = max(since, first - EPOCH - skew)
        if is_idle and at - begins > (JUMPED if begins - jumped < JUMPED else IDLE):
            yield f"{at:.3f} for {at - begins:.1f} s nobody worked, and {min(due, key=due.__getitem__)} was due"
            return
        match kind:
            case "queue":
                due = {name: float("-inf") for name, _ in what["jobs"] if not lost[name]}
            case "clock":
                skew, jumped = skew + what["seconds"], at
            case "run_started":
                up = True
                away = defaultdict(int, disk=away["disk"])
            case "orchestrator_killed" | "orchestrator_ended" | "stop_obeyed":
                up = False
            case "disk_full":
                away["disk"] += 1
            case "disk_free":
                away["disk"] -= 1
            case "starts_held":
                away[what["reason"]] = 1
            case "starts_resumed":
                away[what["reason"]] = 0
            case "worker_born":
                living.add(what["pid"])
            case "worker_gone":
                living.discard(what["pid"])
            case "job_changed" if what["state"] in ("queued", "waiting") and not lost[job]:
                due[job] = what["retry_at"] or float("-inf")
            case "job_changed" | "cancelled_by_hand":
                due.pop(job, None)
        if not is_idle or living or not up or any(away.values()):
            since = at


RULES: tuple[Callable[[Journal], Iterator[str]], ...] = (
    one_attempt_of_a_profile,
    never_more_than_the_limit,
    committed_steps_are_never_done_again,
    commits_are_announced,
    attempts_go_in_order,
    outcomes_are_recorded_once,
    costs_are_as_promised,
    nothing_starts_that_is_held_or_stopped,
    ends_leave_nothing,
    nobody_waits_for_nothing,
)
