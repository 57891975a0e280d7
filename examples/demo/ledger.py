"""The ledger: what really happened on the site, one fsynced line per effect, and the checks that are made of it.

A line is ``{"seq", "profile_id", "effect", "attempt", "at"}``; ``at`` is in epoch seconds. This module needs the standard library
only, so that a checker can use it without the site.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

EFFECTS = ("mail_created", "shop_signup", "dev_registration", "two_fa_enabled", "order_placed")
"""The effects a profile has on the site, in the demo flow's order."""


class Entry(NamedTuple):
    """One effect. ``seq`` counts the site's effects from 1; ``at`` is in epoch seconds."""

    seq: int
    profile_id: str
    effect: str
    attempt: int
    at: float


class LedgerFile:
    """The file, open for appending. What ``append`` has returned from survives a kill."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last_seq = 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._cut_torn_tail()
        for entry in read(path):
            self.last_seq = max(self.last_seq, entry.seq)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _cut_torn_tail(self) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._file, whole)

    def append(self, entries: Iterable[Entry]) -> None:
        """Write entries, in the order of their numbers, and make them durable.

        Raises:
            OSError: none or some were written; ``last_seq`` says up to which.
        """
        for entry in entries:
            line = json.dumps(entry._asdict()).encode() + b"\n"
            if os.write(self._file, line) != len(line):
                self._cut_torn_tail()
                raise OSError(f"{self.path}: no room for a whole line")
            self.last_seq = entry.seq
        os.fsync(self._file)

    def close(self) -> None:
        """Release the file."""
        os.close(self._file)


def read(path: Path) -> list[Entry]:
    """Return the entries of a ledger; none if there is no file. A torn last line is left out.

    Raises:
        ValueError: another line is not an entry.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    entries = []
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
        try:
            found = json.loads(line)
            entries.append(Entry(*(found[name] for name in Entry._fields)))
        except (ValueError, KeyError, TypeError) as exc:
            raise ValueError(f"{path}:{number}: not an entry of a ledger") from exc
    return entries


def not_once(entries: Iterable[Entry], profiles: Iterable[str], effects: Iterable[str] = EFFECTS) -> list[str]:
    """Return a sentence for each effect that a profile did not have exactly once, and for profiles nobody expected.

    Args:
        entries: the ledger.
        profiles: who should have had them.
        effects: what each should have had.
    """
    expected = list(dict.fromkeys(profiles))
    wanted = list(effects)
    counts = Counter((entry.profile_id, entry.effect) for entry in entries)
    problems = [
        f"{profile}: {effect} happened {counts[profile, effect]} times"
        for profile in expected
        for effect in wanted
        if counts[profile, effect] != 1
    ]
    strangers = sorted({profile for profile, _ in counts} - set(expected))
    return problems + [f"{profile}: had effects, but was not expected" for profile in strangers]


def repeated(entries: Iterable[Entry]) -> list[str]:
    """Return a sentence for each effect that a profile had more than once; effects still missing are no problem."""
    counts = Counter((entry.profile_id, entry.effect) for entry in entries)
    return [f"{profile}: {effect} happened {n} times" for (profile, effect), n in counts.items() if n > 1]


def peak_overlap(spans: Iterable[tuple[float, float]]) -> int:
    """Return how many of the spans (start, end) overlap at most; one that ends as another starts does not overlap it."""
    edges = sorted(edge for start, end in spans for edge in ((start, 1), (end, -1)))
    now = peak = 0
    for _, step in edges:
        now += step
        peak = max(peak, now)
    return peak


def browser_spans(events: Path) -> list[tuple[float, float]]:
    """Return when each browser lived, by ``logs/events.jsonl``: from its launch to its close, or to its attempt's end.

    A browser whose end no event tells has lived until the last event.
    """
    spans: list[tuple[float, float]] = []
    living: dict[tuple[str, int], float] = {}
    last = 0.0
    for line in events.read_text().splitlines():
        event: dict[str, Any] = json.loads(line)
        last = max(last, event["at"])
        key = (event.get("job", ""), event.get("attempt", 0))
        if event["type"] == "browser_launched":
            living[key] = event["at"]
        elif event["type"] in {"browser_closed", "attempt_ended"} and key in living:
            spans.append((living.pop(key), event["at"]))
    return spans + [(start, last) for start in living.values()]


def profiles_of(queue: Path) -> list[str]:
    """Return the profile IDs of a ``queue.json``, in any of its three forms."""
    feed = json.loads(queue.read_text())
    jobs = feed["jobs"] if isinstance(feed, dict) else feed
    return [job if isinstance(job, str) else job.get("profile_id") or job["id"] for job in jobs]
