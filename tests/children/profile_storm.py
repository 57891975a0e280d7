"""One of many that change one named profile at once, until a time: says what could not have happened, and exits with 1 then."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from core.errors import OstlerError
from core.profiles import ProfileManager

state, seed, until = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
chance = random.Random(seed)
manager = ProfileManager(state, lock_timeout=2.0)
done = 0


def look() -> None:
    """Whatever is listed is whole, and at most one profile is active."""
    found = manager.list()
    damaged = [profile for profile in found if profile.status == "corrupted"]
    active = [profile.id for profile in found if profile.status == "active"]
    if damaged or len(active) > 1:
        print(f"damaged: {damaged}, active: {active}", flush=True)
        sys.exit(1)


OPERATIONS = (
    lambda profile_id: manager.create(profile_id, "custom"),
    manager.activate,
    lambda _: manager.deactivate(),
    manager.delete,
    lambda profile_id: manager.tag(profile_id, add=[f"t{seed}"]),
    lambda _: look(),
)
while time.time() < until:
    try:
        chance.choice(OPERATIONS)(chance.choice(["anna", "anna", "anna", "bert"]))
        done += 1
    except OstlerError:
        # refused for a reason that has a name: not there, taken, active, held by another
        continue
print(done, flush=True)
