"""The entries of a feed, by its form: looked at as a whole, and given out one at a time."""

from __future__ import annotations

import contextlib
import itertools
import types
import weakref
from typing import IO, TYPE_CHECKING

import msgspec

from core.domain.limits import read_limits
from core.errors import BadInput
from core.queue.feed_check import MAX_DEPTH, MISTAKES, Check, Wrong, decode, in_batches, is_deeper, refuse_twice
from core.queue.feed_job import RawDefaults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from core.domain.limits import Limit
    from core.queue.feed_job import RawJob, Resolver


class RawDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The form with defaults; jobs are decoded one at a time, so that a large feed does not fill the memory."""

    jobs: list[msgspec.Raw]
    defaults: RawDefaults = RawDefaults()
    limits: msgspec.Raw = msgspec.Raw(b"null")
    editor_schema: str | None = msgspec.field(name="$schema", default=None)


_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_DOCUMENT = msgspec.json.Decoder(RawDocument)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Entries:
    """The entries of a feed, decoded one at a time.

    Attributes:
        count: how many there are, once they are checked.
        document: the whole text of a JSON feed, else None.
        limits: by key, what the feed limits.
    """

    count = 0
    document: bytes | None = None
    limits: Mapping[str, Limit] = types.MappingProxyType({})

    def check(self, place: str, resolver: Resolver) -> None:
        """Look at all of them.

        Args:
            place: what the user calls the feed.
            resolver: checks values; it gets the defaults of the feed.

        Raises:
            BadInput: with everything that is wrong.
        """
        raise NotImplementedError

    def raw(self) -> Iterator[bytes]:
        """Yield the JSON text of each entry."""
        raise NotImplementedError

    def lines(self) -> Iterator[tuple[int, bytes, bool]]:
        """Yield (line number, text, whether it is a bare ID) of each line that is not blank."""
        return iter(())

    def __iter__(self) -> Iterator[RawJob]:
        return map(decode, self.raw())


class DocumentEntries(Entries):
    """Of a JSON feed."""

    def __init__(self, data: bytes) -> None:
        """Take its text, without byte order mark."""
        self.document = data
        self._jobs: list[msgspec.Raw] = []

    def check(self, place: str, resolver: Resolver) -> None:
        """See ``Entries``."""
        check = wrong = None
        try:
            resolver.defaults = self._parse()
            if any(resolver.default_faults()):
                raise Wrong
            check = Check(resolver)
            wrong = check.wrong(in_batches(self._jobs))
            first = next(wrong, None)
            if first is None:
                self.count = len(self._jobs)
                return
            wrong = itertools.chain([first], wrong)
        except MISTAKES:
            pass
        # what explains mistakes is loaded only for them
        from core.queue.feed_errors import explain_document  # noqa: PLC0415

        problems = explain_document(self.document or b"", place=place, resolver=resolver, check=check, wrong=wrong)
        raise BadInput(problems)

    def _parse(self) -> RawDefaults:
        """Take the text apart into jobs and defaults; return those.

        Raises:
            MISTAKES: something is wrong with it.
        """
        data = self.document or b""
        if data.lstrip()[:1] == b"[":
            self._jobs = _LIST.decode(data)
            return RawDefaults()
        members = _MEMBERS.decode(data)
        # a member given twice is decoded once, so that colons are missing
        if data.count(b":") != sum(bytes(value).count(b":") + name.count(":") + 1 for name, value in members.items()):
            raise Wrong
        defaults = bytes(members.get("defaults", b"null"))
        refuse_twice(defaults)
        if is_deeper(defaults, MAX_DEPTH + 1):
            raise Wrong
        parsed = _DOCUMENT.decode(data)
        self._jobs = parsed.jobs
        limits = bytes(parsed.limits)
        if limits != b"null":
            refuse_twice(limits)
            self.limits = read_limits(msgspec.json.decode(limits))
        return parsed.defaults

    def raw(self) -> Iterator[bytes]:
        """See ``Entries``."""
        return map(bytes, self._jobs)


class LineEntries(Entries):
    """Of JSON Lines and of plain IDs."""

    def __init__(self, file: IO[bytes], *, bare: bool) -> None:
        """Take a file that can be read more than once, which is closed with this, and whether it has bare IDs."""
        self._file = file
        self._bare = bare
        weakref.finalize(self, file.close)

    def check(self, place: str, resolver: Resolver) -> None:
        """See ``Entries``."""
        with contextlib.suppress(*MISTAKES):
            check = Check(resolver)
            if next(check.wrong([text] for text in self.raw()), None) is None:
                self.count = len(check.names)
                return
        from core.queue.feed_errors import explain_lines  # noqa: PLC0415 - as above

        raise BadInput(explain_lines(self.lines(), place=place, resolver=resolver))

    def lines(self) -> Iterator[tuple[int, bytes, bool]]:
        """See ``Entries``."""
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            text = line.rstrip(b"\r\n")
            if text.strip():
                yield number, text, self._bare

    def raw(self) -> Iterator[bytes]:
        """See ``Entries``."""
        for _, text, bare in self.lines():
            yield msgspec.json.encode(text.strip().decode()) if bare else text.strip()
