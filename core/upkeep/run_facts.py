"""What the event log says of the latest run as a whole: when it was, what steps took, what was asked of the network, what was kept."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from core.domain import events as ev
from core.domain.forecast import quartiles
from core.domain.snapshot import NetworkTotal
from core.events.recent import newest_first

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KEPT_PLACES = 3
KEPT_JOBS = 10_000
"""Places of evidence that are remembered: of each job, and for how many jobs."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """How long something took, of ``number`` times: seconds; lower and upper are quartiles."""

    number: int
    median: float
    lower: float
    upper: float
    longest: float


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The latest run.

    Attributes:
        run: its number; 0 if the log knows of none.
        started_at: epoch seconds.
        ended_at: None while it runs, and if it was cut off.
        exit_code: as above.
        halted: why it ended early by itself; empty if it did not.
        steps: by name, those that took longest together first; only where their body ran.
        network: what its browsers asked for.
        evidence: directories relative to the state directory, the latest first, by job.
    """

    run: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    halted: str = ""
    steps: Mapping[str, Taken] = msgspec.field(default_factory=dict)
    network: NetworkTotal = NetworkTotal()
    evidence: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)


def taken(durations: Sequence[float]) -> Taken:
    """Return how long something took; of at least one time."""
    lower, upper = quartiles(durations)
    longest = max(durations)
    return Taken(
        number=len(durations), median=median(durations), lower=max(lower, min(durations)), upper=min(upper, longest),
        longest=longest,
    )  # fmt: skip


def run_facts(log: Path) -> RunFacts:
    """Return what is known of the latest run.

    Raises:
        OSError: the log may not be read, or is no file.
    """
    run = RunFacts()
    durations: dict[str, list[float]] = {}
    requests = failures = travelled = unmeasured = 0
    for event in newest_first(log, ("run_started", "run_ended", "run_halted", "step_committed", "network_used")):
        match event:
            case ev.RunEnded():
                if run.exit_code is not None:
                    break  # the start of the run after this one is no longer there
                run = msgspec.structs.replace(run, run=event.run, ended_at=event.at, exit_code=event.exit_code)
            case ev.RunStarted():
                run = msgspec.structs.replace(run, run=event.run, started_at=event.at)
                break
            case ev.RunHalted():
                run = msgspec.structs.replace(run, halted=event.reason)
            case ev.StepCommitted() if event.body_ran and not event.recovered:
                durations.setdefault(event.step, []).append(event.seconds)
            case ev.NetworkUsed():
                requests += event.requests
                failures += event.failures
                travelled += event.received + event.sent
                unmeasured += event.unmeasured
            case _:
                pass
    slowest_first = sorted(durations, key=lambda step: -sum(durations[step]))
    return msgspec.structs.replace(
        run,
        steps={step: taken(durations[step]) for step in slowest_first},
        network=NetworkTotal(requests=requests, failures=failures, bytes=travelled, unmeasured=unmeasured),
        evidence=_evidence(log),
    )


def _evidence(log: Path) -> Mapping[str, tuple[str, ...]]:
    """Return where files for people are: also those of earlier runs, whose jobs may not have ended well since."""
    found: dict[str, dict[str, None]] = {}
    for event in newest_first(log, ("artifacts_kept",)):
        if not isinstance(event, ev.ArtifactsKept) or (event.job not in found and len(found) >= KEPT_JOBS):
            continue
        places = found.setdefault(event.job, {})
        for file in event.files:
            if len(places) < KEPT_PLACES:
                places.setdefault(file.rpartition("/")[0])
    return {job: tuple(places) for job, places in found.items()}
