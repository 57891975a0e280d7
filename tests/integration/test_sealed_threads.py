"""Sealed files are read by several threads at once, also when none has been read before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys, threading, msgspec
from pathlib import Path
from core import sealed
sys.setswitchinterval(1e-6)
for number in range(60):
    inner = msgspec.defstruct("Inner", [("a", "int | None", None), ("b", "list[str]", [])], module="builtins")
    kind = msgspec.defstruct("Outer", [("x", "int"), ("inner", inner | None, None), ("z", "tuple[str, ...]", ())], module="builtins")
    data, barrier, read = sealed.seal(kind(1, inner(2, ["q"]))), threading.Barrier(16), []

    def work():
        barrier.wait()
        read.append(sealed.unseal(data, Path("f"), kind))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.inner.b for each in read] == [["q"]] * 16
print("ok")
"""


def test_a_type_that_several_threads_meet_first_is_decoded():
    """In a process of its own: where types are not made ready one after the other, it ends by a segmentation fault."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=CHECKOUT, capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr[-2000:]
