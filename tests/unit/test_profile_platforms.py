"""Platforms: what new profiles begin with, and what is known of a login, without a change to anything else."""

from __future__ import annotations

import importlib.metadata
import locale
import time
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from core.clock import ManualClock
from core.errors import BadInput
from core.profiles import ProfileManager, platforms, register_platform
from core.profiles.port import ProfileMetadata
from core.state.port import LoginState

METADATA = ProfileMetadata(profile_id="a", login_state="logged_in")


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    monkeypatch.setattr(platforms, "_platforms", dict(platforms._platforms))


def test_the_platforms_of_the_contract():
    """All four are there, and what cannot be one is named with those that are."""
    assert {"whatsapp", "telegram", "discord", "custom"} <= set(platforms.platform_names())
    with pytest.raises(BadInput, match=r"one of custom, discord, telegram, whatsapp.* found 'pigeon'"):
        platforms.platform("pigeon")


def test_another_platform_needs_no_change_to_the_manager(state_dir):
    """Registered with two classes, as the contract shows it: profiles of it are created with what it says."""

    class ForumSessions:
        def login_status(self, metadata, login, now):
            return "logged_out" if login is None or login.is_empty else "logged_in"

    def forum_settings(profile_id):
        return {"start_url": f"https://forum.example/{profile_id}", "viewport": {"width": 800, "height": 600}}

    register_platform("forum", session_handler=ForumSessions, settings_generator=forum_settings)
    manager = ProfileManager(state_dir, clock=ManualClock())
    made = manager.create("a", "forum", settings={"platform_config": {"api_id": 7}})
    metadata = manager.metadata.load("a")
    assert made.platform == "forum"
    assert metadata.start_url == "https://forum.example/a"
    assert (metadata.viewport.width, metadata.platform_config) == (800, {"api_id": 7})
    assert platforms.login_status(metadata, LoginState(), 0) == "logged_out"


def test_what_is_given_comes_before_what_is_generated(state_dir):
    """A generator proposes, whoever creates decides."""
    manager = ProfileManager(state_dir, clock=ManualClock())
    manager.create("a", "telegram", settings={"start_url": "https://other.example/"})
    assert manager.metadata.load("a").start_url == "https://other.example/"


def test_a_generator_is_held_to_the_schema(state_dir):
    """What it must not say, and what nobody may, is a mistake with its name; nothing is created."""
    manager = ProfileManager(state_dir, clock=ManualClock())
    for wrong in ({"status": "active"}, {"locale": "not one"}, {"viewport": "large"}):
        register_platform("bad", settings_generator=lambda _, wrong=wrong: wrong)
        with pytest.raises(BadInput, match="settings of platform bad"):
            manager.create("a", "bad")
    with pytest.raises(BadInput, match="settings: expected one of start_url"):
        manager.create("a", settings={"status": "active"})
    assert manager.list() == ()


def test_a_name_is_held_to_its_rule():
    """It stands in files."""
    with pytest.raises(BadInput, match="a name of 1 to 32"):
        register_platform("../x")


def test_a_package_registers_its_platform_by_itself(monkeypatch):
    """An entry point is loaded when its platform is asked for, and not before."""
    loaded = []

    def forum() -> None:
        loaded.append(1)
        register_platform("forum")

    monkeypatch.setattr(platforms, "_test_forum", forum, raising=False)
    points = EntryPoints(
        [
            EntryPoint("forum", "core.profiles.platforms:_test_forum", platforms.GROUP),
            EntryPoint("broken", "core.profiles.no_such_module:x", platforms.GROUP),
        ]
    )
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: points.select(group=group))
    assert {"forum", "broken"} <= set(platforms.platform_names())
    assert not loaded
    assert platforms.platform("forum").name == "forum"
    assert loaded == [1]
    with pytest.raises(BadInput, match="an error in its package"):
        platforms.platform("broken")


@pytest.mark.parametrize(
    ("login", "found"),
    [
        (None, "logged_in"),
        (LoginState(), "logged_in"),
        (LoginState(cookies=[{"expires": 5.0}, {"expires": 9.0}]), "expired"),
        (LoginState(cookies=[{"expires": 5.0}, {"expires": 99.0}]), "logged_in"),
        (LoginState(cookies=[{"expires": -1}]), "logged_in"),
        (LoginState(cookies=[{"expires": 5.0}], origins=[{"origin": "https://a"}]), "logged_in"),
    ],
)
def test_what_can_be_told_of_any_login(login, found):
    """That nothing but expired cookies is left; anything else stays as it was known."""
    assert platforms.login_status(METADATA, login, 10.0) == found


def test_a_platform_that_is_not_known_here_says_nothing_new():
    """A profile of a package that is not installed is run all the same."""
    gone = ProfileMetadata(profile_id="a", platform="gone", login_state="expired")
    assert platforms.login_status(gone, LoginState(), 0) == "expired"


@pytest.mark.parametrize(
    ("set_to", "found"), [("de_DE.UTF-8", "de-DE"), ("C", None), ("C.UTF-8", None), ("en_US", "en-US")]
)
def test_the_language_of_the_host(monkeypatch, set_to, found):
    """As it is set; a host without one has none."""
    monkeypatch.setattr(locale, "setlocale", lambda _: set_to)
    assert platforms.host_locale() == found


def test_the_time_zone_of_the_host(tmp_path, monkeypatch):
    """Where the link leads, if the clock agrees; a TZ that says something else is believed by browsers, so nothing is said."""
    link = tmp_path / "localtime"
    assert platforms.host_timezone(link) is None
    link.symlink_to("/usr/share/zoneinfo/Etc/GMT-5")
    monkeypatch.setenv("TZ", "Etc/GMT-5")
    time.tzset()
    try:
        assert platforms.host_timezone(link) == "Etc/GMT-5"
        monkeypatch.setenv("TZ", "Etc/GMT-6")
        time.tzset()
        assert platforms.host_timezone(link) is None
    finally:
        monkeypatch.undo()
        time.tzset()
    link.unlink()
    link.symlink_to("/usr/share/zoneinfo/No/Where")
    assert platforms.host_timezone(link) is None
