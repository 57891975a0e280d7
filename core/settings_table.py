"""Every setting: its name, its default, its limits, and what several of them amount to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from core.domain.admission import AdmissionPolicy
from core.domain.failure import Code
from core.domain.halt import Halt, read_halt
from core.domain.hard_limit import read_percent
from core.domain.limits import Limit
from core.domain.messages import Screenshots, Trace
from core.domain.policy import PolicyChange
from core.domain.retention import Retention
from core.domain.retry import RetryPolicy
from core.rotation import MOST_KEPT

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKOUT = Path(__file__).resolve().parent.parent
MAX_CONCURRENT = 1000
HARD_LIMIT = 1800.0
_AUTO_PER_CORE = 8
"""Browsers that a core may have at the most where the host is to find how many it can take."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. Durations are seconds, paths are absolute.

    Attributes:
        state_dir: everything durable.
        log_dir: logs and events.
        max_concurrent: slots, 1 to 1000; ``auto``: as many as the host can take, by what it measures while it runs.
        launch_interval: seconds between two starts of a browser, before jitter; None: from the number of cores.
        max_preparing: attempts that prepare at the same time (start, copy, verify); None: two for each core.
        batch_size: jobs that are prepared together and then launched one by one, 1 to 1000; None: one by one.
        batch_delay: seconds between the last launch of a batch and the next batch.
        keep_failed: keep the working copy of a job that failed, with the evidence of its last attempt; it holds logins.
        wait_parked: seconds a person is waited for, with the browser open, once nothing else is left to do.
        max_parked: browsers that stay open for a person, beyond ``max_concurrent``; None: as many as that, if anybody is waited
            for at all.
        admission: whether the host's load is watched, and nothing started while it is too high.
        memory_reserve_bytes: memory that is left to others.
        disk_reserve_bytes: room that stays free where the state directory is.
        cpu_threshold: share of all cores, 0 to 1, that others may use.
        progress_timeout: least time without progress after which an attempt is stopped.
        timeout: hard limit of one attempt; as a percentage, of the median of what attempts of its flow took that ended well.
        halt: how many jobs have to fail, succeed or end for the run to end early; see ``core.domain.halt``.
        stop_grace: time between asking a worker to end and killing its tree.
        browser_timeout: time that starting a browser, and connecting to it, may take.
        start_timeout: time a worker has from its spawn to ``Ready``.
        describe_timeout: time that loading a flow may take.
        watch_interval: seconds between two looks at a queue that a server or a command gives.
        flow: flow of jobs that name none.
        browser: executable.
        headed: show browsers.
        sandbox: None: on, unless the user is root.
        action_timeout: Playwright's own, below every step's.
        screenshots: ``on-failure`` or ``off``; they may show secrets.
        trace: Playwright's: ``on-failure``, ``always`` or ``off``; it holds secrets.
        max_attempts: failing attempts a job may have.
        poison_limit: consecutive crashes that quarantine a job.
        retry_delay: before the first retry; doubles.
        busy_delay: before a held profile is tried again.
        log_max_bytes: size of ``logs/<id>.log`` from which it is rotated between attempts.
        log_keep: how many rotated logs of a profile are kept.
        log_rate: bytes a second a worker may write to its log before lines are dropped and counted.
        health_file: a small file that is rewritten every few seconds while a run lives (docs/operations.md); None: none.
        notify: a command that is started, or an address that is sent to, for each thing worth telling (docs/operations.md).
        notify_on: what of: ``finished``, ``needs_person``, ``quarantined``, ``pressure``, with commas.
        limits: by key, what all workers of a run share; ``[limits]`` in the file, JSON in the environment.
        failures: what follows from single codes, where it is not what the table of policies says; ``[failures.<code>]`` in the
            file, ``OSTLER_FAILURES_<CODE>_…`` in the environment.
        retention: what ``ostler gc`` removes; ``[retention]`` in the file, ``OSTLER_RETENTION_…`` in the environment.
    """

    state_dir: Path = CHECKOUT / "state"
    log_dir: Path = CHECKOUT / "logs"
    max_concurrent: int | Literal["auto"] = 5
    launch_interval: float | None = None
    max_preparing: int | None = None
    batch_size: int | None = None
    batch_delay: float = 2.0
    admission: Literal["on", "off"] = "on"
    memory_reserve_bytes: int = AdmissionPolicy().memory_reserve
    disk_reserve_bytes: int = AdmissionPolicy().disk_reserve
    cpu_threshold: float = AdmissionPolicy().cpu_threshold
    keep_failed: bool = False
    wait_parked: float = 0.0
    max_parked: int | None = None
    progress_timeout: float = 30.0
    timeout: float | str = HARD_LIMIT
    halt: str | None = None
    stop_grace: float = 10.0
    start_timeout: float = 30.0
    browser_timeout: float = 30.0
    describe_timeout: float = 20.0
    watch_interval: float = 30.0
    flow: str | None = None
    browser: str | None = None
    headed: bool = False
    sandbox: bool | None = None
    action_timeout: float = 10.0
    screenshots: Screenshots = "off"
    trace: Trace = "off"
    max_attempts: int = 3
    poison_limit: int = 3
    retry_delay: float = 1.0
    busy_delay: float = 5.0
    log_max_bytes: int = 10 * 1024 * 1024
    log_keep: int = 5
    log_rate: int = 1024 * 1024
    health_file: str | None = None
    notify: str | None = None
    notify_on: str = "finished,needs_person,quarantined,pressure"
    limits: dict[str, Limit] = {}
    failures: dict[Code, PolicyChange] = {}
    retention: Retention = Retention()

    @property
    def retry(self) -> RetryPolicy:
        """The retry policy that these settings amount to."""
        return RetryPolicy(
            max_attempts=self.max_attempts,
            poison_limit=self.poison_limit,
            base_delay=self.retry_delay,
            busy_delay=self.busy_delay,
            changes=self.failures,
        )

    @property
    def halt_rule(self) -> Halt | None:
        """The rule by which the run ends early, if there is one."""
        return None if self.halt is None else read_halt(self.halt)

    @property
    def hard_limit(self) -> float:
        """The hard limit of an attempt, or what it cannot be above where it follows what is usual."""
        return HARD_LIMIT if isinstance(self.timeout, str) else self.timeout

    @property
    def timeout_percent(self) -> int | None:
        """Of the usual time, what an attempt may take at the most; None where the limit is a number of seconds."""
        return read_percent(self.timeout) if isinstance(self.timeout, str) else None

    @property
    def slots(self) -> int:
        """How many may run at a time at the most."""
        return self.max_concurrent if self.max_concurrent != "auto" else _AUTO_PER_CORE * (os.cpu_count() or 1)

    @property
    def admission_policy(self) -> AdmissionPolicy:
        """The limits of the host that these settings amount to."""
        return AdmissionPolicy(
            memory_reserve=self.memory_reserve_bytes,
            disk_reserve=self.disk_reserve_bytes,
            cpu_threshold=self.cpu_threshold,
            own_cpu=self.max_concurrent == "auto",
        )

    @property
    def preparing(self) -> int:
        """How many attempts may prepare at once: more than the cores can do would only make each of them late."""
        return self.max_preparing or 2 * (os.cpu_count() or 1)

    @property
    def parking(self) -> int:
        """How many browsers may stay open for a person: none, unless it is asked for."""
        if self.max_parked is not None:
            return self.max_parked
        return self.slots if self.wait_parked else 0

    @property
    def gate_interval(self) -> float:
        """Seconds between two browser starts: half a second of one core's work, shared by the cores there are."""
        if self.launch_interval is not None:
            return self.launch_interval
        return 1.0 / (os.cpu_count() or 1)


DEFAULTS = Settings()
LEAST: Mapping[str, float] = {
    "max_concurrent": 1,
    "max_preparing": 1,
    "batch_size": 1,
    "progress_timeout": 1,
    "timeout": 1,
    "start_timeout": 1,
    "browser_timeout": 1,
    "describe_timeout": 1,
    "watch_interval": 1,
    "action_timeout": 0.1,
    "max_attempts": 1,
    "poison_limit": 1,
    "log_max_bytes": 4096,
    "log_rate": 1024,
}
"""The smallest value of a number; 0 where nothing is said."""
MOST: Mapping[str, float] = {
    "max_concurrent": MAX_CONCURRENT,
    "max_preparing": MAX_CONCURRENT,
    "batch_size": MAX_CONCURRENT,
    "cpu_threshold": 1.0,
    "max_parked": MAX_CONCURRENT,
    "log_keep": MOST_KEPT,
}
"""The largest; a week of seconds, or none, where nothing is said."""
PATHS = frozenset({"flow", "browser", "health_file"})
"""Texts that are paths."""
REPLACED = frozenset({"health_file"})
"""Paths of what is written: a link in their place is not followed, so that nobody can lead us elsewhere."""
NO_SETTINGS = frozenset(
    {
        "OSTLER_CONFIG",
        "OSTLER_FEED_TOKEN",
        "OSTLER_NOTIFY_TOKEN",
        "OSTLER_CONTROL_FD",
        "OSTLER_ATTEMPT",
        "OSTLER_DRIVER",
        "OSTLER_UPDATE_SNAPSHOTS",
    }
)
"""Variables of our own that set nothing here."""
