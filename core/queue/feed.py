"""Reads a feed: what the user wants done. It is input, and it is never rewritten.

Forms, told apart by the first character that is no white space, and by the file's suffix:

- JSON: a list of profile IDs and job objects, mixed as wanted, or ``{"defaults": {…}, "jobs": […]}``; at most 32 MB.
- JSON Lines (``*.jsonl``, or a first line that is a job object): one ID or job object a line.
- plain IDs: one a line; blank lines are skipped.

A feed is read to its end and checked as a whole before the first job of it is given out. The check takes the fast way;
only when it finds something wrong, ``feed_errors`` goes over it again to say what and where.
"""

from __future__ import annotations

import codecs
import enum
import json
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from core.errors import BadInput, Problem
from core.queue.feed_job import FeedDefaults, RawDefaults, RawJob, Resolver
from core.queue.feed_syntax import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.domain.model import JobSpec

__all__ = ["Feed", "FeedDefaults", "read_feed"]

STDIN = "<stdin>"
MAX_JSON = 32 * 1024 * 1024
_BLOCK = 64 * 1024
_OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class Form(enum.Enum):
    """How a feed is written."""

    JSON = "JSON"
    LINES = "JSON Lines"
    IDS = "plain IDs"


class RawDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The form with defaults; jobs are decoded one at a time, so that a large feed does not fill the memory."""

    jobs: list[msgspec.Raw]
    defaults: RawDefaults = RawDefaults()


class Feed:
    """A feed that was found free of mistakes.

    Attributes:
        name: the key under which its jobs are kept: the file's absolute path, or ``<stdin>``.
        count: how many jobs it has.
        specs: the jobs in order, made while they are iterated over; may be iterated over again.
    """

    def __init__(self, name: str, count: int, entries: _Entries, resolver: Resolver) -> None:
        self.name = name
        self.count = count
        self._entries = entries
        self._resolver = resolver

    @property
    def specs(self) -> Iterator[JobSpec]:
        """A new iterator over the jobs."""
        return map(self._resolver.resolve, self._entries)

    def __iter__(self) -> Iterator[JobSpec]:
        return self.specs

    def __len__(self) -> int:
        return self.count


def read_feed(source: str, *, stdin: IO[bytes], cwd: Path, defaults: FeedDefaults) -> Feed:
    """Read and check a feed.

    Args:
        source: path of a file, relative to ``cwd``, or ``-`` for standard input, which is read to its end first.
        stdin: standard input, in bytes.
        cwd: working directory, absolute.
        defaults: where a flow comes from that the feed does not name.

    Raises:
        BadInput: with everything that is wrong, up to 20 mistakes and how many more there are.
    """
    if source == "-":
        return _read(stdin, place=STDIN, path=None, resolver=Resolver(base=cwd, cwd=cwd, outside=defaults))
    path = cwd / Path(source).expanduser()
    resolver = Resolver(base=path.parent, cwd=cwd, outside=defaults)
    try:
        with path.open("rb") as file:
            return _read(file, place=source, path=path, resolver=resolver)
    except FileNotFoundError:
        found, hint = "nothing there", f"looked at {path}" if str(path) != source else ""
    except IsADirectoryError:
        found, hint = "a directory", ""
    except PermissionError:
        found, hint = "a file that may not be read", "check its owner and mode"
    except OSError as exc:
        found, hint = exc.strerror or type(exc).__name__, ""
    raise BadInput([Problem(place=source, expected="a queue file", found=found, hint=hint)])


def _read(stream: IO[bytes], *, place: str, path: Path | None, resolver: Resolver) -> Feed:
    head = _head(stream)
    for mark, encoding in _OTHER_ENCODINGS.items():
        if head.startswith(mark):
            problem = Problem(place=place, expected="UTF-8", found=encoding, hint="save the file as UTF-8")
            raise BadInput([problem])
    head = head.removeprefix(codecs.BOM_UTF8)
    if not head.strip():
        problem = Problem(place=place, expected="profile IDs or jobs", found="nothing", hint="it is empty")
        raise BadInput([problem])
    form = _form(head, path.suffix.lower() if path is not None else "")
    if form is Form.JSON:
        data = head + stream.read(MAX_JSON + 1 - len(head)) if len(head) <= MAX_JSON else head
        if len(data) > MAX_JSON:
            hint = "write one job a line into a *.jsonl file, which has no limit"
            problem = Problem(place=place, expected="at most 32 MB of JSON", found="more", hint=hint)
            raise BadInput([problem])
        entries: _Entries = _Document(data)
    else:
        spool = tempfile.SpooledTemporaryFile(max_size=MAX_JSON)  # noqa: SIM115 - lives as long as its entries
        spool.write(head)
        shutil.copyfileobj(stream, spool, _BLOCK)
        entries = _Lines(spool, bare=form is Form.IDS)
    count = _check(entries, resolver)
    if count is None:
        # the parser that knows positions is loaded only for this
        from core.queue.feed_errors import explain  # noqa: PLC0415

        raise BadInput(explain(entries.document, entries.lines, place=place, resolver=resolver))
    return Feed(place if path is None else str(path), count, entries, resolver)


def _head(stream: IO[bytes]) -> bytes:
    head = b""
    while block := stream.read(_BLOCK):
        head += block
        if len(head) >= _BLOCK and head.removeprefix(codecs.BOM_UTF8).strip():
            break
    return head


def _form(head: bytes, suffix: str) -> Form:
    """Tell how a feed is written; the cases by suffix first, since a file of that name was meant so."""
    first = head.lstrip()[:1]
    if suffix == ".json" or (first == b"[" and suffix != ".jsonl"):
        return Form.JSON
    if suffix == ".jsonl":
        return Form.LINES if first in (b"{", b'"', b"[") else Form.IDS
    if first == b'"':
        return Form.LINES
    if first != b"{":
        return Form.IDS
    # One object may be the whole document or the first of many lines. Only a document has `jobs`.
    line, _, _ = head.lstrip().partition(b"\n")
    try:
        value = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Form.JSON
    return Form.JSON if "jobs" in value else Form.LINES


class _Entries:
    """The entries of a feed, decoded one at a time.

    Attributes:
        document: the whole text of a JSON feed, else None.
        defaults: of a JSON feed that has them.
    """

    document: bytes | None = None

    def raw(self) -> Iterator[bytes]:
        """Yield the JSON text of each entry."""
        raise NotImplementedError

    def lines(self) -> Iterator[tuple[int, bytes, bool]]:
        """Yield (line number, text, whether it is a bare ID) of each line that is not blank."""
        return iter(())

    def defaults(self) -> RawDefaults:
        """Return what all jobs have in common."""
        return RawDefaults()

    def __iter__(self) -> Iterator[RawJob]:
        return map(_decode, self.raw())


_JOB = msgspec.json.Decoder(RawJob)
_TEXT = msgspec.json.Decoder(str)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_DOCUMENT = msgspec.json.Decoder(RawDocument)


def _decode(text: bytes) -> RawJob:
    return _JOB.decode(text) if text[:1] == b"{" else RawJob(profile_id=_TEXT.decode(text))


class _Document(_Entries):
    def __init__(self, data: bytes) -> None:
        self.document = data
        self._parsed: RawDocument | None = None

    def _parse(self) -> RawDocument:
        if self._parsed is None:
            data = self.document or b""
            _must_be_unique(data)
            is_list = data.lstrip()[:1] == b"["
            self._parsed = RawDocument(jobs=_LIST.decode(data)) if is_list else _DOCUMENT.decode(data)
        return self._parsed

    def raw(self) -> Iterator[bytes]:
        return map(bytes, self._parse().jobs)

    def defaults(self) -> RawDefaults:
        return self._parse().defaults


class _Lines(_Entries):
    def __init__(self, file: IO[bytes], *, bare: bool) -> None:
        self._file = file
        self._bare = bare
        weakref.finalize(self, file.close)

    def lines(self) -> Iterator[tuple[int, bytes, bool]]:
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            text = line.rstrip(b"\r\n")
            if text.strip():
                yield number, text, self._bare

    def raw(self) -> Iterator[bytes]:
        for _, text, bare in self.lines():
            if bare:
                yield msgspec.json.encode(text.strip().decode())
            else:
                _must_be_unique(text)
                yield text.strip()


class _Wrong(Exception):
    """The fast check met something; the slow one says what."""


def _check(entries: _Entries, resolver: Resolver) -> int | None:
    """Return how many entries there are, or None if anything at all is wrong."""
    jobs: set[str] = set()
    profiles: dict[str, str] = {}
    count = 0
    try:
        resolver.defaults = entries.defaults()
        if any(resolver.default_faults()):
            return None
        for text in entries.raw():
            job = _decode(text)
            if text.count(b"[") + text.count(b"{") > MAX_DEPTH and _depth(text) > MAX_DEPTH + 1:  # the job itself
                return None
            folded = job.job_id.lower()
            same = profiles.setdefault(job.profile_id.lower(), job.profile_id)
            if folded in jobs or same != job.profile_id or any(resolver.faults(job)):
                return None
            jobs.add(folded)
            count += 1
    except (msgspec.MsgspecError, ValueError, RecursionError, _Wrong):
        return None
    return count


def _must_be_unique(text: bytes) -> None:
    """Refuse a key given twice, which msgspec lets pass; nothing but bare IDs is kept while looking."""
    json.loads(text, object_pairs_hook=_forget)


def _forget(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise _Wrong


def _depth(text: bytes) -> int:
    """Return how many lists and objects stand in one another; level by level, so that no call is nested as deep."""
    level = [msgspec.json.decode(text)]
    depth = 0
    while level:
        depth += 1
        inner = (item for value in level for item in (value.values() if isinstance(value, dict) else value))
        level = [item for item in inner if isinstance(item, (dict, list))]
    return depth
