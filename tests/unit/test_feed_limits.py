"""Limits by key in a queue file."""

from __future__ import annotations

import io
import json

import jsonschema
import pytest

from core.domain.limits import Limit, Rate
from core.errors import BadInput
from core.queue.feed import FeedDefaults, read_feed
from core.queue.feed_schema import feed_schema
from core.settings import CHECKOUT, load


def read(folder, text):
    (folder / "f.py").touch()
    (folder / "q.json").write_text(text)
    return read_feed("q.json", stdin=io.BytesIO(), cwd=folder, defaults=FeedDefaults(flag_flow="f.py"))


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        ('{"shop.example": "5/min", "concurrency": 2}', {"shop.example": Limit(rate=Rate(5, 60.0), concurrency=2)}),
        ('{"api": {"rate": "1/10s"}}', {"api": Limit(rate=Rate(1, 10.0))}),
        ('{"desk": {"concurrency": 1}}', {"desk": Limit(concurrency=1)}),
        ("{}", {}),
        ("null", {}),
    ],
)
def test_a_feed_has_limits(tmp_path, said, limits):
    """Beside its jobs; the published schema takes what the reader takes."""
    text = f'{{"limits": {said}, "jobs": ["a"]}}'
    assert read(tmp_path, text).limits == limits
    jsonschema.validate(json.loads(text), feed_schema())


def test_a_list_limits_nothing(tmp_path):
    """There is no place for it."""
    assert read(tmp_path, '["a"]').limits == {}


@pytest.mark.parametrize(
    ("said", "problems"),
    [
        ('"5/min"', ['q.json:1:12: limits: expected an object of limits by key, as {"shop.example": "5/min"}, found "5/min"']),
        (
            '{"a": 2, "b": {"rate": "often", "concurrency": 1}, "c": "5/s"}',
            [
                'q.json:1:18: limits.a: expected a rate as "5/min" (s, min, h or d, also "1/10s"), found 2 (how many at a time is {"concurrency": 2})',
                'q.json:1:26: limits.b: expected a rate as "5/min" (s, min, h or d, also "1/10s"), found "often"',
            ],
        ),
        ('{"a": "5/s", "a": "6/s"}', ["q.json:1:25: limits.a: expected a key once, found it again; line 1 has it"]),
        ('{"concurrency": 2}', [
            'q.json:1:28: limits.concurrency: expected a key that it is for, found none (for example "shop.example": "5/min")'
        ]),
        ('{"": "5/s"}', ['q.json:1:17: limits: expected keys of 1 to 200 characters that can be seen, found ""']),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tmp_path, said, problems):
    """All keys at once; the schema refuses it, too, but for keys given twice."""
    text = f'{{"limits": {said}, "jobs": ["a"]}}'
    with pytest.raises(BadInput) as caught:
        read(tmp_path, text)
    assert [str(problem) for problem in caught.value.problems] == problems


def test_the_page_says_the_same_for_both_places(tmp_path):
    """Its queue file and its ``ostler.toml`` are read, and limit the same."""
    page = (CHECKOUT / "docs" / "limits.md").read_text("utf-8")
    feed = page.partition("```json\n")[2].partition("```")[0]
    (tmp_path / "shop.py").touch()
    (tmp_path / "o.toml").write_text(page.partition("```toml\n")[2].partition("```")[0])
    jsonschema.validate(json.loads(feed), feed_schema())
    assert read(tmp_path, feed).limits == load({}, {"OSTLER_CONFIG": "o.toml"}, cwd=tmp_path).limits


def test_the_schema_refuses_what_the_reader_refuses():
    """As far as a schema can."""
    for wrong in (
        "5/min",
        {"a": 2},
        {"a": {"rate": "often"}},
        {"a": {}},
        {"concurrency": 0},
        {"rate": "5/s"},
        {"": "5/s"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"limits": wrong, "jobs": ["a"]}, feed_schema())
