"""Ten thousand hostile IDs: none of them leads out of the root, and none leaves anything inside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import ManualClock
from core.domain.validation import is_valid_id
from core.errors import BadInput
from core.profiles import ProfileManager, places

PARTS = (
    "..",
    ".",
    "/",
    "\\",
    "\0",
    "~",
    "$HOME",
    "%2e%2e%2f",
    "con",
    "NUL",
    "COM1",
    ".lock",
    "-",
    "_",
    "a",
    "\u202e",
    "\uff0e",
    "é",
)
hostile = (
    st.lists(st.sampled_from(PARTS), max_size=8).map("".join) | st.text(max_size=40) | st.text("./\\\0a-_", max_size=40)
)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(hostile, min_size=10, max_size=10))
def test_ten_thousand_hostile_ids(texts):
    """Each is refused before a path is made of it, or makes paths that are directly below the root."""
    root = Path("/state")
    for text in texts:
        try:
            paths = [places.profile(root, text), places.gone(root, text), places.intent(root, text)]
        except BadInput:
            assert not is_valid_id(text)
            continue
        assert is_valid_id(text)
        for path in paths:
            assert path.parent == root / "profiles"
            assert Path(os.path.normpath(path)) == path


@pytest.mark.parametrize(
    "text", ["..", "../a", "/etc", "a/../../b", "a\0", ".active", ".gone-a", ".import-a", "con", "a.b", ""]
)
def test_no_operation_lets_one_in(tmp_path, text):
    """Whatever takes an ID refuses it, and there is nothing new anywhere."""
    manager = ProfileManager(tmp_path / "state", clock=ManualClock(), lock_timeout=0.1)
    manager.create("good")
    before = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    for operation in (
        lambda: manager.create(text), lambda: manager.activate(text), lambda: manager.delete(text, force=True),
        lambda: manager.clone("good", text), lambda: manager.rename("good", text), lambda: manager.recover(text, "hard"),
        lambda: manager.size(text), lambda: manager.diff(text), lambda: manager.status(text), lambda: manager.get(text),
        lambda: manager.migrate(tmp_path, text), lambda: manager.tag(text, add=["x"]), lambda: manager.locks.acquire(text),
    ):  # fmt: skip
        with pytest.raises(BadInput):
            operation()
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == before
