"""What earlier runs left, and what is damaged: listed, never touched."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from core.errors import OstlerError
from core.process.identity import is_alive
from core.process.table import read_table
from core.process.tree import Marks, find_trees
from core.profiles.store import FileProfileStore
from core.queue.sqlite import SqliteQueue
from core.state.sessions import FileSessionStore
from core.upkeep.finding import bad, ok, warn
from core.upkeep.storage import SCRATCH
from core.workspaces import marker, scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from core.domain.model import AttemptRecord
    from core.upkeep.finding import Finding

_NEXT_START = "nothing: the next start puts this right (python orchestrator.py)"
_SHOWN = 5
_OLD = 300.0
_LARGE = frozenset({"browser_profile", "cache", "downloads", "artifacts", "user-data"})


def check_queue(path: Path) -> tuple[Finding, list[AttemptRecord]]:
    """Whether the durable queue is whole; and the attempts whose end is not recorded."""
    if not path.exists():
        return ok("queue", "none yet"), []
    try:
        queue = SqliteQueue(path, read_only=True)
        try:
            number = sum(queue.counts().values())
            return ok("queue", f"{number} jobs, whole"), queue.open_attempts()
        finally:
            queue.close()
    except OstlerError as exc:
        fix = f"restore {path} from a backup, or move it and its -wal away and run the feed again: committed steps stay"
        return bad("queue", str(exc), fix), []


def check_sessions(state_dir: Path, copies: Path) -> list[Finding]:
    """Whether every session can be read. They are looked at as copies: reading a damaged one keeps its bytes beside it."""
    found: list[Finding] = []
    checked = 0
    (copies / "sessions").mkdir(mode=0o700)
    for path in _files(state_dir / "sessions", ".json"):
        for name in (path.name, f"{path.name}.prev"):
            if path.with_name(name).exists():
                shutil.copyfile(path.with_name(name), copies / "sessions" / name)
        try:
            stored = FileSessionStore(copies).read(path.stem)
        except OstlerError as exc:
            fix = f"restore {path} from a backup, or forget what is done: ostler session reset {path.stem}"
            found.append(bad("sessions", str(exc).replace(str(copies), str(state_dir)), fix))
        else:
            checked += 1
            if stored is not None and stored.recovered:
                what = f"{path} is damaged; the version before is used"
                found.append(warn("sessions", what, f"see whether it is right: ostler session show {path.stem}"))
    return found or [ok("sessions", f"{checked} whole")]


def check_profiles(state_dir: Path) -> list[Finding]:
    """Whether every profile's metadata can be read."""
    store = FileProfileStore(state_dir)
    found: list[Finding] = []
    checked = 0
    for path in sorted((state_dir / "profiles").glob("*/metadata.json")):
        try:
            store.read(path.parent.name)
        except OstlerError as exc:
            found.append(bad("profiles", str(exc), f"mend or remove {path}; removing it keeps the browser data"))
        else:
            checked += 1
    return found or [ok("profiles", f"{checked} readable")]


def check_attempts(attempts: Sequence[AttemptRecord], *, runs: bool) -> list[Finding]:
    """Whether attempts were cut off, and whether anything of them still lives; while an orchestrator runs they are its own."""
    if runs:
        return [ok("earlier runs", f"an orchestrator runs, with {len(attempts)} attempts of its own")]
    if not attempts:
        return [ok("earlier runs", "every attempt has ended")]
    found = []
    dead = [attempt for attempt in attempts if attempt.process is None or is_alive(attempt.process) is False]
    if dead:
        what = f"{len(dead)} attempts were cut off: {_few(attempt.profile_id for attempt in dead)}"
        found.append(warn("earlier runs", what, _NEXT_START))
    marks = [Marks(worker=each.process, nonce=each.nonce, user_data_dir=each.user_data_dir) for each in attempts]
    alive = find_trees(marks)
    if alive:
        what = f"{len(alive)} processes of attempts without an orchestrator: {_few(str(stamp.pid) for stamp in alive)}"
        found.append(warn("processes", what, _NEXT_START + "; it ends them first"))
    return found or [ok("earlier runs", f"{len(attempts)} attempts belong to another host")]


def check_browsers(workspaces: Path, attempts: Sequence[AttemptRecord], held: Callable[[str], bool]) -> list[Finding]:
    """Whether browsers run in our working copies although nobody holds the profile, and no open attempt knows them."""
    root = f"{workspaces}/"
    known = {attempt.user_data_dir for attempt in attempts}
    pids = []
    for entry in read_table().values():
        where = entry.user_data_dir()
        if where is None or not where.startswith(root) or where in known:
            continue
        found = marker.read(workspaces / where.removeprefix(root).partition("/")[0])
        if found is None or not held(found.profile):
            pids.append(str(entry.pid))
    if not pids:
        return []
    return [warn("processes", f"browsers that nobody looks after: {_few(pids)}", f"kill {' '.join(pids[:_SHOWN])}")]


def check_directories(state_dir: Path, held: Callable[[str], bool], *, runs: bool) -> list[Finding]:
    """Whether half-made copies, temporary files or directories lie around."""
    if runs:
        return []
    root = state_dir / "workspaces"
    names = [path.name for path in _entries(root) if path.is_dir()]
    halves = []
    for name in names:
        found = marker.read(root / name)
        if name.startswith(".") or found is None:
            owner = found.profile if found is not None else ""
            if not (owner and held(owner)):
                halves.append(name)
    strays = [path.name for path in scratch.strays(root, set(names))]
    temps = [path.name for path in _temporaries(state_dir)]
    old = [path.name for path in abandoned(state_dir)]
    findings = []
    for what, some, fix in (
        ("half-made working copies", halves, "ostler gc, or the next start, removes them"),
        ("temporary directories", strays, "the next start removes them"),
        ("temporary files", temps, "the next start removes them"),
        ("directories of checks that were killed", old, "ostler gc removes them"),
    ):
        if some:
            findings.append(warn("leftovers", f"{len(some)} {what}: {_few(some)}", fix))
    return findings or [ok("leftovers", "none")]


def abandoned(state_dir: Path) -> list[Path]:
    """Return directories of checks and of browser trials that were killed."""
    return [path for where in (state_dir, state_dir / "locks") for path in _entries(where) if _is_abandoned(path)]


def _is_abandoned(path: Path) -> bool:
    if not path.name.startswith((SCRATCH, "probe-")) or path.is_symlink() or not path.is_dir():
        return False
    return path.lstat().st_mtime < time.time() - _OLD


def _temporaries(directory: Path) -> list[Path]:
    found = []
    for path in _entries(directory):
        if path.is_dir() and not path.is_symlink():
            if path.name not in _LARGE:
                found += _temporaries(path)
        elif path.name.endswith(".ostler-tmp"):
            found.append(path)
    return found


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(directory: Path, suffix: str) -> list[Path]:
    return [path for path in _entries(directory) if path.suffix == suffix and not path.name.startswith(".")]


def _few(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more
