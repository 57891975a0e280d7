"""Claims jobs of a queue and prints their IDs: all of them, or (``hold``) one, after which it waits to be killed.

Usage: queue_claimer.py PATH NAME all|hold
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from core.queue.sqlite import SqliteQueue

path, name, mode = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
queue = SqliteQueue(path, create=False)
print("ready", flush=True)
sys.stdin.readline()
count = 0
while (claim := queue.claim(time.time(), f"{name}-{count}")) is not None:
    print(claim.job.spec.id, flush=True)
    count += 1
    if mode == "hold":
        time.sleep(600)  # until it is killed
queue.close()
