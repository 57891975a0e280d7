"""A worker that starts what is hard to end, and prints a ledger of pids: ``NAME PID`` a line, then ``ready``.

The mode is ``TREE_WORKER``; the directory for the marker is ``TREE_DIR``. Nothing here ends by itself within a minute.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

SLEEPER = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\n"
    "time.sleep(120)\n"
)
FORKER = (
    "import os, time\n"
    "print('up', flush=True)\n"
    "end = time.monotonic() + 30\n"  # so that it dies out where nothing catches it
    "while time.monotonic() < end:\n"
    "    if os.fork():\n"
    "        time.sleep(0.002)\n"
    "        os._exit(0)\n"
)
BREEDER = (
    "import os, sys, time\n"
    "print('up', flush=True)\n"
    "for _ in range(5000):\n"
    "    if not os.fork():\n"
    "        os.setsid()\n"
    "        time.sleep(20)\n"
    "        os._exit(0)\n"
    "    time.sleep(0.004)\n"
    "time.sleep(60)\n"
)
LEADER = (
    "import subprocess, sys, time\n"
    "orphan = subprocess.check_output(['sh', '-c', 'sleep 120 >/dev/null & echo $!'], env={}, text=True)\n"
    "print('up', orphan.strip(), flush=True)\n"
    "time.sleep(120)\n"
)
SPAWNER = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(120)'], env={})\n"
    "print('up', child.pid, flush=True)\n"
    "time.sleep(120)\n"
)
LEAVER = (
    "import os, subprocess\n"
    "heirs = [subprocess.Popen(['sleep', '120'], env=env, stdout=subprocess.DEVNULL) for env in (dict(os.environ), {})]\n"
    "print('up', *(heir.pid for heir in heirs), flush=True)\n"
    "os._exit(0)\n"
)
mode = os.environ["TREE_WORKER"]
directory = os.environ["TREE_DIR"]


def start(name: str, source: str, *, env: dict[str, str] | None = None, marked: bool = False) -> None:
    """Start a grandchild in a session of its own and wait until it is up; a second number is its child."""
    arguments = [f"--user-data-dir={directory}"] if marked else []
    process = subprocess.Popen(
        [sys.executable, "-c", source, *arguments],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=env,
    )
    up = process.stdout.readline().split()
    print(name, process.pid, flush=True)
    for nth, number in enumerate(up[1:], 1):
        print(f"{name}-child{nth}", int(number), flush=True)
    if source == LEAVER:
        process.wait()


if "deaf" in mode:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("worker", os.getpid(), flush=True)
if "marked" in mode:
    # no nonce: only the argument says whose it is
    start("marked", SLEEPER, env={}, marked=True)
if "nonce" in mode:
    start("nonce", SLEEPER)
if "bare" in mode:
    # neither nonce nor argument below: only descent and session
    start("bare", SPAWNER)
if "leads" in mode:
    # its child has no parent of ours and no nonce: only the session of one that lives
    start("leads", LEADER, env={"PATH": os.environ["PATH"]})
if "breeds" in mode:
    start("breeds", BREEDER + f"# {directory}", env={})
if "leaves" in mode:
    start("leaves", LEAVER)
if "forks" in mode:
    start("forks", FORKER)
if "frozen" in mode:
    start("frozen", SLEEPER)
if "inherits" in mode:
    descriptors = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd')), flush=True)"
    listing = subprocess.run([sys.executable, "-c", descriptors], capture_output=True, text=True, check=True)
    print("grandchild", listing.stdout.strip())
print("ready", flush=True)
if "dies" in mode:
    os._exit(3)
if "holds" in mode:
    # leaves something behind that holds the output
    subprocess.Popen(["sleep", "120"])
    os._exit(0)
Path(directory).mkdir(exist_ok=True)
signal.pause()
while True:
    signal.pause()
