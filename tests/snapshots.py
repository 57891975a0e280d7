"""What a program says, kept as plain text beside the tests: ``OSTLER_UPDATE_SNAPSHOTS=1`` writes it anew."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

UPDATE = "OSTLER_UPDATE_SNAPSHOTS"


def compare(path: Path, said: str) -> None:
    """Hold what was said equal to the file, or, if asked to, the file equal to what was said."""
    said = said.rstrip("\n") + "\n"
    if os.environ.get(UPDATE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(said, "utf-8")
    assert path.exists(), f"no snapshot of this yet: {UPDATE}=1 writes {path}"
    assert said == path.read_text("utf-8"), f"{path.name}: {UPDATE}=1 accepts it"
