"""Finds what belongs to an attempt, proves it, and ends it.

What counts as proof: the worker's stamp (pid and start time); the attempt's nonce in the environment; exactly this
``--user-data-dir=`` among the arguments; descent from something proven; membership in a session that something proven
leads. Nothing else is ever signalled, nor are we ourselves or our own ancestors. Each process is pinned by its start time,
which is read again right before the signal, through a pidfd where there are any, so that a reused number is never hit.

A tree is frozen before it is killed: what is frozen cannot fork, so nothing escapes between listing and killing. There is
no use of ``cgroup.kill``: it needs a cgroup v2 that is delegated to us, and this finds the same processes without one.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread
import msgspec
import structlog

from core.domain.model import ProcessStamp
from core.process.identity import is_alive, is_running, stamp, start_time
from core.process.table import read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from core.domain.model import AttemptRecord
    from core.process.table import Entry

T = TypeVar("T")
_log = structlog.get_logger()
_POLL = 0.01
_FREEZE_ROUNDS = 20
_MAX_GRACE = 2.0
_GONE_WITHIN = 10.0


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """By what the processes of an attempt are known; at least one should be given.

    Attributes:
        worker: the worker's stamp.
        nonce: value of ``OSTLER_ATTEMPT``.
        user_data_dir: what the browser was given, character for character.
    """

    worker: ProcessStamp | None = None
    nonce: str | None = None
    user_data_dir: str | None = None


def find_tree(marks: Marks) -> list[ProcessStamp]:
    """Return the live processes that are proven to carry these marks."""
    return find_trees([marks])


def find_trees(marks: Iterable[Marks]) -> list[ProcessStamp]:
    """Return the live processes that are proven to carry any of these sets of marks, each once."""
    found = []
    for entry in _members(read_table(with_marks=True), list(marks)).values():
        try:
            live = stamp(entry.pid)
        except ProcessLookupError:
            continue
        if live.started == entry.started:
            found.append(live)
    return found


def kill_tree(marks: Marks, *, within: float = _GONE_WITHIN) -> int:
    """Freeze, kill and outlast the tree; return how many processes it took.

    Blocks: async code calls it in a thread. A process that is stuck in the kernel is given ``within`` seconds and then
    reported: the kill is pending, so it will not run another instruction of its program.
    """
    return len(_kill(marks, within))


def _kill(marks: Marks, within: float) -> set[tuple[int, float]]:
    deadline = time.monotonic() + within
    killed: set[tuple[int, float]] = set()
    while True:
        members = _freeze(marks)
        if not members:
            return killed
        for entry in members.values():
            if _signal(entry.pid, entry.started, signal.SIGKILL):
                killed.add((entry.pid, entry.started))
        if not _outlast(members.values(), deadline):
            _log.error("tree_survived", pids=sorted(_members(read_table(with_marks=True), [marks])), seconds=within)
            return killed


class ProcessReaper:
    """The ``Reaper`` of this host."""

    def __init__(self) -> None:
        self._limiter: anyio.CapacityLimiter | None = None

    def is_alive(self, stamp: ProcessStamp) -> bool | None:
        """Whether that very process lives; None where it cannot be known."""
        return is_alive(stamp)

    async def reap(self, attempt: AttemptRecord, grace: float) -> int:
        """End what belongs to the attempt: SIGTERM, and SIGKILL after ``grace`` seconds (at most 2)."""
        return await self._in_thread(lambda: end_tree(_marks(attempt), min(grace, _MAX_GRACE)))

    async def leftovers(self, known: Iterable[AttemptRecord]) -> list[ProcessStamp]:
        """Return live processes that belong to one of these attempts."""
        marks = [_marks(attempt) for attempt in known]
        return await self._in_thread(lambda: find_trees(marks))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # threads of its own: a sweep over many attempts must not starve others of theirs
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(8)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


def _marks(attempt: AttemptRecord) -> Marks:
    return Marks(worker=attempt.process, nonce=attempt.nonce, user_data_dir=attempt.user_data_dir)


def end_tree(marks: Marks, grace: float) -> int:
    """End a tree: TERM the worker, which closes its browser, and kill what is left after ``grace`` seconds.

    Without a worker, what is left at the top is asked, and the browser. Blocks; returns how many processes it took.
    """
    members = _members(read_table(with_marks=True), [marks])
    if not members:
        return 0
    worker = marks.worker
    if worker is not None and worker.pid in members:
        first = [members[worker.pid]]
    else:
        first = [
            entry
            for entry in members.values()
            if entry.parent not in members or (marks.user_data_dir and entry.user_data_dir() == marks.user_data_dir)
        ]
    for entry in first:
        _signal(entry.pid, entry.started, signal.SIGTERM)
    seen = {(entry.pid, entry.started) for entry in members.values()}
    deadline = time.monotonic() + grace
    while members and time.monotonic() < deadline:
        _outlast(members.values(), min(deadline, time.monotonic() + 0.2))
        members = _members(read_table(with_marks=True), [marks])
        seen |= {(entry.pid, entry.started) for entry in members.values()}
    return len(seen | _kill(marks, _GONE_WITHIN))


def _members(table: dict[int, Entry], wanted: list[Marks]) -> dict[int, Entry]:
    """Return what the marks prove, and what belongs to that, by pid."""
    spared = _ourselves(table)
    proven: dict[int, Entry] = {}
    by_nonce: set[int] = set()
    nonces = {marks.nonce for marks in wanted if marks.nonce}
    directories = {marks.user_data_dir for marks in wanted if marks.user_data_dir}
    for marks in wanted:
        worker = marks.worker
        # is_alive also rules out other hosts, boots and namespaces, whose numbers mean nothing here
        if worker is not None and worker.pid in table and is_alive(worker):
            proven[worker.pid] = table[worker.pid]
    for pid, entry in table.items():
        if nonces and entry.nonce() in nonces:
            proven[pid] = entry
            by_nonce.add(pid)
        elif directories and entry.user_data_dir() in directories:
            proven[pid] = entry
    for pid in spared:
        proven.pop(pid, None)
    # a session whose leader is dead is still the attempt's if one in it carries the nonce: workers start in a session of
    # their own, and a session is only ever entered by being forked into it. Never our own session, nor an ancestor's
    our_sessions = {table[pid].session for pid in spared if pid in table} | {0, -1}
    sessions = {
        proven[pid].session
        for pid in by_nonce
        if pid in proven and proven[pid].session not in table and proven[pid].session not in our_sessions
    }
    _close(table, proven, sessions, spared)
    return proven


def _close(table: dict[int, Entry], proven: dict[int, Entry], sessions: set[int], spared: set[int]) -> None:
    """Add descendants, and members of sessions that a proven process leads, until nothing is added."""
    size = -1
    while size != len(proven):
        size = len(proven)
        sessions |= {pid for pid, entry in proven.items() if entry.session == pid}
        for pid, entry in table.items():
            if pid not in proven and pid not in spared and (entry.parent in proven or entry.session in sessions):
                proven[pid] = entry


def _ourselves(table: dict[int, Entry]) -> set[int]:
    spared = {0, 1}
    pid = os.getpid()
    while pid not in spared:
        spared.add(pid)
        pid = table[pid].parent if pid in table else 0
    return spared


def _freeze(marks: Marks) -> dict[int, Entry]:
    """Stop every member, until a look around finds none that still runs; return the members.

    Stuck ones (in the kernel) do not stop at once; after some rounds killing is the better answer.
    """
    members: dict[int, Entry] = {}
    for _ in range(_FREEZE_ROUNDS):
        members = _members(read_table(with_marks=True), [marks])
        running = [entry for entry in members.values() if not entry.stopped]
        if not running:
            break
        for entry in running:
            _signal(entry.pid, entry.started, signal.SIGSTOP)
    return members


def _outlast(members: Iterable[Entry], deadline: float) -> bool:
    """Wait until these are gone or zombies; whether they are, by ``deadline``."""
    left = [(entry.pid, entry.started) for entry in members]
    while left:
        left = [(pid, started) for pid, started in left if is_running(pid, started)]
        if left:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL)
    return True


def _signal(pid: int, started: float, number: signal.Signals) -> bool:
    """Signal the process if it is still the one that started then; whether it was."""
    try:
        if not hasattr(os, "pidfd_open"):
            if start_time(pid) != started:
                return False
            os.kill(pid, number)
            return True
        # the descriptor pins the process: if its number is reused after the check, the signal fails instead of straying
        pidfd = os.pidfd_open(pid)
        try:
            if start_time(pid) != started:
                return False
            signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)
    except ProcessLookupError:
        return False
    except PermissionError:
        _log.warning("signal_refused", pid=pid, signal=number.name)
        return False
    return True
