"""What ``structlog`` writes, and where: JSON lines of the orchestrator, lines for people of a worker.

Event names are short constants, everything else stands in keys: ``log.warning("lease_lost", profile_id=…)``. Whoever runs an
attempt binds ``profile_id`` and ``attempt`` once, with ``structlog.contextvars.bind_contextvars``. What other libraries
log and Python's warnings come out the same way. Every value passes the redactor, tracebacks as well; no traceback shows
local variables.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from core.durable import write_failed
from core.process.pump import open_log
from core.rotation import rotate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from core.redaction import Redactor

    Processor = Callable[[Any, str, MutableMapping[str, Any]], Mapping[str, Any] | str | bytes]

ORCHESTRATOR_LOG = "orchestrator.log"


class LogFile:
    """A log that is appended to, one write a line, from any thread. A full disk costs lines, which are counted.

    Args:
        path: the file; its directory is there.
        max_bytes: size from which it is rotated before the next line.
        keep: how many rotated files stay; 0 keeps none.

    Raises:
        OSError: it cannot be opened, or its predecessor not be moved.
    """

    def __init__(self, path: Path, *, max_bytes: int, keep: int) -> None:
        rotate(path, max_bytes, keep)
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._fd = open_log(path)
        self._rotate_at = max_bytes
        self._lock = threading.Lock()
        self._lost = 0

    def msg(self, line: str) -> None:
        """Append a line."""
        with self._lock:
            if self._fd < 0:
                return
            try:
                self._make_room()
                if self._lost:
                    self._note(event="log_lines_lost", level="error", lines=self._lost)
                    self._lost = 0
                os.write(self._fd, line.encode("utf-8", "backslashreplace") + b"\n")
            except OSError:
                # whoever logs must not fail because the log does; the next line that can be written says how many
                self._lost += 1

    log = debug = info = warn = warning = error = critical = exception = fatal = failure = err = msg

    def _make_room(self) -> None:
        """Go on in a new file if this one is large enough, or was removed; if that fails, in this one for as many bytes more."""
        status = os.fstat(self._fd)
        if status.st_size < self._rotate_at and status.st_nlink:
            return
        self._rotate_at = status.st_size + self._max_bytes
        try:
            rotate(self._path, self._max_bytes, self._keep)
            fd = open_log(self._path)
        except OSError as exc:
            self._note(event="log_not_rotated", level="warning", path=str(self._path), reason=exc.strerror)
            return
        os.close(self._fd)
        self._fd = fd
        self._rotate_at = self._max_bytes

    def _note(self, **fields: Any) -> None:
        """Write a line of our own."""
        os.write(self._fd, json.dumps(fields).encode() + b"\n")

    def close(self) -> None:
        """Release the file; later lines go nowhere."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def configure_orchestrator(
    log_dir: Path, redactor: Redactor, *, level: int = logging.INFO, max_bytes: int = 10 * 1024 * 1024, keep: int = 5
) -> LogFile:
    """Send this process's log to ``orchestrator.log`` (0600) as JSON lines; return the file, for whoever closes it.

    Each line has ``event``, ``level``, ``at`` (ISO 8601, UTC), what is bound, and the event's own keys.

    Raises:
        DurableWriteFailed: the file cannot be opened, or its predecessor not be moved.
    """
    path = log_dir / ORCHESTRATOR_LOG
    try:
        file = LogFile(path, max_bytes=max_bytes, keep=keep)
    except OSError as exc:
        raise write_failed(path, exc) from exc
    # the redactor has made everything a JSON value; what is not would be a mistake of ours
    renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    _configure(renderer, lambda *_: file, redactor, level)
    return file


def configure_worker(redactor: Redactor, *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send this process's log to standard error as lines for people; a worker's pump carries them to ``<id>.log``.

    Args:
        redactor: knows the profile's secrets as they are learnt.
        level: least level that is written.
        stream: where to, if not to standard error.
    """
    renderer = structlog.dev.ConsoleRenderer(
        colors=False,
        pad_event_to=0,
        pad_level=False,
        timestamp_key="at",
        # the rich one shows local variables, passwords among them
        exception_formatter=structlog.dev.plain_traceback,
    )
    _configure(renderer, structlog.WriteLoggerFactory(stream or sys.stderr), redactor, level)


def _configure(renderer: Processor, factory: Callable[..., Any], redactor: Redactor, level: int) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            Redaction(redactor),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Captured)]:
        root.removeHandler(handler)
    root.addHandler(_Captured())
    root.setLevel(min(level, logging.WARNING) if level < logging.INFO else max(level, logging.WARNING))
    logging.captureWarnings(capture=True)


class Redaction:
    """A structlog processor: every key and value without secrets, and everything that is not plain data as text."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        """Return the event without secrets."""
        return {self._text(str(key)): self._clean(value) for key, value in event.items()}

    def _clean(self, value: Any) -> Any:
        clean: Any
        match value:
            case None | bool() | float():
                clean = value
            case int():
                # a code of six digits is a secret, too
                plain = str(value)
                text = self._redactor.text(plain)
                clean = value if text == plain else text
            case str() | Path():
                clean = self._text(str(value))
            case bytes():
                clean = self._text(value.decode("utf-8", "backslashreplace"))
            case dict():
                clean = {self._text(str(key)): self._clean(item) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                clean = [self._clean(item) for item in value]
            case _:
                clean = self._text(repr(value))
        return clean

    def _text(self, text: str) -> str:
        # a lone surrogate is a str, but no file takes it
        return self._redactor.text(text).encode("utf-8", "backslashreplace").decode()


class _Captured(logging.Handler):
    """Hands what other libraries log to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno,
            "library_message",
            logger=record.name,
            message=record.getMessage(),
            **({"exc_info": record.exc_info} if record.exc_info else {}),
        )
