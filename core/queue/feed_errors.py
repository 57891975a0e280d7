"""Says what is wrong with a feed, and where: loaded only when something is.

Syntax is judged by the standard library, types by msgspec, positions come from tree-sitter. Everything that can be found
in one pass is; a text that is no JSON has one mistake, its first.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import msgspec
import tree_sitter_json
from tree_sitter import Language, Node, Parser

from core.errors import Problem
from core.queue.feed_entry import MISTAKES, good, refuse_twice
from core.queue.feed_job import EXPECTED, RawDefaults, RawJob, Resolver, identity_hint, quoted, without_password
from core.queue.feed_syntax import MAX_DEPTH, Text, find_flaw, not_utf8

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

SHOWN = 20
COUNTED = 20_000
"""How many beyond those are counted: about a second of work."""
_JOB_TYPES = {field.name: field.type for field in msgspec.structs.fields(RawJob)}
_DEFAULT_TYPES = {field.name: field.type for field in msgspec.structs.fields(RawDefaults)}
_CONTAINERS = {"object": "an object", "array": "a list"}


def explain(
    document: bytes | None,
    lines: Callable[[], Iterable[tuple[int, bytes, bool]]],
    *,
    place: str,
    resolver: Resolver,
) -> list[Problem]:
    """Return what is wrong, in order of appearance: the first 20 mistakes, and one that counts the others.

    Args:
        document: the text of a JSON feed, without byte order mark; None for a feed of lines.
        lines: gives (line number, text, whether it is a bare ID) of each line.
        place: what the user calls the feed.
        resolver: checks values, with nothing but the outside defaults.
    """
    resolver.defaults = RawDefaults()
    explanation = _Explanation(place, resolver)
    if document is not None:
        explanation.document(document)
    else:
        for number, text, bare in lines():
            if explanation.is_long_enough():
                break
            explanation.line(number, text, bare=bare)
    return explanation.problems()


class _Explanation:
    def __init__(self, place: str, resolver: Resolver) -> None:
        self._place = place
        self._resolver = resolver
        self._parser = Parser(Language(tree_sitter_json.language()))
        self._problems: list[Problem] = []
        self._more = 0
        self._jobs: dict[str, tuple[str, int]] = {}
        self._profiles: dict[str, tuple[str, int]] = {}
        self._said: set[str] = set()

    def problems(self) -> list[Problem]:
        """Return what was found."""
        if not self._problems:
            # the fast check was stricter than this one: never silent, and never accepted
            return [Problem(place=self._place, expected="a queue as the README describes it", found="something else")]
        # one job's mistakes are found check by check
        found = sorted(self._problems, key=lambda problem: (problem.line or 0, problem.column or 0))
        if not self._more:
            return found
        more = f"{self._more} and more" if self.is_long_enough() else f"{self._more} more"
        return [*found, Problem(place=self._place, expected="no mistakes", found=more)]

    def is_long_enough(self) -> bool:
        """Whether all is shown that will be, and counting the others takes too long."""
        return self._more >= COUNTED

    def document(self, data: bytes) -> None:
        """Explain a JSON feed."""
        text = Text(data)
        root = self._root(text)
        if root is None:
            return
        if root.type == "array":
            self._jobs_in(text, root, "")
        elif root.type == "object":
            self._with_defaults(text, root)
        else:
            self._add(text, root, "", "a list of jobs, or an object with `jobs`", _found(text, root))

    def line(self, number: int, data: bytes, *, bare: bool) -> None:
        """Explain one line of a feed."""
        text = Text(data, number)
        if not bare:
            if self._is_good(data.strip(), text, 0):
                return
            root = self._root(text)
            if root is not None:
                self._entry(text, root, "")
            return
        if (flaw := not_utf8(data)) is not None:
            self._add(text, flaw.offset, "", flaw.expected, flaw.found, flaw.hint)
            return
        offset = len(data) - len(data.lstrip())
        self._checked(text, offset, {}, "", RawJob(profile_id=data.decode().strip()))

    def _with_defaults(self, text: Text, root: Node) -> None:
        members = self._members(text, root, "", {"jobs": None, "defaults": None, "$schema": None}, what="field")
        if (node := members.get("$schema")) is not None and node.type not in {"string", "null"}:
            self._add(text, node, "$schema", "the address of a schema, for editors", _found(text, node))
        if "jobs" not in members:
            names = {_name(text, key) for key, _ in _pairs(root)}
            hint = "one job alone stands in a list: [{…}]" if "profile_id" in names else ""
            self._add(text, root, "", "a list of jobs under `jobs`", "none", hint)
        if (node := members.get("defaults")) is not None:
            if node.type == "object":
                values, places = self._values(text, node, "defaults", _DEFAULT_TYPES)
                self._resolver.defaults = RawDefaults(**values)
                for fault in self._resolver.default_faults():
                    at = places.get(fault.field.partition(".")[0], node)
                    self._add(text, at, f"defaults.{fault.field}", fault.expected, fault.found, fault.hint)
            else:
                self._add(text, node, "defaults", "an object", _found(text, node))
        if (node := members.get("jobs")) is not None:
            if node.type == "array":
                self._jobs_in(text, node, "jobs")
            else:
                self._add(text, node, "jobs", "a list", _found(text, node))

    def _jobs_in(self, text: Text, array: Node, path: str) -> None:
        for index, node in enumerate(array.named_children):
            if self.is_long_enough():
                break
            if not self._is_good(text.of(node), text, node.start_byte):
                self._entry(text, node, f"{path}[{index}]")

    def _is_good(self, data: bytes, text: Text, offset: int) -> bool:
        """Whether an entry needs no explaining; most of a large feed's do not, and it shall be explained soon."""
        try:
            refuse_twice(data)
            job = good(data, self._resolver)
        except MISTAKES:
            return False
        key, name = job.job_id.lower(), job.profile_id.lower()
        if key in self._jobs or self._profiles.get(name, (job.profile_id, 0))[0] != job.profile_id:
            return False
        self._jobs[key] = (job.job_id, line := text.line_of(offset))
        self._profiles.setdefault(name, (job.profile_id, line))
        return True

    def _entry(self, text: Text, node: Node, path: str) -> None:
        if node.type == "string":
            if (profile_id := self._value(text, node, path, str)) is not None:
                self._checked(text, node.start_byte, {}, path, RawJob(profile_id=profile_id))
        elif node.type == "object":
            values, places = self._values(text, node, path, _JOB_TYPES)
            if "profile_id" not in places:
                self._add(text, node, path, "a job with `profile_id`", "none")
            offsets = {name: place.start_byte for name, place in places.items()}
            known = isinstance(values.get("profile_id"), str)
            job = RawJob(**(values if known else {**values, "profile_id": ""}))
            self._checked(text, node.start_byte, offsets, path, job, known=known)
        else:
            hint = "an ID stands in double quotes" if node.type == "number" else ""
            self._add(text, node, path, "a profile ID as a string, or a job object", _found(text, node), hint)

    def _checked(
        self, text: Text, offset: int, places: Mapping[str, int], path: str, job: RawJob, *, known: bool = True
    ) -> None:
        """Add what is wrong with values of the right types, and with IDs that others have.

        Args:
            text: the piece of the feed.
            offset: where the entry begins.
            places: where the values of its fields begin; empty for a bare ID.
            path: of the entry.
            job: the entry, without the values whose types are wrong.
            known: whether it has a profile ID at all; if not, that was said.
        """
        for fault in self._resolver.faults(job):
            name = fault.field.partition(".")[0]
            if fault.source == "defaults" or (not known and name == "profile_id"):
                continue  # said where it stands
            if fault.source:
                if fault.source not in self._said:
                    self._said.add(fault.source)
                    self._problems.append(Problem(place=fault.source, expected=fault.expected, found=fault.found))
                continue
            field = _join(path, fault.field) if places or name == "flow" else path
            self._add(text, places.get(name, offset), field, fault.expected, fault.found, fault.hint)
        if known:
            self._unique(text, offset, places, path, job)

    def _unique(self, text: Text, offset: int, places: Mapping[str, int], path: str, job: RawJob) -> None:
        key = "id" if job.id is not None else "profile_id"
        at = places.get(key, offset)
        field = _join(path, key) if places else path
        if (other := self._taken(self._jobs, job.job_id, text.line_of(at))) is not None:
            hint = "" if job.id is not None else "several jobs of one profile need an `id` each"
            expected = "an ID that no other job has, whatever the case of its letters"
            self._add(text, at, field, expected, f"{quoted(job.job_id)}; {other}", hint)
            return
        at = places.get("profile_id", offset)
        other = self._taken(self._profiles, job.profile_id, text.line_of(at))
        if other is not None and quoted(job.profile_id) not in other:
            field = _join(path, "profile_id") if places else path
            self._add(text, at, field, "one spelling of a profile ID", f"{quoted(job.profile_id)}; {other}")

    @staticmethod
    def _taken(seen: dict[str, tuple[str, int]], name: str, line: int) -> str | None:
        earlier = seen.get(name.lower())
        if earlier is None:
            seen[name.lower()] = (name, line)
            return None
        return f"line {earlier[1]} has {quoted(earlier[0])}"

    def _values(
        self, text: Text, node: Node, path: str, types: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Node]]:
        """Return the values of the right type, and where each field's value stands, wrong ones too."""
        places = self._members(text, node, path, types, what="field")
        values = {}
        for name, place in places.items():
            value = self._value(text, place, _join(path, name), types[name], name)
            if value is not None:
                values[name] = value
        return values, places

    def _members(self, text: Text, node: Node, path: str, known: Mapping[str, Any], *, what: str) -> dict[str, Node]:
        """Return the known members of an object; add the unknown ones and those given twice."""
        found: dict[str, Node] = {}
        for key, value in _pairs(node):
            name = _name(text, key)
            if name not in known:
                hint = identity_hint(name)
                close = difflib.get_close_matches(name, known, 1, 0.6)
                if not hint:
                    hint = (
                        f"did you mean {quoted(close[0])}?"
                        if close
                        else f"known are {', '.join(name for name in known if name[0] != '$')}"
                    )
                self._add(text, key, path, f"a known {what}", quoted(name), hint)
            elif name in found:
                line = text.line_of(found[name].start_byte)
                self._add(text, key, _join(path, name), "a field once", f"it again; line {line} has it")
            else:
                found[name] = value
        return found

    def _value(self, text: Text, node: Node, path: str, type_: Any, name: str = "") -> Any:
        """Return a value, or None after adding why it cannot be used."""
        if not self._sound(text, node, path):
            return None
        try:
            return msgspec.json.decode(text.of(node), type=type_)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            expected = EXPECTED.get(name, "a string")
            self._add(text, node, path, expected, _found(text, node))
            return None

    def _sound(self, text: Text, top: Node, path: str) -> bool:
        """Whether a value has no key twice, no number out of range and no bottomless nesting."""
        before = len(self._problems) + self._more
        todo: list[tuple[Node, str, int]] = [(top, path, 1)]
        while todo:
            node, at, depth = todo.pop()
            if node.type == "number" and not _in_range(text.of(node)):
                self._add(text, node, at, "a number in range", _shortened(text.of(node)))
            elif node.type == "string" and not _decodes(text.of(node), str):
                self._add(text, node, at, "a string of valid characters", "an escape that stands for none")
            elif node.type in _CONTAINERS and depth > MAX_DEPTH:
                self._add(text, node, path, f"at most {MAX_DEPTH} levels of nesting", "more")
                return False
            elif node.type == "array":
                todo += [(child, f"{at}[{n}]", depth + 1) for n, child in enumerate(node.named_children)][::-1]
            elif node.type == "object":
                seen: dict[str, Node] = {}
                inner = []
                for key, value in _pairs(node):
                    name = _name(text, key)
                    if not _decodes(text.of(key), str):
                        self._add(text, key, at, "a key of valid characters", "an escape that stands for none")
                    elif name in seen:
                        line = text.line_of(seen[name].start_byte)
                        self._add(text, key, _join(at, name), "a key once", f"it again; line {line} has it")
                    seen[name] = key
                    inner.append((value, _join(at, name), depth + 1))
                todo += inner[::-1]
        return len(self._problems) + self._more == before

    def _root(self, text: Text) -> Node | None:
        """Return the one value of a text, or None after adding what keeps it from being JSON."""
        flaw = find_flaw(text.data, is_file=self._place.lower().endswith(".json"))
        if flaw is not None:
            self._add(text, flaw.offset, "", flaw.expected, flaw.found, flaw.hint)
            return None
        root = self._parser.parse(text.data).root_node
        return root.named_children[0] if root.named_child_count == 1 and not root.has_error else None

    def _add(self, text: Text, at: Node | int, field: str, expected: str, found: str, hint: str = "") -> None:  # noqa: PLR0917 - in the order it is printed
        if len(self._problems) >= SHOWN:
            self._more += 1
            return
        offset = at if isinstance(at, int) else at.start_byte
        self._problems.append(
            Problem(
                place=self._place,
                line=text.line_of(offset),
                column=text.column_of(offset),
                field=field,
                expected=expected,
                found=found,
                hint=hint,
            )
        )


def _pairs(node: Node) -> Iterator[tuple[Node, Node]]:
    for pair in node.named_children:
        key, value = pair.child_by_field_name("key"), pair.child_by_field_name("value")
        if key is not None and value is not None:
            yield key, value


def _name(text: Text, key: Node) -> str:
    raw = text.of(key)
    return str(msgspec.json.decode(raw)) if _decodes(raw, str) else raw.decode(errors="replace").strip('"')


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _decodes(raw: bytes, type_: Any) -> bool:
    try:
        msgspec.json.decode(raw, type=type_)
    except (msgspec.MsgspecError, ValueError):
        return False
    return True


def _in_range(raw: bytes) -> bool:
    return _decodes(raw, float) and _decodes(raw, object)


def _shortened(raw: bytes) -> str:
    text = raw.decode(errors="replace")
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _found(text: Text, node: Node) -> str:
    """Say what stands there without showing what may be a secret."""
    if node.type in _CONTAINERS:
        return _CONTAINERS[node.type]
    if node.type == "string":
        # a proxy may stand in any field by mistake
        return quoted(without_password(_name(text, node)))
    return _shortened(text.of(node))
