"""A text that is no JSON is read on behind each flaw: as it was meant, or not at all."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from core.queue.feed_document import Document
from core.queue.feed_lines import Lines
from core.queue.feed_reader import Reader

MEANT: list[tuple[str, Any, int]] = [
    ('["a", "b",]', ["a", "b"], 1),
    ('{"a": 1, /* x */}', {"a": 1}, 2),
    ("[1 // x\n, 2 # y\n]", [1, 2], 2),
    ("[1 2]", [1, 2], 1),
    ('["a"\n{"b": 1 "c": 2}]', ["a", {"b": 1, "c": 2}], 2),
    ("[1; 2]", [1, 2], 1),
    ('{"a" 1, "b" = 2, "c" => 3}', {"a": 1, "b": 2, "c": 3}, 3),
    ("['a', 'it\\'s', 'say \"hi\"', 'it's', '']", ["a", "it's", 'say "hi"', "it's", ""], 5),
    ("[“a”, „ü“, «c», `d`]", ["a", "ü", "c", "d"], 4),
    ("{a: 1, $b: 2, c-d: 3, 4: 5}", {"a": 1, "$b": 2, "c-d": 3, "4": 5}, 4),
    ("[None, True, False, undefined, NULL]", [None, True, False, None, None], 5),
    ('[NaN, 1, -Infinity, "NaN"]', [None, 1, None, "NaN"], 2),
    ("[anna, flows/a.py, /tmp/x, http://h:1/x, Jürgen]", ["anna", "flows/a.py", "/tmp/x", "http://h:1/x", "Jürgen"], 5),
    ("[01, .5, +5, 5., 1_000, 5s, 12abc, 0x10, 2026-11-20]", [1, 0.5, 5, 5.0, 1000, "5s", "12abc", "0x10", "2026-11-20"], 9),
    ("[,1,, 2, ,3]", [1, 2, 3], 3),
    ('{"a": , "b": }', {"a": None, "b": None}, 2),
    ('["a, "b", "c"]', ["a", "b", "c"], 1),
    ('["a", b", "c d"]', ["a", "b", "c d"], 1),
    ('["a",\n "b,\n "c\n]', ["a", "b", "c"], 2),
    ('["a", "b]', ["a", "b"], 1),
    ('{"a: 1, "b": 2}', {"a": 1, "b": 2}, 1),
    ('{"a: "x", b": "y"}', {"a": "x", "b": "y"}, 2),
    ('{"a": "x, "b": "y"}', {"a": "x", "b": "y"}, 1),
    ('[{"a": "x}, {"a": "y"}]', [{"a": "x"}, {"a": "y"}], 1),
    ('["C:\\Users\\new", "\\u12"]', ["C:\\Users\new", "\\u12"], 2),
    ('["a\tb", "c\x01\x02d"]', ["a\tb", "c\x01\x02d"], 2),
    ('\ufeff["a",\u00a0"b"]\u200b', ["a", "b"], 3),
    ("// x\n['a',]\n// y", ["a"], 4),
]  # fmt: skip


@pytest.mark.parametrize(("text", "meant", "flaws"), MEANT)
def test_what_is_clear_is_read_as_it_was_meant(text: str, meant: Any, flaws: int) -> None:
    """Each flaw is said once, and none follows from a mend."""
    reader = Reader(text.encode())
    reader.read()
    assert reader.complete
    assert json.loads(reader.text.encode("latin-1")) == meant
    assert len(reader.flaws) == flaws
    assert [flaw.offset for flaw in reader.flaws] == sorted({flaw.offset for flaw in reader.flaws})


@pytest.mark.parametrize(
    "text",
    [
        '["say "hi" now", "b",]', '{"jobs": ["a"}]', '["a": 1, "b",]', '[{"a", "b"},]', '["a" + "b",]', "[<a>,]",
        '["a\nb", "c",]', '["""a""",]', '["a", ("b",),]', "<!doctype html>", "jobs:\n  - anna", "anna,\nbert,", '["a",] ["b",]',
        '["a"]]', "[\\u0041,]", '["a", ...,]', '["', "[", "{", "[1,", '{"a"', '{"a":', '["\\', '["\\u00', "", "[/* ,]", '["a" "b',
    ],
)  # fmt: skip
def test_what_is_not_clear_ends_the_reading(text: str) -> None:
    """There, with the flaws so far; nothing is guessed."""
    reader = Reader(text.encode())
    reader.read()
    assert not reader.complete
    assert 1 <= len(reader.flaws) <= 2


INJECTED = [
    (',\n  "priority"', '\n  "priority"', "a comma or the end"),
    ('"priority":', '"priority"', "a colon"),
    ('"priority":', "priority:", "a field name in double quotes"),
    ('"priority": 1', '"priority": 01', "a comma or the end"),
    ('"priority": 1', '"priority": 1,', "a field name in double quotes"),
    ('"priority": 1', '"priority": 1 // high', "a comma or the end"),
    ('"priority": 1', '"priority": NaN', "a finite number"),
    ('"desktop"', "'desktop'", "a value"),
    ('"desktop"', "desktop", "a value"),
    ('"desktop"', '"desktop', "a closing quote"),
    ('"desktop"', 'desktop"', "a value"),
    ('"device"', "'device'", "a field name in double quotes"),
]


@pytest.mark.parametrize("indent", [1, 2, 4])
@pytest.mark.parametrize("seed", range(30))
def test_every_flaw_of_many_is_said_once_and_in_its_line(seed: int, indent: int) -> None:
    """Whatever kinds of flaws a feed has, in whatever entries: as many as there are, each where it is."""
    rnd = random.Random(seed)
    entry = '{\n  "profile_id": "p%d",\n  "device": "desktop",\n  "priority": 1\n}'
    entries, expected, line = [], [], 2
    for number in range(30):
        text = entry % number
        if rnd.random() < 0.5:
            old, new, says = rnd.choice(INJECTED)
            at = text.index(old)
            text = text.replace(old, new)
            # the flaw is where the change begins or, for one in a line of its own, in that line
            inside = text.count("\n", 0, at) + (old.startswith(",\n") or new.endswith("1,"))
            expected.append((line + inside, says))
        entries.append(text.replace("\n", "\n" + " " * indent))
        line += 5
    data = ("[\n" + ",\n".join(" " * indent + text for text in entries) + "\n]").encode()
    document = Document(data)
    said = [(Lines(data).place(flaw.offset)[0], flaw.expected) for flaw in document.reader.flaws]
    assert len(said) == len(expected)
    assert all(
        found == place and text.startswith(says) for (found, text), (place, says) in zip(said, expected, strict=True)
    )
    assert len(document.entries) == 30
    assert [json.loads(bytes(text))["profile_id"] for text in document.entries] == [
        f"p{number}" for number in range(30)
    ]
    assert [document.lines.place(document.offset(number)) for number in (0, 15, 29)] == [
        (2 + 5 * number, indent + 1) for number in (0, 15, 29)
    ]


def test_an_entry_that_makes_no_sense_is_left_out_and_the_next_is_read() -> None:
    """If each begins in a line of its own; the others keep their numbers."""
    reader = Reader(b'[\n  {"a": [1}},\n  {"b": 2,},\n  {"c": 3\n  {"d": 4}\n]')
    reader.read()
    assert [reader.text[item.value] for item in reader.items] == ["", '{"b": 2}', "", '{"d": 4}']
    assert [(flaw.expected, flaw.hint) for flaw in reader.flaws] == [
        ("a comma or the end of what was opened", ""),
        ("a field name in double quotes", "no comma before it"),
        ("a comma or the end of what was opened", "what begins in line 4 has no end"),
    ]


def test_flaws_without_end_are_not_all_looked_for() -> None:
    """A large text that is full of flaws is given up after about a second; so is a small one of very many."""
    for text in (b"[%b]" % b", ".join([b"'%b'" % (b"x" * 1000)] * 20_000), b"[%b 0]" % (b"0 " * 25_000)):
        reader = Reader(text)
        reader.read()
        assert reader.is_endless()
        assert len(reader.flaws) == 20
        assert reader.more > 5


def test_what_is_good_before_the_first_flaw_is_not_read_step_by_step() -> None:
    """It is told from msgspec's word where the flaw is; in an object only if the flaw is among the jobs."""
    for text, entries, columns in (
        ('["a", {"b": [1, "c"]}, "d", x y]', ["a", {"b": [1, "c"]}, "d"], [2, 7, 24]),
        ('{"jobs": ["a", "b", x y], "defaults": {}}', ["a", "b"], [11, 16]),
        ('{"jobs": ["a", "b"], "other": ["a", "b", x y]}', ["a", "b"], [11, 16]),
        ('{"other": ["a", "b"], "jobs": ["c", x y]}', ["c"], [32]),
        ('{"other": ["a", "b", x y]}', [], []),
    ):
        document = Document(text.encode())
        assert [json.loads(bytes(entry)) for entry in document.entries] == entries
        assert [document.lines.place(document.offset(number)) for number in range(len(entries))] == [
            (1, column) for column in columns
        ]
        assert not document.reader.complete
