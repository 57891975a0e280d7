"""What a person may set of a profile, and how it is said that it cannot be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from core.errors import BadInput
from core.profiles.port import ProfileMetadata, Viewport
from core.profiles.schema import problem_of
from core.profiles.settings import NAMES, Around, assign, is_hidden, shown, unset

if TYPE_CHECKING:
    from pathlib import Path

DEVICES = {"Pixel 7": True, "Galaxy S9+": True, "Desktop Chrome": False}


@pytest.fixture
def around(tmp_path: Path) -> Around:
    (tmp_path / "flow.py").touch()
    return Around(cwd=tmp_path, devices=lambda: DEVICES)


def having(around: Around, *assignments: tuple[str, str], **before) -> ProfileMetadata:
    return assign(ProfileMetadata(profile_id="a", **before), assignments, around)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("locale", "de-DE", "de-DE"),
        ("locale", "de_de", "de-DE"),
        ("locale", "ZH-hant-tw", "zh-Hant-TW"),
        ("locale", "es-419", "es-419"),
        ("locale", "fr", "fr"),
        ("timezone", "Europe/Berlin", "Europe/Berlin"),
        ("timezone", "UTC", "UTC"),
        ("viewport", "1280x800", Viewport(1280, 800)),
        ("device", "mobile", "mobile"),
        ("device_descriptor", "Pixel 7", "Pixel 7"),
        ("color_scheme", "no-preference", "no-preference"),
        ("proxy", "http://proxy.example:8080", "http://proxy.example:8080"),
        ("proxy", "proxy.example:3128", "http://proxy.example:3128"),
        ("proxy", "socks5://me:p%40ss@[::1]:1080", "socks5://me:p%40ss@[::1]:1080"),
        ("start_url", "https://example.org/@home", "https://example.org/@home"),
        ("name", "Anna, Zürich", "Anna, Zürich"),
        ("notes", "two\nlines", "two\nlines"),
    ],
)
def test_what_may_be_set(around: Around, name: str, text: str, value):
    """A value is kept as browsers take it, and the profile's file may say it."""
    changed = having(around, (name, text))
    assert getattr(changed, name) == value
    assert problem_of(changed, "a") == ""


def test_paths_become_absolute(around: Around, tmp_path: Path):
    """A flow that is there, and a directory for downloads that is there or can be made."""
    (tmp_path / "d").mkdir()
    changed = having(around, ("flow", "./x/../flow.py"), ("downloads", "d"))
    assert (changed.flow, changed.downloads) == (str(tmp_path / "flow.py"), str(tmp_path / "d"))
    assert having(around, ("downloads", "new/one")).downloads == str(tmp_path / "new/one")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("locale", "german", "locale: expected a language tag like de-DE or zh-Hant-TW, found 'german'"),
        ("locale", "de-DE-", "language tag"),
        ("timezone", "Europe/berlin", "did you mean Europe/Berlin?"),
        ("timezone", "europe/zurch", "did you mean Europe/Zurich?"),
        ("timezone", "GMT+25:00", "time zone like Europe/Berlin"),
        ("timezone", "../../etc/passwd", "time zone like Europe/Berlin"),
        ("viewport", "1280", "width and height of 1 to 16384 like 1280x800"),
        ("viewport", "0x10", "width and height"),
        ("viewport", "99999x10", "width and height"),
        ("viewport", "-1x5", "width and height"),
        ("device", "tablet", "desktop or mobile"),
        ("device_descriptor", "pixel 7", "did you mean 'Pixel 7'?"),
        ("device_descriptor", "iPhone 15", "one of Playwright's devices that run Chromium"),
        ("color_scheme", "black", "light or dark or no-preference"),
        ("proxy", "ftp://proxy:1", "scheme://[user:password@]host:port (http, https, socks4, socks5)"),
        ("proxy", "http://proxy:99999", "scheme://"),
        ("proxy", "http://", "scheme://"),
        ("start_url", "javascript:alert(1)", "an address like https://example.org/"),
        ("flow", "missing.py", "an existing flow file, found nothing at"),
        ("flow", "a\0b", "an existing flow file"),
        ("downloads", "flow.py", "a directory that can be written, found a file at"),
        ("downloads", "flow.py/x", "a directory that can be written"),
        ("name", "a\nb", "one line of at most 100 characters"),
        ("notes", "x" * 10_001, "at most 10000 characters, found 10001"),
        ("locale", "", "found none (ostler profile unset a locale)"),
        ("locales", "de-DE", "did you mean locale?"),
        ("time-zone", "UTC", "did you mean timezone?"),
        ("profile_id", "b", "expected a setting"),
        ("generation", "9", "expected a setting"),
        ("header.a b", "c", "the name of an HTTP header"),
        ("header.", "c", "the name of an HTTP header"),
        ("header.X-A", "b\r\nEvil: c", "one line of at most 4096 characters"),
        ("header.X-A", "ж", "one line of at most 4096 characters that HTTP knows"),
        ("header.User-Agent", "Safari", "a header that is not the browser's own"),
        ("header.accept-language", "de", "locale sets Accept-Language"),
        ("header.Sec-CH-UA", "x", "not the browser's own"),
        ("header.Proxy-Authorization", "x", "not the browser's own"),
        ("header.Cookie", "x", "not the browser's own"),
        ("header.Host", "x", "not the browser's own"),
    ],
)
def test_what_may_not_be_set(around: Around, name: str, text: str, said: str):
    """One line that names the setting, what is expected, what was found and how to mend it; nothing is changed."""
    before = ProfileMetadata(profile_id="a")
    with pytest.raises(BadInput) as caught:
        assign(before, [(name, text)], around)
    message = str(caught.value)
    assert said in message
    assert len(message.splitlines()) == 1
    assert before == ProfileMetadata(profile_id="a")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_that_cannot_be_written_is_refused(around: Around, tmp_path: Path):
    """Nor one that could not be made."""
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(BadInput, match="may not be"):
        having(around, ("downloads", "closed/x"))


def test_every_mistake_is_said_at_once(around: Around):
    """A line each, and none of the right ones is kept."""
    before = ProfileMetadata(profile_id="a")
    with pytest.raises(BadInput) as caught:
        assign(before, [("locale", "x y"), ("viewport", "1x1"), ("device", "tv"), ("nothing", "1")], around)
    assert [problem.place for problem in caught.value.problems] == ["locale", "device", "nothing"]
    assert before.viewport is None


def test_secrets_are_not_quoted(around: Around):
    """Neither of a proxy that is none, nor of a header."""
    for name, text in (
        ("proxy", "ftp://me:hunter2@h:1"), ("proxy", "me:hunter2@"), ("start_url", "javascript://me:hunter2@h/"),
        ("start_url", "https://[me:hunter2@h"), ("header.Authorization", "hunter2\n"), ("header.X-Api-Key", "hunter2\n"),
    ):  # fmt: skip
        with pytest.raises(BadInput) as caught:
            having(around, (name, text))
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "hidden"),
    [
        ("proxy", "http://me:pw@h:1", True),
        ("proxy", "http://key-of-api@h:1", True),
        ("proxy", "http://h:1", False),
        ("start_url", "https://me:pw@h/", True),
        ("start_url", "https://h/@me", False),
        ("header.Authorization", "x", True),
        ("header.X-Api-Key", "x", True),
        ("header.X-Session", "x", True),
        ("header.X-Client", "x", False),
        ("header.DNT", "1", False),
        ("locale", "de-DE", False),
        ("proxy", None, False),
    ],
)
def test_what_must_not_be_seen(name: str, text: str | None, hidden: bool):  # noqa: FBT001
    """Credentials of any kind in an address, and headers whose names speak of them."""
    assert is_hidden(name, text) is hidden


def test_headers_are_kept_once_whatever_their_case(around: Around):
    """The later one counts; each can be removed by any case, or all together."""
    changed = having(around, ("header.X-A", "1"), ("header.x-a", "2"), ("header.X-B", ""))
    assert changed.extra_headers == {"x-a": "2", "X-B": ""}
    assert unset(changed, ["header.X-A"]).extra_headers == {"X-B": ""}
    assert unset(changed, ["extra_headers"]).extra_headers == {}
    assert changed.extra_headers == {"x-a": "2", "X-B": ""}


def test_the_device_class_follows_the_device(around: Around):
    """A Pixel is mobile; who says desktop beside it is told; a class alone is nobody's business."""
    assert having(around, ("device_descriptor", "Pixel 7")).device == "mobile"
    assert having(around, ("device_descriptor", "Desktop Chrome"), device="mobile").device == "desktop"
    assert having(around, ("device_descriptor", "Pixel 7"), ("device", "mobile")).device == "mobile"
    for assignments in ([("device_descriptor", "Pixel 7"), ("device", "desktop")], [("device", "desktop")]):
        with pytest.raises(BadInput, match="device: expected mobile, as Pixel 7 is, found desktop"):
            having(around, *assignments, device_descriptor="Pixel 7")
    assert having(around, ("device", "desktop"), device_descriptor=None).device == "desktop"


def test_devices_are_looked_up_only_when_one_is_named(tmp_path: Path):
    """It takes a driver to know them."""

    def devices():
        raise AssertionError("looked up")

    around = Around(cwd=tmp_path, devices=devices)
    assert having(around, ("locale", "de-DE"), ("device", "mobile")).device == "mobile"
    assert having(around, ("locale", "de-DE"), device_descriptor="Pixel 7").locale == "de-DE"


def test_unset_leaves_the_rest():
    """What is not set is as it was; what is no setting is named, with one that is meant."""
    metadata = ProfileMetadata(profile_id="a", locale="de-DE", timezone="UTC", viewport=Viewport(1, 1))
    assert unset(metadata, ["locale", "viewport"]) == ProfileMetadata(profile_id="a", timezone="UTC")
    with pytest.raises(BadInput, match="did you mean locale"):
        unset(metadata, ["local", "timezone"])
    assert metadata.timezone == "UTC"


def test_without_a_device_it_is_a_desktop():
    """The class goes with the device, and not without it."""
    metadata = ProfileMetadata(profile_id="a", device="mobile", device_descriptor="Pixel 7")
    for names in (["device_descriptor"], ["device", "device_descriptor"]):
        found = unset(metadata, names)
        assert (found.device, found.device_descriptor) == ("desktop", None)
    assert unset(ProfileMetadata(profile_id="a", device="mobile"), ["device"]).device == "desktop"
    assert unset(ProfileMetadata(profile_id="a", device="mobile"), ["locale"]).device == "mobile"
    with pytest.raises(BadInput, match="device: expected a class of its own, found that of Pixel 7"):
        unset(metadata, ["device"])


def test_what_is_shown_is_masked():
    """Passwords and headers' values are not seen; what is not set is not shown."""
    metadata = ProfileMetadata(
        profile_id="a", proxy="http://me:hunter2@h:1", start_url="https://me:hunter2@h/", viewport=Viewport(800, 600),
        extra_headers={"X-A": "hunter2"}, locale="de-DE",
    )  # fmt: skip
    assert shown(metadata) == {
        "start_url": "https://me:[redacted]@h/", "viewport": "800x600", "locale": "de-DE",
        "proxy": "http://me:[redacted]@h:1", "header.X-A": "[redacted]",
    }  # fmt: skip
    assert shown(ProfileMetadata(profile_id="a")) == {}
    assert set(NAMES) <= set(ProfileMetadata.__struct_fields__)
