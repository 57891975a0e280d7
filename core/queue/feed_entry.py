"""One entry of a feed, decoded and looked at the fast way: good or not. ``feed_errors`` says why not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from core.queue.feed_job import RawJob
from core.queue.feed_syntax import MAX_DEPTH

if TYPE_CHECKING:
    from core.queue.feed_job import Resolver

_JOB = msgspec.json.Decoder(RawJob)
_TEXT = msgspec.json.Decoder(str)


class Wrong(Exception):
    """The fast look met something; the slow one says what."""


MISTAKES = (msgspec.MsgspecError, ValueError, RecursionError, Wrong)
"""What the fast look raises, one way or the other, for what is wrong."""


def decode(text: bytes) -> RawJob:
    """Return an entry; a bare ID becomes a job of nothing else.

    Raises:
        msgspec.MsgspecError, ValueError, RecursionError: it is none.
    """
    return _JOB.decode(text) if text[:1] == b"{" else RawJob(profile_id=_TEXT.decode(text))


def good(text: bytes, resolver: Resolver) -> RawJob:
    """Return an entry in which nothing is wrong, as far as it can be told from it alone.

    Raises:
        MISTAKES: something is.
    """
    job = decode(text)
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH and _depth(text) > MAX_DEPTH + 1:  # the job itself
        raise Wrong
    if any(resolver.faults(job)):
        raise Wrong
    return job


def refuse_twice(text: bytes) -> None:
    """Refuse a key given twice, which msgspec lets pass; nothing but bare IDs is kept while looking.

    Raises:
        Wrong: there is one.
        ValueError, RecursionError: it is no JSON.
    """
    json.loads(text, object_pairs_hook=_forget)


def _forget(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise Wrong


def _depth(text: bytes) -> int:
    """Return how many lists and objects stand in one another; level by level, so that no call is nested as deep."""
    level = [msgspec.json.decode(text)]
    depth = 0
    while level:
        depth += 1
        inner = (item for value in level for item in (value.values() if isinstance(value, dict) else value))
        level = [item for item in inner if isinstance(item, (dict, list))]
    return depth
