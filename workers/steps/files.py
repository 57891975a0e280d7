"""What a flow's author keeps: downloads, and artifacts for people to look at."""

from __future__ import annotations

import filecmp
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from core import durable
from core.domain.messages import Kept
from workers.artifacts import numbered, safe_name
from workers.port import Artifacts, AttemptKey, Control

MOST_NAMESAKES = 10_000


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where an attempt's files go.

    Attributes:
        state_dir: what paths are relative to.
        downloads_dir: ``state/downloads/<id>``.
        artifacts: for people.
        key: whose artifacts they are.
        control: who is told.
        mask: takes secrets out of text.
    """

    state_dir: Path
    downloads_dir: Path
    artifacts: Artifacts
    key: AttemptKey
    control: Control
    mask: Callable[[str], str]

    async def settle(self, download: Any) -> Path:
        """Keep a Playwright ``Download``, 0600, under its own name or the next free one; the same again is kept once."""
        name = safe_name(download.suggested_filename, "download")
        # a person may download two files of one name at a time
        partial_file = self.downloads_dir / f".{name}.{secrets.token_hex(4)}.partial"
        await anyio.to_thread.run_sync(durable.ensure_directory, self.downloads_dir)
        try:
            await download.save_as(partial_file)
            return await anyio.to_thread.run_sync(_settle, partial_file, self.downloads_dir, name)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(partial(partial_file.unlink, missing_ok=True))

    async def keep(self, step: str, name: str, data: str | bytes) -> Path:
        """Keep an artifact. What is UTF-8 is redacted; other bytes are kept as they are, and said to be sensitive.

        Raises:
            ArtifactRefused: too large, or too many.
            DurableWriteFailed: it could not be written.
        """
        text = data if isinstance(data, str) else _as_text(data)
        sensitive = text is None
        content = bytes(data) if text is None else self.mask(text).encode("utf-8", "replace")  # type: ignore[arg-type]
        kept = await anyio.to_thread.run_sync(self.artifacts.keep, self.key, safe_name(name, "artifact"), content)
        self.control.send(Kept(step=step, why="kept by the flow", files=(kept,), sensitive=sensitive))
        return self.state_dir / kept


def _as_text(data: bytes) -> str | None:
    try:
        return bytes(data).decode("utf-8")
    except UnicodeDecodeError:
        return None


def _settle(file: Path, folder: Path, name: str) -> Path:
    file.chmod(0o600)
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    for number in range(1, MOST_NAMESAKES + 1):
        target = folder / numbered(name, number)
        try:
            durable.link(file, target)
        except FileExistsError:
            if filecmp.cmp(file, target, shallow=False):
                return target
            continue
        durable.sync_directory(folder)
        return target
    raise FileExistsError(f"there are {MOST_NAMESAKES} files called {name} in {folder}")
