"""Updates the selector cache again and again. Arguments: state directory, name, number of updates.

Waits for a line on standard input, so that all start together. Every second update confirms an entry that all share, the
others one of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from core.state.port import Selector
from core.state.selector_cache import FileSelectorCache

state_dir, name, updates = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
cache = FileSelectorCache(state_dir)
sys.stdout.write("ready\n")
sys.stdout.flush()
sys.stdin.readline()
for n in range(updates):
    label = "shared" if n % 2 else name
    cache.learn(
        "http://shop.localhost", "demo", label, Selector(kind="css", value=label), profile_id=name, now=float(n)
    )
    if cache.get("http://shop.localhost", "demo", label) is None:
        sys.exit(f"{label} is gone")
