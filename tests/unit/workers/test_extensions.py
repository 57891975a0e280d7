"""Which extensions browser data has."""

from __future__ import annotations

import json

import pytest

from tests.extension import template
from workers.browser.extensions import installed


@pytest.mark.parametrize("kind", ["packed", "unpacked"])
def test_an_extension_is_found_by_name_and_place(tmp_path, kind):
    """Packed in the browser data, unpacked where its author has it; one whose files are gone is known by its ID."""
    data = template(tmp_path, kind)
    (found,) = installed(data)
    assert (found.name, found.is_there) == ("Marker", True)
    assert found.path.is_relative_to(data if kind == "packed" else tmp_path / "marker")
    found.path.joinpath("manifest.json").unlink()
    (gone,) = installed(data)
    assert (len(gone.name), gone.is_there) == (32, False)


@pytest.mark.parametrize(
    "change",
    [
        {"location": 5},
        {"location": 8},
        {"state": 0},
        {"disable_reasons": [1]},
        {"disable_reasons": 8192},
        {"path": ""},
        {"path": 7},
    ],
    ids=str,
)
def test_what_is_no_running_extension_of_the_user_is_left_out(tmp_path, change):
    """Parts of the browser, what its command line gave, what is switched off, and what makes no sense."""
    data = template(tmp_path, "packed")
    preferences = data / "Default" / "Preferences"
    content = json.loads(preferences.read_bytes())
    for entry in content["extensions"]["settings"].values():
        entry.update(change)
    preferences.write_text(json.dumps(content))
    assert installed(data) == []


def test_a_theme_is_no_extension_to_run_and_a_name_in_another_file_is_not_known(tmp_path):
    """A theme does nothing; `__MSG_name__` is no name."""
    data = template(tmp_path, "unpacked")
    manifest = tmp_path / "marker" / "manifest.json"
    manifest.write_text('{"name": "__MSG_name__"}')
    (found,) = installed(data)
    assert len(found.name) == 32
    manifest.write_text('{"name": "Dark", "theme": {}}')
    assert installed(data) == []


def test_other_systems_keep_them_in_another_file(tmp_path):
    """`Secure Preferences` counts, too, each extension once; a damaged file is that of the verification."""
    data = template(tmp_path, "packed")
    preferences = data / "Default" / "Preferences"
    preferences.with_name("Secure Preferences").write_bytes(preferences.read_bytes())
    assert len(installed(data)) == 1
    preferences.write_bytes(b"{")
    assert len(installed(data)) == 1
    assert installed(tmp_path / "nothing") == []
