"""Which names may become file names."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.validation import case_collisions, is_proxy, is_valid_id, require_id
from core.errors import BadInput

ALPHABET = string.ascii_letters + string.digits + "_-"
DEVICES = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}


@pytest.mark.parametrize("good", ["a", "7", "k18imh7u", "A-b_c", "x" * 32, "com10", "console", "com0"])
def test_good_ids(good):
    """One to 32 of the alphabet, the first a letter or digit."""
    assert is_valid_id(good)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        " ",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "-a",
        "_a",
        "a.b",
        "a b",
        "a\n",
        "\na",
        "a\x00",
        "x" * 33,
        "é",
        "a\u0301",
        "\u0661",
        "\uff21",
        "a\u200b",
        "a\u202eb",
        "con",
        "CON",
        "Nul",
        "com1",
        "LPT9",
        "$(reboot)",
        "a;b",
        "~",
        "%2e",
        "*",
    ],
)
def test_bad_ids(bad):
    """Nothing that a file system, a shell or an eye could take for something else."""
    assert not is_valid_id(bad)


@settings(max_examples=1000)
@given(st.lists(st.text(max_size=40), min_size=12, max_size=12))
def test_twelve_thousand_hostile_ids(texts):
    """Whatever is accepted is exactly what the rule says, checked here by another road."""
    for text in texts:
        by_rule = (
            1 <= len(text) <= 32
            and all(char in ALPHABET for char in text)
            and text[0] not in "_-"
            and text.lower() not in DEVICES
        )
        assert is_valid_id(text) == by_rule


@given(st.text(alphabet=ALPHABET, max_size=34))
def test_near_misses(text):
    """Texts of the right letters are judged by length, first letter and device names."""
    assert is_valid_id(text) == (1 <= len(text) <= 32 and text[0] not in "_-" and text.lower() not in DEVICES)


@given(st.text(alphabet=ALPHABET, min_size=1, max_size=31), st.sampled_from(list("/\\.:*?\"<>|\x00\n\r\t ;&$`'~%")))
def test_one_bad_letter_spoils_any_id(text, bad):
    """At the start, in the middle, at the end."""
    middle = len(text) // 2
    for spoilt in (bad + text, text[:middle] + bad + text[middle:], text + bad):
        assert not is_valid_id(spoilt)


def test_ids_that_differ_only_in_case_are_found():
    """They would share a directory on some file systems; equal ones are the same profile."""
    assert case_collisions(["Ab", "x", "aB", "Ab", "AB"]) == [("Ab", "aB"), ("Ab", "AB")]
    assert case_collisions([]) == []


def test_require_id_returns_the_good_and_names_the_bad():
    """The problem says where, what is allowed, and what was found, shortened."""
    assert require_id("k18imh7u") == "k18imh7u"
    with pytest.raises(BadInput, match=r"profile ID: expected 1 to 32 of .*, found '../x'"):
        require_id("../x", "profile ID")
    with pytest.raises(BadInput) as caught:
        require_id("x" * 10_000)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("good", ["http://h", "https://u:p@h:443", "socks5://[::1]:1080"])
def test_good_proxies(good):
    """A scheme that browsers know, and a host."""
    assert is_proxy(good)


@pytest.mark.parametrize("bad", ["", "h:1", "ftp://h", "http://", "http://h:0", "http://h:99999", "http://["])
def test_bad_proxies(bad):
    """No scheme, another one, no host, no port that could be, no URL."""
    assert not is_proxy(bad)
