"""The real orchestrator, with stubs for workers; arguments are the orchestrator's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import orchestrator

os.environ["STUB_RUN_PY"] = str(orchestrator.RUN_PY)
orchestrator.RUN_PY = Path(__file__).with_name("stub_worker.py")
sys.exit(orchestrator.main(sys.argv[1:]))
