"""Emits numbered events into a log that is rotated all the time, and says which number was taken, until it is killed."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from core.domain.events import StopAsked
from core.events.jsonl import JsonlSink
from core.rotation import MOST_KEPT


def main() -> None:
    sink = JsonlSink(Path(sys.argv[1]), max_bytes=300, keep=MOST_KEPT)
    for number in itertools.count(int(sys.argv[2])):
        sink.emit(StopAsked(at=float(number), how="drain"))
        os.write(1, b"%d\n" % number)


if __name__ == "__main__":
    main()
