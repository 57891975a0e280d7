"""Clone a base profile as a user who may not read all of it, and print its status and what the receipt lists.

argv: base profile, directory of clones
"""

from __future__ import annotations

import encodings.ascii  # noqa: F401 - after the change of user, the standard library may be out of reach
import os
import resource  # noqa: F401
import sys
import traceback

from core.workspaces import WorkspaceManager

os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    manager = WorkspaceManager(sys.argv[1], temp_directory=sys.argv[2])
    print(manager.get_base_profile_status(), *manager.create_worker_profile(1).receipt.unreadable, flush=True)
    manager.close()
except OSError as exc:
    traceback.print_exc()
    print(type(exc).__name__, flush=True)
os._exit(0)
