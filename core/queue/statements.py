"""SQL that stands in a file of its own, statement by statement, each under ``-- name: …``."""

from __future__ import annotations

from pathlib import Path


def read_statements(file: str) -> dict[str, str]:
    """Return the statements of a file beside this one, by name."""
    parts = Path(__file__).with_name(file).read_text("utf-8").split("-- name:")[1:]
    return {name.strip(): sql.strip().rstrip(";") for name, _, sql in (part.partition("\n") for part in parts)}
