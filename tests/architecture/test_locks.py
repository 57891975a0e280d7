"""The lock files: everything by hash, and by a name that every pip since 22 understands."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).resolve().parents[2]


def pinned(lock: str) -> dict[str, Requirement]:
    """Return what a lock file pins, by name; each line must be ``name==version`` with hashes behind it."""
    text = re.sub(r"^\s*#.*\n?", "", (CHECKOUT / lock).read_text("utf-8"), flags=re.MULTILINE)
    found = {}
    for entry in re.split(r"\n(?=\S)", text.strip()):
        head, *hashes = entry.split("--hash=")
        requirement = Requirement(head.replace("\\", "").strip())
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], head
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}[\s\\]*", text) for text in hashes), head
        found[canonicalize_name(requirement.name)] = requirement
    return found


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_what_is_asked_for_with_extras_is_pinned_with_them(lock):
    """An older pip takes ``coverage[toml]`` for another package than ``coverage``, and refuses it once there is a newer release."""
    pins = pinned(lock)
    asked = [
        requirement
        for name, pin in pins.items()
        if pin.marker is None or pin.marker.evaluate()
        for requirement in map(Requirement, metadata.requires(name) or [])
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]
    assert len(asked) > 5
    for requirement in asked:
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{lock} lacks {requirement}"
        assert requirement.extras <= pins[name].extras, f"{lock}: {name} is asked for as {requirement}"
