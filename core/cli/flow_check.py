"""What ``ostler flow check`` finds. The flow's code runs in a short-lived process; sessions and neighbours are only read.

A flag is a fact about a profile, and flows that state the same flag share it by design: that is worth a warning, no error.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from core.domain.session import StepSpec, is_secret
from core.domain.validation import is_valid_id
from core.errors import FlowLoadError, NewerSchema, StateCorrupt
from core.state.sessions import FileSessionStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from core.domain.messages import FlowDescription
    from core.domain.session import SessionState
    from core.process.describe import FlowInspector

MOST_NEIGHBOURS = 50
_SHOWN = 5
# what the runner itself calls the parts of an attempt
_OURS = frozenset(
    {"start", "restore", "clone", "verify", "launch", "authenticated", "prepare", "steps", "save", "report"}
)
Level = Literal["error", "warning", "note"]
Code = Literal[
    "not_loadable",
    "params_refused",
    "secret_parameter",
    "reserved_name",
    "awkward_name",
    "same_flow_name",
    "shared_flag",
    "required_elsewhere",
    "required_nowhere",
    "unknown_flag",
    "notes_of_unknown_step",
    "session_unreadable",
    "neighbour_unreadable",
]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was found.

    Attributes:
        level: with an error the flow cannot run; a warning is probably a mistake; a note says what follows.
        code: which kind.
        file: where.
        line: in that file, if it is known.
        step: which step, if it is about one.
        flag: which flag, if it is about one.
        message: what is the case.
        hint: what to do, or what it means; may be empty.
    """

    level: Level
    code: Code
    file: str
    message: str
    line: int | None = None
    step: str | None = None
    flag: str | None = None
    hint: str = ""

    def __str__(self) -> str:
        line = f":{self.line}" if self.line is not None else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.file}{line}: {self.level}: {self.message}{hint}"


class FlowReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``ostler flow check --json`` prints.

    Attributes:
        file: the flow's, as it was given.
        ok: whether it can run: there is no error.
        name: the flow's; null where it cannot be loaded.
        browser: whether it wants one.
        steps: in order.
        params_schema: JSON Schema of its parameters, if it declares any.
        sessions: how many profiles' sessions were compared.
        findings: errors first.
    """

    file: str
    ok: bool
    name: str | None
    browser: bool
    steps: tuple[StepSpec, ...]
    params_schema: dict[str, Any] | None
    sessions: int
    findings: tuple[Finding, ...]


class Found:
    """What is known around the flow: the sessions, and the other flows of its folder."""

    def __init__(self) -> None:
        self.sessions: list[SessionState] = []
        self.neighbours: dict[str, FlowDescription] = {}
        self.unreadable: list[Finding] = []

    def flags(self) -> dict[str, str]:
        """Return the neighbours' flags: flag → file."""
        return {
            step.flag: file
            for file, other in reversed(self.neighbours.items())
            for step in other.steps
            if step.flag is not None
        }


def check(shown: str, inspector: FlowInspector, state_dir: Path, params: Sequence[dict[str, Any]] = ()) -> FlowReport:
    """Return what is to be said of a flow file.

    Args:
        shown: its path, as it was given.
        inspector: loads flows in a process of their own.
        state_dir: whose sessions are compared.
        params: sets of parameters that it should take.
    """
    file = Path(shown).resolve()
    try:
        flow = inspector.describe(file, params)
    except FlowLoadError as exc:
        place = shown if exc.path == str(file) else exc.path
        finding = Finding(level="error", code="not_loadable", file=place, line=exc.line, message=exc.reason)
        return FlowReport(
            file=shown, ok=False, name=None, browser=False, steps=(), params_schema=None, sessions=0, findings=(finding,)
        )  # fmt: skip
    around = look_around(file, inspector, state_dir)
    order = {"error": 0, "warning": 1, "note": 2}
    findings = sorted(judge(shown, flow, around), key=lambda found: (order[found.level], found.line or 0))
    return FlowReport(
        file=shown,
        ok=all(found.level != "error" for found in findings),
        name=flow.name,
        browser=flow.browser,
        steps=flow.steps,
        params_schema=flow.params_schema,
        sessions=len(around.sessions),
        findings=tuple(findings),
    )


def look_around(file: Path, inspector: FlowInspector, state_dir: Path) -> Found:
    """Read the sessions, and describe the other flow files of the folder."""
    found = Found()
    store = FileSessionStore(state_dir)
    for path in sorted((state_dir / "sessions").glob("*.json")):
        if not is_valid_id(path.stem):
            continue
        try:
            stored = store.read(path.stem)
        except (StateCorrupt, NewerSchema) as exc:
            found.unreadable.append(
                Finding(level="note", code="session_unreadable", file=str(path), message=f"not looked at: {exc}")
            )
            continue
        if stored is not None:
            found.sessions.append(stored.value)
    others = [path for path in sorted(file.parent.glob("*.py")) if path != file and _looks_like_a_flow(path)]
    for path in others[:MOST_NEIGHBOURS]:
        try:
            found.neighbours[path.name] = inspector.describe(path, ())
        except FlowLoadError as exc:
            message = f"not looked at: it cannot be loaded: {exc.reason}"
            found.unreadable.append(
                Finding(level="note", code="neighbour_unreadable", file=exc.path, line=exc.line, message=message)
            )
    return found


def judge(file: str, flow: FlowDescription, around: Found) -> list[Finding]:
    """Return the findings about a flow that can be loaded."""
    found = [*_params(file, flow), *_names(file, flow, around), *_requirements(file, flow, around)]
    return [
        *found,
        *_flags_of_sessions(file, flow, around),
        *_notes_of_sessions(file, flow, around),
        *around.unreadable,
    ]


def _params(file: str, flow: FlowDescription) -> Iterable[Finding]:
    for problem in flow.problems:
        message = f"params.{problem.field}: {problem.message}" if problem.field else f"params: {problem.message}"
        yield Finding(level="error", code="params_refused", file=file, message=message)
    for name in _fields(flow.params_schema):
        if is_secret(name):
            yield Finding(
                level="warning",
                code="secret_parameter",
                file=file,
                message=f"parameter {name!r} would stand in a queue file",
                hint="secrets belong to the profile's identity: `ostler identity set`, and ctx.identity in the flow",
            )


def _names(file: str, flow: FlowDescription, around: Found) -> Iterable[Finding]:
    theirs = around.flags()
    for name, other in around.neighbours.items():
        if other.name == flow.name:
            message = f"{name} has a flow of the same name {flow.name!r}"
            hint = "they share what was learnt about selectors; give one another name"
            yield Finding(level="warning", code="same_flow_name", file=file, message=message, hint=hint)
    for step in flow.steps:
        about: dict[str, Any] = {"file": file, "line": flow.lines.get(step.name), "step": step.name}
        if step.name in _OURS:
            message = f"step {step.name!r} has the name of a part of every attempt"
            hint = "messages and logs would not tell them apart; rename it"
            yield Finding(level="warning", code="reserved_name", message=message, hint=hint, **about)
        for text, what in {step.flag or step.name: "flag", step.name: "step"}.items():
            if any(char.isspace() or not char.isprintable() for char in text):
                message = f"{what} {text!r} holds blanks or characters that cannot be seen"
                hint = "it has to be typed on a command line: --from STEP, --step FLAG"
                yield Finding(level="warning", code="awkward_name", message=message, hint=hint, **about)
        if step.flag is not None and step.flag in theirs:
            yield Finding(
                level="warning",
                code="shared_flag",
                flag=step.flag,
                message=f"flag {step.flag!r} is also stated by {theirs[step.flag]}",
                hint="flows that state the same flag mean the same fact: what one has done, the other does not do again; "
                "if they mean different facts, rename one",
                **about,
            )


def _requirements(file: str, flow: FlowDescription, around: Found) -> Iterable[Finding]:
    own = {step.flag for step in flow.steps}
    theirs = around.flags()
    for step in flow.steps:
        for flag in step.requires:
            if flag in own:
                continue
            about: dict[str, Any] = {
                "file": file, "line": flow.lines.get(step.name), "step": step.name, "flag": flag,
            }  # fmt: skip
            holders = [session.profile_id for session in around.sessions if session.completion_flags.get(flag)]
            if flag in theirs:
                message = f"step {step.name!r} requires {flag!r}, which {theirs[flag]} states"
                hint = "a profile that does not have it yet has to run that flow first"
                yield Finding(level="note", code="required_elsewhere", message=message, hint=hint, **about)
            elif holders:
                message = f"step {step.name!r} requires {flag!r}, which {_profiles(holders)}, and no flow of this folder states"
                yield Finding(level="note", code="required_elsewhere", message=message, **about)
            else:
                message = (
                    f"step {step.name!r} requires {flag!r}, which no flow of this folder states and no profile has"
                )
                hint = "it can never run; is the flag misspelt?"
                yield Finding(level="warning", code="required_nowhere", message=message, hint=hint, **about)


def _flags_of_sessions(file: str, flow: FlowDescription, around: Found) -> Iterable[Finding]:
    known = {step.flag for step in flow.steps} | set(around.flags())
    held: dict[str, list[str]] = {}
    for session in around.sessions:
        for flag, holds in session.completion_flags.items():
            if holds and flag not in known:
                held.setdefault(flag, []).append(session.profile_id)
    stated = Counter(flag for session in around.sessions for flag, holds in session.completion_flags.items() if holds)
    new = [step for step in flow.steps if step.flag is not None and not stated[step.flag]]
    for flag, holders in sorted(held.items()):
        hint = "it is kept untouched"
        if new:
            hint += (
                f"; if it is the old name of a step that is now called otherwise ({', '.join(s.name for s in new[:_SHOWN])}),"
                f" that step will be done again for them, unless it says flag={flag!r}"
            )
        message = f"{_profiles(holders)} flag {flag!r}, which no flow of this folder states"
        yield Finding(level="note", code="unknown_flag", file=file, flag=flag, message=message, hint=hint)


def _notes_of_sessions(file: str, flow: FlowDescription, around: Found) -> Iterable[Finding]:
    flows = (flow, *around.neighbours.values())
    known = {step.name for one in flows for step in one.steps} | {"prepare", "authenticated"}
    noted: dict[str, list[str]] = {}
    for session in around.sessions:
        for step in session.remembered:
            if step not in known:
                noted.setdefault(step, []).append(session.profile_id)
    for step, holders in sorted(noted.items()):
        message = (
            f"{_profiles(holders)} notes of a step {step!r} that was begun and not committed, and is in no flow here"
        )
        hint = f"they stay, unread, until `ostler session reset {holders[0]}`; a renamed step begins without them"
        yield Finding(level="note", code="notes_of_unknown_step", file=file, step=step, message=message, hint=hint)


def _profiles(ids: Sequence[str]) -> str:
    if len(ids) == 1:
        return f"profile {ids[0]} has"
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return f"profiles {', '.join(ids[:_SHOWN])}{more} have"


def _fields(schema: dict[str, Any] | None) -> list[str]:
    if schema is None:
        return []
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found = schema.get("$defs", {}).get(name, schema)
    return list(found.get("properties", {}))


def _looks_like_a_flow(path: Path) -> bool:
    """Whether a file imports what a flow imports; it is read, not run."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module in ("workers.steps", "workers.steps.flow")
        and any(alias.name == "Flow" for alias in node.names)
        for node in ast.walk(tree)
    )
