"""Runs as the first process of a PID namespace of its own: gives a dead worker's number to a bystander, many times.

Prints one JSON object: how often the number came back, and how many bystanders were signalled or mistaken.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from core.process.identity import is_alive, stamp
from core.process.tree import Marks, find_tree, kill_tree

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
reused = mistaken = signalled = 0
for _ in range(int(sys.argv[1])):
    worker = subprocess.Popen(["sleep", "60"])
    recorded = stamp(worker.pid)
    worker.kill()
    worker.wait()
    # the kernel's clock for start times has to move on: 10 ms
    begin = time.monotonic()
    while time.monotonic() < begin + 0.02:
        pass
    LAST_PID.write_text(str(recorded.pid - 1))
    bystander = subprocess.Popen(["sleep", "60"])
    if bystander.pid == recorded.pid:
        reused += 1
        mistaken += is_alive(recorded) is not False
        mistaken += find_tree(Marks(worker=recorded)) != []
        signalled += kill_tree(Marks(worker=recorded, nonce="nobody's", user_data_dir="/nobody's"))
        signalled += bystander.poll() is not None
    bystander.kill()
    bystander.wait()
print(json.dumps({"reused": reused, "mistaken": mistaken, "signalled": signalled}))
