"""``ostler events``: what the event log holds, and what is added to it, for people and for programs."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import math
import re
import time
from collections import deque
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from core.cli.command import add_command
from core.cli.printing import print_json_lines, say, say_aside
from core.console.wording import moment, one_line
from core.domain.events import Event
from core.domain.launch_events import LaunchEvent, encode
from core.domain.launch_fold import Launch, tell
from core.domain.outcome import ExitCode
from core.errors import BadInput, Problem
from core.events.log import BadLine, EventLog, Line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from core.settings import Settings

    Shown = tuple[Event | LaunchEvent, bytes]

_INTERVAL = 0.2
_BAD_SHOWN = 20
"""Bad lines that are said one by one."""
_DIGITS = 9
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGO = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_EPOCH = re.compile(r"[0-9]{1,11}(\.[0-9]+)?", re.ASCII)
_PREFIX = "event:"
_KINDS = tuple(str(kind.__struct_config__.tag) for kind in get_args(Event))
_LAUNCH_KINDS = tuple(str(kind.__struct_config__.tag) for kind in get_args(LaunchEvent))
_IN_HEAD = frozenset({"at", "v", "timestamp"})


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the command line."""
    command = add_command(
        groups, "events", "show what happened, and what happens, event by event",
        ["events --job anna", "events -f --type job_changed,run_ended",
         "events -f --json | jq -r .type", "events -f --launch --json"],
        more="It reads logs/events.jsonl and its older parts, and with --follow goes on across rotations and restarts. "
        "docs/events.md describes each kind.",
    )  # fmt: skip
    add = command.add_argument
    add("-f", "--follow", action="store_true", help="go on with what is added, until ^C")
    add("-n", "--lines", metavar="LINES", type=_number, help="of what is there only the last; default: all")
    kind = add("--type", metavar="T", action="append", default=[], help="only these kinds; with commas, or given again")
    kind.completer = lambda prefix, **_: [one for one in _all_kinds() if one.startswith(prefix)]  # type: ignore[attr-defined]
    add("--job", metavar="JOB", help="only of this job")
    add("--profile", metavar="ID", help="only of this profile")
    add("--since", metavar="WHEN", help="90s, 15m, 2h, 1d, an ISO date or time, or epoch seconds")
    add("--launch", action="store_true", help="as the seven events of a launch panel, in milliseconds (docs/events.md)")
    add("--json", action="store_true", help="one JSON object a line (docs/schemas/events.json)")
    command.set_defaults(run=_events)


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > _DIGITS:
        raise argparse.ArgumentTypeError("expected a number of lines, 0 or more")
    return int(text)


def _events(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    chosen = _Choice(arguments)
    show = _show_json if arguments.json else _show
    log = EventLog(settings.log_dir / "events.jsonl")
    faults = _Faults()
    # ^C is how following ends
    with contextlib.closing(log), contextlib.suppress(KeyboardInterrupt):
        past = chain(log.past(-math.inf if chosen.folds else chosen.since), _until_now(log))
        shown = chosen.of(faults.without(past))
        show(shown if arguments.lines is None else deque(shown, maxlen=arguments.lines))
        while arguments.follow:
            lines = log.new()
            show(chosen.of(faults.without(lines)))
            if not lines:
                time.sleep(_INTERVAL)
    faults.sum_up()
    if not faults.seen:
        say_aside(f"there are no events in {settings.log_dir} yet")
    return ExitCode.DONE


def _until_now(log: EventLog) -> Iterator[Line | BadLine]:
    while lines := log.new():
        yield from lines


class _Choice:
    """Which events are shown, and in which form.

    Raises:
        BadInput: naming each kind that there is not, or a time that is none.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        named = _kinds(arguments.type, launch=arguments.launch)
        launch = named & frozenset(_LAUNCH_KINDS)
        self.folds = arguments.launch or bool(launch)
        """Whether events are made of others, so that none may be left out before."""
        self.since = -math.inf if arguments.since is None else _moment(arguments.since, time.time())
        self._kinds = named or frozenset(_LAUNCH_KINDS if arguments.launch else _KINDS)
        self._job = arguments.job
        self._profile = arguments.profile
        self._launch = Launch()

    def of(self, lines: Iterable[Line]) -> Iterator[Shown]:
        """Yield what is to be shown of these lines, each with its JSON."""
        for line in lines:
            told: list[LaunchEvent] = []
            if self.folds:
                self._launch, told = tell(self._launch, line.event)
            if line.event.at < self.since:
                continue
            if self._is_chosen(line.event, "job"):
                yield line.event, line.text
            for event in told:
                if self._is_chosen(event, "job_id"):
                    yield event, encode(event)

    def _is_chosen(self, event: Event | LaunchEvent, job: str) -> bool:
        if event.__struct_config__.tag not in self._kinds:
            return False
        if self._job is not None and getattr(event, job, None) != self._job:
            return False
        return self._profile is None or getattr(event, "profile_id", None) == self._profile


class _Faults:
    """Says which lines are no events, the first of them each.

    Attributes:
        seen: lines of any sort.
    """

    def __init__(self) -> None:
        self.seen = 0
        self._bad = 0

    def without(self, lines: Iterable[Line | BadLine]) -> Iterator[Line]:
        """Yield the lines that are events."""
        for line in lines:
            self.seen += 1
            if isinstance(line, Line):
                yield line
                continue
            self._bad += 1
            if self._bad <= _BAD_SHOWN:
                say_aside(f"{line.part}, line {line.number} left out: {one_line(line.problem)}")

    def sum_up(self) -> None:
        """Say how many more there were."""
        if self._bad > _BAD_SHOWN:
            say_aside(f"{self._bad - _BAD_SHOWN} more lines left out")


def _show_json(events: Iterable[Shown]) -> None:
    print_json_lines(text for _, text in events)


def _show(events: Iterable[Shown]) -> None:
    say((_line(event) for event, _ in events), now=True)


def _line(event: Event | LaunchEvent) -> str:
    """Return an event as one line: when, what, and each of its fields that says something."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    at = getattr(event, "at", None)
    when = str(fields.get("timestamp", "")) if at is None else moment(at)
    kind = fields.pop("type")
    said = [
        f"{name}={_value(value)}" for name, value in fields.items() if name not in _IN_HEAD and value not in ("", None)
    ]
    return f"{when}  {kind:<16}  {' '.join(said)}".rstrip()


def _value(value: Any) -> str:
    if isinstance(value, str):
        text = one_line(value)
        return text if text and " " not in text and "=" not in text else msgspec.json.encode(text).decode()
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return one_line(msgspec.json.encode(value).decode())


def _all_kinds() -> tuple[str, ...]:
    return (*_KINDS, *(kind.removeprefix(_PREFIX) for kind in _LAUNCH_KINDS))


def _kinds(given: Iterable[str], *, launch: bool) -> frozenset[str]:
    """Return the kinds of these names; those of a launch panel may be named without what they begin with.

    Raises:
        BadInput: naming each that there is not.
    """
    found: set[str] = set()
    problems: list[Problem] = []
    known = {kind.removeprefix(_PREFIX): kind for kind in _LAUNCH_KINDS} | {kind: kind for kind in _LAUNCH_KINDS}
    if not launch:
        known |= {kind: kind for kind in _KINDS}
    for name in (one.strip() for text in given for one in text.split(",")):
        if name in known:
            found.add(known[name])
            continue
        like = difflib.get_close_matches(name.lower(), known, 1, 0.6)
        hint = f"did you mean {like[0]}?" if like else ""
        expected = f"a kind of event ({', '.join(kind for kind in known if not kind.startswith(_PREFIX))})"
        problems.append(Problem(place="--type", expected=expected, found=repr(name[:64]), hint=hint))
    if problems:
        raise BadInput(problems)
    return frozenset(found)


def _moment(text: str, now: float) -> float:
    """Return a time in epoch seconds; one without a zone is of this host's.

    Raises:
        BadInput: it is none.
    """
    if ago := _AGO.fullmatch(text):
        return now - int(ago[1]) * _UNITS[ago[2]]
    if _EPOCH.fullmatch(text):
        return float(text)
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo is not None else when.astimezone()).astimezone(UTC).timestamp()
    except (ValueError, OverflowError, OSError):
        expected = "a time: 90s, 15m, 2h, 1d, 2026-01-31, 2026-01-31T12:00:00Z, or epoch seconds"
        raise BadInput([Problem(place="--since", expected=expected, found=repr(text[:64]))]) from None
