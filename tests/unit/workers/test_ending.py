"""Whether a browser that went by itself went in order."""

from __future__ import annotations

import json
import threading

from workers.browser.ending import Ending


def write(profile, exit_type):
    """Replace Preferences, as Chromium does."""
    profile.mkdir(parents=True, exist_ok=True)
    fresh = profile / "Preferences.new"
    fresh.write_text(json.dumps({"profile": {"exit_type": exit_type}}))
    fresh.replace(profile / "Preferences")


def test_only_what_was_written_since_the_start_counts(tmp_path):
    """An old "Normal" is not its word; "Crashed", "SessionEnded" and what is no JSON are not either."""
    profile = tmp_path / "Default"
    write(profile, "Normal")
    ending = Ending(tmp_path)
    assert not ending.was_in_order()
    for exit_type in ("Crashed", "SessionEnded", 7):
        write(profile, exit_type)
        assert not ending.was_in_order()
    (profile / "Preferences").write_text("{")
    assert not ending.was_in_order()
    write(profile, "Normal")
    assert ending.was_in_order()


def test_it_is_waited_for_at_most_so_long(tmp_path):
    """The word comes while somebody waits; where it never comes, the wait ends."""
    ending = Ending(tmp_path)
    ending.wait(0.1)
    writer = threading.Timer(0.1, write, (tmp_path / "Profile 1", "Normal"))
    writer.start()
    ending.wait(30)
    assert ending.was_in_order()
    writer.join()
