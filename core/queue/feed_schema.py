"""The JSON Schema of a feed, for editors: made from the structs that read it, so that the two cannot differ."""

from __future__ import annotations

from typing import Any

import msgspec

from core.domain.limits import CONCURRENCY, EXPECTED_RATE, LONGEST_KEY, MOST, RATE, RATE_PATTERN
from core.domain.validation import PROXY_SCHEMES
from core.queue.feed_job import EXPECTED, LARGEST_INT, LONGEST, SHORTEST, RawDefaults, RawJob

ADDRESS = "https://json-schema.org/draft/2020-12/schema"
_ID = {"pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$"}
_LIMITS: dict[str, dict[str, Any]] = {
    "id": _ID,
    "profile_id": _ID,
    "priority": {"minimum": -LARGEST_INT, "maximum": LARGEST_INT},
    "timeout": {"exclusiveMinimum": 0},
    "max_attempts": {"minimum": 1, "maximum": LARGEST_INT},
    "not_before": {"minimum": 0},
    "every": {"minimum": SHORTEST, "maximum": LONGEST, "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|sec|m|min|h|d)\s*$"},
    "after": {"items": {"type": "string", **_ID}},
    "proxy": {"pattern": f"^({'|'.join(PROXY_SCHEMES)})://"},
}
"""What the types do not say; each concerns only values of its kind, so that null stays allowed."""


def feed_schema() -> dict[str, Any]:
    """Return the schema of both JSON forms: a list of jobs, and an object with defaults."""
    _, definitions = msgspec.json.schema_components([RawJob, RawDefaults], ref_template="#/$defs/{name}")
    for definition in definitions.values():
        for name, field in definition["properties"].items():
            field.pop("default", None)  # null is how the reader writes "not said"; an editor shall not fill it in
            field.update({"description": f"Expected is {EXPECTED[name]}.", **_LIMITS.get(name, {})})
    jobs = {
        "type": "array",
        "items": {"anyOf": [{"type": "string", **_ID}, {"$ref": "#/$defs/RawJob"}]},
        "description": "Profile IDs and jobs, mixed as wanted.",
    }
    document = {
        "type": "object",
        "properties": {
            "$schema": {"type": ["string", "null"], "description": "Where an editor finds this schema."},
            "defaults": {"$ref": "#/$defs/RawDefaults"},
            "limits": _limits(),
            "jobs": jobs,
        },
        "required": ["jobs"],
        "additionalProperties": False,
    }
    return {
        "$schema": ADDRESS,
        "title": "A queue of Ostler",
        "anyOf": [jobs, document],
        "$defs": definitions,
    }


def _limits() -> dict[str, Any]:
    rate = {"type": "string", "pattern": RATE_PATTERN, "description": f"Expected is {EXPECTED_RATE}."}
    concurrency = {"type": "integer", "minimum": 1, "maximum": MOST}
    both = {
        "type": "object",
        "properties": {RATE: rate, CONCURRENCY: concurrency},
        "minProperties": 1,
        "additionalProperties": False,
    }
    return {
        "type": ["object", "null"],
        "description": "What all workers share, by key: how often something may be begun, and how many may be at it at a time.",
        "properties": {
            CONCURRENCY: {**concurrency, "description": "Of each key that says none of its own."},
            RATE: False,
        },
        "propertyNames": {"minLength": 1, "maxLength": LONGEST_KEY},
        "additionalProperties": {"anyOf": [rate, both]},
    }


def feed_schema_text() -> str:
    """Return the schema as the file that is published."""
    return msgspec.json.format(msgspec.json.encode(feed_schema()), indent=2).decode() + "\n"
