"""The state machines: each table, pair by pair."""

from __future__ import annotations

import copy
import itertools

import pytest

from core.domain.lifecycle import (
    ATTEMPT,
    JOB,
    MANAGER,
    SESSION_STATUS,
    WORKSPACE,
    AttemptEvent,
    AttemptState,
    JobEvent,
    ManagerEvent,
    ManagerState,
    WorkspaceEvent,
    WorkspaceState,
    advance,
    as_mermaid,
)
from core.domain.model import TERMINAL, JobState
from core.errors import IllegalTransition

MACHINES = [
    (JOB, JobState, JobEvent, "job"),
    (ATTEMPT, AttemptState, AttemptEvent, "attempt"),
    (WORKSPACE, WorkspaceState, WorkspaceEvent, "workspace"),
    (MANAGER, ManagerState, ManagerEvent, "manager"),
]
PAIRS = [
    pytest.param(table, state, event, name, id=f"{name}-{state}-{event}")
    for table, states, events, name in MACHINES
    for state, event in itertools.product(states, events)
]

LEGAL_JOB = """
queued claimed prepared
queued cancelled cancelled
prepared started running
prepared completed done
prepared parked parked
prepared retry waiting
prepared interrupted queued
prepared given_up failed
prepared quarantined quarantined
prepared cancelled cancelled
running completed done
running retry waiting
running interrupted queued
running parked parked
running given_up failed
running quarantined quarantined
running cancelled cancelled
waiting due queued
waiting cancelled cancelled
parked again queued
parked cancelled cancelled
done again queued
quarantined again queued
failed again queued
cancelled again queued
"""


def test_the_job_table_is_the_one_that_was_decided():
    """Written down a second time, so that a slip in the table does not pass for a decision."""
    legal = {tuple(line.split()) for line in LEGAL_JOB.split("\n") if line}
    assert {
        (str(state), event.replace(" ", "_"), str(target))
        for state, row in JOB.items()
        for event, target in row.items()
    } == legal


@pytest.mark.parametrize(("table", "state", "event", "name"), PAIRS)
def test_each_pair_leads_where_the_table_says_or_is_refused(table, state, event, name):
    """An illegal pair raises the one typed error, says what was tried, and changes nothing."""
    before = copy.deepcopy(table)
    if event in table[state]:
        assert advance(table, state, event) is table[state][event]
    else:
        with pytest.raises(IllegalTransition) as caught:
            advance(table, state, event)
        assert (caught.value.machine, caught.value.state, caught.value.event) == (name, state, event)
        assert str(caught.value) == f"{name}: {str(event)!r} is not legal in state {str(state)!r}" or name in str(
            caught.value
        )
    assert table == before


@pytest.mark.parametrize(("table", "states"), [(table, states) for table, states, _, _ in MACHINES])
def test_every_state_stands_in_its_table_and_can_be_reached(table, states):
    """Terminal states are there with nothing that may happen, and no state is an island."""
    assert set(table) == set(states)
    first = next(iter(states))
    reached, edge = {first}, {first}
    while edge:
        edge = {target for state in edge for target in table[state].values()} - reached
        reached |= edge
    assert reached == set(states)


def test_terminal_jobs_leave_only_by_being_asked_for_again():
    """Done is done, until the operator says otherwise."""
    assert all(set(JOB[state]) == {JobEvent.AGAIN} for state in TERMINAL)


def test_every_job_state_has_a_session_status():
    """The session's status follows from the job."""
    assert set(SESSION_STATUS) == set(JobState)


def test_the_diagram_has_an_arrow_for_each_pair():
    """Terminal states point to the end."""
    lines = as_mermaid(WORKSPACE, WorkspaceState.CREATING).splitlines()
    assert lines[:3] == ["stateDiagram-v2", "    [*] --> creating", "    creating --> ready: cloned"]
    assert lines[-1] == "    destroyed --> [*]"
    assert len(lines) == 2 + sum(len(row) or 1 for row in WORKSPACE.values())
