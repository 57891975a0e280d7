"""Copies, checks and removes a browser profile of about 400 MB, beside what everybody has for copying directories.

    make bench

Everything runs in one directory of this machine, in turns, several rounds; what is printed are medians, and ratios to
``shutil.copytree`` of the whole. The page cache is warm for all of them. ``rsync`` and ``cp`` are left out where they are missing.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from benchmarks.profile_data import make
from core.profiles import ProfileManager
from core.workspaces import WorkspaceManager

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 5
LISTED = 200
LIMITS = {"create": 1.0, "clean up": 0.5, "validate": 0.2, "size": 0.2, f"list of {LISTED}": 0.05}
"""Seconds that are promised."""


def main() -> int:
    """Measure and print; return 1 if a promise was not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--directory", type=Path, help="where to work; the system's temporary directory otherwise")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="ostler-bench-", dir=given.directory) as name:
        root = Path(name)
        base = root / "base"
        files, size = make(base)
        print(f"profile: {size / 1e6:.0f} MB in {files} files; {given.rounds} rounds; load {os.getloadavg()[0]:.1f}")
        peers = {name: statistics.median(times) for name, times in peers_of(base, root, given.rounds).items()}
        ours = {name: statistics.median(times) for name, times in ours_of(base, root, given.rounds).items()}
    whole = peers["shutil.copytree"]
    for title, measured in peers.items():
        print(f"  {title:<22} {measured * 1000:8.1f} ms   1/{whole / measured:.1f} of copytree")
    late = []
    for title, measured in ours.items():
        kept = measured <= LIMITS[title]
        late += [] if kept else [title]
        ratio = f"1/{whole / measured:.1f} of copytree" if title == "create" else ""
        print(
            f"  {title:<22} {measured * 1000:8.1f} ms   limit {LIMITS[title] * 1000:.0f} ms {'' if kept else 'LATE'}   {ratio}"
        )
    return 1 if late else 0


def peers_of(base: Path, root: Path, rounds: int) -> dict[str, list[float]]:
    """Return the seconds that others take to copy the whole profile."""
    copies: dict[str, Callable[[Path], object]] = {"shutil.copytree": lambda target: shutil.copytree(base, target)}
    for title, command in (("cp -a", ("cp", "-a")), ("rsync -a", ("rsync", "-a"))):
        if shutil.which(command[0]):
            copies[title] = lambda target, command=command: subprocess.run([*command, f"{base}/.", target], check=True)  # type: ignore[misc]  # noqa: S603
    found: dict[str, list[float]] = {title: [] for title in copies}
    for _ in range(rounds):
        for title, copy in copies.items():
            target = root / "copy"
            if title != "shutil.copytree":
                target.mkdir()
            found[title].append(seconds(lambda copy=copy, target=target: copy(target)))  # type: ignore[misc]
            shutil.rmtree(target)
    return found


def ours_of(base: Path, root: Path, rounds: int) -> dict[str, list[float]]:
    """Return the seconds that our operations take on the same profile."""
    found: dict[str, list[float]] = {title: [] for title in LIMITS}
    with WorkspaceManager(str(base), temp_directory=root / "clones") as manager:
        for number in range(rounds):
            worker = f"w{number}"
            found["create"].append(seconds(lambda worker=worker: manager.create_profile(worker)))  # type: ignore[misc]
            found["validate"].append(seconds(lambda worker=worker: manager.validate_profile(worker)))  # type: ignore[misc]
            found["size"].append(seconds(lambda worker=worker: manager.get_profile_size(worker)))  # type: ignore[misc]
            found["clean up"].append(seconds(lambda worker=worker: manager.cleanup_profile(worker)))  # type: ignore[misc]
    profiles = ProfileManager(root / "state")
    for number in range(LISTED):
        profiles.create(f"p{number}", platform="custom")
    for _ in range(rounds):
        found[f"list of {LISTED}"].append(seconds(profiles.list))
    return found


def seconds(do: Callable[[], object]) -> float:
    """Return how long a call takes, once the disk has what the calls before it wrote: nobody pays for another."""
    if hasattr(os, "sync"):
        os.sync()
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
