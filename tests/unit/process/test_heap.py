"""Memory that threads take is one heap's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core.process.heap import share_one_heap

ROOT = Path(__file__).resolve().parents[3]
HEAPS = """
import sys, threading
from core.process.heap import share_one_heap
if sys.argv[1] == "shared":
    assert share_one_heap()
together = threading.Barrier(8)
def take():
    together.wait()
    data = [bytes(2000) for _ in range(1000)]
    together.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
starts = [int(line.split("-")[0], 16) for line in open("/proc/self/maps") if len(line.split()) == 5]
print(sum(start % (64 << 20) == 0 for start in starts))
"""
"""Says how many heaps there are beside the first: glibc begins each at a multiple of 64 MB."""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has heaps for threads")
def test_threads_share_the_heap() -> None:
    """Without it, some of eight threads have heaps of their own; with it, none has."""

    def heaps(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", HEAPS, how], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
        )
        return int(done.stdout)

    assert heaps("shared") == 0
    assert heaps("as ever") > 0


def test_nothing_is_done_where_there_is_no_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems, and other libraries, have no such heaps."""
    monkeypatch.setattr("core.process.heap.LINUX", False)
    assert not share_one_heap()
    monkeypatch.setattr("core.process.heap.LINUX", True)
    monkeypatch.setattr("core.process.heap.ctypes.CDLL", lambda _name: object())
    assert not share_one_heap()
