"""Every parser of what comes from outside, with input that nobody thought of: an answer, or an error of ours; nothing else.

200 examples each, always the same, in ``make test``; 10,000 new ones in ``make crash``.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import structlog.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.domain.session import SessionState
from core.envelope import EnvelopeFile
from core.errors import BadInput, NewerSchema, StateCorrupt
from core.events.recent import newest_first
from core.events.tail import EventTail, read_events
from core.process.channel import Framing, decode_down, decode_up
from core.profiles.store import FileProfileStore
from core.queue.feed import FeedDefaults, read_feed
from core.settings import load, rules, unknown_variables, variable
from core.state.selector_cache import FileSelectorCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FEEDS = (
    ["anna", {"profile_id": "bert", "priority": 1, "params": {"x": [1, {"y": "z"}]}}],
    {"defaults": {"flow": "flow.py", "timeout": 5, "proxy": "http://u:p@h:1", "not_before": "2026-01-01T00:00:00Z"},
     "jobs": ["anna", {"id": "j", "profile_id": "bert", "device": "mobile", "max_attempts": 2, "template": "."}]},
)  # fmt: skip
ENVELOPE = {"schema": 1, "generation": 1, "fence": 1, "sha256": "0" * 64, "payload": {"profile_id": "a"}}
SESSION = msgspec.to_builtins(SessionState(profile_id="a"))
CACHE = {"schema": 1, "entries": {"o": {"f": {"l": {"selector": {"kind": "css", "value": "x"}, "hits": 1, "at": 1.5}}}}}
METADATA = {"profile_id": "a", "platform": "custom", "status": "idle", "created_at": "2026-01-01T00:00:00+00:00"}
EVENT = {"type": "step_committed", "at": 1.0, "run": 1, "job": "a", "profile": "a", "attempt": 1, "step": "s", "flag": "f",
         "seconds": 0.5}  # fmt: skip
MESSAGE = {"type": "step_started", "step": "s", "try_": 1, "limit": 30.0}
HELLO = {"type": "stop", "reason": "x", "grace": 1.0}
TOML = (
    'timeout = 5\nflow = "flow.py"\nheaded = true\n[retention]\nlogs_days = "never"\n"events_days" = 1.5\n',
    'retention = {logs_days = 3}\nstate_dir = """s"""\nlog_dir = \'l\'\nmax_concurrent = 0x10\n',
)
DEEP = ("[" * 100_000, '{"a":' * 100_000, '[{"profile_id":"a","params":{"x":' + "[" * 50_000 + "]" * 50_000 + "}}]")

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.text(st.characters(categories=["Cs", "Cc"])),
    st.sampled_from(["", "a", "0", "2026-01-01", "~x/y", "/", 2**63, -(2**63), 1e308, "9" * 30, "con", "Anna", "anna"]),
)  # fmt: skip
anything = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)), max_leaves=8
)  # fmt: skip


@st.composite
def changed(draw: Any, *examples: Any) -> Any:
    """Return one of the examples with something else in some of its places."""
    value = copy.deepcopy(draw(st.sampled_from(examples)))
    for _ in range(draw(st.integers(0, 3))):
        node = value
        while isinstance(node, (dict, list)) and node:
            keys = sorted(node) if isinstance(node, dict) else range(len(node))
            key = draw(st.sampled_from(keys))
            inner = node[key]
            if not isinstance(inner, (dict, list)) or not inner or draw(st.booleans()):
                if isinstance(node, dict) and draw(st.booleans()):
                    node[draw(st.text(max_size=12))] = inner
                node[key] = draw(anything)
                break
            node = inner
    return value


@st.composite
def torn(draw: Any, texts: Any) -> bytes:
    """Return a text as bytes that were cut, doubled or overwritten somewhere."""
    text = draw(texts)
    data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 8)))
        piece = draw(
            st.one_of(
                st.binary(max_size=6),
                st.sampled_from([b"\0", b"\xff", b"\xef\xbb\xbf", b"\\ud800", b",", b"}", b"\n", b'"']),
            )
        )
        data = data[:at] + piece + data[end:]
    return data


def jsons(*examples: Any) -> Any:
    """Return texts that are nearly one of the examples, and texts of any other kind."""
    return torn(
        st.one_of(changed(*examples).map(json.dumps), anything.map(json.dumps), st.sampled_from(DEEP), st.binary())
    )


def lines(*examples: Any) -> Any:
    """Return several such texts, a line each."""
    one = st.one_of(changed(*examples).map(json.dumps), anything.map(json.dumps), st.text())
    return torn(st.lists(one, max_size=5).map(lambda parts: "\n".join([*parts, ""])))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A directory for all examples; each leaves it as it found it."""
    path = Path(tempfile.mkdtemp(prefix="fuzz-"))
    (path / "flow.py").touch()
    yield path
    shutil.rmtree(path)


def feed(folder: Path, data: bytes, name: str = "-") -> None:
    """Read a feed; mistakes are one line each."""
    outside = FeedDefaults(flag_flow="flow.py")
    if name != "-":
        (folder / name).write_bytes(data)
    try:
        list(read_feed(name, stdin=io.BytesIO(data), cwd=folder, defaults=outside).specs)
    except BadInput as exc:
        problems = exc.problems
        assert 0 < len(problems) <= 21
        assert all(len(str(problem).splitlines()) == 1 for problem in problems)


def toml(folder: Path, data: bytes) -> None:
    """Read a file of settings."""
    (folder / "o.toml").write_bytes(data)
    settle({}, {"OSTLER_CONFIG": "o.toml"}, folder)


def settle(flags: dict[str, Any], env: dict[str, str], folder: Path) -> None:
    said = unknown_variables(env)
    try:
        load(flags, env, cwd=folder)
    except BadInput as exc:
        said += map(str, exc.problems)
    assert all(len(line.splitlines()) == 1 for line in said)


def envelope(folder: Path, data: bytes) -> None:
    """Read a session whose current and previous versions are these bytes."""
    inner = folder / "sessions"
    inner.mkdir()
    try:
        for name in ("a.json", "a.json.prev"):
            (inner / name).write_bytes(data)
        EnvelopeFile(inner / "a.json", SessionState).read()
    except (StateCorrupt, NewerSchema):
        pass
    finally:
        shutil.rmtree(inner)


def payload(folder: Path, data: bytes) -> None:
    """The same with a checksum that holds: whole, and yet not what it should be."""
    checksum = hashlib.sha256(b"1:1:1:" + data).hexdigest()
    envelope(folder, b'{"schema":1,"generation":1,"fence":1,"sha256":"%s","payload":%s}' % (checksum.encode(), data))


def selectors(folder: Path, data: bytes) -> None:
    """Ask a cache of these bytes; damaged is empty."""
    (folder / ".selector_cache.json").write_bytes(data)
    FileSelectorCache(folder).get("o", "f", "l")


def metadata(folder: Path, data: bytes) -> None:
    """Read a profile's metadata."""
    path = folder / "profiles" / "a" / "metadata.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    with contextlib.suppress(StateCorrupt, NewerSchema):
        FileProfileStore(folder).read("a")


def event_lines(folder: Path, data: bytes) -> None:
    """Read a log of events in every way there is."""
    path = folder / "events.jsonl"
    path.write_bytes(data)
    tail = EventTail(path)
    try:
        tail.read_new()
    finally:
        tail.close()
    list(read_events(path))
    list(newest_first(path, ("step_committed", "run_started")))


def control(folder: Path, data: bytes) -> None:
    """Hear this from a worker, and from an orchestrator."""
    for decode in (decode_up, decode_down):
        with structlog.testing.capture_logs():
            list(Framing(decode).feed(data + b"\n"))


PARSERS: dict[str, tuple[Callable[..., None], Any]] = {
    "feed": (feed, jsons(*FEEDS)),
    "feed of lines": (lambda folder, data: feed(folder, data, "q.jsonl"), lines("a", FEEDS[0][1], FEEDS[1]["jobs"][1])),
    "feed of ids": (
        lambda folder, data: feed(folder, data, "q.txt"),
        torn(st.lists(st.text(max_size=12)).map("\n".join)),
    ),
    "ostler.toml": (
        toml,
        torn(st.one_of(st.sampled_from(TOML), st.text(), st.binary(), st.just("a = " + "[" * 50_000))),
    ),
    "session": (envelope, jsons(ENVELOPE, {**ENVELOPE, "payload": SESSION})),
    "session of a right checksum": (payload, jsons(SESSION)),
    "selector cache": (selectors, jsons(CACHE)),
    "metadata": (metadata, jsons(METADATA)),
    "events": (event_lines, st.one_of(lines(EVENT), jsons(EVENT).map(lambda data: data + b"\n"))),
    "control messages": (control, st.one_of(lines(MESSAGE, HELLO), jsons(MESSAGE, HELLO))),
}


def fuzz(parser: str, folder: Path, examples: int) -> None:
    """Give a parser so many examples; few are always the same ones."""
    target, strategy = PARSERS[parser]

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=examples < 1000, suppress_health_check=list(HealthCheck)
    )  # fmt: skip
    @given(strategy)
    def run(data: bytes) -> None:
        target(folder, data)

    run()


def fuzz_names(folder: Path, examples: int) -> None:
    """Give any text to any variable and flag."""
    texts = st.one_of(
        st.text(st.characters(exclude_characters="\0"), max_size=20), st.from_regex(r"-?[0-9.,_]{1,12} ?[a-z]{0,3}")
    )
    names = [*map(variable, rules()), "OSTLER_CONFIG", "OSTLER_CONCURRENT", "ostler_x"]
    plain = sorted(name for name in rules() if "." not in name)

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=examples < 1000, suppress_health_check=list(HealthCheck)
    )  # fmt: skip
    @given(
        st.dictionaries(st.sampled_from(names), texts, max_size=5),
        st.dictionaries(st.sampled_from(plain), texts, max_size=3),
    )
    def run(env: dict[str, str], flags: dict[str, str]) -> None:
        settle(flags, env, folder)

    run()


@pytest.mark.parametrize("parser", PARSERS)
def test_a_parser_answers_or_raises_what_is_ours(folder: Path, parser: str) -> None:
    """The sample: 200 inputs, the same in every run."""
    fuzz(parser, folder, 200)


def test_any_variable_and_flag_is_taken_or_refused(folder: Path) -> None:
    """The same for settings outside the file."""
    fuzz_names(folder, 200)


@pytest.mark.slow
@pytest.mark.parametrize("parser", PARSERS)
def test_a_parser_withstands_ten_thousand(folder: Path, parser: str) -> None:
    """New inputs in every run."""
    fuzz(parser, folder, 10_000)


@pytest.mark.slow
def test_variables_and_flags_withstand_ten_thousand(folder: Path) -> None:
    """New inputs in every run."""
    fuzz_names(folder, 10_000)
