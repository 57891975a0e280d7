"""Where in a feed a job's parameter stands, for mistakes that only the flow knows of: loaded only when there is one."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

import tree_sitter_json
from tree_sitter import Language, Node, Parser

from core.queue.feed_syntax import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Place(NamedTuple):
    """Line and column, 1-based, and the field's path in the feed."""

    line: int
    column: int
    path: str


def in_document(data: bytes, index: int, field: str) -> Place:
    """Return where the ``index``-th job of a JSON feed has a parameter, or the defaults that it comes from.

    Args:
        data: the whole feed, free of mistakes of its own.
        index: of the job, from 0.
        field: path within the parameters, as ``filter.price`` or ``pages[3]``; empty for the parameters themselves.
    """
    text = Text(data)
    root = _value(data)
    jobs = root if root.type == "array" else _member(text, root, "jobs") or root
    path = f"[{index}]" if root.type == "array" else f"jobs[{index}]"
    entry = jobs.named_children[index] if index < jobs.named_child_count else jobs
    found = _parameter(text, entry, field)
    defaults = _member(text, root, "defaults") if root.type == "object" else None
    if found is None and defaults is not None and (found := _parameter(text, defaults, field)) is not None:
        path = "defaults"
    return _place(text, found or entry, _joined(path, field))


def in_lines(lines: Iterable[tuple[int, bytes, bool]], index: int, field: str) -> Place:
    """Return where the ``index``-th line that is not blank has a parameter; see ``in_document``."""
    number, line, bare = next(itertools.islice(lines, index, None))
    text = Text(line, number)
    if bare:
        return Place(number, 1, _joined("", field))
    entry = _value(line)
    return _place(text, _parameter(text, entry, field) or entry, _joined("", field))


def _value(data: bytes) -> Node:
    return Parser(Language(tree_sitter_json.language())).parse(data).root_node.named_children[0]


def _parameter(text: Text, entry: Node, field: str) -> Node | None:
    """Return the parameter, or the nearest that holds it; None if the entry has no parameters, or not this one."""
    node = _member(text, entry, "params") if entry.type == "object" else None
    if node is None or not field:
        return node
    parts: Sequence[str] = re.findall(r"[^.\[\]]+", field)
    for depth, part in enumerate(parts):
        if node.type == "object":
            inner = _member(text, node, part)
        else:
            inner = node.named_children[int(part)] if part.isdigit() and int(part) < node.named_child_count else None
        if inner is None:
            return node if depth else None
        node = inner
    return node


def _member(text: Text, node: Node, name: str) -> Node | None:
    for pair in node.named_children:
        key = pair.child_by_field_name("key")
        if key is not None and text.of(key).decode(errors="replace").strip('"') == name:
            return pair.child_by_field_name("value")
    return None


def _place(text: Text, node: Node, path: str) -> Place:
    return Place(text.line_of(node.start_byte), text.column_of(node.start_byte), path)


def _joined(path: str, field: str) -> str:
    return ".".join(part for part in (path, "params", field) if part)
