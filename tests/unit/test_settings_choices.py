"""Settings that know few words: from a flag, a variable or the file, and what a mistake says."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import settings
from core.errors import BadInput


@pytest.mark.parametrize("name", ["screenshots", "trace"])
def test_what_cannot_be_cleaned_is_off(name, tmp_path):
    """Without a word about it nothing sensitive is kept; a flag, a variable and the file can ask for it, in that order."""
    config = tmp_path / "ostler.toml"
    config.write_text("")
    env = {"OSTLER_CONFIG": str(config)}
    assert getattr(settings.load({}, env, cwd=tmp_path), name) == "off"
    config.write_text(f'{name} = "on-failure"')
    assert getattr(settings.load({}, env, cwd=tmp_path), name) == "on-failure"
    off = {f"OSTLER_{name.upper()}": "off"}
    assert getattr(settings.load({}, env | off, cwd=tmp_path), name) == "off"
    assert getattr(settings.load({name: "on-failure"}, env | off, cwd=tmp_path), name) == "on-failure"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"screenshots": "always"}, '--screenshots: expected "off" or "on-failure", found "always"'),
        ({"trace": "on"}, '--trace: expected "off" or "on-failure" or "always", found "on"'),
        ({"trace": True}, '--trace: expected "off" or "on-failure" or "always", found true'),
    ],
)
def test_a_wrong_word_names_the_right_ones(flags, said):
    """One line: where, which setting, what it takes, what was found."""
    with pytest.raises(BadInput) as caught:
        settings.load(flags, {}, cwd=Path.cwd())
    assert str(caught.value) == said
