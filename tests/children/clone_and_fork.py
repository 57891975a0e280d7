"""Create a clone, fork, and let the child create one, too; both say what they have, wait for a line, and end as asked.

argv: base profile, directory of clones
Prints ``parent PID PATH`` and ``child PID WORKERS PATH``. The child ends at the end of its input, the parent is killed.
"""

from __future__ import annotations

import os
import sys
import time

from core.workspaces import WorkspaceManager

manager = WorkspaceManager(sys.argv[1], temp_directory=sys.argv[2])
path = manager.create_profile("parent")
if os.fork() == 0:
    known = ",".join(manager.list_profiles()) or "none"
    print("child", os.getpid(), known, manager.create_profile("child"), flush=True)
    sys.stdin.read()
    sys.exit(0)
print("parent", os.getpid(), path, flush=True)
while True:
    time.sleep(60)
