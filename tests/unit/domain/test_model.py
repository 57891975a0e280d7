"""Jobs and what makes one a different one."""

from __future__ import annotations

import msgspec
import pytest

from core.domain.model import Holder, JobSpec, revision

SPEC = JobSpec(id="a", profile_id="a", flow="/flow.py", params={"x": 1, "y": [2, {"z": None}]})


@pytest.mark.parametrize("change", [{"id": "b"}, {"priority": 9}, {"not_before": 5.0}])
def test_order_and_time_do_not_make_another_job(change):
    """The work is the same."""
    assert revision(msgspec.structs.replace(SPEC, **change)) == revision(SPEC)


@pytest.mark.parametrize(
    "change",
    [
        {"profile_id": "b"},
        {"flow": "/other.py"},
        {"params": {"x": 2, "y": [2, {"z": None}]}},
        {"timeout": 5.0},
        {"max_attempts": 1},
        {"template": "/t"},
        {"device": "mobile"},
        {"proxy": "http://p"},
    ],
)
def test_what_changes_the_work_changes_the_revision(change):
    """An edited job is not the one that was done."""
    assert revision(msgspec.structs.replace(SPEC, **change)) != revision(SPEC)


def test_the_order_of_parameters_does_not_matter():
    """A feed may be written by anything."""
    other = msgspec.structs.replace(SPEC, params={"y": [2, {"z": None}], "x": 1})
    assert revision(other) == revision(SPEC)


def test_a_holder_is_named_with_host_pid_and_since():
    """What a person needs in order to find it."""
    said = str(Holder(pid=7, host="box", since=0.0, what="orchestrator"))
    assert "orchestrator" in said
    assert "7" in said
    assert "box" in said
    assert "19" in said
