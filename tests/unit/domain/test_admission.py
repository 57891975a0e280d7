"""Whether the host can take one more browser."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.admission import KEPT_PEAKS, Admission, AdmissionPolicy, Load, admit, expected

MB = 1024 * 1024
POLICY = AdmissionPolicy(memory_reserve=200 * MB, usual_need=300 * MB)
WELL = Load(memory_free=8000 * MB, stalled=0.0, cpu_others=0.1, cpu_own=0.9, disk_free=9000 * MB, inodes_free=10**6)


def load(**changes) -> Load:
    return msgspec.structs.replace(WELL, **changes)


def after(
    *loads: Load, start: Admission | None = None, step: float = 0.5, under_way: int = 2, policy=POLICY
) -> Admission:
    state, now = start or Admission(), 0.0
    for one in loads:
        state = admit(policy, state, one, under_way=under_way, now=now)
        now += step
    return state


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"memory_free": 149 * MB}, "memory"),
        ({"memory_free": 150 * MB}, ""),
        ({"memory_free": None}, ""),
        ({"stalled": 0.4}, "memory pressure"),
        ({"stalled": None}, ""),
        ({"disk_free": 100 * MB}, "disk space"),
        ({"disk_free": None}, ""),
        ({"inodes_free": 10}, "inodes"),
        ({"inodes_free": None}, ""),
        ({"cpu_others": 0.9}, "processor"),
        ({"cpu_others": None, "cpu_own": None}, ""),
        ({"lag": 2.0}, "orchestrator is late"),
    ],
)
def test_each_limit_holds_starts_at_once(changes, reason):
    """One bad look is enough; what is not known holds nobody."""
    assert after(load(**changes)).reason == reason


def test_one_is_let_through_with_nothing_under_way():
    """A host that is always busy does not wait for ever: one at a time."""
    state = after(load(memory_free=0, cpu_others=1.0), under_way=0)
    assert (state.reason, state.room) == ("memory", 1)
    assert after(load(cpu_others=1.0)).room == 0
    assert (after(load(memory_free=499 * MB)).room, after(load(memory_free=499 * MB), under_way=0).room) == (0, 1)
    assert after(load(memory_free=None)).room is None


def test_our_own_use_counts_where_the_host_is_to_find_the_limit():
    """Otherwise it is what browsers are there for."""
    auto = msgspec.structs.replace(POLICY, own_cpu=True)
    assert after(load(cpu_others=0.1, cpu_own=0.8)).reason == ""
    assert after(load(cpu_others=0.1, cpu_own=0.8), policy=auto).reason == "processor"
    assert after(load(cpu_others=0.1, cpu_own=None), policy=auto).reason == ""


def test_what_runs_is_counted_with_what_it_will_want():
    """Two that have 100 MB each and are known to want 400 leave 600 less than what is free now."""
    seen = after(load(used={"a": 400 * MB, "b": 400 * MB}), load())
    growing = {"a": 100 * MB, "b": 100 * MB}
    assert after(load(memory_free=1500 * MB, used=growing), start=seen).room == 1
    assert after(load(memory_free=1100 * MB, used=growing), start=seen).room == 0


def test_what_was_just_started_says_nothing_of_what_it_will_want():
    """It is learnt from once it has ended, or has not grown for ten seconds."""
    small = load(memory_free=1100 * MB, used={"a": 50 * MB})
    assert (after(small).peaks, after(small).room) == ({}, 2)
    assert after(*[small] * 21).peaks == {"a": 50 * MB}
    sizes = [load(used={"a": number * 50 * MB}) for number in range(1, 30)]
    assert after(*sizes).peaks == {}
    assert after(*sizes, load()).peaks == {"a": 29 * 50 * MB}


def test_a_profile_is_expected_to_want_what_it_wanted_before():
    """One that is not known, what the larger of the others want; with none known, the usual."""
    assert expected(POLICY, {}, "a") == 300 * MB
    peaks = {"a": 100, "b": 200, "c": 300, "d": 400}
    assert (expected(POLICY, peaks, "a"), expected(POLICY, peaks, "new")) == (100, 400)


def test_the_most_that_was_seen_is_kept_of_the_latest():
    """A smaller measurement changes nothing; what is learnt does not grow without end."""
    state = after(load(used={"a": 300}), load(used={"a": 200}), load())
    assert state.peaks == {"a": 300}
    assert after(load(used={"a": 100}), load(), start=state).peaks == {"a": 300}
    many = {f"p{number}": number + 1 for number in range(KEPT_PEAKS + 5)}
    assert len(after(load(used=many), load()).peaks) == KEPT_PEAKS


def test_starts_go_on_after_a_calm_while_only():
    """All must be well for five seconds on end; a bad look in between begins them anew."""
    bad, good = load(cpu_others=1.0), load()
    state = after(bad, *[good] * 9, bad, *[good] * 9)
    assert state.reason == "processor"
    assert after(bad, *[good] * 10).reason == ""


def test_the_calm_grows_when_it_soon_goes_wrong_again():
    """A load that comes and goes does not make starts flap: five seconds, twenty, at most forty; later, five again."""
    now, state, calms = 0.0, Admission(), []
    for _ in range(5):
        state = admit(POLICY, state, load(cpu_others=1.0), under_way=2, now=now)
        calms.append(state.calm)
        now += state.calm
        state = admit(POLICY, state, load(), under_way=2, now=now)
        assert state.reason == ""
    assert calms == [5.0, 20.0, 40.0, 40.0, 40.0]
    state = admit(POLICY, state, load(cpu_others=1.0), under_way=2, now=now + 31)
    assert state.calm == 5.0


def test_one_is_sent_away_when_memory_runs_out_and_not_at_every_look():
    """Twice in a row it must be so; then not again for ten seconds; and never the only one."""
    tight = load(memory_free=50 * MB)
    assert not after(tight).shed
    first = after(tight, tight)
    assert first.shed
    assert not after(tight, start=msgspec.structs.replace(first)).shed
    assert not after(tight, tight, under_way=1).shed
    assert admit(POLICY, first, tight, under_way=2, now=11.0).shed
    assert after(load(stalled=0.9), load(stalled=0.9)).shed
    assert not after(load(memory_free=None, stalled=None), load(memory_free=None, stalled=None)).shed


@given(
    st.lists(
        st.builds(
            Load,
            memory_free=st.none() | st.integers(0, 2000 * MB),
            stalled=st.none() | st.floats(0, 1),
            cpu_others=st.none() | st.floats(0, 1),
            cpu_own=st.none() | st.floats(0, 1),
            disk_free=st.none() | st.integers(0, 2000 * MB),
            lag=st.floats(0, 5),
            used=st.dictionaries(st.sampled_from("abc"), st.integers(0, 500 * MB)),
        ),
        min_size=1,
        max_size=240,
    ),
    st.integers(0, 5),
)
def test_starts_change_at_most_six_times_a_minute(loads, under_way):
    """Whatever the load does; and with nothing under way there is room for one."""
    state, changes = Admission(), []
    for number, one in enumerate(loads):
        before = state
        state = admit(POLICY, state, one, under_way=under_way, now=number * 0.5)
        if bool(state.reason) != bool(before.reason):
            changes.append(number * 0.5)
        assert state.room is None or state.room >= (0 if under_way else 1)
    for at in changes:
        assert sum(at <= other < at + 60 for other in changes) <= 6
