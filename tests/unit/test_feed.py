"""Feeds: every form that is read, and every mistake with its place."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from core.domain.model import JobSpec
from core.errors import BadInput
from core.queue.feed import MAX_JSON, Feed, FeedDefaults, read_feed
from core.queue.feed_job import FLOW_PLACES

if TYPE_CHECKING:
    from pathlib import Path

ID = "a profile ID of 1 to 32 of A-Z a-z 0-9 _ -, the first a letter or digit, and not a Windows device name"
UNIQUE = "an ID that no other job has, whatever the case of its letters"
SEVERAL = "several jobs of one profile need an `id` each"
SECRET = "an account's own data never stands in a queue; type: .venv/bin/ostler identity set <profile_id> FIELD"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with flow files and a template."""
    for name in ("flow.py", "other.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "template").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "flow.py").write_text("")
    return tmp_path


def read(folder: Path, text: str | bytes, name: str = "-", defaults: FeedDefaults | None = None) -> Feed:
    data = text if isinstance(text, bytes) else text.encode()
    if name != "-":
        (folder / name).write_bytes(data)
    outside = FeedDefaults(flag_flow="flow.py") if defaults is None else defaults
    return read_feed(name, stdin=io.BytesIO(data), cwd=folder, defaults=outside)


def mistakes(folder: Path, text: str | bytes, name: str = "-", defaults: FeedDefaults | None = None) -> list[str]:
    with pytest.raises(BadInput) as caught:
        read(folder, text, name, defaults)
    return [line.replace(str(folder), "DIR") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('["a", "b"]', "-"),
        ('\ufeff["a", "b"]', "q.json"),
        ('[{"profile_id": "a"}, "b"]', "q.json"),
        ('{"jobs": ["a", {"profile_id": "b", "id": null}]}', "-"),
        ('{\n"jobs": ["a", "b"]\n}', "-"),
        ("a\nb\n", "-"),
        ("\n  a \r\n\r\nb", "q.txt"),
        ('{"profile_id": "a"}\n\n{"profile_id": "b"}\n', "-"),
        ('"a"\n{"profile_id": "b"}', "q.jsonl"),
        ("a\nb", "q.jsonl"),
        ('["a", "b"]', "q.txt"),
    ],
)
def test_every_form_gives_the_same_jobs(folder, text, name):
    """A feed's form does not matter, only what it says; it may be iterated over again."""
    feed = read(folder, text, name)
    expected = [JobSpec(id=x, profile_id=x, flow=str(folder / "flow.py")) for x in ("a", "b")]
    assert list(feed.specs) == expected
    assert list(feed.specs) == expected
    assert (feed.count, len(feed)) == (2, 2)
    assert feed.name == ("<stdin>" if name == "-" else str(folder / name))


def test_defaults_and_own_values(folder):
    """A job's own value wins; parameters are merged by name; paths start from the queue file."""
    document = {
        "defaults": {
            "flow": "flow.py", "params": {"x": 1, "y": 1}, "priority": 3, "timeout": 5, "template": "../template",
            "device": "mobile", "proxy": "http://h:1", "max_attempts": 2, "not_before": "2026-01-01T01:00:00+01:00",
        },
        "jobs": ["a", {
            "id": "job", "profile_id": "b", "flow": "../other.py", "params": {"y": 2}, "priority": 0, "timeout": 1.5,
            "device": "desktop", "not_before": 7, "max_attempts": 1, "proxy": "socks5://u:p@h:2", "template": None,
        }],
    }  # fmt: skip
    first, second = read(folder, json.dumps(document), "sub/queue.json", FeedDefaults()).specs
    assert first == JobSpec(
        id="a", profile_id="a", flow=str(folder / "sub" / "flow.py"), params={"x": 1, "y": 1}, priority=3,
        not_before=1767225600.0, timeout=5.0, max_attempts=2, template=str(folder / "template"), device="mobile",
        proxy="http://h:1",
    )  # fmt: skip
    assert second == JobSpec(
        id="job", profile_id="b", flow=str(folder / "other.py"), params={"x": 1, "y": 2}, priority=0, not_before=7.0,
        timeout=1.5, max_attempts=1, template=str(folder / "template"), device="desktop", proxy="socks5://u:p@h:2",
    )  # fmt: skip


def test_where_the_flow_comes_from(folder):
    """Job, then the flag, then defaults, then the profile's metadata, then the configuration."""
    for name in ("job", "defaults", "flag", "profile", "config"):
        (folder / f"{name}.py").write_text("")
    metadata = {"a": str(folder / "profile.py")}
    everything = FeedDefaults(flag_flow="flag.py", config_flow="config.py", profile_flow=metadata.get)
    without_flag = FeedDefaults(config_flow="config.py", profile_flow=metadata.get)
    own = '{"defaults": {"flow": "defaults.py"}, "jobs": [{"profile_id": "a", "flow": "job.py"}, "b"]}'
    flows = [spec.flow for spec in read(folder, own, defaults=everything)]
    flows += [spec.flow for spec in read(folder, own, defaults=without_flag)][1:]
    flows += [spec.flow for spec in read(folder, '["a", "b"]', defaults=without_flag)]
    assert flows == [str(folder / f"{name}.py") for name in ("job", "flag", "defaults", "profile", "config")]


def test_what_the_operator_sets_comes_before_what_the_feed_has_as_defaults(folder):
    """Job, then flag, variable or ostler.toml, then the feed's defaults; None leaves it to the settings."""
    own = '{"defaults": {"timeout": 5, "max_attempts": 2}, "jobs": [{"profile_id": "a", "timeout": 7}, "b"]}'
    for settled, expected in (
        ((), [(7.0, 2), (5.0, 2)]), (("timeout",), [(7.0, 2), (None, 2)]), (("max_attempts",), [(7.0, None), (5.0, None)]),
    ):  # fmt: skip
        outside = FeedDefaults(flag_flow="flow.py", settled=frozenset(settled))
        assert [(spec.timeout, spec.max_attempts) for spec in read(folder, own, defaults=outside)] == expected


def test_an_empty_list_is_a_feed(folder):
    """A list of no jobs is said on purpose."""
    assert list(read(folder, "[]")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["<stdin>: expected profile IDs or jobs, found nothing (it is empty)"]),
        (" \n\t", ["<stdin>: expected profile IDs or jobs, found nothing (it is empty)"]),
        (b"\xff\xfe[\x00", ["<stdin>: expected UTF-8, found UTF-16 (save the file as UTF-8)"]),
        (b'["a",\n "\xc3\xa9", "\xff"]', ["<stdin>:2:8: expected text in UTF-8, found byte 0xff (save the file as UTF-8)"]),
        (b"a\nb\xff\n", ["<stdin>:2:2: expected text in UTF-8, found byte 0xff (save the file as UTF-8)"]),
        ('["a" "b"]', ['<stdin>:1:6: expected a comma or the end of what was opened, found "\\""']),
        ('["a",]', ['<stdin>:1:6: expected a value, found "]" (no comma before it)']),
        ('["a",\n  # b\n]', [
            '<stdin>:2:3: expected a value, found "#" (JSON has no comments)',
            '<stdin>:3:1: expected a value, found "]" (no comma before it)',
        ]),
        ("['a']", ['<stdin>:1:2: expected a value, found "\'" (strings stand in double quotes)']),
        ('["a"', ["<stdin>:1:5: expected a comma or the end of what was opened, found the end of the text"]),
        ('["a", NaN]', ["<stdin>:1:7: expected a finite number, found NaN"]),
        ('["a", {"profile_id": "b",\n "timeout": -Infinity}]', ["<stdin>:2:13: expected a finite number, found -Infinity"]),
        ('[{"profile_id": "é", "timeout": 1e999}]', [
            f'<stdin>:1:17: [0].profile_id: expected {ID}, found "é"',
            "<stdin>:1:33: [0].timeout: expected a number in range, found 1e999",
        ]),
        ('[{"profile_id": "a", "params": {"x": [0, 1e999]}}]', [
            "<stdin>:1:42: [0].params.x[1]: expected a number in range, found 1e999",
        ]),
        ('{"jobs": ["a", "b c", 7, null, ["d"], {}]}', [
            f'<stdin>:1:16: jobs[1]: expected {ID}, found "b c"',
            "<stdin>:1:23: jobs[2]: expected a profile ID as a string, or a job object, found 7 (an ID stands in double quotes)",
            "<stdin>:1:26: jobs[3]: expected a profile ID as a string, or a job object, found null",
            "<stdin>:1:32: jobs[4]: expected a profile ID as a string, or a job object, found a list",
            "<stdin>:1:39: jobs[5]: expected a job with `profile_id`, found none",
        ]),
        ('{"jobs": {}}', ["<stdin>:1:10: jobs: expected a list, found an object"]),
        ('{"jobs": [], "default": {}}', ['<stdin>:1:14: expected a known field, found "default" (did you mean "defaults"?)']),
        ('{"jobs": ["a"], "jobs": []}', ["<stdin>:1:17: jobs: expected a field once, found it again; line 1 has it"]),
        ('{"defaults": 5, "jobs": []}', ["<stdin>:1:14: defaults: expected an object, found 5"]),
        ('{"jobs": ["a"],\n "defaults": {"timeout": "x", "priority": true, "id": "q"}}', [
            '<stdin>:2:26: defaults.timeout: expected a number of seconds above 0, found "x"',
            "<stdin>:2:43: defaults.priority: expected a whole number from -2147483647 to 2147483647, found true",
            ('<stdin>:2:49: defaults: expected a known field, found "id" (known are flow, params, priority, not_before, '
            "timeout, max_attempts, template, device, proxy, every)"),
        ]),
        ('[{"profile_id": "a", "prioritiy": 1}]', [
            '<stdin>:1:22: [0]: expected a known field, found "prioritiy" (did you mean "priority"?)',
        ]),
        ('[{"profile_id": "a", "password": "hunter2", "identity": {}, "params": {"api_key": "k"}}]', [
            f'<stdin>:1:22: [0]: expected a known field, found "password" ({SECRET})',
            f'<stdin>:1:45: [0]: expected a known field, found "identity" ({SECRET})',
            f'<stdin>:1:71: [0].params.api_key: expected no secrets in a queue, found "api_key" ({SECRET})',
        ]),
        ('[{"profile_id": "a", "profile_id": "b", "params": {"x": {"y": 1,\n"y": 2}}}]', [
            "<stdin>:1:22: [0].profile_id: expected a field once, found it again; line 1 has it",
            "<stdin>:2:1: [0].params.x.y: expected a key once, found it again; line 1 has it",
        ]),
        ('["a",\n "a",\n "A"]', [
            f'<stdin>:2:2: [1]: expected {UNIQUE}, found "a"; line 1 has "a" ({SEVERAL})',
            f'<stdin>:3:2: [2]: expected {UNIQUE}, found "A"; line 1 has "a" ({SEVERAL})',
        ]),
        ('["a",\n{"id": "x", "profile_id": "A"},\n{"id": "X", "profile_id": "b"}]', [
            '<stdin>:2:27: [1].profile_id: expected one spelling of a profile ID, found "A"; line 1 has "a"',
            f'<stdin>:3:8: [2].id: expected {UNIQUE}, found "X"; line 2 has "x"',
        ]),
        ('[{"profile_id": "a", "timeout": 0, "max_attempts": 0, "device": "tv", "not_before": "2026-01-01"}]', [
            "<stdin>:1:33: [0].timeout: expected a number of seconds above 0, found 0",
            "<stdin>:1:52: [0].max_attempts: expected a whole number from 1, found 0",
            '<stdin>:1:65: [0].device: expected "desktop" or "mobile", found "tv"',
            ("<stdin>:1:85: [0].not_before: expected seconds since 1970 as a number, or an ISO 8601 time with an offset, "
            'found "2026-01-01" (it has no offset: append Z or +02:00)'),
        ]),
        ('[{"profile_id": "a", "not_before": 1767225600000}]', [
            ("<stdin>:1:36: [0].not_before: expected seconds since 1970 as a number, or an ISO 8601 time with an offset, "
            "found 1767225600000 (these are milliseconds)"),
        ]),
        ('[{"profile_id": "a", "flow": "gone.py", "template": "none"}]', [
            "<stdin>:1:30: [0].flow: expected an existing flow file, found nothing at DIR/gone.py",
            "<stdin>:1:53: [0].template: expected an existing user-data-dir, found nothing at DIR/none",
        ]),
        ('[{"profile_id": "a", "flow": "sub"}]', [
            "<stdin>:1:30: [0].flow: expected an existing flow file, found a directory at DIR/sub",
        ]),
        ('[{"profile_id": "a", "proxy": "http://u:se@cret@h:99999"}]', [
            ("<stdin>:1:31: [0].proxy: expected scheme://[user:password@]host:port (http, https, socks4, socks5), "
            'found "http://u:[redacted]@h:99999"'),
        ]),
        ('["a", "\\ud800"]', ["<stdin>:1:7: [1]: expected a string of valid characters, found an escape that stands for none"]),
        ("[" * 100_000, ["<stdin>:1:101: expected at most 100 levels of nesting, found more"]),
        ('[{"profile_id": "a", "params": {"x": ' + "[" * 150 + "0" + "]" * 150 + "}}]", [
            "<stdin>:1:137: [0].params: expected at most 100 levels of nesting, found more",
        ]),
        ('[{"profile_id": "a", "params": {"x": ' + "[" * 500 + "]" * 500 + '}}, "b b"]', [
            "<stdin>:1:136: [0]: expected at most 100 levels of nesting, found more",
            f'<stdin>:1:1042: [1]: expected {ID}, found "b b"',
        ]),
        ("['a, b c]", [
            '<stdin>:1:2: expected a value, found "\'" (strings stand in double quotes)',
        ]),
        ('["a" #', ['<stdin>:1:6: expected a comma or the end of what was opened, found "#" (JSON has no comments)',
            "<stdin>:1:7: expected a comma or the end of what was opened, found the end of the text"]),
        ("[Not this]", ['<stdin>:1:2: expected a value, found "N" (JSON has null, true and false)']),
        ("[" + "9" * 5000 + "]", [
            ("<stdin>:1:2: [0]: expected a profile ID as a string, or a job object, found 9999999999999999999… "
            "(an ID stands in double quotes)"),
        ]),
        ("good\n\n bad one\ncon", [f'<stdin>:3:2: expected {ID}, found "bad one"', f'<stdin>:4:1: expected {ID}, found "con"']),
        ('{"profile_id": "a"}\n{"profile_id": "a"}\n{bad\n["b"]\n"c"', [
            f'<stdin>:2:16: profile_id: expected {UNIQUE}, found "a"; line 1 has "a" ({SEVERAL})',
            '<stdin>:3:2: expected a field name in double quotes, found "b"',
            "<stdin>:4:1: expected a profile ID as a string, or a job object, found a list",
        ]),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_place(folder, text, expected):
    """Line, column, field, what was expected and what was found, for all mistakes at once."""
    assert mistakes(folder, text) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("q.json", '{"profile_id": "a"}', [
            "q.json:1:1: expected a list of jobs under `jobs`, found none (one job alone stands in a list: [{…}])",
            'q.json:1:2: expected a known field, found "profile_id" (known are jobs, defaults, limits)',
        ]),
        ("q.json", '{"profile_id": "a"}\n{"profile_id": "b"}', [
            'q.json:2:1: expected nothing after the end of the value, found "{" (one job a line belongs in a *.jsonl file)',
        ]),
        ("q.json", "5", ["q.json:1:1: expected a list of jobs, or an object with `jobs`, found 5"]),
        ("q.json", "a\nb", ['q.json:1:1: expected a value, found "a"']),
        ("q.jsonl", '["a"]', ["q.jsonl:1:1: expected a profile ID as a string, or a job object, found a list"]),
    ],
)  # fmt: skip
def test_mistakes_that_depend_on_the_file_name(folder, name, text, expected):
    """A file of that name was meant to be of that form."""
    assert mistakes(folder, text, name) == expected


def test_nesting_has_a_limit_at_which_it_still_works(folder):
    """A hundred levels inside a job are read, one more is refused, in a list as in lines."""
    for levels, fine in ((99, True), (100, False)):
        entry = '{"profile_id": "a", "params": {"x": ' + "[" * levels + "0" + "]" * levels + "}}"
        for text in (f"[{entry}]", entry):
            if fine:
                assert len(list(read(folder, text))) == 1
            else:
                (said,) = mistakes(folder, text)
                assert said.endswith("params: expected at most 100 levels of nesting, found more")


def test_one_profile_is_spelt_in_one_way(folder):
    """Two jobs with IDs of their own may share a profile, but not write it differently."""
    assert len(read(folder, '[{"id": "x", "profile_id": "a"}, {"id": "y", "profile_id": "a"}]')) == 2
    assert mistakes(folder, '[{"id": "x", "profile_id": "a"}, {"id": "y", "profile_id": "A"}]') == [
        '<stdin>:1:60: [1].profile_id: expected one spelling of a profile ID, found "A"; line 1 has "a"'
    ]


def test_no_flow_names_all_five_places(folder):
    """A job without a flow says everywhere that one could have come from."""
    assert mistakes(folder, '["a"]', defaults=FeedDefaults()) == [
        f"<stdin>:1:2: [0].flow: expected {FLOW_PLACES}, found none"
    ]
    assert all(
        place in FLOW_PLACES
        for place in ("the job", "`defaults.flow`", "`--flow`", "the profile's metadata", "ostler.toml")
    )


def test_what_could_not_be_read_is_not_said_to_be_missing(folder):
    """Defaults that make no sense may have had the flow of all jobs, and a list that was not come to the jobs."""
    text = '{"jobs": ["a", "b"],\n "defaults": {"flow": "say "flow.py""}}'
    assert mistakes(folder, text, defaults=FeedDefaults()) == [
        (
            '<stdin>:2:29: expected a comma or the end of what was opened, found "f" '
            '(a quote inside a string is written as \\")'
        )
    ]
    text = '{"defaults": {"priority": "say "high""}, "jobs": ["a"]}'
    assert len(mistakes(folder, text)) == 1


def test_a_missing_flow_is_said_where_it_is_named(folder):
    """A flow that does not exist is one mistake at its source, not one for each job."""
    flag = FeedDefaults(flag_flow="gone.py")
    config = FeedDefaults(config_flow="gone.py")
    profile = FeedDefaults(profile_flow=lambda name: f"/{name}/gone.py")
    found = "expected an existing flow file, found nothing at"
    assert mistakes(folder, '["a", "b"]', defaults=flag) == [f"--flow: {found} DIR/gone.py"]
    assert mistakes(folder, '["a", "b"]', defaults=config) == [f"ostler.toml: {found} DIR/gone.py"]
    assert mistakes(folder, '["a"]', defaults=profile) == [
        f"<stdin>:1:2: [0].flow: {found} /a/gone.py (the profile's metadata names it)"
    ]
    assert mistakes(folder, '{"jobs": ["a", "b"], "defaults": {"flow": "gone.py"}}') == [
        f"<stdin>:1:43: defaults.flow: {found} DIR/gone.py"
    ]


def test_twenty_mistakes_are_shown_and_the_others_counted(folder):
    """A feed that is wrong throughout does not flood the terminal."""
    found = mistakes(folder, "\n".join(f"x {n}" for n in range(50)))
    assert len(found) == 21
    assert found[19].startswith("<stdin>:20:1: ")
    assert found[20] == "<stdin>: expected no mistakes, found 30 more"


def test_a_large_feed_full_of_mistakes_is_explained_soon(folder):
    """The place of a mistake costs the same at the end of a long line as at its beginning."""
    found = mistakes(folder, json.dumps([{"profile_id": f"p{n}", "nonsense": n} for n in range(5_000)]))
    assert found[-1] == "<stdin>: expected no mistakes, found 4980 more"


@pytest.mark.parametrize(
    "proxy",
    ["http://user:hunter2@h", "user:hunter2@h:1", "http//user:hunter2@h", "://user:hunter2@h", "http://u:hunter2@:1"],
)
@pytest.mark.parametrize(
    "form", ['[{{"profile_id": "a", "timeout": -1, "proxy": {}}}]', '[{{"profile_id": 5, "device": {}}}]']
)
def test_passwords_of_proxies_are_not_shown(folder, proxy, form):
    """However a proxy is misspelt, and wherever it is put by mistake, its password is in no message."""
    found = "\n".join(mistakes(folder, form.format(json.dumps(proxy))))
    assert "hunter2" not in found


def test_files_that_cannot_be_read(folder):
    """Nothing there, or a directory: said as such."""
    with pytest.raises(BadInput, match=r"gone\.json: expected a queue file, found nothing there \(looked at /"):
        read_feed("gone.json", stdin=io.BytesIO(), cwd=folder, defaults=FeedDefaults())
    with pytest.raises(BadInput, match="sub: expected a queue file, found a directory"):
        read_feed("sub", stdin=io.BytesIO(), cwd=folder, defaults=FeedDefaults())


def test_json_has_a_size_limit_and_lines_have_none(folder):
    """More than 32 MB of JSON is refused before it is parsed; as JSON Lines it is read."""
    filler = "x" * (MAX_JSON // 4)
    jobs = [json.dumps({"profile_id": f"p{n}", "params": {"text": filler}}) for n in range(5)]
    assert mistakes(folder, f"[{','.join(jobs)}]", "q.json") == [
        "q.json: expected at most 32 MB of JSON, found more (write one job a line into a *.jsonl file, which has no limit)"
    ]
    assert [spec.id for spec in read(folder, "\n".join(jobs), "q.jsonl")] == [f"p{n}" for n in range(5)]


def test_the_parser_of_positions_is_loaded_only_for_mistakes(folder):
    """A good feed costs no import of what explains bad ones."""
    program = (
        "import io, sys; from pathlib import Path; from core.queue.feed import *;"
        f"cwd = Path({str(folder)!r}); print(len(read_feed('-', stdin=io.BytesIO(b'a'), cwd=cwd,"
        "defaults=FeedDefaults(flag_flow='flow.py')))); print('core.queue.feed_errors' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["1", "False"]
