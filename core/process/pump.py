"""Carries a worker's output to ``logs/<id>.log``: redacted, in capped lines, at a capped rate.

A thread for each worker reads the pipe and writes the file. So neither a slow disk nor the masking of a flood holds up
the loop, a worker is never kept waiting for other workers' output, and the thread ends with its worker. What is held in
memory is one read and one line.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import structlog

from core.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.redaction import Redactor

_log = structlog.get_logger()
_READ = 256 * 1024
_OVERLAP = 16 * 1024
_TICK = 1.0
_EXHAUSTED_SHARE = 64
_TAIL = 8 * 1024

_ESCAPE_SEQUENCE = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b\n]*(?:\x07|\x1b\\\\)")
"""Colours, cursor movements and titles: dropped whole."""


class LogLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much a worker may write.

    Attributes:
        rate: bytes a second in the long run.
        burst: bytes at once; at least ``line`` counts.
        line: bytes of the longest line; the rest of it is counted and dropped.
        attempt: bytes after which an attempt goes on at a 64th of the rate.
        max_bytes: size from which the file is rotated between attempts.
        keep: how many rotated files are kept.
        grace: seconds that the pump reads on after the worker's end; a grandchild may hold the pipe for ever.
    """

    rate: int = 1024 * 1024
    burst: int = 4 * 1024 * 1024
    line: int = 64 * 1024
    attempt: int = 40 * 1024 * 1024
    max_bytes: int = 10 * 1024 * 1024
    keep: int = 5
    grace: float = 2.0


def header(*, number: int, job_id: str, at: float) -> bytes:
    """Return the line that begins an attempt in the log.

    Args:
        number: of the attempt; 0 where there is none.
        job_id: may be empty.
        at: epoch seconds.
    """
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    of = f" of {job_id}" if job_id else ""
    return f"--- attempt{f' {number}' if number else ''}{of} at {when} ---\n".encode()


def open_log(path: Path) -> int:
    """Open a log for appending, 0600; an unfinished last line (its writer was killed) is ended first.

    Raises:
        OSError: it cannot be opened.
    """
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            # a full disk must not keep anybody from the log: lines are counted as lost until there is room
            with contextlib.suppress(OSError):
                os.write(fd, b"\n")
    except OSError:
        os.close(fd)
        raise
    return fd


class LogFilter:
    """Turns raw output into what the log may hold; knows nothing of files, threads or clocks.

    Whole lines are masked, so a secret that was cut in two by a read is still whole here. Of a line that is too long,
    more is kept than will be shown, masked, and then the surplus is cut off: whatever secret the cut of the raw bytes went
    through lies in the surplus.
    """

    def __init__(self, limits: LogLimits, redactor: Redactor, now: float) -> None:
        self._limits = limits
        self._redactor = redactor
        self._burst = max(limits.burst, limits.line)
        self._tokens = float(self._burst)
        self._at = now
        self._spent = 0
        self._partial = bytearray()
        self._cut = 0
        self._dropping = False
        self._dropped_lines = 0
        self._dropped_bytes = 0
        self._tail = b""

    @property
    def is_holding_note(self) -> bool:
        """Whether lines were dropped that are not yet accounted for: call ``tick`` even if nothing comes."""
        return self._dropping

    def feed(self, data: bytes, now: float) -> bytes:
        """Take output; return what is to be written now."""
        out = bytearray(self.tick(now))
        end = data.rfind(b"\n")
        if end < 0:
            self._keep(data)
            return bytes(out)
        first = data[:end].partition(b"\n")[0]
        self._keep(first)
        out += self._end_line()
        complete = data[len(first) + 1 : end]
        if len(first) < end:
            if self._dropping:
                # a flood: not worth being split into lines
                self._drop(complete.count(b"\n") + 1, len(complete) + 1)
                self._remember(complete)
            else:
                out += self._lines(complete.split(b"\n"))
        self._keep(data[end + 1 :])
        return bytes(out)

    def tick(self, now: float) -> bytes:
        """Let time pass; return the note about dropped lines once there is room again."""
        rate = self._limits.rate
        if self._spent > self._limits.attempt:
            rate //= _EXHAUSTED_SHARE
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * rate)
        self._at = now
        # waits for some room, or a steady flood would have a note for every line that passes
        if self._dropping and self._tokens >= self._burst / 4:
            return self._resume()
        return b""

    def finish(self) -> bytes:
        """Return what is left at the end: an unfinished line, the note about dropped ones, and the last of these.

        The last lines before a death are the ones that explain it.
        """
        out = bytearray()
        if self._partial or self._cut:
            out += self._end_line()
        if self._dropping:
            # where the beginning is missing, the first line is not whole, and a secret in it might not be either
            tail = self._tail if len(self._tail) < _TAIL else self._tail.partition(b"\n")[2]
            self._dropped_lines -= tail.count(b"\n")
            self._dropped_bytes -= len(tail)
            out += self._resume()
            out += self._clean(tail)
        return bytes(out)

    def lost(self, data: bytes) -> None:
        """Count what could not be written."""
        self._drop(data.count(b"\n"), len(data))

    def _keep(self, part: bytes) -> None:
        room = self._limits.line + _OVERLAP - len(self._partial)
        self._partial += part[:room]
        self._cut += max(0, len(part) - room)

    def _end_line(self) -> bytes:
        raw, cut = bytes(self._partial), self._cut
        self._partial.clear()
        self._cut = 0
        if cut or len(raw) > self._limits.line:
            return self._long_line(raw, cut)
        return self._lines([raw])

    def _long_line(self, raw: bytes, cut: int) -> bytes:
        if not self._admit(self._limits.line):
            self._drop(1, len(raw) + cut)
            return b""
        shown = self._clean(raw)
        if cut:
            shown = shown[:-_OVERLAP]
        shown = shown[: self._limits.line]
        return shown.decode("utf-8", "ignore").encode() + f" [line of {len(raw) + cut} bytes cut]\n".encode()

    def _lines(self, lines: list[bytes]) -> bytes:
        """Mask many lines in one go: a line that is too long, or one too many, ends the block before it."""
        out = bytearray()
        block: list[bytes] = []
        for index, line in enumerate(lines):
            if len(line) > self._limits.line:
                out += self._block(block)
                block = []
                room = self._limits.line + _OVERLAP
                out += self._long_line(line[:room], max(0, len(line) - room))
            elif self._admit(len(line) + 1):
                block.append(line)
            else:
                rest = lines[index:]
                self._drop(len(rest), sum(map(len, rest)) + len(rest))
                self._remember(b"\n".join(rest))
                break
        return bytes(out + self._block(block))

    def _block(self, lines: list[bytes]) -> bytes:
        return self._clean(b"\n".join(line.removesuffix(b"\r") for line in lines)) + b"\n" if lines else b""

    def _admit(self, size: int) -> bool:
        if self._dropping or self._tokens < size:
            return False
        self._tokens -= size
        self._spent += size
        return True

    def _drop(self, lines: int, size: int) -> None:
        self._dropping = True
        self._dropped_lines += lines
        self._dropped_bytes += size

    def _remember(self, lines: bytes) -> None:
        self._tail = (self._tail + lines[-_TAIL:] + b"\n")[-_TAIL:]

    def _resume(self) -> bytes:
        note = (
            f"--- {self._dropped_lines} lines ({self._dropped_bytes} bytes) dropped here: more than the log takes ---\n"
        )
        self._dropping = False
        self._dropped_lines = self._dropped_bytes = 0
        self._tail = b""
        return note.encode()

    def _clean(self, raw: bytes) -> bytes:
        text = self._redactor.bytes(raw).decode("utf-8", "replace")
        plain = visible(_ESCAPE_SEQUENCE.sub("", text))
        if plain != text:
            # a colour in the middle of a secret hid it from the first look
            plain = self._redactor.text(plain)
        return plain.encode()


class Pump:
    """One worker's pump: a thread from ``start`` to the end of the output, or to ``finish`` and its grace.

    Args:
        source: reading end of the worker's output; owned from now on.
        log: the log's descriptor, see ``open_log``; owned from now on.
        limits: how much may be written.
        redactor: masks; may learn more while the pump runs.
        on_end: called in the pump's thread as its last act.
    """

    def __init__(
        self, source: int, log: int, limits: LogLimits, redactor: Redactor, on_end: Callable[[], None] | None = None
    ) -> None:
        self._source = source
        self._log = log
        self._limits = limits
        self._redactor = redactor
        self._on_end = on_end
        self._write_failed = False
        self._first = b""
        self._deadline: float | None = None
        self._wake_read, self._wake = os.pipe()
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="ostler-pump", daemon=True)

    def start(self, first: bytes = b"") -> None:
        """Begin, with ``first`` (the header).

        Raises:
            RuntimeError: the host has no thread left.
        """
        self._first = first
        self._thread.start()

    def finish(self, grace: float) -> None:
        """The worker has ended: read what is there, wait ``grace`` seconds for other holders of the pipe, and end."""
        with self._closing:
            if self._deadline is None and self._wake >= 0:
                self._deadline = time.monotonic() + grace
                os.write(self._wake, b"\0")

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; whether it has come."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def discard(self) -> None:
        """Release the descriptors of a pump that was never started."""
        self._release()

    def _run(self) -> None:
        try:
            self._pump()
        finally:
            self._release()
            if self._on_end is not None:
                self._on_end()

    def _release(self) -> None:
        with self._closing:
            for fd in (self._source, self._log, self._wake_read, self._wake):
                os.close(fd)
            self._wake = -1

    def _pump(self) -> None:
        output = LogFilter(self._limits, self._redactor, time.monotonic())
        self._write(output, self._first)
        os.set_blocking(self._source, False)
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        while True:
            limit = self._deadline
            timeout = None if limit is None else max(0.0, limit - time.monotonic())
            if output.is_holding_note:
                timeout = _TICK if timeout is None else min(timeout, _TICK)
            ready = dict(poll.poll(None if timeout is None else timeout * 1000))
            if self._wake_read in ready:
                poll.unregister(self._wake_read)
            now = time.monotonic()
            if self._source in ready:
                data = os.read(self._source, _READ)
                if not data:
                    break
                self._write(output, output.feed(data, now))
            else:
                self._write(output, output.tick(now))
            if self._deadline is not None and now >= self._deadline:
                break
        self._write(output, output.finish())

    def _write(self, output: LogFilter, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._log, view) :]
        except OSError as exc:
            # a full disk must not stop the worker: its output is counted instead
            output.lost(bytes(view))
            if not self._write_failed:
                _log.warning("log_write_failed", errno=exc.errno, reason=exc.strerror)
            self._write_failed = True
        else:
            if data:
                self._write_failed = False
