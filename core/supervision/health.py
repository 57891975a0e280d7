"""A small file that says that the orchestrator lives, and how its run stands: rewritten every few seconds, by its own loop."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog

from core import durable
from core.domain.model import JobState
from core.errors import BadInput, DurableWriteFailed, Problem

if TYPE_CHECKING:
    from pathlib import Path

    from core.supervision.standing import Standing

log = structlog.get_logger(__name__)

EVERY = 5.0
"""Seconds between two rewritings at the most."""
_LARGEST = 64 * 1024


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds.

    Attributes:
        at: when it was written, epoch seconds; so is the file's time of change.
        state: ``stopping`` once a stop was asked for, ``ended`` once the run is over.
        total: jobs that the run has or had to do.
        running: jobs that a worker has in hand.
        held: reasons for which nothing is started.
        last_progress: when a step, a stage or a job last went on, epoch seconds; null if none has yet.
        exit_code: once it has ended.
    """

    pid: int
    run: int
    at: float
    state: Literal["running", "stopping", "ended"]
    started_at: float | None
    total: int
    queued: int
    running: int
    waiting: int
    parked: int
    done: int
    failed: int
    quarantined: int
    cancelled: int
    held: tuple[str, ...]
    last_progress: float | None
    exit_code: int | None = None
    v: int = 1


class HealthFile:
    """Written whole or not at all; never through a link, which is replaced. What cannot be written is logged, once.

    Args:
        path: the file, absolute.
        standing: how the run stands.
        place: what named it, for messages.

    Raises:
        BadInput: something else is there, or no directory for it.
    """

    def __init__(self, path: Path, standing: Standing, place: str) -> None:
        self._path = path
        self._standing = standing
        self._failing = False
        refuse_others(path, place)
        with contextlib.suppress(OSError):  # a directory that may be written to and not be listed
            durable.sweep_beside(path)

    def health(self, at: float) -> Health:
        """Return how the run stands at a time."""
        standing, snapshot = self._standing, self._standing.snapshot
        ended = {state: snapshot.ended.get(state, 0) for state in JobState}
        return Health(
            pid=os.getpid(),
            run=snapshot.run,
            at=at,
            state="ended" if snapshot.exit_code is not None else "stopping" if snapshot.stopping else "running",
            started_at=snapshot.started_at,
            total=snapshot.total,
            queued=snapshot.queued,
            running=len(snapshot.running),
            waiting=snapshot.waiting,
            parked=snapshot.parked,
            done=ended[JobState.DONE],
            failed=ended[JobState.FAILED],
            quarantined=ended[JobState.QUARANTINED],
            cancelled=ended[JobState.CANCELLED],
            held=snapshot.held,
            last_progress=standing.progressed_at,
            exit_code=snapshot.exit_code,
        )

    def write(self, health: Health) -> None:
        """Rewrite the file."""
        try:
            durable.write_bytes(self._path, msgspec.json.encode(health) + b"\n", fsync=False)
        except DurableWriteFailed as exc:
            if not self._failing:
                self._failing = True
                with contextlib.suppress(OSError):  # our own log is likely on the same full disk
                    log.warning("health_not_written", reason=str(exc))
        else:
            self._failing = False


def refuse_others(path: Path, place: str) -> None:
    """Refuse to replace what is none of ours.

    Raises:
        BadInput: naming it.
    """
    found = ""
    try:
        if not path.parent.is_dir():
            found = f"no directory {path.parent}"
        elif not stat.S_ISREG(path.lstat().st_mode):
            found = f"a link, a directory or the like at {path}"
        else:
            with path.open("rb") as file:
                if text := file.read(_LARGEST):  # an empty one is nobody's loss
                    msgspec.json.decode(text, type=Health)
    except FileNotFoundError:
        return
    except msgspec.DecodeError:
        found = f"another file at {path}"
    except OSError as exc:
        found = f"{path}: {exc.strerror}"
    if found:
        hint = "it is rewritten every few seconds: name a file that is nothing else"
        raise BadInput([Problem(place=place, expected="a new file, or a health file", found=found, hint=hint)])
