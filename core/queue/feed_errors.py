"""Says what is wrong with a feed, and where: loaded only when something is.

Syntax is judged by the standard library, types by msgspec. Everything that can be found in one pass is: what keeps the text
from being JSON is mended, where it is clear how, and the text explained as it was meant.
"""

from __future__ import annotations

import difflib
import functools
from typing import TYPE_CHECKING, Any

import msgspec

from core.domain.limits import LimitFault, read_limits
from core.errors import Problem
from core.queue.feed_check import Check, in_batches, is_deeper
from core.queue.feed_document import Document
from core.queue.feed_job import EXPECTED, RawDefaults, RawJob, Resolver, identity_hint, quoted, without_password
from core.queue.feed_lines import Lines
from core.queue.feed_reader import SHOWN, Reader
from core.queue.feed_sound import joined, shortened, unsound
from core.queue.feed_syntax import Flaw, not_utf8, too_deep
from core.queue.feed_value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

COUNTED = 20_000
"""How many beyond those that are shown are counted: about a second of work."""
_JOB_TYPES = {field.name: field.type for field in msgspec.structs.fields(RawJob)}
_DEFAULT_TYPES = {field.name: field.type for field in msgspec.structs.fields(RawDefaults)}
_NOTHING = Value(b"")
_TOO_DEEP = 400
"""Levels at which no piece of an entry can be told from another, since the library would run out of stack."""


def explain_document(
    data: bytes, *, place: str, resolver: Resolver, check: Check | None, wrong: Iterator[int] | None
) -> list[Problem]:
    """Return what is wrong with a JSON feed, in order of appearance: the first 20 mistakes, and one that counts the others.

    Args:
        data: the text, without byte order mark.
        place: what the user calls the feed.
        resolver: checks values, with nothing but the outside defaults.
        check: what looked at the entries so far; None if it did not come to them.
        wrong: gives the numbers of those that it does not take.
    """
    if check is None:
        resolver.defaults = RawDefaults()
    explanation = _Explanation(place, resolver, check or Check(resolver))
    explanation.document(data, wrong)
    return explanation.problems()


def explain_lines(lines: Iterable[tuple[int, bytes, bool]], *, place: str, resolver: Resolver) -> list[Problem]:
    """Return what is wrong with a feed of lines; see ``explain_document``.

    Args:
        lines: number, text, and whether it is a bare ID, of each line that is not blank.
        place: what the user calls the feed.
        resolver: checks values, with nothing but the outside defaults.
    """
    resolver.defaults = RawDefaults()
    explanation = _Explanation(place, resolver, Check(resolver))
    for number, text, bare in lines:
        if explanation.is_long_enough():
            break
        explanation.line(number, text, bare=bare)
    return explanation.problems()


class _Explanation:
    def __init__(self, place: str, resolver: Resolver, check: Check) -> None:
        self._place = place
        self._resolver = resolver
        self._check = check
        self._problems: list[Problem] = []
        self._more = 0
        self._gave_up = False
        self._lacks_defaults = False
        self._said: set[str] = set()
        self._mended: list[tuple[int, int]] = []
        self._where: Callable[[int], tuple[int, int]] = lambda _: (1, 1)
        self._line_of: Callable[[int], int] = lambda _: 1
        self._numbers: list[int] = []

    def problems(self) -> list[Problem]:
        """Return what was found."""
        if not self._problems:
            # the fast check was stricter than this one: never silent, and never accepted
            return [Problem(place=self._place, expected="a queue as the README describes it", found="something else")]
        # one job's mistakes are found check by check, and what keeps the text from being JSON is found first
        found = sorted(self._problems, key=lambda problem: (problem.line or 0, problem.column or 0))
        if not self._more:
            return found
        more = f"{self._more} and more" if self.is_long_enough() else f"{self._more} more"
        return [*found, Problem(place=self._place, expected="no mistakes", found=more)]

    def is_long_enough(self) -> bool:
        """Whether all is shown that will be, and counting the others takes too long."""
        return self._gave_up or self._more >= COUNTED

    def document(self, data: bytes, wrong: Iterator[int] | None) -> None:
        """Explain a JSON feed."""
        self._where = Lines(data).place
        if (flaw := not_utf8(data)) is not None:
            self._flaw(flaw)
            return
        document = Document(data, is_file=self._place.lower().endswith(".json"))
        self._flaws(document.reader)
        self._where = document.lines.place
        self._line_of = lambda number: document.place(number)[0]
        root = document.root
        if root is None:
            return
        if root.kind == "list":
            self._entries(document, "", wrong)
        elif root.kind == "object":
            self._with_defaults(document, root, wrong)
        else:
            self._add(root, "", "a list of jobs, or an object with `jobs`", _found(root))

    def line(self, line: int, data: bytes, *, bare: bool) -> None:
        """Explain one line of a feed."""
        number = len(self._numbers)
        self._numbers.append(line)
        self._line_of = self._numbers.__getitem__
        self._where = Lines(data, line).place
        if (flaw := not_utf8(data)) is not None:
            self._flaw(flaw)
            self._check.taken("", number)
        elif bare:
            entry = Value(b"", len(data) - len(data.lstrip()))
            self._checked(number, entry, {}, "", RawJob(profile_id=data.decode().strip()))
        elif not self._check.is_good(data.strip(), number):
            reader = Reader(data)
            reader.read(is_line=True)
            self._flaws(reader)
            self._where = reader.lines(line).place
            root = reader.root if reader.complete else None
            self._entry(
                number, _NOTHING if root is None else Value(reader.text.encode("latin-1")[root], root.start), ""
            )

    def _flaw(self, flaw: Flaw) -> None:
        place = self._where(flaw.offset)
        self._mended.append(place)
        self._append(place, "", flaw.expected, flaw.found, flaw.hint)

    def _flaws(self, reader: Reader) -> None:
        for flaw in reader.flaws:
            self._flaw(flaw)
        self._more += reader.more
        self._gave_up = self._gave_up or reader.is_endless()

    def _with_defaults(self, document: Document, root: Value, wrong: Iterator[int] | None) -> None:
        members = self._members(document.members, "", ("jobs", "defaults", "limits", "$schema"))
        if (node := members.get("$schema")) is not None and not node.is_a(str | None):
            self._add(node, "$schema", "the address of a schema, for editors", _found(node))
        if "jobs" not in members and document.reader.complete:
            hint = "one job alone stands in a list: [{…}]" if "profile_id" in _names(document.members) else ""
            self._add(root, "", "a list of jobs under `jobs`", "none", hint)
        self._lacks_defaults = "defaults" not in members and not document.reader.complete
        if (node := members.get("defaults")) is not None:
            if node.kind == "object":
                values, places = self._values(node, "defaults", _DEFAULT_TYPES)
                self._resolver.defaults = RawDefaults(**values)
                for fault in self._resolver.default_faults():
                    at = places.get(fault.field.partition(".")[0], node)
                    self._add(at, f"defaults.{fault.field}", fault.expected, fault.found, fault.hint)
            else:
                self._add(node, "defaults", "an object", _found(node))
        if (node := members.get("limits")) is not None:
            self._limits(node)
        if (node := members.get("jobs")) is not None and node.kind != "list":
            self._add(node, "jobs", "a list", _found(node))
        self._entries(document, "jobs", wrong)

    def _limits(self, node: Value) -> None:
        """Add what is wrong with limits by key, one mistake for each key."""
        limits = self._value(node, "limits", Any)
        places = {key.text: value for key, value in node.members()} if node.kind == "object" else {}
        while limits is not None:
            try:
                read_limits(limits)
            except LimitFault as exc:
                at, field = places.get(exc.key, node), joined("limits", exc.key) if exc.key else "limits"
                self._add(at, field, exc.expected, exc.found, exc.hint)
                limits = {key: value for key, value in limits.items() if key != exc.key} if exc.key else None
            else:
                return

    def _entries(self, document: Document, path: str, wrong: Iterator[int] | None) -> None:
        if wrong is None:
            wrong = self._check.wrong(in_batches(document.entries))
        for number in wrong:
            if self.is_long_enough():
                break
            self._where = functools.partial(document.place, number)
            self._entry(number, Value(bytes(document.entries[number])), f"{path}[{number}]")

    def _entry(self, number: int, value: Value, path: str) -> None:
        """Explain one entry, and note its ID."""
        if is_deeper(value.raw, _TOO_DEEP):
            flaw = too_deep(value.raw)
            self._add(Value(b"", value.at + flaw.offset), path, flaw.expected, flaw.found)
            value = _NOTHING
        if value.kind == "string":
            if (profile_id := self._value(value, path, str)) is not None:
                self._checked(number, value, {}, path, RawJob(profile_id=profile_id))
                return
        elif value.kind == "object":
            values, places = self._values(value, path, _JOB_TYPES)
            if "profile_id" not in places:
                self._add(value, path, "a job with `profile_id`", "none")
            known = isinstance(values.get("profile_id"), str)
            job = RawJob(**(values if known else {**values, "profile_id": ""}))
            self._checked(number, value, places, path, job, known=known)
            return
        elif value.raw:
            hint = "an ID stands in double quotes" if value.kind == "number" else ""
            self._add(value, path, "a profile ID as a string, or a job object", _found(value), hint)
        self._check.taken("", number)

    def _checked(
        self, number: int, entry: Value, places: Mapping[str, Value], path: str, job: RawJob, *, known: bool = True
    ) -> None:
        """Add what is wrong with values of the right types, and with IDs that others have.

        Args:
            number: of the entry.
            entry: all of it.
            places: the values of its fields; empty for a bare ID.
            path: of the entry.
            job: the entry, without the values whose types are wrong.
            known: whether it has a profile ID at all; if not, that was said.
        """
        for fault in self._resolver.faults(job):
            name = fault.field.partition(".")[0].partition("[")[0]
            if fault.source == "defaults" or (not known and name == "profile_id"):
                continue  # said where it stands
            if self._lacks_defaults and (fault.field, fault.found) == ("flow", "none"):
                continue
            if fault.source:
                if fault.source not in self._said:
                    self._said.add(fault.source)
                    self._problems.append(Problem(place=fault.source, expected=fault.expected, found=fault.found))
                continue
            field = joined(path, fault.field) if places or name == "flow" else path
            self._add(places.get(name, entry), field, fault.expected, fault.found, fault.hint)
        other = self._check.taken(job.job_id if known else "", number)
        if other is not None:
            key = "id" if job.id is not None else "profile_id"
            field = joined(path, key) if places else path
            hint = "" if job.id is not None else "several jobs of one profile need an `id` each"
            expected = "an ID that no other job has, whatever the case of its letters"
            found = f"{quoted(job.job_id)}; {self._earlier(self._check.names[other], other)}"
            self._add(places.get(key, entry), field, expected, found, hint)
        elif known:
            spelling, other = self._check.spelt(job, number)
            if spelling != job.profile_id:
                field = joined(path, "profile_id") if places else path
                found = f"{quoted(job.profile_id)}; {self._earlier(spelling, other)}"
                self._add(places.get("profile_id", entry), field, "one spelling of a profile ID", found)

    def _earlier(self, name: str, number: int) -> str:
        """Return where another entry has an ID; nothing if nobody will see it."""
        return "" if self._is_full() else f"line {self._line_of(number)} has {quoted(name)}"

    def _values(self, value: Value, path: str, types: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Value]]:
        """Return the values of the right type, and where each field's value stands, wrong ones too."""
        places = self._members(value.members(), path, types)
        values = {}
        for name, place in places.items():
            found = self._value(place, joined(path, name), types[name], name)
            if found is not None:
                values[name] = found
        return values, places

    def _members(self, members: Iterable[tuple[Value, Value]], path: str, known: Collection[str]) -> dict[str, Value]:
        """Return the known members of an object; add the unknown ones and those given twice."""
        found: dict[str, Value] = {}
        for key, value in members:
            name = key.text
            if name not in known:
                self._add(key, path, "a known field", quoted(name), "" if self._is_full() else _instead(name, known))
            elif name in found:
                again = f"it again; line {self._line(found[name].at)} has it"
                self._add(key, joined(path, name), "a field once", again)
            else:
                found[name] = value
        return found

    def _value(self, value: Value, path: str, type_: Any, name: str = "") -> Any:
        """Return a value, or None after adding why it cannot be used."""
        wrong = list(unsound(value, path, self._line))
        for mistake in wrong:
            self._add(Value(b"", mistake.at), mistake.field, mistake.expected, mistake.found)
        if wrong:
            return None
        try:
            return msgspec.json.decode(value.raw, type=type_)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._add(value, path, EXPECTED.get(name, "a string"), _found(value))
            return None

    def _line(self, at: int) -> int:
        """Return the line of an offset; that is slow, and not done if nobody will see it."""
        return 0 if self._is_full() else self._where(at)[0]

    def _is_full(self) -> bool:
        """Whether mistakes are only counted from now on."""
        return len(self._problems) >= SHOWN

    def _add(self, value: Value, field: str, expected: str, found: str, hint: str = "") -> None:
        """Add a mistake, unless it stands in what was mended: it is not what the user wrote."""
        if self._is_full():
            self._more += 1
            return
        place = self._where(value.at)
        if self._mended:
            end = place if value.kind in {"object", "list"} else self._where(value.at + max(len(value.raw) - 1, 0))
            if any(place <= mended <= end for mended in self._mended):
                return
        self._append(place, field, expected, found, hint)

    def _append(self, place: tuple[int, int], field: str, expected: str, found: str, hint: str) -> None:
        if self._is_full():
            self._more += 1
            return
        line, column = place
        self._problems.append(
            Problem(place=self._place, line=line, column=column, field=field, expected=expected, found=found, hint=hint)
        )


def _names(members: Iterable[tuple[Value, Value]]) -> set[str]:
    return {key.text for key, _ in members}


def _instead(name: str, known: Collection[str]) -> str:
    """Return what to write instead of a field that is not known."""
    if secret := identity_hint(name):
        return secret
    close = difflib.get_close_matches(name, known, 1, 0.6)
    return (
        f"did you mean {quoted(close[0])}?"
        if close
        else f"known are {', '.join(name for name in known if name[0] != '$')}"
    )


def _found(value: Value) -> str:
    """Say what stands there without showing what may be a secret."""
    if value.kind in {"object", "list"}:
        return {"object": "an object", "list": "a list"}[value.kind]
    if value.kind == "string":
        # a proxy may stand in any field by mistake
        return quoted(without_password(value.text))
    return shortened(value.text)
