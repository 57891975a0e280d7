"""Entries of a feed, looked at the fast way: many at a time, good or not. ``feed_errors`` says why not."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

import msgspec

from core.domain.validation import folded_ids
from core.queue.feed_job import RawJob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from core.queue.feed_job import Resolver

MAX_DEPTH = 100
"""How deep a value may be nested: far from where a decoder in a deep call runs out of stack."""
_JOB = msgspec.json.Decoder(RawJob)
_TEXT = msgspec.json.Decoder(str)
_ENTRIES = msgspec.json.Decoder(list[str | RawJob])
_ENTRIES_AT_ONCE = 1000
_BYTES_AT_ONCE = 256 * 1024
_BRACKETS_ONLY = bytes.maketrans(b"{}", b"[]")
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))
_STRING = re.compile(rb'"[^"]*"')


class Wrong(Exception):
    """The fast look met something; the slow one says what."""


MISTAKES = (msgspec.MsgspecError, ValueError, RecursionError, Wrong)
"""What the fast look raises, one way or the other, for what is wrong."""


class Check:
    """Looks at the entries of one feed, in order.

    Attributes:
        names: the job ID of each entry, as it is written; empty where there is none.
    """

    def __init__(self, resolver: Resolver) -> None:
        self.names: list[str] = []
        self._resolver = resolver
        self._jobs: dict[str, int] = {}
        self._profiles: dict[str, tuple[str, int]] = {}
        self._bare: list[tuple[int, list[str]]] = []

    def wrong(self, batches: Iterable[Sequence[bytes]]) -> Iterator[int]:
        """Yield the numbers of entries that need explaining; the IDs of all others are noted.

        Whoever explains one notes its IDs before asking for the next.

        Args:
            batches: the JSON texts of the entries. Those that stand in one batch were seen to be whole.
        """
        first = 0
        for batch in batches:
            yield from self._wrong(batch, first)
            first += len(batch)

    def is_good(self, text: bytes, number: int) -> bool:
        """Whether an entry is good; if so, its IDs are noted."""
        return self._take([text], number)

    def _wrong(self, texts: Sequence[bytes], first: int) -> Iterator[int]:
        if self._take(texts, first):
            return
        if len(texts) == 1:
            yield first
            return
        half = len(texts) // 2
        yield from self._wrong(texts[:half], first)
        yield from self._wrong(texts[half:], first + half)

    def _take(self, texts: Sequence[bytes], first: int) -> bool:
        """Whether these are all good; if so, their IDs are noted."""
        data = b"[%b]" % b",".join(texts)
        try:
            entries = _ENTRIES.decode(data)
            refuse_twice(data)
        except MISTAKES:
            return False
        # a line of a feed may be more than one value, or less
        if len(entries) != len(texts) or (
            data.count(b"[") + data.count(b"{") > MAX_DEPTH and any(map(_is_deep, texts))
        ):
            return False
        if set(map(type, entries)) == {str}:
            names = profiles = cast("list[str]", entries)
        else:
            names = [entry if isinstance(entry, str) else entry.job_id for entry in entries]
            profiles = [entry if isinstance(entry, str) else entry.profile_id for entry in entries]
        return self._resolver.are_fine(entries) and self._note(names, profiles, first)

    def _note(self, names: list[str], profiles: list[str], first: int) -> bool:
        """Note these IDs, unless one of them is none or belongs to another entry."""
        folded = folded_ids(names)
        if folded is None or (names != profiles and folded_ids(profiles) is None):
            return False
        jobs = dict(zip(folded, range(first, first + len(names)), strict=True))
        if len(jobs) != len(names) or not self._jobs.keys().isdisjoint(jobs):
            return False
        # job IDs that are all different are no profile's in two spellings, as long as each job is named after its profile
        if names == profiles and not self._profiles:
            self._bare.append((first, names))
        elif any(self._spelling(profile, first + n)[0] != profile for n, profile in enumerate(profiles)):
            return False
        self.names += names
        self._jobs.update(jobs)
        return True

    def taken(self, name: str, number: int) -> int | None:
        """Note the job ID of an entry that was not good; return the number of another entry that has it, if there is one.

        Args:
            name: the ID, or nothing.
            number: of the entry.
        """
        self.names.append(name)
        other = self._jobs.setdefault(name.lower(), number) if name else number
        return None if other == number else other

    def spelt(self, job: RawJob, number: int) -> tuple[str, int]:
        """Note the profile of an entry that was not good; return how its ID was written first, and in which entry."""
        if job.id is None and not self._profiles:
            self._bare.append((number, [job.profile_id]))
            return job.profile_id, number
        return self._spelling(job.profile_id, number)

    def _spelling(self, profile_id: str, number: int) -> tuple[str, int]:
        """Return how a profile's ID was written when it was first met, and in which entry; it may be this one."""
        for first, names in self._bare:
            self._profiles.update((name.lower(), (name, first + n)) for n, name in enumerate(names))
        self._bare.clear()
        return self._profiles.setdefault(profile_id.lower(), (profile_id, number))


def in_batches(entries: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Yield the entries, as many at a time as are looked at fastest."""
    length = sum(map(len, entries)) // len(entries) + 1 if entries else 1
    size = max(1, min(_ENTRIES_AT_ONCE, _BYTES_AT_ONCE // length))
    for begin in range(0, len(entries), size):
        yield entries[begin : begin + size]


def decode(text: bytes) -> RawJob:
    """Return an entry; a bare ID becomes a job of nothing else.

    Raises:
        msgspec.MsgspecError, ValueError, RecursionError: it is none.
    """
    return _JOB.decode(text) if text[:1] == b"{" else RawJob(profile_id=_TEXT.decode(text))


def refuse_twice(text: bytes) -> None:
    """Refuse a key given twice, which msgspec lets pass.

    Every member has its colon. Of two by one name only the last is decoded, so that colons are missing once the value is
    written again.

    Raises:
        Wrong: there is one.
        MISTAKES: it is no JSON.
    """
    if b"\\u003" in text:  # some of the colons may be written like this, and are not when written again
        json.loads(text, object_pairs_hook=_forget)
    elif text.count(b":") != msgspec.json.encode(msgspec.json.decode(text)).count(b":"):
        raise Wrong


def _forget(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise Wrong


def is_deeper(text: bytes, most: int) -> bool:
    """Whether more than so many lists and objects of a JSON text stand in one another.

    What is left of it are its brackets; each round takes away the innermost.
    """
    if text.count(b"[") + text.count(b"{") <= most:
        return False
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    left = _STRING.sub(b"", plain.translate(_BRACKETS_ONLY, _ALL_BUT_BRACKETS).replace(b'""', b""))
    for _ in range(most):
        left = left.replace(b"[]", b"")
    return bool(left)


def _is_deep(text: bytes) -> bool:
    return len(text) > 2 * MAX_DEPTH and is_deeper(bytes(text), MAX_DEPTH + 1)  # the job itself
