"""Whether the host can take one more browser: the decision is data, and so is what was measured.

**Memory** is counted ahead: a browser that was just started will want more than it has. What a profile wants is learnt from
attempts that have ended, or have not grown for a while. There is **room** for as many as fit; that it is used up is how it should
be, and the next one is let in as soon as it fits. **The processor** counts only as far as others use it: what our own browsers use
is what they are there for. **Hysteresis**: where something is wrong, nothing is started again until all has been well for a while,
and for longer each time it went wrong soon after. With nothing under way one is always let through: otherwise a small host would
wait for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

import msgspec

KEPT_PEAKS = 10_000
_RECENT = 50
_SOON = 30.0
_LONGEST_CALM = 40.0
_GROWTH = 4
_SETTLED = 10.0
_RISE = 1.05
_TOUCHED = 0.75
_SHED_EVERY = 10.0
_MEGABYTE = 1024 * 1024


class AdmissionPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Where the host's limits are.

    Attributes:
        memory_reserve: bytes that are left to others.
        usual_need: bytes that a browser and its worker are taken to want until one has been seen.
        cpu_threshold: share of all cores that others may use.
        stalled_threshold: share of time in which tasks may wait for memory.
        disk_reserve: bytes that stay free where workspaces are.
        inodes_reserve: files that may still be made there.
        lag_threshold: seconds that our own loop may be late.
        calm: seconds that all must be well before more is started.
        own_cpu: whether our own use of the processor counts, too: for a run whose limit the host is to find.
    """

    memory_reserve: int = 256 * _MEGABYTE
    usual_need: int = 300 * _MEGABYTE
    cpu_threshold: float = 0.85
    stalled_threshold: float = 0.3
    disk_reserve: int = 512 * _MEGABYTE
    inodes_reserve: int = 10_000
    lag_threshold: float = 1.0
    calm: float = 5.0
    own_cpu: bool = False


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured. None: this system does not say.

    Attributes:
        memory_free: bytes that may still be used: of the host, or of the narrowest control group above us.
        stalled: share of the time since the last measurement in which tasks waited for memory.
        cpu_others: share of all cores that others used in that time.
        cpu_own: share that we and our attempts used.
        disk_free: bytes that are free where workspaces are.
        inodes_free: files that may be made there.
        lag: seconds that our own loop was late.
        used: bytes that each attempt's processes have, by profile.
    """

    memory_free: int | None = None
    stalled: float | None = None
    cpu_others: float | None = None
    cpu_own: float | None = None
    disk_free: int | None = None
    inodes_free: int | None = None
    lag: float = 0.0
    used: Mapping[str, int] = {}


class Growth(msgspec.Struct, frozen=True):
    """An attempt under way: the most that it was seen to use, in bytes, and the monotonic time at which it last rose."""

    peak: int
    at: float


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What has been learnt and decided so far.

    Attributes:
        reason: what is wrong with the host; empty while nothing is.
        room: how many may be started before the next measurement; None: as many as there are slots.
        shed: one that runs is to end after its step, and to be queued again.
        growing: of each attempt that was seen by the last measurement.
        peaks: the most that a profile's attempt was seen to use, in bytes; of the latest profiles.
        since: monotonic time of the last change between held and not.
        bad_at: monotonic time of the last measurement that was not well.
        calm: seconds that all must be well now before more is started.
        shed_at: monotonic time of the last ``shed``.
        strained: the measurement before this one was of the kind that sheds.
    """

    reason: str = ""
    room: int | None = None
    shed: bool = False
    growing: Mapping[str, Growth] = {}
    peaks: Mapping[str, int] = {}
    since: float = float("-inf")
    bad_at: float = float("-inf")
    calm: float = 0.0
    shed_at: float = float("-inf")
    strained: bool = False


def admit(policy: AdmissionPolicy, before: Admission, load: Load, *, under_way: int, now: float) -> Admission:
    """Say whether more may be started.

    Args:
        policy: the limits.
        before: what the last call returned.
        load: what was measured.
        under_way: attempts that are launched and do not wait for a person.
        now: monotonic seconds.
    """
    growing = _growing(before.growing, load.used, now)
    peaks = _learnt(before, growing, now)
    trouble = _trouble(policy, load)
    after = msgspec.structs.replace(
        before, growing=growing, peaks=peaks, shed=False, bad_at=now if trouble else before.bad_at
    )
    after = _held(policy, after, trouble, now)
    after = _strained(policy, after, load, under_way, now)
    return msgspec.structs.replace(after, room=_room(policy, after, load, under_way))


def expected(policy: AdmissionPolicy, peaks: Mapping[str, int], profile_id: str) -> int:
    """Return how many bytes an attempt will want: as this profile's last, or as the larger ones of the others."""
    if profile_id in peaks:
        return peaks[profile_id]
    recent = list(peaks.values())[-_RECENT:]
    if not recent:
        return policy.usual_need
    # what is said to be usual is a guess: a few attempts know better
    return int(max(median(recent), sorted(recent)[len(recent) * 3 // 4]))


def _growing(before: Mapping[str, Growth], used: Mapping[str, int], now: float) -> dict[str, Growth]:
    growing = {}
    for profile, size in used.items():
        known = before.get(profile)
        rises = known is None or size > known.peak * _RISE
        growing[profile] = Growth(size, now) if known is None or rises else Growth(max(known.peak, size), known.at)
    return growing


def _learnt(before: Admission, growing: Mapping[str, Growth], now: float) -> Mapping[str, int]:
    """Return the peaks with those of attempts that are gone, and of those that have not grown for a while."""
    gone = {profile: one.peak for profile, one in before.growing.items() if profile not in growing}
    settled = {profile: one.peak for profile, one in growing.items() if now - one.at >= _SETTLED}
    more = {profile: peak for profile, peak in (gone | settled).items() if peak > before.peaks.get(profile, 0)}
    if not more:
        return before.peaks
    # the latest stand last
    known = {**{profile: size for profile, size in before.peaks.items() if profile not in more}, **more}
    return dict(list(known.items())[-KEPT_PEAKS:])


def _room(policy: AdmissionPolicy, state: Admission, load: Load, under_way: int) -> int | None:
    """Return how many more fit; while something is wrong none, but one where nothing is under way."""
    least = 0 if under_way else 1
    free = _free_ahead(policy, state.peaks, load)
    if state.reason:
        return least
    return None if free is None else max(int(free // expected(policy, state.peaks, "")), least)


def _free_ahead(policy: AdmissionPolicy, peaks: Mapping[str, int], load: Load) -> float | None:
    """Return the bytes that are free once everything under way has what it will want; None if nobody knows."""
    if load.memory_free is None:
        return None
    growth = sum(max(expected(policy, peaks, profile) - size, 0) for profile, size in load.used.items())
    return float(load.memory_free - policy.memory_reserve - growth)


PRESSURES = frozenset({"memory", "memory pressure", "disk space", "inodes", "processor", "orchestrator is late"})
"""All reasons for which nothing is started."""


def _trouble(policy: AdmissionPolicy, load: Load) -> str:  # noqa: PLR0911 - one reason each
    cpu = load.cpu_others
    if cpu is not None and policy.own_cpu:
        cpu += load.cpu_own or 0.0
    # a little of the reserve is what estimates may be wrong by
    if load.memory_free is not None and load.memory_free < policy.memory_reserve * _TOUCHED:
        return "memory"
    if load.stalled is not None and load.stalled > policy.stalled_threshold:
        return "memory pressure"
    if load.disk_free is not None and load.disk_free < policy.disk_reserve:
        return "disk space"
    if load.inodes_free is not None and load.inodes_free < policy.inodes_reserve:
        return "inodes"
    if cpu is not None and cpu > policy.cpu_threshold:
        return "processor"
    if load.lag > policy.lag_threshold:
        return "orchestrator is late"
    return ""


def _held(policy: AdmissionPolicy, state: Admission, trouble: str, now: float) -> Admission:
    """Hold at once; let go when all has been well for long enough."""
    if trouble and not state.reason:
        soon = now - state.since < _SOON
        calm = min(state.calm * _GROWTH, _LONGEST_CALM) if soon and state.calm else policy.calm
        return msgspec.structs.replace(state, reason=trouble, since=now, calm=calm)
    if state.reason and not trouble and now - state.bad_at >= state.calm:
        return msgspec.structs.replace(state, reason="", since=now)
    return state


def _strained(policy: AdmissionPolicy, state: Admission, load: Load, under_way: int, now: float) -> Admission:
    """Send one away when memory is about to run out, twice in a row, and not again before that had an effect."""
    tight = load.memory_free is not None and load.memory_free < policy.memory_reserve / 2
    strained = under_way > 1 and (tight or (load.stalled or 0.0) > 2 * policy.stalled_threshold)
    shed = strained and state.strained and now - state.shed_at >= _SHED_EVERY
    return msgspec.structs.replace(state, strained=strained, shed=shed, shed_at=now if shed else state.shed_at)
