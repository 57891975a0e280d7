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
import contextlib
import enum
import gc
import io
import tempfile
from typing import IO, TYPE_CHECKING

import msgspec

from core.errors import BadInput, HostFailed, Problem
from core.input_file import absolute, moment_of, opened, refuse_changed
from core.queue.feed_entries import DocumentEntries, LineEntries
from core.queue.feed_job import FeedDefaults, Resolver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from core.domain.limits import Limit
    from core.domain.model import JobSpec
    from core.queue.feed_entries import Entries
    from core.queue.feed_places import DocumentPlaces, Place

__all__ = ["Feed", "FeedDefaults", "read_feed", "read_feed_text"]

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


class Feed:
    """A feed that was found free of mistakes.

    Attributes:
        name: the key under which its jobs are kept: the file's absolute path, or ``<stdin>``.
        count: how many jobs it has.
        specs: the jobs in order, made while they are iterated over; may be iterated over again.
        outside: IDs that jobs of it come after and that none of it has, with the number of the first job that names each.
    """

    def __init__(self, name: str, entries: Entries, resolver: Resolver) -> None:
        self.name = name
        self.count = entries.count
        self.outside: Mapping[str, int] = {}
        self._entries = entries
        self._resolver = resolver
        self._places: DocumentPlaces | None = None

    @property
    def limits(self) -> Mapping[str, Limit]:
        """What it limits, by key."""
        return self._entries.limits

    @property
    def specs(self) -> Iterator[JobSpec]:
        """A new iterator over the jobs."""
        return map(self._resolver.resolve, self._entries)

    def place_of(self, index: int, field: str, member: str = "params") -> Place:
        """Return where the ``index``-th job's parameter, or what else it has, stands; see ``core.queue.feed_places``."""
        from core.queue import feed_places  # noqa: PLC0415 - what knows places is loaded only for a mistake

        if self._entries.document is None:
            return feed_places.in_lines(self._entries.lines(), index, field, member)
        if self._places is None:
            self._places = feed_places.DocumentPlaces(self._entries.document)
        return self._places.of(index, field, member)

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
        HostFailed: there is no room to keep it.
    """
    if source == "-":
        return _read(stdin, place=STDIN, name=STDIN, suffix="", resolver=Resolver(base=cwd, cwd=cwd, outside=defaults))
    path = absolute(source, cwd)
    with opened(path, source) as file:
        resolver = Resolver(base=path.parent, cwd=cwd, outside=defaults)
        return _read(file, place=source, name=str(path), suffix=path.suffix.lower(), resolver=resolver)


def read_feed_text(text: bytes, *, place: str, name: str, suffix: str, cwd: Path, defaults: FeedDefaults) -> Feed:
    """Read and check a feed that came from somewhere else; its relative paths start from ``cwd``.

    Args:
        text: all of it.
        place: what messages call it.
        name: the key of its jobs.
        suffix: of a file's name, as ``.jsonl``, or nothing.
        cwd: working directory, absolute.
        defaults: where a flow comes from that the feed does not name.

    Raises:
        BadInput: with everything that is wrong.
    """
    resolver = Resolver(base=cwd, cwd=cwd, outside=defaults)
    return _read(io.BytesIO(text), place=place, name=name, suffix=suffix, resolver=resolver)


def _read(stream: IO[bytes], *, place: str, name: str, suffix: str, resolver: Resolver) -> Feed:
    before = moment_of(stream)
    head = _head(stream)
    _refuse_no_text(head, place)
    head = head.removeprefix(codecs.BOM_UTF8)
    form = _form(head, suffix)
    if form is Form.JSON:
        data = head + stream.read(MAX_JSON + 1 - len(head)) if len(head) <= MAX_JSON else head
        if len(data) > MAX_JSON:
            hint = "write one job a line into a *.jsonl file, which has no limit"
            problem = Problem(place=place, expected="at most 32 MB of JSON", found="more", hint=hint)
            raise BadInput([problem])
        entries: Entries = DocumentEntries(data)
    else:
        entries = LineEntries(_spooled(head, stream, place), bare=form is Form.IDS)
    refuse_changed(stream, before, place)
    with _uncollected():
        entries.check(place, resolver)
    feed = Feed(name, entries, resolver)
    if resolver.has_order:
        from core.queue.feed_order import outside_ids  # noqa: PLC0415 - most feeds have none

        feed.outside = outside_ids(feed, place)
    return feed


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector from looking through millions of new values that are in no cycle: it takes most of the time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _spooled(head: bytes, stream: IO[bytes], place: str) -> IO[bytes]:
    """Return what was read and what is left of the stream, as a file that can be read more than once.

    Raises:
        BadInput: a line of it has no end, which would have to be read as a whole.
        HostFailed: there is no room for it.
    """
    number, length = 1, 0
    spool = tempfile.SpooledTemporaryFile(max_size=MAX_JSON)  # noqa: SIM115 - lives as long as its entries
    block = head
    while block:
        try:
            spool.write(block)
            spool.flush()
        except OSError as exc:
            # what could not be written is tried again by the close
            with contextlib.suppress(OSError):
                spool.close()
            hint = "make room there, or set TMPDIR to a directory that has some"
            reason = f"{exc.strerror or exc}{f', in {tempfile.tempdir}' if tempfile.tempdir else ''}"
            raise HostFailed(f"{place} could not be kept in a temporary file ({reason}); {hint}") from exc
        number += block.count(b"\n")
        length = len(block) - block.rfind(b"\n") - 1 if b"\n" in block else length + len(block)
        if length > MAX_JSON:
            spool.close()
            raise BadInput([Problem(place=place, line=number, expected="lines of at most 32 MB", found="a longer one")])
        block = stream.read(_BLOCK)
    return spool


def _refuse_no_text(head: bytes, place: str) -> None:
    """Refuse what is no text in UTF-8 at all, before an endless stream of it is read.

    Raises:
        BadInput: with what it is instead.
    """
    expected, found, hint = "", "", ""
    line = column = None
    mark = next((mark for mark in _OTHER_ENCODINGS if head.startswith(mark)), None)
    if mark is not None:
        expected, found, hint = "UTF-8", _OTHER_ENCODINGS[mark], "save the file as UTF-8"
    elif b"\0" in head:
        # ASCII in UTF-16 and UTF-32 is zeros for more than a third
        wide = head.count(b"\0") * 3 > len(head) and head.strip(b"\0")
        expected = "text in UTF-8"
        found = "UTF-16 or UTF-32" if wide else "a zero byte"
        hint = "save the file as UTF-8" if wide else ""
        before = head[: head.index(0)]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    elif not head.removeprefix(codecs.BOM_UTF8).strip():
        expected, found, hint = "profile IDs or jobs", "nothing", "it is empty"
    if expected:
        raise BadInput([Problem(place=place, line=line, column=column, expected=expected, found=found, hint=hint)])


def _head(stream: IO[bytes]) -> bytes:
    """Return the beginning, with the first character that is no white space in it, or 32 MB of white space."""
    head = bytearray()
    blank = True
    while (block := stream.read(_BLOCK)) and len(head) <= MAX_JSON:
        blank = blank and not (block.removeprefix(codecs.BOM_UTF8) if not head else block).strip()
        head += block
        if len(head) >= _BLOCK and not blank:
            break
    return bytes(head)


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
