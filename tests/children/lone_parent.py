"""An orchestrator that is about to be killed: starts one worker, says ``pid PID`` once it has spoken, and waits."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from core.process.child import LaunchPlan, SubprocessLauncher
from core.process.port import WorkerCommand
from core.redaction import Redactor


async def main() -> None:
    """Start one and wait for ever."""
    plan = LaunchPlan(python=sys.executable, run_py=Path(sys.argv[1]), log_dir=Path(sys.argv[2]))
    child = await SubprocessLauncher(plan, os.environ).spawn(WorkerCommand(profile_id="p1", nonce="n"), Redactor())
    await child.receive()
    print("pid", child.stamp.pid, flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
