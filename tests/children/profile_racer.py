"""Does operations on one profile, and a little on another, until standard input ends; then prints how often each went well.

Arguments: the state directory, and a seed. Whatever is refused is one of the errors that operations name; anything else ends
this process with its traceback.
"""

from __future__ import annotations

import random
import select
import sys
from collections import Counter

import structlog

from core.errors import HolderAlive
from core.profiles import ProfileManager
from core.profiles.errors import ProfileError

structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # nobody reads what is logged here
manager = ProfileManager(sys.argv[1], lock_timeout=30)
chance = random.Random(int(sys.argv[2]))
OPERATIONS = {
    "activate": lambda: manager.activate("p"),
    "activate other": lambda: manager.activate("q"),
    "deactivate": manager.deactivate,
    "delete": lambda: manager.delete("p"),
    "create": lambda: manager.create("p", "telegram", tags=["t"]),
    "list": manager.list,
    "tag": lambda: manager.tag("q", add=[str(chance.randrange(30))]),
}
counts: Counter[str] = Counter()
sys.stdout.write("ready\n")
sys.stdout.flush()
sys.stdin.readline()
while not select.select([sys.stdin], [], [], 0)[0]:
    name = chance.choice(list(OPERATIONS))
    try:
        OPERATIONS[name]()
    except (ProfileError, HolderAlive) as exc:
        counts[f"{name}: {type(exc).__name__}"] += 1
    else:
        counts[name] += 1
sys.stdout.write(" | ".join(f"{name} {number}" for name, number in sorted(counts.items())) + "\n")
