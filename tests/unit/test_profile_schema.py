"""What ``metadata.json`` may say beyond its types."""

from __future__ import annotations

import pytest

from core.profiles.port import ProfileMetadata, Viewport
from core.profiles.schema import problem_of


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("platform", "my.service-2"),
        ("created_at", ""),
        ("last_used", "2026-11-20T21:00:00+01:00"),
        ("name", "Anna, Zürich"),
        ("tags", ("a", "größe", "x" * 32)),
        ("notes", "two\nlines"),
        ("start_url", "about:blank"),
        ("start_url", "file:///srv/page.html"),
        ("start_url", "http://[::1]:8080/x?y=1#z"),
        ("proxy", "host:3128"),
        ("proxy", "socks5://u:p@[::1]:1080"),
        ("locale", "zh-Hant-TW"),
        ("timezone", "America/Argentina/Buenos_Aires"),
        ("timezone", "Etc/GMT+5"),
        ("viewport", Viewport(1, 16_384)),
        ("extra_headers", {"X-A_b": "\tany \xe9"}),
        ("downloads", "C:\\Downloads"),
        ("platform_config", {"a": [{"b": 1.5}, None, True]}),
    ],
)
def test_what_it_may_say(field, value):
    """A value that a browser, a file system and JSON can take is no problem."""
    assert problem_of(ProfileMetadata(profile_id="a", **{field: value}), "a") == ""


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("platform", "", "platform"),
        ("platform", "../x", "platform"),
        ("created_at", "yesterday", "created_at"),
        ("last_activity", "12", "last_activity"),
        ("generation", -1, "generation"),
        ("name", "a\nb", "name"),
        ("name", "x" * 101, "name"),
        ("error_phase", "\x1b[2J", "error_phase"),
        ("notes", "x" * 10_001, "notes"),
        ("tags", ("a", "a"), "tags"),
        ("tags", tuple(f"t{n}" for n in range(65)), "tags"),
        ("tags", ("a,b",), "tags"),
        ("tags", ("a\u202e",), "tags"),
        ("tags", ("",), "tags"),
        ("start_url", "javascript:alert(1)", "start_url"),
        ("start_url", "https://", "start_url"),
        ("start_url", "https://[", "start_url"),
        ("start_url", "https://a/ b", "start_url"),
        ("start_url", "https://a/\n", "start_url"),
        ("proxy", "ftp://h:1", "proxy"),
        ("proxy", "http://h:99999", "proxy"),
        ("proxy", "http://", "proxy"),
        ("locale", "de DE", "locale"),
        ("timezone", "../../etc/passwd", "timezone"),
        ("viewport", Viewport(0, 10), "viewport"),
        ("viewport", Viewport(10, 16_385), "viewport"),
        ("extra_headers", {"a b": "c"}, "extra_headers"),
        ("extra_headers", {"a": "c\r\nd: e"}, "extra_headers"),
        ("downloads", "down/loads", "downloads"),
        ("downloads", "/a\0b", "downloads"),
        ("platform_config", {"a": [float("nan")]}, "platform_config"),
    ],
)
def test_what_it_may_not_say(field, value, named):
    """A value that could not be used is named by its field."""
    problem = problem_of(ProfileMetadata(profile_id="a", **{field: value}), "a")
    assert problem.startswith(named)


def test_a_secret_is_not_quoted():
    """What is wrong with a proxy or a header is said without the value."""
    for bad in ({"proxy": "ftp://u:hunter2@h"}, {"extra_headers": {"Authorization": "hunter2\n"}}):
        problem = problem_of(ProfileMetadata(profile_id="a", **bad), "a")
        assert problem
        assert "hunter2" not in problem


def test_whose_it_is():
    """Metadata of another profile, and of none that could be, are a problem."""
    assert "belongs to profile 'b'" in problem_of(ProfileMetadata(profile_id="b"), "a")
    assert "profile_id is not" in problem_of(ProfileMetadata(profile_id=".."), "..")
