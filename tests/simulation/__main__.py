"""Runs one simulation again: prints its journal, and what is wrong with it."""

from __future__ import annotations

import sys

from tests.simulation.fleet import simulate
from tests.simulation.judge import findings

if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
    sys.exit("expected a seed: .venv/bin/python -m tests.simulation SEED")
found = simulate(int(sys.argv[1]))
sys.stdout.buffer.write(b"".join(line + b"\n" for line in found.journal))
wrong = found.bugs + findings(found.journal)
sys.stderr.write("".join(f"{one}\n" for one in wrong))
sys.exit(1 if wrong else 0)
