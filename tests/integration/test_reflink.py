"""Copies on file systems that can share blocks, made in a file and mounted; skipped, with the reason, where that cannot be done."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from core.workspaces import clone

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 1024 * 1024
MAKE = {"xfs": ["mkfs.xfs", "-q"], "btrfs": ["mkfs.btrfs", "-q"]}


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        pytest.skip(f"{command[0]}: {done.stderr.strip()[:200]}")


@pytest.fixture(params=["xfs", "btrfs"])
def mounted(request, tmp_path: Path):
    """A file system of that kind, empty."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    if shutil.which(MAKE[request.param][0]) is None:
        pytest.skip(f"there is no {MAKE[request.param][0]} here")
    image, directory = tmp_path / "image", tmp_path / "mounted"
    directory.mkdir()
    with image.open("wb") as file:
        file.truncate(400 * SIZE)
    _run(*MAKE[request.param], image)
    _run("mount", "-o", "loop", image, directory)
    yield directory
    subprocess.run(["umount", directory], check=True, timeout=60)


def test_blocks_are_shared_where_the_file_system_can(mounted: Path):
    """A copy of 32 MB takes next to no room, has the same bytes, and is a copy: the template does not change with it."""
    template = mounted / "template"
    (template / "Default").mkdir(parents=True)
    for number in range(32):
        (template / "Default" / f"data-{number}").write_bytes(os.urandom(SIZE))
    (template / "Default" / "empty").touch()
    os.sync()
    before = shutil.disk_usage(mounted).free
    receipt = clone.copy(template, mounted / "copy", kind="template", service_workers=False)
    os.sync()
    assert (receipt.files, receipt.reflinked, receipt.bytes) == (33, 32, 32 * SIZE)
    assert before - shutil.disk_usage(mounted).free < 8 * SIZE
    first = (template / "Default/data-0").read_bytes()
    assert (mounted / "copy/Default/data-0").read_bytes() == first
    (mounted / "copy/Default/data-0").write_bytes(b"another")
    assert (template / "Default/data-0").read_bytes() == first


def test_across_file_systems_the_bytes_are_copied(mounted: Path, tmp_path: Path):
    """Blocks cannot be shared with another file system; the copy is made all the same."""
    (mounted / "Default").mkdir()
    (mounted / "Default" / "data").write_bytes(os.urandom(SIZE))
    receipt = clone.copy(mounted, tmp_path / "copy", kind="template", service_workers=False)
    assert (receipt.files, receipt.reflinked, receipt.bytes) == (1, 0, SIZE)
    assert (tmp_path / "copy/Default/data").read_bytes() == (mounted / "Default/data").read_bytes()
