"""Feeds that are wrong in every way we know: each says what is wrong, in one snapshot, and nothing else happens."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from core.domain.messages import FlowDescription, ParamProblem
from core.errors import BadInput, HostFailed
from core.queue.feed import FeedDefaults, read_feed
from core.queue.intake import Intake
from core.queue.open import open_named
from core.queue.sqlite import SqliteQueue
from tests.fleet import ROOT
from tests.snapshots import compare

if TYPE_CHECKING:
    from collections.abc import Sequence

SNAPSHOTS = Path(__file__).parent / "snapshots" / "feeds"
GOOD = '{"defaults": {"priority": 1},\n "jobs": ["a", {"profile_id": "b", "params": {"x": [1, "y"]}}]}'
DEEP = 100_000


def job(**fields: Any) -> str:
    return json.dumps([{"profile_id": "anna", **fields}])


FEEDS: dict[str, tuple[str, str | bytes]] = {
    # no text, or text of another kind
    "empty": ("q.json", ""),
    "blank": ("q.json", " \n\t\r\n "),
    "only a byte order mark": ("q.json", b"\xef\xbb\xbf"),
    "byte order mark inside": ("q.json", '["a", \ufeff"b"]'),
    "utf16 with mark": ("q.json", '["a"]'.encode("utf-16")),
    "utf16 without mark": ("q.json", '["anna"]'.encode("utf-16-le")),
    "utf32 with mark": ("q.json", '["a"]'.encode("utf-32")),
    "utf16 ids": ("q.txt", "anna\nbert\n".encode("utf-16-be")),
    "latin1": ("q.json", '["a",\n {"profile_id": "b", "params": {"city": "Köln"}}]'.encode("latin-1")),
    "latin1 ids": ("q.txt", "anna\nj\xfcrgen\n".encode("latin-1")),
    "surrogate bytes": ("q.json", b'["\xed\xa0\x80"]'),
    "nul": ("q.json", b'["a",\n "b\0"]'),
    "nul at once": ("q.json", b"\0\0\0\0"),
    "nul in ids": ("q.txt", b"anna\nbe\0rt\n"),
    "nul escaped": ("q.json", '["a\\u0000"]'),
    "binary": ("q.json", bytes(range(1, 256))),
    "terminal commands": ("q.json", job(flow="x\x1b[31m\nred.py")),
    # no JSON
    "cut in a list": ("q.json", GOOD[:-20]),
    "cut in a string": ("q.json", GOOD[:44]),
    "cut in an escape": ("q.json", '["a\\u00'),
    "cut in a number": ("q.json", '[{"profile_id": "a", "priority": -'),
    "cut in a character": ("q.json", '["é'.encode()[:-1]),
    "trailing comma in a list": ("q.json", '["a",\n "b",\n]'),
    "trailing comma in an object": ("q.json", '[{"profile_id": "a",}]'),
    "missing comma": ("q.json", '["a"\n "b"]'),
    "missing colon": ("q.json", '[{"profile_id" "a"}]'),
    "comment of slashes": ("q.json", '["a", // the first\n "b"]'),
    "comment of a hash": ("q.json", '# my queue\n["a"]'),
    "comment of stars": ("q.json", '["a" /* one */]'),
    "single quotes": ("q.json", "['a']"),
    "bare words": ("q.json", '[{profile_id: "a"}]'),
    "python constants": ("q.json", '[{"profile_id": "a", "flow": None}]'),
    "two documents": ("q.json", '["a"]\n["b"]'),
    "lines in a json file": ("q.json", '{"profile_id": "a"}\n{"profile_id": "b"}'),
    "line break in a string": ("q.json", '["a\nb"]'),
    "mismatched brackets": ("q.json", '{"jobs": ["a"}]'),
    "nan": ("q.json", '[{"profile_id": "a", "timeout": NaN}]'),
    "infinity": ("q.json", '[{"profile_id": "a", "timeout": -Infinity}]'),
    "html": ("q.json", "<!doctype html><p>404 Not Found"),
    "yaml": ("q.json", "jobs:\n  - anna\n"),
    # no JSON in more than one place
    "trailing commas": ("q.json", '[\n {"profile_id": "a",},\n {"profile_id": "b", "params": {"x": [1, 2,],},},\n]'),
    "comments everywhere": ("q.json", '// top\n["a", // first\n # second\n "b" /* third */, "c"]\n// end'),
    "missing commas": ("q.json", '[\n {"profile_id": "a"}\n {"profile_id": "b" "priority": 1}\n "c"\n]'),
    "missing colons": ("q.json", '[{"profile_id" "a"}, {"profile_id": "b", "priority"= 1}]'),
    "missing quotes": ("q.json", '[\n "anna,\n "bert",\n carl",\n {"profile_id: "d"},\n {"profile_id": "e, "priority": 1}\n]'),
    "a python list": ("q.json", "[{'profile_id': 'it\\'s', 'params': {'x': None, 'y': True}}, 'b',]"),
    "a python object": ("q.json", "{'jobs': ['a', {'profile_id': 'b'}], 'defaults': {'priority': 1,}}"),
    "javascript": ("q.json", '{jobs: [{profile_id: "a", timeout: .5, priority: +1}], // all of them\n}'),
    "typographic quotes": ("q.json", "[{“profile_id”: “anna”},\n „bert“]"),
    "spaces that do not break": ("q.json", '["a",\u00a0"b",\n\u00a0{"profile_id":\u00a0"c"}]'),
    "paths of windows": ("q.json", '[{"profile_id": "a", "flow": "C:\\Users\\x\\flow.py"},\n {"profile_id": "b",}]'),
    "tabs in strings": ("q.json", '["an\tna", "be\trt",]'),
    "numbers of other languages": ("q.json", '[{"profile_id": "a", "priority": 007, "timeout": 1_000}, {"profile_id": "b", "timeout": 5s}]'),
    "ids without quotes": ("q.json", "[anna, bert-2, 12abc, 007]"),
    "commas too many": ("q.json", '[,"a",, "b", , "c"]'),
    "no values": ("q.json", '[{"profile_id": "a", "priority": }, {"profile_id": "b", "flow":, "priority": 1}]'),
    "nan more than once": ("q.json", '[{"profile_id": "a", "timeout": NaN},\n {"profile_id": "b", "timeout": -Infinity, "priority": "x"}]'),
    "flaws and mistakes": ("q.json", '{"defaults": {"prioritiy": 1},\n "jobs": ["a",\n  {"profile_id": "a",},\n  {"profile_id": "b" "timeout": 0}\n ]}'),
    "an object without end": ("q.json", '[\n  {\n    "profile_id": "a",\n    "params": {\n      "x": 1\n  },\n  {\n    "profile_id": "b",\n  }\n]'),
    "a list without end": ("q.json", '[\n {"profile_id": "a", "params": {"x": [1}},\n {"profile_id": "b",}\n]'),
    "a bracket too many": ("q.json", '[\n {"profile_id": "a"}},\n {"profile_id": "b",}\n]'),
    "quotes in a string": ("q.json", '[{"profile_id": "a", "params": {"x": "say "hi" now"}}, "b",]'),
    "a set": ("q.json", '[{"a", "b"}, "c",]'),
    "a tuple": ("q.json", '("a", "b",)'),
    "cut with flaws before": ("q.json", '{"jobs": ["a", {"profile_id": "b",}, {"profile_id"'),
    "an end too many": ("q.json", '["a",]\n]'),
    "a hundred flaws": ("q.json", "[" + ", ".join(f"'p{n}'" for n in range(100)) + "]"),
    "flaws in lines": ("q.jsonl", '{"profile_id": "a",}\n{\'profile_id\': "b" "priority": 1}\n{"profile_id": "c"\n"d",\n'),
    # JSON, but too much of it
    "huge exponent": ("q.json", '[{"profile_id": "a", "timeout": 1e999, "params": {"x": [-1e999]}}]'),
    "five thousand digits": ("q.json", f'[{{"profile_id": "a", "priority": {"7" * 5000}}}]'),
    "five thousand digits and a comma": ("q.json", f'[{{"profile_id": "a", "priority": {"7" * 5000}}},]'),
    "deep list": ("q.json", "[" * DEEP + "]" * DEEP),
    "deep list cut": ("q.json", "[" * DEEP),
    "deep objects": ("q.json", '{"a":' * DEEP + "1" + "}" * DEEP),
    "deep parameter": ("q.json", '[{"profile_id": "a", "params": {"x": ' + "[" * DEEP + "]" * DEEP + "}}]"),
    "deep line": ("q.jsonl", '{"profile_id": "a", "params": {"x": ' + "[" * DEEP + "]" * DEEP + "}}"),
    "lone surrogate": ("q.json", '["\\ud800", {"profile_id": "a", "params": {"x": "\\udfff", "\\ud801": 1}}]'),
    "twice in a job": ("q.json", '[{"profile_id": "a",\n "priority": 1,\n "priority": 2}]'),
    "twice in the document": ("q.json", '{"jobs": ["a"],\n "jobs": ["b"]}'),
    "twice in parameters": ("q.json", '[{"profile_id": "a", "params": {"x": 1, "y": {"z": 1, "z": 2}, "x": 3}}]'),
    "forty mistakes": ("q.json", json.dumps([{"profile_id": f"p{n}", "priority": "high"} for n in range(40)], indent=1)),
    # the right JSON, but not a feed
    "a number": ("q.json", "5"),
    "a string": ("q.json", '"anna"'),
    "null": ("q.json", "null"),
    "an object without jobs": ("q.json", '{"queue": ["a"]}'),
    "one job alone": ("q.json", '{"profile_id": "a", "flow": "flow.py"}'),
    "jobs are no list": ("q.json", '{"jobs": {"a": {}}}'),
    "jobs are null": ("q.json", '{"jobs": null}'),
    "defaults are a list": ("q.json", '{"defaults": [], "jobs": ["a"]}'),
    "wrong types in defaults": ("q.json", json.dumps({"defaults": {
        "flow": 1, "params": [], "priority": 1.5, "not_before": [], "timeout": "60s", "max_attempts": True,
        "template": {}, "device": "tablet", "proxy": 8080, "id": "x",
    }, "jobs": []}, indent=1)),
    "wrong types in a job": ("q.json", json.dumps([{
        "profile_id": 17, "id": {}, "flow": [], "params": "x=1", "priority": "high", "not_before": False,
        "timeout": {}, "max_attempts": "3", "template": 0, "device": None, "proxy": [],
    }], indent=1)),
    "wrong entries": ("q.json", '["a", 7, null, true, ["b"], {}, 1.5, ""]'),
    "wrong entries in lines": ("q.jsonl", '"a"\n7\nnull\n["b"]\n{}\n{"profile_id": "c"\n"d" "e"'),
    "lists in lists": ("q.json", '[[["a"]]]'),
    # fields
    "misspelt fields": ("q.json", '[{"profile_id": "a", "prioritiy": 1, "timout": 2, "max_attemps": 1, "Flow": "flow.py"}]'),
    "misspelt profile id": ("q.json", '[{"profileId": "a"}, {"profil_id": "b"}]'),
    "unknown fields": ("q.json", '[{"profile_id": "a", "colour": "red"}]'),
    "misspelt defaults": ("q.json", '{"default": {}, "jobs": ["a"], "comment": "x"}'),
    "secrets": ("q.json", job(password="hunter2", email="a@example.org", params={"api_key": "k"})),
    # values
    "ids": ("q.json", json.dumps(["anna b", "ännä", "a" * 33, "-a", "../a", "con", "a/b", "a\n", "."], ensure_ascii=False)),
    "ids in lines": ("q.txt", "anna b\n-a\n\n  ../x\n# a comment\n"),
    "duplicate ids": ("q.json", '["anna",\n "bert",\n "anna"]'),
    "duplicate job ids": ("q.json", '[{"id": "j", "profile_id": "a"}, {"id": "j", "profile_id": "b"}]'),
    "ids that differ in case": ("q.json", '["anna",\n "Anna"]'),
    "profiles that differ in case": ("q.json", '[{"id": "x", "profile_id": "a"}, {"id": "y", "profile_id": "A"}]'),
    "duplicate ids in lines": ("q.txt", "anna\nbert\nANNA\n"),
    "numbers out of range": ("q.json", job(priority=3_000_000_000, timeout=0, max_attempts=0, not_before=-1)),
    "intervals": ("q.json", json.dumps([
        {"profile_id": f"p{n}", "every": every}
        for n, every in enumerate(["0.5s", 0, "400d", "15", "15 minutes", "often", "-5m", True])
    ])),
    "an interval in defaults": ("q.json", '{"defaults": {"every": "1ms", "after": ["a"]}, "jobs": ["a"]}'),
    "after what is no job": ("q.json", job(after=["bert", "b ert", 7])),
    "after no list": ("q.json", job(after="bert")),
    "after what may be no ID": ("q.json", job(after=["bert", "../b"])),
    "after itself": ("q.json", '["a",\n {"profile_id": "b", "after": ["a", "b"]}]'),
    "after each other": ("q.json", json.dumps({"jobs": [
        {"profile_id": "a", "after": ["d"]}, {"profile_id": "b", "after": ["a", "c"]}, {"profile_id": "c", "after": ["b"]},
        {"profile_id": "d", "after": ["e"]}, {"profile_id": "e", "after": ["a"]},
    ]}, indent=1)),
    "after each other in a long circle": ("q.jsonl", "\n".join(
        json.dumps({"profile_id": f"p{n}", "after": [f"p{(n + 1) % 500}"]}) for n in range(500)
    )),
    "milliseconds": ("q.json", job(not_before=1_790_000_000_000)),
    "time without offset": ("q.json", job(not_before="2026-11-20T08:00:00")),
    "no time": ("q.json", job(not_before="tomorrow")),
    "proxies": ("q.json", json.dumps([
        {"profile_id": "a", "proxy": "ftp://h:1"}, {"profile_id": "b", "proxy": "user:hunter2@h:1"},
        {"profile_id": "c", "proxy": "http://u:hunter2@h:99999"},
    ])),
    "missing flow": ("q.json", job(flow="gone.py")),
    "flow is a directory": ("q.json", job(flow="folder")),
    "flow of nobody": ("q.json", job(flow="~nobody-of-that-name/flow.py")),
    "flow too long": ("q.json", job(flow="/" + "x" * 5000)),
    "flow with a zero": ("q.json", job(flow="a\0b.py")),
    "missing template": ("q.json", job(template="nowhere")),
    "template is a file": ("q.json", job(template="flow.py")),
    "missing flow in defaults": ("q.json", '{"defaults": {"flow": "gone.py"}, "jobs": ["a", "b"]}'),
    "parameters the flow does not take": ("q.json", json.dumps([
        {"profile_id": "a", "params": {"wrong": 1}}, {"profile_id": "b", "params": {"fine": 1}},
    ])),
}  # fmt: skip


class Picky:
    """A flow that does not take ``wrong``; counts how often it was asked."""

    asked = 0

    def describe(self, flow: Path, params: Sequence[dict[str, Any]]) -> FlowDescription:
        self.asked += 1
        wrong = [
            ParamProblem(index=index, field="wrong", message="no such parameter")
            for index, one in enumerate(params)
            if "wrong" in one
        ]
        return FlowDescription(name=flow.stem, steps=(), problems=tuple(wrong))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a flow in it, and one of another kind."""
    (tmp_path / "flow.py").write_text("")
    (tmp_path / "folder").mkdir()
    return tmp_path


def listing(folder: Path) -> dict[str, str]:
    """Return every file with its content's hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refused(folder: Path, name: str, checker: Picky | None = None) -> str:
    """Return what is said of a feed, which must be said soon and leave everything as it was."""
    defaults = FeedDefaults(flag_flow="flow.py")
    intake = Intake(lambda: read_feed(name, stdin=io.BytesIO(), cwd=folder, defaults=defaults), checker or Picky())
    before, started = listing(folder), time.process_time()
    with pytest.raises(BadInput) as caught:
        intake.accept()
    assert time.process_time() - started < 2
    assert listing(folder) == before
    assert len(caught.value.problems) <= 21
    said = str(caught.value)
    assert len(said.splitlines()) == len(caught.value.problems)
    assert "hunter2" not in said
    return re.sub("x{50,}", "xxx", said.replace(str(folder), "DIR"))  # a path is shortened whatever DIR is


@pytest.mark.parametrize("case", FEEDS)
def test_a_wrong_feed_says_what_is_wrong(folder: Path, case: str) -> None:
    """Place, field, what was expected and found, how to mend it; no flow is asked about a feed that is wrong in itself."""
    name, content = FEEDS[case]
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    checker = Picky()
    said = refused(folder, name, checker)
    assert checker.asked == (case == "parameters the flow does not take")
    compare(SNAPSHOTS / f"{case.replace(' ', '-')}.txt", said)


def test_no_snapshot_is_left_of_a_case_that_is_gone() -> None:
    """The corpus and its snapshots are the same list."""
    assert {path.stem for path in SNAPSHOTS.iterdir()} == {case.replace(" ", "-") for case in FEEDS}


@pytest.mark.parametrize("name", ["q.json", "q.jsonl", "q.txt"])
def test_a_feed_cut_anywhere_is_read_or_refused(folder: Path, name: str) -> None:
    """No prefix of a feed, to the byte, leads to anything but jobs or a list of mistakes."""
    texts = {
        "q.json": GOOD.replace('"y"', '"ÿ\\u00e9"'),
        "q.jsonl": '"a"\n{"profile_id": "b", "params": {"x": "ÿ"}}\n',
        "q.txt": "anna\nbert\n",
    }
    data = texts[name].encode()
    outcomes = set()
    for end in range(len(data)):
        (folder / name).write_bytes(data[:end])
        try:
            read_feed(name, stdin=io.BytesIO(), cwd=folder, defaults=FeedDefaults(flag_flow="flow.py"))
        except BadInput as exc:
            outcomes.add("vague" if "as the README describes" in str(exc) else "refused")
        else:
            outcomes.add("read")
    assert outcomes == ({"refused"} if name == "q.json" else {"read", "refused"})


def test_what_is_no_file_is_not_waited_for(folder: Path) -> None:
    """A directory, a pipe without a writer, a device without an end, a loop of links: each is said at once."""
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    expected = {
        "folder": "folder: expected a queue file, found a directory",
        "pipe": "pipe: expected a queue file, found a pipe (pipe it in, and give - as the queue)",
        "/dev/zero": "/dev/zero: expected a queue file, found a device (pipe it in, and give - as the queue)",
        "dangling": "dangling: expected a queue file, found nothing there (looked at DIR/dangling)",
        "x" * 300: f"{'x' * 300}: expected a queue file, found File name too long (looked at DIR/{'x' * 300})",
        "~nobody-of-that-name/q": (
            "~nobody-of-that-name/q: expected a queue file, found nothing there (looked at DIR/~nobody-of-that-name/q)"
        ),
    }
    for name, said in expected.items():
        with pytest.raises(BadInput) as caught:
            read_feed(name, stdin=io.BytesIO(), cwd=folder, defaults=FeedDefaults())
        assert str(caught.value).replace(str(folder), "DIR") == said
    with pytest.raises(BadInput, match="loop: expected a queue file, found "):
        read_feed("loop", stdin=io.BytesIO(), cwd=folder, defaults=FeedDefaults())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_said_as_such(folder: Path) -> None:
    """Mode 000 is not an empty feed."""
    (folder / "q.json").write_text('["a"]')
    (folder / "q.json").chmod(0)
    with pytest.raises(BadInput, match="a file that may not be read"):
        read_feed("q.json", stdin=io.BytesIO(), cwd=folder, defaults=FeedDefaults())


class Edited(io.FileIO):
    """A file that somebody appends to after each piece of it was read, three times in all."""

    edits = 0

    def readinto(self, buffer: Any) -> int:
        size = super().readinto(buffer)
        if self.edits < 3:
            self.edits += 1
            with Path(self.name).open("a") as file:
                file.write(" \n")
        return size


@pytest.mark.parametrize("text", ['["a"]', '"a"\n"b"\n', "a\nb\n"])
def test_a_file_that_changes_while_it_is_read_is_refused(folder: Path, text: str) -> None:
    """Half an old version and half a new one may be right in itself and still be nobody's feed."""
    path = folder / "q"
    path.write_text(text)
    defaults = FeedDefaults(flag_flow="flow.py")
    with (
        io.BufferedReader(Edited(path)) as stream,
        pytest.raises(BadInput, match="expected a file that stays as it is while it is read, found changes"),
    ):
        read_feed("-", stdin=stream, cwd=folder, defaults=defaults)
    with path.open("rb") as stream:
        assert len(read_feed("-", stdin=stream, cwd=folder, defaults=defaults)) > 0


def test_endless_streams_are_refused(folder: Path) -> None:
    """Zeros, blanks and a line without end on standard input are not read to the end."""

    class Endless(io.RawIOBase):
        def __init__(self, byte: bytes) -> None:
            self._byte = byte

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:] = self._byte * len(buffer)
            return len(buffer)

    for byte, found in ((b"\0", "a zero byte"), (b"\n", "nothing"), (b"[", "more"), (b"y", "a longer one")):
        with pytest.raises(BadInput, match=f"found {found}"):
            read_feed("-", stdin=io.BufferedReader(Endless(byte)), cwd=folder, defaults=FeedDefaults())


LATE = {
    "a wrong type": ('{"profile_id": "last", "priority": "high"}', "].priority: expected a whole number"),
    "an ID twice": ('{"profile_id": "p7"}', "].profile_id: expected an ID that no other job has"),
    "a key twice": ('{"profile_id": "last", "params": {"x": 1, "x": 2}}', "].params.x: expected a key once"),
    "a number out of range": ('{"profile_id": "last", "params": {"x": 1e999}}', "].params.x: expected a number in range"),
    "a trailing comma": ('{"profile_id": "last",}', 'expected a field name in double quotes, found "}"'),
    "a cut": ('{"profile_id": "last"', "expected a comma or the end of what was opened"),
    "a comment": ('"last" // it is', 'found "/" (JSON has no comments)'),
}  # fmt: skip


@pytest.mark.parametrize("form", ["[{}]", '{{"defaults": {{"priority": 1}}, "jobs": [{}]}}'])
@pytest.mark.parametrize("case", LATE)
def test_a_mistake_at_the_end_of_a_large_feed_costs_little(folder: Path, case: str, form: str) -> None:
    """To find it takes about as long as to find that there is none: good jobs are not explained to find the one that is wrong."""
    last, expected = LATE[case]
    jobs = [json.dumps({"profile_id": f"p{n}", "params": {"n": n, "list": [1, "x"]}}) for n in range(80_000)]
    spent = []
    for name, entries in (("good.json", jobs), ("q.json", [*jobs, last])):
        (folder / name).write_text(form.format(", ".join(entries)))
        started = time.process_time()
        if name == "good.json":
            read_feed(name, stdin=io.BytesIO(), cwd=folder, defaults=FeedDefaults(flag_flow="flow.py"))
        else:
            assert expected in refused(folder, name)
        spent.append(time.process_time() - started)
    assert spent[1] < 3 * spent[0] + 0.3


def test_the_line_of_a_mistake_in_a_large_feed_is_right(folder: Path) -> None:
    """Also where the entries are not set apart in the same way throughout."""
    jobs = [json.dumps({"profile_id": f"p{n}", "params": {"n": n}}, indent=0) for n in range(20_000)]
    text = ",\n".join([*jobs, '{"profile_id": "p7"}'])
    (folder / "q.json").write_text(f"[\n{text}\n]")
    said = refused(folder, "q.json")
    assert said.startswith("q.json:120002:16: [20000].profile_id: expected an ID that no other job has")
    assert 'found "p7"; line 44 has "p7"' in said
    (folder / "q.json").write_text(f"[\n{text.replace(',', ' ,', 3001)}\n]")
    assert refused(folder, "q.json") == said


def test_counting_mistakes_ends(folder: Path) -> None:
    """A large feed that is wrong throughout is not gone through to its end."""
    (folder / "q.txt").write_text("\n".join(f"x {n}" for n in range(100_000)))
    with pytest.raises(BadInput) as caught:
        read_feed("q.txt", stdin=io.BytesIO(), cwd=folder, defaults=FeedDefaults(flag_flow="flow.py"))
    assert str(caught.value.problems[-1]) == "q.txt: expected no mistakes, found 20000 and more"


def damaged_queue(path: Path) -> None:
    """Make a queue of ours whose second page is noise."""
    SqliteQueue(path, create=True).close()
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[16:18], "big")
    data[size : 3 * size] = b"\xa5" * (2 * size)
    path.write_bytes(data)


def test_a_damaged_queue_is_refused_and_not_touched(folder: Path) -> None:
    """Our own header over noise is bad input, not a fault of the host."""
    damaged_queue(folder / "q.db")
    before = listing(folder)["q.db"]
    with pytest.raises(BadInput, match=r"q\.db: expected a queue of Ostler, found it is damaged"):
        open_named(folder / "q.db")
    assert listing(folder)["q.db"] == before


def foreign_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE friends (name TEXT)")
    connection.close()


REAL = {
    "trailing comma": ("q.json", lambda path: path.write_text('["a",]'), "q.json:1:6: expected a value"),
    "pipe": ("pipe", os.mkfifo, "pipe: expected a queue file, found a pipe"),
    "endless device": ("/dev/zero", lambda _: None, "/dev/zero: expected a queue file, found a device"),
    "foreign database": ("x.json", foreign_database, "it is a SQLite database, but not a queue of Ostler"),
    "damaged database": ("x.db", damaged_queue, "expected a queue of Ostler, found it is damaged"),
    "forty mistakes": (
        "q.txt", lambda path: path.write_text("\n".join(f"x {n}" for n in range(40))), "expected no mistakes, found 20 more"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REAL)
def test_the_command_ends_with_2_and_launches_nothing(folder: Path, case: str) -> None:
    """The command that a user types: exit code 2, a message without a traceback, no worker, no event, the input as it was."""
    name, make, expected = REAL[case]
    make(folder / name)
    before = listing(folder)
    command = [
        sys.executable,
        ROOT / "orchestrator.py",
        "--state-dir",
        "state",
        "--log-dir",
        "logs",
        "--flow",
        "flow.py",
    ]
    done = subprocess.run([*command, name], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stdout == ""
    after = listing(folder)
    assert {path: after.get(path) for path in before} == before
    assert [path for path in after if path.startswith(("state/sessions", "state/workspaces"))] == []
    assert not (folder / "logs" / "events.jsonl").exists()


def test_full_temporary_directory_is_the_hosts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed that cannot be kept because there is no room for it says where room is needed; the feed is not to blame."""
    monkeypatch.setattr("core.queue.feed.MAX_JSON", 1000)
    monkeypatch.setattr("tempfile.tempdir", str(folder / "none"))
    ids = b"".join(b"profile%d\n" % number for number in range(20_000))
    with pytest.raises(HostFailed, match=r"<stdin> could not be kept .*none.* TMPDIR"):
        read_feed("-", stdin=io.BytesIO(ids), cwd=folder, defaults=FeedDefaults(flag_flow="flow.py"))
    (folder / "q.txt").write_bytes(ids)
    with pytest.raises(HostFailed, match=r"q\.txt could not be kept .*none.* TMPDIR"):
        read_feed("q.txt", stdin=io.BytesIO(), cwd=folder, defaults=FeedDefaults(flag_flow="flow.py"))
