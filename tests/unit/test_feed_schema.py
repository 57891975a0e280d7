"""The JSON Schema of queue files says what the reader says: for each text both agree."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from core.errors import BadInput
from core.queue.feed import FeedDefaults, read_feed
from core.queue.feed_schema import feed_schema

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = feed_schema()
CHECK = jsonschema.Draft202012Validator(SCHEMA)
GOOD = [
    ["anna", {"profile_id": "bert"}],
    {"$schema": "queue.schema.json", "jobs": ["anna"]},
    {"$schema": None, "defaults": {}, "jobs": []},
    {
        "defaults": {"priority": None, "params": {"a": [1]}, "device": "mobile"},
        "jobs": [{"profile_id": "a", "id": "b"}],
    },
    [{"profile_id": "a", "not_before": "2026-11-20T08:00:00+01:00", "timeout": 0.5, "max_attempts": 1, "priority": -1}],
    [{"profile_id": "a", "every": "15m"}, {"profile_id": "b", "every": 1, "after": ["a"]}],
    [{"profile_id": "a", "every": None, "after": None}],
    [{"profile_id": "a", "not_before": 4e9, "proxy": "socks5://u:p@h:1", "template": "."}],
]
BAD = [
    {"jobs": "anna"},
    {"defaults": {}},
    {"$schema": 1, "jobs": ["anna"]},
    {"jobs": ["anna"], "job": []},
    [1],
    ["an na"],
    [{"id": "a"}],
    [{"profile_id": "a", "priorty": 1}],
    [{"profile_id": "a", "priority": 1.5}],
    [{"profile_id": "a", "priority": 2**31}],
    [{"profile_id": "a", "timeout": 0}],
    [{"profile_id": "a", "max_attempts": 0}],
    [{"profile_id": "a", "not_before": -1}],
    [{"profile_id": "a", "device": "watch"}],
    [{"profile_id": "a", "proxy": "ftp://h:1"}],
    [{"profile_id": "a", "params": []}],
    [{"profile_id": "a", "every": 0.5}],
    [{"profile_id": "a", "every": "often"}],
    [{"profile_id": "a", "after": "b"}],
    [{"profile_id": "a", "after": ["b c"]}],
]


def read(feed: Any, folder: Path) -> None:
    (folder / "f.py").touch()
    stdin = io.BytesIO(json.dumps(feed).encode())
    read_feed("-", stdin=stdin, cwd=folder, defaults=FeedDefaults(flag_flow="f.py"))


def test_the_schema_is_one():
    """It is valid itself."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("feed", GOOD, ids=json.dumps)
def test_what_is_read_is_valid(feed, tmp_path):
    """No editor marks what works, an address of the schema among it."""
    CHECK.validate(feed)
    read(feed, tmp_path)


@pytest.mark.parametrize("feed", BAD, ids=json.dumps)
def test_what_is_refused_is_marked(feed, tmp_path):
    """An editor says what the reader would say."""
    assert not CHECK.is_valid(feed)
    with pytest.raises(BadInput):
        read(feed, tmp_path)


def test_a_wrong_schema_address_is_named(tmp_path):
    """It is a field like others."""
    with pytest.raises(BadInput, match=r"1:13: \$schema: expected the address of a schema, for editors, found"):
        read({"$schema": 5, "jobs": ["anna"]}, tmp_path)
