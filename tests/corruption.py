"""Damage: everything that a disk, a person or a program can do to a file, for every kind of file that a profile consists of."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SAVED = "profiles/anna/browser_profile"
COPY = "workspaces/anna-2"
_INCOMING = "profiles/anna/.browser_profile.incoming"


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: what it is called in a report.
        scene: the state directory that has such files: ``saved``, ``cut off`` in the midst of a save, or ``crashed`` with a
            browser open.
        patterns: where they are, below the state directory.
    """

    name: str
    scene: str
    patterns: tuple[str, ...]

    def files(self, state: Path) -> list[Path]:
        """Return those that are there, in order."""
        found = {path for pattern in self.patterns for path in state.glob(pattern)}
        return sorted(path for path in found if path.is_file())


KINDS = (
    Kind("metadata", "saved", ("profiles/anna/metadata.json",)),
    Kind("session", "saved", ("sessions/anna.json",)),
    Kind("previous session", "saved", ("sessions/anna.json.prev",)),
    Kind("login state", "saved", ("profiles/anna/session.json",)),
    Kind("previous login state", "saved", ("profiles/anna/session.json.prev",)),
    Kind("cookies", "saved", (f"{SAVED}/Default/Cookies",)),
    Kind("login data", "saved", (f"{SAVED}/Default/Login Data",)),
    Kind("web data", "saved", (f"{SAVED}/Default/Web Data",)),
    Kind("journal", "saved", (f"{SAVED}/Default/*-journal", f"{SAVED}/Default/*-wal")),
    Kind("other databases", "saved", (f"{SAVED}/Default/History", f"{SAVED}/Default/WebStorage/QuotaManager")),
    Kind("preferences", "saved", (f"{SAVED}/Default/*Preferences",)),
    Kind("local state", "saved", (f"{SAVED}/Local State",)),
    Kind("CURRENT", "saved", (f"{SAVED}/Default/**/CURRENT",)),
    Kind("MANIFEST", "saved", (f"{SAVED}/Default/**/MANIFEST-*",)),
    Kind("LevelDB log", "saved", (f"{SAVED}/Default/Local Storage/**/*.log", f"{SAVED}/Default/Session Storage/*.log")),
    Kind("IndexedDB log", "saved", (f"{SAVED}/Default/IndexedDB/**/*.log",)),
    Kind("IndexedDB table", "saved", (f"{SAVED}/Default/IndexedDB/**/*.ldb",)),
    Kind("browser's version", "saved", (f"{SAVED}/.ostler-browser.json", f"{SAVED}/Last Version")),
    Kind("manifest", "saved", (f"{SAVED}/.ostler-manifest.json",)),
    Kind("swap token", "saved", (f"{SAVED}/.ostler-swap",)),
    Kind("ahead", "saved", ("profiles/anna/.ahead",)),
    Kind("lock", "saved", ("locks/anna.lock",)),
    Kind("lock record", "saved", ("profiles/anna/.lock",)),
    Kind("selector cache", "saved", (".selector_cache.json",)),
    Kind("swap record", "cut off", ("profiles/anna/.browser_profile.intent",)),
    Kind("incoming token", "cut off", (f"{_INCOMING}/.ostler-swap",)),
    Kind("incoming data", "cut off", (f"{_INCOMING}/Default/Cookies", f"{_INCOMING}/.ostler-manifest.json")),
    Kind("marker", "crashed", (f"{COPY}/.ostler-workspace.json",)),
    Kind("CURRENT after a crash", "crashed", (f"{COPY}/user-data/**/CURRENT",)),
)


def flip(path: Path, chance: random.Random, _state: Path) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def rot(path: Path, chance: random.Random, state: Path) -> None:
    """Change one bit as a disk does it: without a trace in the file's times."""
    before = path.stat()
    flip(path, chance, state)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def truncate(path: Path, chance: random.Random, _state: Path) -> None:
    """Cut the end off."""
    os.truncate(path, chance.randrange(path.stat().st_size))


def empty(path: Path, _chance: random.Random, _state: Path) -> None:
    """Leave nothing of it but its name."""
    os.truncate(path, 0)


def garbage(path: Path, chance: random.Random, _state: Path) -> None:
    """Overwrite it with anything."""
    path.write_bytes(chance.randbytes(path.stat().st_size or 64))


def zeros(path: Path, _chance: random.Random, _state: Path) -> None:
    """Overwrite it with zeros, as some file systems do after a power cut."""
    path.write_bytes(bytes(path.stat().st_size or 64))


def change_places(path: Path, chance: random.Random, state: Path) -> None:
    """Let it change places with another file: another profile's of that name, or one beside it."""
    theirs = state / str(path.relative_to(state)).replace("anna", "bert")
    beside = [each for each in path.parent.iterdir() if each.is_file() and each.read_bytes() != path.read_bytes()]
    beside = beside or list((state / "sessions").iterdir())
    others = [*([theirs] if theirs.is_file() and theirs.read_bytes() != path.read_bytes() else []), *sorted(beside)]
    other = chance.choice(others)
    aside = path.with_name("aside")
    path.rename(aside)
    other.rename(path)
    aside.rename(other)


def to_directory(path: Path, _chance: random.Random, _state: Path) -> None:
    """Replace it by a directory."""
    path.unlink()
    path.mkdir()


def to_link(path: Path, chance: random.Random, state: Path) -> None:
    """Replace it by a link: to nothing, to itself, or to another file."""
    path.unlink()
    path.symlink_to(chance.choice(["nowhere", path.name, state / "profiles/bert/metadata.json"]))


def to_pipe(path: Path, _chance: random.Random, _state: Path) -> None:
    """Replace it by a pipe that nobody writes to."""
    path.unlink()
    os.mkfifo(path)


def newer(path: Path, _chance: random.Random, _state: Path) -> None:
    """Let it say that a newer version wrote it."""
    if path.name == "Last Version":
        path.write_text("999.0.1.2")
        return
    value = json.loads(path.read_bytes())
    path.write_text(json.dumps(value | ({"version": "999.0.1.2"} if "version" in value else {"schema": 99})))


ALWAYS: tuple[Callable[..., None], ...] = (garbage, zeros, to_directory, to_link, to_pipe)
WITH_CONTENT = (flip, rot, truncate, empty, change_places)
VERSIONED = {
    "session", "previous session", "login state", "previous login state", "manifest", "browser's version", "selector cache",
    "marker",
}  # fmt: skip


@dataclass(frozen=True)
class Corruption:
    """One file, and what becomes of it."""

    kind: Kind
    operation: Callable[[Path, random.Random, Path], None]
    number: int

    def __str__(self) -> str:
        return f"{self.kind.name} {self.operation.__name__} {self.number}"

    def inflict(self, state: Path) -> list[Path]:
        """Damage a file in a copy of the kind's scene; return what is no longer what it was, first of all that file."""
        chance = random.Random(str(self))
        files = self.kind.files(state)
        path = chance.choice([each for each in files if each.stat().st_size] or files if needs_content(self) else files)
        before = contents(state)
        self.operation(path, chance, state)
        after = contents(state)
        return [path, *(each for each in before if each != path and after.get(each) != before[each])]


def needs_content(corruption: Corruption) -> bool:
    return corruption.operation in WITH_CONTENT


def contents(root: Path) -> dict[Path, bytes | str]:
    """Return everything below a directory: bytes of files, and for all else what it is."""
    found: dict[Path, bytes | str] = {}
    for here, directories, names in os.walk(root):
        for name in (*directories, *names):
            path = Path(here, name)
            if path.is_symlink():
                found[path] = f"link to {path.readlink()}"
            elif path.is_file():
                found[path] = path.read_bytes()
            else:
                found[path] = "directory" if path.is_dir() else "pipe"
    return found


def plan(scenes: dict[str, Path], number: int) -> Iterator[Corruption]:
    """Yield this many, every kind with every operation that it allows in turn, the kinds mixed."""
    pairs = [(kind, operation) for kind in KINDS for operation in _possible(kind, scenes[kind.scene])]
    random.Random(4).shuffle(pairs)
    # each kind as early as possible: a sample has all of them
    seen: dict[str, int] = {}
    ranked = []
    for kind, operation in pairs:
        seen[kind.name] = seen.get(kind.name, 0) + 1
        ranked.append((seen[kind.name], kind, operation))
    ranked.sort(key=lambda entry: entry[0])
    for count in range(number):
        _, kind, operation = ranked[count % len(ranked)]
        yield Corruption(kind, operation, count)


def _possible(kind: Kind, state: Path) -> list[Callable[..., None]]:
    files = kind.files(state)
    if not files:
        return []
    with_content = [*WITH_CONTENT] if any(path.stat().st_size for path in files) else []
    return [*ALWAYS, *with_content, *([newer] if kind.name in VERSIONED else [])]


def copied(scene: Path, target: Path) -> Path:
    """Return a copy of a scene, times of files included."""
    return shutil.copytree(scene, target, symlinks=True)
