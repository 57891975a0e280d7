"""A worker's own output, masked before it leaves the process.

The orchestrator's pump masks, too, but it learns a secret over another channel than the text that may hold it: a step that
prints a password in the line after it was set could be faster.
"""

from __future__ import annotations

import io
import sys
import threading
from typing import TYPE_CHECKING, TextIO

from core.text import encodable

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_HELD = 1024 * 1024


def mask_output(mask: Callable[[str], str]) -> None:
    """Put masks before ``sys.stdout`` and ``sys.stderr``."""
    sys.stdout = MaskedText(sys.stdout, mask)
    sys.stderr = MaskedText(sys.stderr, mask)


class MaskedText(io.TextIOBase):
    """A text stream that passes whole lines on, masked; what has no end of line yet waits for it, or for ``flush``.

    Args:
        below: where the text goes.
        mask: takes secrets out.
    """

    def __init__(self, below: TextIO, mask: Callable[[str], str]) -> None:
        self._below = below
        self._mask = mask
        self._held: list[str] = []
        self._size = 0
        self._lock = threading.RLock()

    @property
    def buffer(self) -> object:
        """The bytes stream below, for those who write bytes; the pump masks these."""
        return self._below.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a class attribute there
        """That of the stream below."""
        return self._below.encoding

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """It goes to a log."""
        return False

    def fileno(self) -> int:
        """The descriptor of the stream below."""
        return self._below.fileno()

    def write(self, text: str) -> int:
        """Take text; whole lines go out at once."""
        with self._lock:
            head, newline, rest = text.rpartition("\n")
            if newline:
                self._pass_on(head + newline)
            if rest:
                self._held.append(rest)
                self._size += len(rest)
                if self._size > _LONGEST_HELD:
                    self._pass_on("")
        return len(text)

    def flush(self) -> None:
        """Let everything out."""
        with self._lock:
            if self._held:
                self._pass_on("")
            else:
                self._below.flush()

    def _pass_on(self, text: str) -> None:
        whole = "".join(self._held) + text
        self._held.clear()
        self._size = 0
        self._below.write(encodable(self._mask(whole)))
        self._below.flush()
