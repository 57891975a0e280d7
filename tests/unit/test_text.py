"""What others wrote, made fit for a terminal."""

from __future__ import annotations

import json

from core.text import visible, visible_json

HOSTILE = "\x1b[31mred\x1b]0;title\x07\x9b1m\x7f\r\u202egnp\u2028\udcff"


def test_commands_for_a_terminal_are_spelled_out():
    """Escape codes, 8-bit ones too, bells, returns, text that runs backwards, halves of characters."""
    assert visible(HOSTILE) == ("\\x1b[31mred\\x1b]0;title\\x07\\x9b1m\\x7f\\x0d\\u202egnp\\u2028\\udcff")


def test_what_is_only_text_stays():
    """Line breaks, tabs, other scripts, emoji with their joiners, no-break spaces."""
    text = "a\tb\nč Ж 漢 👩\u200d🔧 1\u00a0000"
    assert visible(text) == text


def test_json_says_the_same():
    """Only what JSON itself leaves as it is has to be spelled out, and only within texts."""
    text = json.dumps({"a": HOSTILE[:-1], "b": ["\x85"]}, ensure_ascii=False, indent=2)
    shown = visible_json(text)
    assert json.loads(shown) == json.loads(text)
    assert not any(char != "\n" and not char.isprintable() for char in shown)
