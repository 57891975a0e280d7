r"""The job log: a line of tab-separated values for each attempt that has ended, appended as it ends.

A line is one write: a kill leaves a whole line or, if the disk was full, a torn one, which the next opening takes off. It is not
synced: a kill loses nothing, a power cut may lose the last lines. Tabs, line breaks and backslashes within a value stand as
``\t``, ``\n`` and ``\\``, other control characters as ``\x1b``.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import structlog

from core.domain.events import AttemptEnded, AttemptStarted
from core.durable import try_lock
from core.errors import BadInput, Problem
from core.text import encodable, visible

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.domain.events import Event

log = structlog.get_logger(__name__)

COLUMNS = ("Seq", "Job", "Profile", "Flow", "Attempt", "Start", "Seconds", "Outcome", "Code", "Step", "Reason")
_HEADER = ("\t".join(COLUMNS) + "\n").encode()
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_IN_USE = "another run writes it"
_KEPT_IN_MEMORY = 10_000
_BLOCK = 1 << 20


def check_job_log(path: Path) -> None:
    """Refuse a place where no job log can be: it is not changed.

    Raises:
        BadInput: it holds something else, or cannot be written.
    """
    expected, found = "a job log, or a new file", None
    try:
        if path.exists() and not path.is_file():
            found = "no regular file"
        elif path.exists():
            with path.open("r+b") as file:
                begin = file.read(len(_HEADER))
                is_free = try_lock(file.fileno())
            # a kill may have come right after it was made
            found = None if is_free else _IN_USE
            found = found if _HEADER.startswith(begin) else "a file with something else in it"
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            path.unlink()
    except OSError as exc:
        found = exc.strerror or str(exc)
    if found is not None:
        raise BadInput([Problem(place="--job-log", expected=expected, found=f"{path}: {found}")])


class JobLog:
    """Appends to a job log, 0600; see the module. What cannot be written now is kept, and written with a later line.

    Args:
        path: of the file; one that is there is gone on with, its header and its numbers included.
        flow_of: gives the flow of a job, by its ID; empty if it is not known.

    Raises:
        OSError: it cannot be opened or read, or another run writes it.
    """

    def __init__(self, path: Path, flow_of: Callable[[str], str]) -> None:
        self._path = path
        self._flow_of = flow_of
        self._unwritten: list[bytes] = []
        self._started: dict[str, float] = {}
        self._failing = False
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            # of two writers each would count for itself, and cut off what the other has written when the disk is full
            if not try_lock(self._descriptor):
                raise BlockingIOError(errno.EWOULDBLOCK, _IN_USE)
            self._whole, self._seq = self._repair()
            if not self._whole:
                self._append(_HEADER)
        except OSError:
            os.close(self._descriptor)
            raise

    def emit(self, event: Event) -> None:
        """Append a line, if an attempt has ended."""
        if isinstance(event, AttemptStarted):
            self._started[event.job] = event.at
        if not isinstance(event, AttemptEnded):
            return
        self._seq += 1
        # that of an earlier run was not seen to start
        started = self._started.pop(event.job, event.at - event.seconds)
        values = (
            str(self._seq), event.job, event.profile_id, self._flow_of(event.job), str(event.attempt),
            f"{started:.3f}", f"{event.seconds:.3f}", event.outcome, event.code, event.step, event.reason,
        )  # fmt: skip
        line = "\t".join(encodable(visible(value.translate(_ESCAPED))) for value in values) + "\n"
        self._unwritten = [*self._unwritten[1 - _KEPT_IN_MEMORY :], line.encode()]
        self._write_out()

    def close(self) -> None:
        """Write what is left, and release the file."""
        self._write_out()
        os.close(self._descriptor)

    def _write_out(self) -> None:
        try:
            while self._unwritten:
                self._append(self._unwritten[0])
                del self._unwritten[0]
        except OSError as exc:
            if not self._failing:
                log.error("job_log_not_written", path=str(self._path), reason=exc.strerror)
            self._failing = True
            return
        self._failing = False

    def _append(self, line: bytes) -> None:
        """Append a line, or leave the file as it was."""
        written = os.write(self._descriptor, line)
        if written != len(line):
            os.ftruncate(self._descriptor, self._whole)
            raise OSError(None, f"only {written} of {len(line)} bytes were taken")
        self._whole += written

    def _repair(self) -> tuple[int, int]:
        """Take off a torn last line; return the size of the file, and the number of lines but for the header."""
        whole = lines = at = 0
        while block := os.pread(self._descriptor, _BLOCK, at):
            lines += block.count(b"\n")
            if b"\n" in block:
                whole = at + block.rindex(b"\n") + 1
            at += len(block)
        if at != whole:
            os.ftruncate(self._descriptor, whole)
            log.warning("torn_line_taken_off", path=str(self._path), bytes=at - whole)
        return whole, max(lines - 1, 0)
