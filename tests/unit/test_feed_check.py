"""The fast look at the entries of a feed says the same as a slow one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.validation import folded_ids, is_valid_id
from core.queue.feed_check import MISTAKES, Check, Wrong, in_batches, is_deeper, refuse_twice
from core.queue.feed_job import FeedDefaults, RawJob, Resolver

if TYPE_CHECKING:
    from pathlib import Path

names = st.sampled_from(["a", "b", "a:b", ":", "é", '"', "\\", "\n"])
values = st.recursive(
    st.one_of(st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), names),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=12,
)


@st.composite
def texts(draw: Any) -> str:
    """Return JSON in which keys may come twice, and colons may be written as escapes."""

    def write(value: Any) -> str:
        if isinstance(value, list):
            return f"[{','.join(map(write, value))}]"
        if isinstance(value, dict):
            members = [(name, item) for name, item in value.items() for _ in range(draw(st.sampled_from([1, 1, 1, 2])))]
            return "{{{}}}".format(",".join(f"{write(name)}: {write(item)}" for name, item in members))
        text = json.dumps(value)
        return text.replace(":", "\\u003a") if isinstance(value, str) and draw(st.booleans()) else text

    return write(draw(values))


def has_twice(text: str) -> bool:
    found = []
    json.loads(text, object_pairs_hook=lambda pairs: found.append(len(dict(pairs)) != len(pairs)))
    return any(found)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(texts())
def test_a_key_given_twice_is_found(text: str) -> None:
    """At any depth, whatever colons stand in strings, and however they are written."""
    if has_twice(text):
        with pytest.raises(Wrong):
            refuse_twice(text.encode())
    else:
        refuse_twice(text.encode())


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return int(isinstance(value, (dict, list))) + max(map(depth, inner), default=0)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.one_of(values, st.text('[]{}"\\ab', max_size=12)), st.integers(0, 4))
def test_depth_is_counted_in_brackets_outside_of_strings(value: Any, most: int) -> None:
    """As a walk through the decoded value counts it."""
    assert is_deeper(json.dumps(value).encode(), most) == (depth(value) > most)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(
    st.lists(
        st.one_of(
            st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,33}\n?", fullmatch=True),
            st.sampled_from(["con", "LPT1", "", "a b", "\n"]),
        )
    )
)
def test_many_ids_are_valid_if_each_is(ids: list[str]) -> None:
    """Faster, and the same."""
    assert folded_ids(ids) == ([text.lower() for text in ids] if all(map(is_valid_id, ids)) else None)


def resolver(folder: Path) -> Resolver:
    (folder / "flow.py").touch()
    return Resolver(base=folder, cwd=folder, outside=FeedDefaults(flag_flow="flow.py"))


entries = st.one_of(
    st.sampled_from(["a", "b", "c", "A", "B", "anna", "a b", 7, None]),
    st.fixed_dictionaries(
        {"profile_id": st.sampled_from(["a", "A", "b", "x"])},
        optional={
            "id": st.sampled_from(["a", "j", "J", "k", "l", ""]),
            "params": st.sampled_from([{}, {"x": 1}, {"api_key": 1}, {"x": [[]]}]),
            "timeout": st.sampled_from([1, 0, 2.5, "x"]),
            "proxy": st.sampled_from(["http://h:1", "h", None]),
        },
    ),
)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.lists(entries, max_size=14), st.integers(1, 6))
def test_entries_looked_at_together_are_found_wrong_like_one_by_one(
    tmp_path_factory: Any, jobs: list[Any], size: int
) -> None:
    """However they are put together; those that are good take their IDs, and those that are not take theirs by hand."""
    raw = [json.dumps(job).encode() for job in jobs]
    folder = tmp_path_factory.getbasetemp()

    def wrong(batches: list[list[bytes]]) -> list[int]:
        check = Check(resolver(folder))
        found = []
        for number in check.wrong(batches):
            found.append(number)
            try:
                job = msgspec.json.decode(raw[number], type=RawJob)
            except MISTAKES:
                check.taken("", number)
            else:
                check.taken(job.job_id, number)
                check.spelt(job, number)
        assert len(check.names) == len(raw)
        return found

    together = [raw[begin : begin + size] for begin in range(0, len(raw), size)]
    assert wrong(together) == wrong([[one] for one in raw]) == wrong([raw] if raw else [])


def test_a_profile_in_two_spellings_is_found_whoever_comes_first(tmp_path: Path) -> None:
    """A job that is named after its profile, and one that has a name of its own."""
    plain, named = b'"anna"', b'{"id": "j", "profile_id": "Anna"}'
    for order in ([plain, named], [named, plain]):
        assert list(Check(resolver(tmp_path)).wrong([order])) == [1]
        assert list(Check(resolver(tmp_path)).wrong([[one] for one in order])) == [1]


@pytest.mark.parametrize("line", [b'"a", "b"', b'{"profile_id": "a"', b"", b'"a"], ["b"'])
def test_a_line_that_is_not_one_value_is_wrong(tmp_path: Path, line: bytes) -> None:
    """Whatever it would be between others."""
    assert list(Check(resolver(tmp_path)).wrong([[line]])) == [0]


def test_large_entries_are_looked_at_in_small_batches() -> None:
    """So that a mistake in one of them does not cost the others much."""
    assert [len(batch) for batch in in_batches([b"x" * 100_000] * 5)] == [2, 2, 1]
    assert [len(batch) for batch in in_batches([b"x"] * 2500)] == [1000, 1000, 500]
    assert list(in_batches([])) == []
