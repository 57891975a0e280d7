"""How an attempt ended: what was seen from outside, and what the worker said."""

from __future__ import annotations

import typing

import pytest

from core.domain.failure import FAILURES, Code, Kind
from core.domain.outcome import (
    EXIT_CODES,
    PRECEDENCE,
    Busy,
    Crashed,
    Done,
    Exit,
    ExitCode,
    Failed,
    HostFault,
    Interrupted,
    Outcome,
    TimedOut,
    classify,
    ended,
    worst,
)

FAILED = Failed(step="order", reason="no button")
SAID_STOPPED = Interrupted(reason="asked to stop")


@pytest.mark.parametrize(
    ("exit_", "expected"),
    [
        (Exit(returncode=None, spawn_error="no processes left"), HostFault(reason="no processes left")),
        (Exit(returncode=0, reported=Done()), Done()),
        (Exit(returncode=1, reported=FAILED), FAILED),
        (Exit(returncode=-9, reported=Done(), stopped_by="operator", stop_reason="x"), Done()),
        (Exit(returncode=-9, reported=FAILED, stopped_by="timeout", stop_reason="x"), FAILED),
        (Exit(returncode=5, reported=Busy(holder="pid 7")), Busy(holder="pid 7")),
        (
            Exit(returncode=-9, stopped_by="timeout", stop_reason="60 s without progress", last_step="order"),
            TimedOut(step="order", reason="60 s without progress"),
        ),
        (
            Exit(returncode=6, reported=SAID_STOPPED, stopped_by="timeout", stop_reason="slow", last_step="order"),
            TimedOut(step="order", reason="slow"),
        ),
        (Exit(returncode=-15, stopped_by="operator", stop_reason="asked"), Interrupted(reason="asked")),
        (
            Exit(returncode=6, reported=SAID_STOPPED, stopped_by="operator", stop_reason="asked"),
            Interrupted(reason="asked"),
        ),
        (Exit(returncode=None, stopped_by="orchestrator", stop_reason="gone"), Interrupted(reason="gone")),
        (Exit(returncode=6, reported=SAID_STOPPED), SAID_STOPPED),
        (Exit(returncode=-11, last_step="order"), Crashed(step="order", reason="killed by signal 11")),
        (Exit(returncode=0, last_step="order"), Crashed(step="order", reason="exited with 0 without a report")),
        (Exit(returncode=None), Crashed(step="", reason="its end was not seen")),
        (
            Exit(returncode=-9, last_step="order", out_of_memory=True),
            Crashed(
                step="order",
                reason="killed by the kernel: there was not enough memory",
                code=Code.OUT_OF_MEMORY,
            ),
        ),
    ],
)
def test_classify(exit_, expected):
    """Never started; its own final word; stopped by us; its own word that it was stopped; dead."""
    assert classify(exit_) == expected


def test_each_outcome_has_an_exit_code_of_its_own_meaning():
    """Whoever adds an outcome says what the shell is told."""
    assert set(EXIT_CODES) == set(typing.get_args(Outcome))


def test_each_code_ends_an_attempt_as_its_table_says():
    """The tag is the table's kind, code and reason are carried, and every kind is some code's."""
    for code, failure in FAILURES.items():
        outcome = ended(code, "why", "order")
        assert outcome.code is code
        assert type(outcome).__struct_config__.tag == failure.kind
        assert "why" in (getattr(outcome, name, "") for name in ("reason", "why", "holder"))
        assert getattr(outcome, "step", "order") == "order"
    tags = {kind.__struct_config__.tag for kind in typing.get_args(Outcome)}
    assert {failure.kind for failure in FAILURES.values()} == set(Kind) == tags - {"done"}


def test_each_outcome_without_a_code_has_the_one_of_its_kind():
    """What is not said is not lost: the default fits the outcome."""
    for kind in typing.get_args(Outcome):
        if kind is not Done:
            fields = {name: "x" for name in ("step", "reason", "why", "holder") if name in kind.__struct_fields__}
            assert FAILURES[kind(**fields).code].kind == kind.__struct_config__.tag


def test_precedence_names_every_code_once():
    """Where several apply, exactly one is first."""
    assert sorted(PRECEDENCE) == sorted(ExitCode)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], ExitCode.DONE),
        ([ExitCode.DONE, ExitCode.NEEDS_PERSON], ExitCode.NEEDS_PERSON),
        ([ExitCode.NEEDS_PERSON, ExitCode.QUARANTINED], ExitCode.QUARANTINED),
        ([ExitCode.QUARANTINED, ExitCode.FAILED], ExitCode.FAILED),
        ([ExitCode.FAILED, ExitCode.INTERRUPTED], ExitCode.INTERRUPTED),
        (list(ExitCode), ExitCode.BAD_INPUT),
    ],
)
def test_worst(codes, expected):
    """The worst of several is said."""
    assert worst(codes) is expected
    assert worst(reversed(codes)) is expected
