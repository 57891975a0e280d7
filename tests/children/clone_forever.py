"""Acquire, use and save a workspace again and again, until killed; prints ``ready`` before the first one.

argv: state directory, template, profile ID
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from core.workspaces.files import FileWorkspaces

state_dir, template, profile_id = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
manager = FileWorkspaces(state_dir)
print("ready", flush=True)
for fence in itertools.count(int(sys.argv[4])):
    workspace = manager.acquire(profile_id, fence, template=template)
    manager.mark_in_use(workspace, "Chromium", "156.0")
    for number in range(30):
        (workspace.user_data_dir / "Default" / f"data-{number}").write_text(str(fence))
    if fence % 3 == 0:
        manager.discard(workspace)
    elif fence % 3 == 1:
        manager.save_back(workspace)
