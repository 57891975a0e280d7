"""What commands print goes through ``core/cli/printing.py``, which lets nothing reach the terminal as a command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
FILES = sorted((CHECKOUT / "core" / "cli").glob("*.py"))
THEMSELVES = {
    "printing.py",
    "main.py",  # says that it was interrupted
    "completion.py",  # a script
    "queue.py",  # the schema, and an export whose writer spells out what it has to
    "report.py",  # cells of a spreadsheet
    "logs.py",  # whole logs, made visible there
    "profile_open.py",  # made visible there
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_command_prints_through_one_place(path):
    """Neither ``print`` nor a stream is used, but where the list says why."""
    direct = re.findall(r"\bprint\(|\bsys\.std(?:out|err)\.write|\bsys\.stdout\b", path.read_text("utf-8"))
    assert bool(direct) == (path.name in THEMSELVES)
