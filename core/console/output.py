"""Writing to people without ever being stopped by them: a closed terminal, a pipe nobody reads, an old encoding."""

from __future__ import annotations

import queue
import threading
from typing import IO

_KEPT = 10_000


class PatientStream:
    """A text stream whose errors end the writing, not the run. What its encoding lacks becomes ``?``."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._gone = False

    @property
    def encoding(self) -> str:
        """As of the stream beneath; UTF-8 where it has none."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether a person sits there."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor beneath."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write, unless the other side is gone."""
        if not self._gone:
            try:
                self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
            except (OSError, ValueError):  # gone, or closed by ourselves
                self._gone = True
        return len(text)

    def flush(self) -> None:
        """Flush, unless the other side is gone."""
        if not self._gone:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._gone = True


class LineWriter:
    """Writes lines from a thread of its own, so that a reader who stops reading stops nobody else.

    Attributes:
        dropped: lines that nobody took in time.
    """

    def __init__(self, stream: PatientStream) -> None:
        self.dropped = 0
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(_KEPT)
        self._thread = threading.Thread(target=self._work, name="console", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Take one line, without its newline."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def close(self, patience: float = 10.0) -> None:
        """Wait until all is written, at most ``patience`` seconds."""
        try:
            self._lines.put(None, timeout=patience)
        except queue.Full:
            return
        self._thread.join(patience)

    def _work(self) -> None:
        while (line := self._lines.get()) is not None:
            self._stream.write(line + "\n")
            if self._lines.empty():
                self._stream.flush()
        self._stream.flush()
