"""A file can be read in one sitting."""

from __future__ import annotations

from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
LIMIT = 400
FILES = sorted(path for top in ("core", "workers", "examples") for path in (CHECKOUT / top).rglob("*.py")) + sorted(
    CHECKOUT.glob("*.py")
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_no_file_is_too_long(path):
    """About 300 lines are meant; more than 400 are two files."""
    assert len(path.read_text("utf-8").splitlines()) <= LIMIT
