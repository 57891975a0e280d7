"""The selector cache in ``state/.selector_cache.json``, shared by all workers.

The rules are pure functions on the cache's content; the file and the in-memory fake apply the same ones.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import structlog
from filelock import FileLock, Timeout

from core.durable import bytes_of, ensure_directory, write_bytes
from core.errors import DurableWriteFailed
from core.state.port import Selector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_FAILURES = 3
MAX_ENTRIES = 2000
_SCHEMA = 1
_LOCK_TIMEOUT = 60.0
_POLL_INTERVAL = 0.01
log = structlog.get_logger(__name__)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A selector that worked.

    Attributes:
        selector: how to find the element.
        hits: how often a post-condition has confirmed it.
        failures: failures since then.
        learnt_by: profile that confirmed it last.
        at: epoch seconds of the last change.
    """

    selector: Selector
    hits: int = 1
    failures: int = 0
    learnt_by: str = ""
    at: float = 0.0


Entries: TypeAlias = dict[str, dict[str, dict[str, Entry]]]
"""By origin, flow and label."""


class _Head(msgspec.Struct):
    schema: int


class _OnDisk(msgspec.Struct, kw_only=True):
    """``sha256`` covers the entries' bytes as they stand in the file; empty: nobody has counted."""

    schema: int = _SCHEMA
    sha256: str = ""
    entries: msgspec.Raw = msgspec.Raw(b"{}")


_HEAD = msgspec.json.Decoder(_Head)  # made before there are threads: see ``core.sealed``
_ON_DISK = msgspec.json.Decoder(_OnDisk)


class _Content(msgspec.Struct):
    """What a file says, and what is wrong with it; what is missing, damaged or newer says nothing."""

    entries: Entries = msgspec.field(default_factory=dict)
    wrong: str = ""
    is_newer: bool = False


def find(entries: Entries, key: tuple[str, str, str], max_failures: int) -> Selector | None:
    """Return the selector to try first, None if there is none that can be trusted."""
    origin, flow, label = key
    entry = entries.get(origin, {}).get(flow, {}).get(label)
    return None if entry is None or entry.failures >= max_failures else entry.selector


def learnt(entries: Entries, key: tuple[str, str, str], fresh: Entry, max_entries: int) -> None:
    """Keep an entry that was just confirmed; the oldest ones make room."""
    origin, flow, label = key
    labels = entries.setdefault(origin, {}).setdefault(flow, {})
    known = labels.get(label)
    hits = known.hits + 1 if known is not None and known.selector == fresh.selector else 1
    labels[label] = msgspec.structs.replace(fresh, hits=hits)
    _shrink(entries, max_entries, key)


def demoted(entries: Entries, key: tuple[str, str, str], selector: Selector, now: float) -> bool:
    """Count a failure of this very selector; whether anything changed."""
    origin, flow, label = key
    entry = entries.get(origin, {}).get(flow, {}).get(label)
    if entry is None or entry.selector != selector:
        return False
    entries[origin][flow][label] = msgspec.structs.replace(entry, failures=entry.failures + 1, at=now)
    return True


def _shrink(entries: Entries, max_entries: int, newest: tuple[str, str, str]) -> None:
    count = sum(len(labels) for flows in entries.values() for labels in flows.values())
    if count <= max_entries:
        return
    by_age = sorted(
        (entry.at, (origin, flow, label))
        for origin, flows in entries.items()
        for flow, labels in flows.items()
        for label, entry in labels.items()
        if (origin, flow, label) != newest
    )
    for _, (origin, flow, label) in by_age[: count - max_entries]:
        del entries[origin][flow][label]
        if not entries[origin][flow]:
            del entries[origin][flow]
        if not entries[origin]:
            del entries[origin]


class FileSelectorCache:
    """A ``SelectorCache`` in one JSON file: replaced whole, under a kernel lock that only writers take.

    It is not fsynced: a power cut may cost some of what was learnt, which is then learnt again. A file of a newer schema
    is read as empty and left alone.
    """

    def __init__(self, state_dir: Path, *, max_failures: int = MAX_FAILURES, max_entries: int = MAX_ENTRIES) -> None:
        self._path = state_dir / ".selector_cache.json"
        self._lock_path = state_dir / "locks" / "selector_cache.lock"
        self._max_failures = max_failures
        self._max_entries = max_entries
        self._decoder = msgspec.json.Decoder(Entries)

    def get(self, origin: str, flow: str, label: str) -> Selector | None:
        """Return the selector to try first."""
        return find(self._look().entries, (origin, flow, label), self._max_failures)

    def learn(self, origin: str, flow: str, label: str, selector: Selector, *, profile_id: str, now: float) -> None:
        """Keep a selector that a step's post-condition has confirmed; resets its failures.

        Raises:
            DurableWriteFailed: the cache is as it was.
        """
        fresh = Entry(selector=selector, learnt_by=profile_id, at=now)

        def change(entries: Entries) -> bool:
            learnt(entries, (origin, flow, label), fresh, self._max_entries)
            return True

        self._update(change)

    def demote(self, origin: str, flow: str, label: str, selector: Selector, *, now: float) -> None:
        """Note that this cached selector failed.

        Raises:
            DurableWriteFailed: the cache is as it was.
        """
        self._update(lambda entries: demoted(entries, (origin, flow, label), selector, now))

    def _update(self, change: Callable[[Entries], bool]) -> None:
        ensure_directory(self._lock_path.parent)
        # A lock of its own for each update: a shared one refuses to work after a fork.
        lock = FileLock(
            self._lock_path, mode=0o600, timeout=_LOCK_TIMEOUT, poll_interval=_POLL_INTERVAL, fallback_to_soft=False
        )
        try:
            with lock:
                found = self._look()
                if not found.is_newer and change(found.entries):
                    if found.wrong:
                        self._keep_aside(found.wrong)
                    entries = msgspec.json.encode(found.entries)
                    on_disk = _OnDisk(sha256=hashlib.sha256(entries).hexdigest(), entries=msgspec.Raw(entries))
                    write_bytes(self._path, msgspec.json.encode(on_disk), fsync=False)
        except Timeout as exc:
            raise DurableWriteFailed(self._path, errno.ETIMEDOUT, "its lock was not free in time") from exc
        except OSError as exc:
            raise DurableWriteFailed(self._path, exc.errno, exc.strerror or str(exc)) from exc

    def damage(self) -> str:
        """Return what is wrong with the file, one sentence that names it; empty if nothing is."""
        found = self._look()
        if found.is_newer:
            return f"{self._path} is from a newer version: nothing is read from it, and nothing learnt"
        return f"{self._path} is damaged: {found.wrong}" if found.wrong else ""

    def _look(self) -> _Content:
        try:
            data = bytes_of(self._path)
            if data is None:
                return _Content()
            if _HEAD.decode(data).schema > _SCHEMA:
                return _Content(is_newer=True)
            found = _ON_DISK.decode(data)
            if found.sha256 not in ("", hashlib.sha256(found.entries).hexdigest()):
                return _Content(wrong="the checksum does not match")
            return _Content(self._decoder.decode(found.entries))
        except OSError as exc:
            return _Content(wrong=f"it cannot be read ({exc.strerror})")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            return _Content(wrong=str(exc))

    def _keep_aside(self, wrong: str) -> None:
        """Say that what was learnt is lost, and keep the bytes, if they are a file's."""
        aside = self._path.with_name(self._path.name + ".corrupt")
        with contextlib.suppress(OSError):
            write_bytes(aside, bytes_of(self._path) or b"", fsync=False)
        log.warning("selector_cache_damaged", path=str(self._path), reason=wrong, kept=str(aside))
