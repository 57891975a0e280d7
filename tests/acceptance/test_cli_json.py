"""What is shown of a profile as JSON is as its published schema says, also where secrets are masked."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from core.cli import main as cli

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"
PASSWORD = "very-secret-word"


@pytest.mark.parametrize("name", ["session-show", "identity-show"])
def test_what_is_shown_of_a_profile_is_as_its_schema_says(name, tmp_path, monkeypatch, capsys):
    """A profile with secrets and fields of its own."""
    monkeypatch.setenv("ANNAS", PASSWORD)
    here = ["--state-dir", str(tmp_path / "state")]
    for field in ("password", "api_key", "email"):
        assert cli.main(["identity", "set", "anna", field, "--from", "env:ANNAS", *here]) == 0
    capsys.readouterr()
    assert cli.main([*name.split("-"), "anna", "--json", *here]) == 0
    out = capsys.readouterr().out
    assert PASSWORD not in out
    schema = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    jsonschema.validate(json.loads(out), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([], schema)
