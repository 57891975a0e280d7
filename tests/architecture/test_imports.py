"""Who may import whom: the rules of ``core/__init__.py``, read from the syntax of every file."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PRODUCT = sorted(path for top in ("core", "workers") for path in (CHECKOUT / top).rglob("*.py"))
SHELLS = [CHECKOUT / "orchestrator.py", CHECKOUT / "run.py"]
ENGINES = ("core/dispatch/", "workers/runner.py")
ANYWHERE = {"msgspec", "structlog", "anyio"}
CONFINED = {
    "argcomplete": ("core/cli/completion.py",),
    "playwright": ("workers/browser/", "workers/steps/"),
    "psutil": ("core/process/",),
    "filelock": ("core/state/", "core/profiles/lock.py", "core/kernel_lock.py"),
    "sqlite3": ("core/queue/sqlite.py", "core/queue/database.py", "core/workspaces/verify.py"),
    "rich": ("core/console/",),
    "tree_sitter": ("core/settings_file.py",),
    "tree_sitter_toml": ("core/settings_file.py",),
}
IMPURE = {"os", "io", "time", "random", "asyncio", "anyio", "socket", "subprocess", "pathlib", "structlog"}
STAGES = ("queue", "process", "profiles", "workspaces", "state", "events", "console")
BENEATH = {"profiles": ("process", "workspaces", "state")}
"""Whose adapters a stage may use: an operation on a profile moves its browser data, its login state and its holder."""


def imports_of(source: str) -> set[str]:
    """Return the modules that a file imports, wherever in it; ``from a import b`` counts as ``a`` and ``a.b``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_in(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def broken_rules(name: str, source: str) -> list[str]:
    """Return a sentence for each import that a file of this name must not have."""
    found = sorted(imports_of(source))
    broken = [f"{name}: {why} ({module})" for module in found for why in wrong_inside(name, module)]
    return broken + [f"{name}: {why}" for why in wrong_outside(name, {module.partition(".")[0] for module in found})]


def wrong_inside(name: str, module: str) -> list[str]:
    """Return which rules about our own packages ``module`` breaks in the file ``name``."""
    broken = []
    ours = is_in(module, "core", "workers") and module != "core"
    if name.startswith("core/domain/") and ours and not is_in(module, "core.domain", "core.errors"):
        broken.append("the domain imports itself and core.errors")
    if name.startswith("core/") and not name.startswith("core/cli/") and is_in(module, "workers"):
        broken.append("core never imports workers")
    stage = adapter_stage(module)
    if stage is not None and name.startswith(ENGINES):
        broken.append("an engine sees ports, never adapters")
    own = own_stage(name)
    if stage is not None and own not in (None, stage) and stage not in BENEATH.get(own, ()):
        broken.append("an adapter sees its own port and the domain, not another stage's adapter")
    return broken


def wrong_outside(name: str, top: set[str]) -> list[str]:
    """Return which rules about other people's packages a file breaks that imports these."""
    broken = [
        f"{third} stays in {', '.join(places)}"
        for third, places in CONFINED.items()
        if third in top and not name.startswith(places)
    ]
    known = ANYWHERE | set(CONFINED) | {"core", "workers"} | set(sys.stdlib_module_names)
    broken += [f"{module} is in nobody's list" for module in sorted(top - known)]
    if name.startswith("core/domain/"):
        broken += [f"no I/O, clock, randomness or async in the domain ({module})" for module in sorted(top & IMPURE)]
    return broken


def adapter_stage(module: str) -> str | None:
    """Return the stage whose adapter this module is; None for ports, packages and everything else."""
    parts = module.split(".")
    if parts[0] != "core" or len(parts) < 3 or parts[1] not in STAGES or parts[2] == "port":
        return None
    return parts[1] if is_module(".".join(parts[:3])) else None


def own_stage(name: str) -> str | None:
    parts = name.split("/")
    return parts[1] if parts[0] == "core" and len(parts) > 2 and parts[1] in STAGES else None


def is_module(dotted: str) -> bool:
    path = CHECKOUT.joinpath(*dotted.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_imports_follow_the_rules(path):
    """Domain purity, engines without adapters, core without workers, third parties in their places."""
    assert broken_rules(path.relative_to(CHECKOUT).as_posix(), path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("core/domain/x.py", "import core.clock"),
        ("core/domain/x.py", "from core.queue.port import JobQueue"),
        ("core/domain/x.py", "import time"),
        ("core/domain/x.py", "def f():\n    import random"),
        ("core/queue/x.py", "from workers.browser import open"),
        ("core/dispatch/x.py", "from core.events.jsonl import JsonlSink"),
        ("workers/runner.py", "from core.state import sessions"),
        ("core/events/x.py", "from core.queue.sqlite import SqliteQueue"),
        ("core/profiles/x.py", "from core.queue.sqlite import SqliteQueue"),
        ("core/state/x.py", "import psutil"),
        ("core/queue/x.py", "import sqlite3"),
        ("workers/x.py", "from playwright.async_api import Page"),
        ("core/state/x.py", "import requests"),
    ],
)
def test_a_broken_rule_is_noticed(name, source):
    """Each rule can fail."""
    if "sessions" in source or "SqliteQueue" in source:
        stage = CHECKOUT / ("core/state/sessions.py" if "sessions" in source else "core/queue/sqlite.py")
        assert stage.exists()
    assert broken_rules(name, source) != []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("core/dispatch/x.py", "from core.events.port import EventSink"),
        ("core/domain/x.py", "from core.errors import BadInput"),
        ("core/cli/x.py", "from workers.browser import open"),
        ("core/profiles/x.py", "from core.workspaces import swap"),
        ("core/queue/sqlite.py", "import sqlite3"),
    ],
)
def test_a_kept_rule_is_quiet(name, source):
    """And each can be kept."""
    assert broken_rules(name, source) == []


@pytest.mark.parametrize("path", [path for path in SHELLS if path.exists()], ids=lambda path: path.name)
def test_shells_enter_the_environment_before_they_import(path):
    """The preamble is the first thing; until then only the standard library and ``core.venv`` are imported."""
    body = ast.parse(path.read_text("utf-8")).body
    calls = (index for index, node in enumerate(body) if isinstance(node, (ast.If, ast.Expr)))
    entered = next(index for index in calls if "enter()" in ast.unparse(body[index]))
    for node in body[:entered]:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = imports_of(ast.unparse(node)) - {"core", "__future__"}
            assert {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names} <= {
                "core.venv",
                "core.venv.enter",
            }
