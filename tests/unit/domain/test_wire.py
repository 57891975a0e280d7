"""Events and messages: what is sent is what is read, each kind of them."""

from __future__ import annotations

import typing

import msgspec
import pytest

from core.domain import events, messages
from core.domain.failure import Code
from core.domain.model import HostTraffic, JobSpec, ProcessStamp
from core.domain.outcome import EXIT_CODES, Waiting
from core.domain.session import StepSpec

VALUES = {
    int: 7,
    float: 1.5,
    str: 'tricky " \n \u2028 é',
    bool: True,
    int | None: None,
    float | None: 2.5,
    str | None: None,
    tuple[str, ...]: ("a", "b"),
    dict[str, str]: {"a": "b"},
    dict[str, int]: {"done": 3},
    dict[str, typing.Any]: {"deep": [1, None, {"x": "y"}]},
    tuple[StepSpec, ...]: (StepSpec(name="a", flag="f", requires=("g",)),),
    tuple[HostTraffic, ...]: (HostTraffic(host="h:1", requests=2, failures=1, received=3, sent=4),),
    Code: Code.RATE_LIMITED,
    JobSpec: JobSpec(id="j", profile_id="p", flow="/f.py", params={"n": 1}),
    ProcessStamp: ProcessStamp(host="h", pid=1, started=2.0, boot_id="b", pid_namespace="n"),
    messages.WorkerSettings: messages.WorkerSettings(state_dir="/s", log_dir="/l"),
    messages.Outcome: Waiting(step="s", why="w"),
}


def example(kind):
    """Build one with a telling value in each field."""
    names = [name for name in kind.__struct_fields__ if name != "v"]
    hints = typing.get_type_hints(kind)
    return kind(**{name: VALUES[hints[name]] for name in names})


@pytest.mark.parametrize("kind", typing.get_args(events.Event), ids=lambda kind: kind.__name__)
def test_each_event_is_one_line_and_comes_back(kind):
    """With ``type`` and ``at``, and no line break inside."""
    event = example(kind)
    line = events.encode(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert events.decode(line) == event
    assert {"type", "at", "v"} <= set(msgspec.json.decode(line))


@pytest.mark.parametrize("kind", typing.get_args(events.Event), ids=lambda kind: kind.__name__)
def test_no_event_of_a_wrong_type_becomes_a_line(kind):
    """Whatever field it is in, what nobody could read is refused before it is written, by the name of the field."""
    for name in kind.__struct_fields__:
        with pytest.raises(msgspec.ValidationError, match=rf"\$\.{name}"):
            events.encode(msgspec.structs.replace(example(kind), **{name: [None]}))


def test_a_line_without_a_version_is_of_the_first_and_newer_ones_are_refused():
    """Old logs are read; what a newer catalogue may mean is not guessed."""
    assert events.decode(b'{"type":"stop_asked","at":1,"how":"now"}') == events.StopAsked(at=1.0, how="now")
    assert events.decode(b'{"type":"stop_asked","at":1,"how":"now","v":1,"why":"added later"}').v == 1
    with pytest.raises(msgspec.ValidationError, match="v"):
        events.decode(b'{"type":"stop_asked","at":1,"how":"now","v":2}')


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"type":"unknown","at":1}', b'{"type":"stop_asked"}'])
def test_what_is_no_event_is_refused(line):
    """With msgspec's own errors."""
    with pytest.raises(msgspec.DecodeError):
        events.decode(line)


@pytest.mark.parametrize(
    ("union", "kind"),
    [(union, kind) for union in (messages.Down, messages.Up) for kind in typing.get_args(union)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_message_comes_back_as_itself(union, kind):
    """The tags of one direction tell its messages apart."""
    message = example(kind)
    assert msgspec.json.decode(msgspec.json.encode(message), type=union) == message


@pytest.mark.parametrize("kind", EXIT_CODES, ids=lambda kind: kind.__name__)
def test_each_outcome_travels_in_the_last_word(kind):
    """``Finished`` carries the closed union."""
    message = messages.Finished(outcome=example(kind))
    assert msgspec.json.decode(msgspec.json.encode(message), type=messages.Up) == message


def test_a_description_of_a_flow_comes_back():
    """What ``--describe`` prints."""
    described = messages.FlowDescription(
        name="demo",
        steps=(StepSpec(name="a"),),
        problems=(messages.ParamProblem(index=1, field="n", message="expected int"),),
    )
    assert msgspec.json.decode(msgspec.json.encode(described), type=messages.FlowDescription) == described
