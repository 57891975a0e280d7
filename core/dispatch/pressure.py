"""Looks at the host twice a second and acts on what ``core.domain.admission`` says: let so many start, or send one away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import msgspec
import structlog

from core.domain.admission import Admission, AdmissionPolicy, Load, admit
from core.errors import OstlerError

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from core.clock import Clock
    from core.dispatch.handle import Handle, Handles
    from core.dispatch.off_loop import OffLoop
    from core.dispatch.steering import Steering
    from core.process.port import HostMeter

INTERVAL = 0.5
FULL = "memory is in use"
_TOLD_AFTER = 20.0
"""Seconds after which it is told that there is no room: that a next one has to wait for a while is nothing to tell."""
log = structlog.get_logger(__name__)


class Pressure:
    """Holds a fleet to what its host can take.

    Args:
        meter: measures.
        policy: the limits.
        steering: holds starts and lets them go.
        handles: the attempts under way.
        files: runs what blocks.
        clock: for durations.
    """

    def __init__(
        self,
        *,
        meter: HostMeter,
        policy: AdmissionPolicy,
        steering: Steering,
        handles: Handles,
        files: OffLoop,
        clock: Clock,
    ) -> None:
        self._meter = meter
        self._policy = policy
        self._steering = steering
        self._handles = handles
        self._files = files
        self._clock = clock
        self._state = Admission()
        self._closed = ""
        self._closed_at = 0.0
        self._told = ""
        self._looked = False

    async def watch(self, *, task_status: TaskStatus[None]) -> None:
        """Look and act until cancelled; started once there was a first look."""
        due = self._clock.monotonic()
        while True:
            self._act(await self._measured(max(self._clock.monotonic() - due, 0.0)))
            if not self._looked:
                self._looked = True
                task_status.started()
            due = self._clock.monotonic() + INTERVAL
            await anyio.sleep(INTERVAL)

    def count_launch(self) -> None:
        """One more was let through since the last look; when there is no room for another, it waits for the next look."""
        if self._state.room is not None:
            self._state = msgspec.structs.replace(self._state, room=self._state.room - 1)
            self._open_or_close()

    async def _measured(self, lag: float) -> Load:
        # one that only prepares says nothing of what its browser will want
        stamps = {one.profile_id: one.stamp for one in self._handles if one.launched and one.stamp is not None}
        try:
            return await self._files(self._meter.measure, stamps, lag)
        except OstlerError as exc:
            log.warning("host_not_measured", reason=str(exc))
            return Load(lag=lag)

    def _act(self, load: Load) -> None:
        under_way = sum(one.launched and one.parked is None for one in self._handles)
        state = admit(self._policy, self._state, load, under_way=under_way, now=self._clock.monotonic())
        if state.room is not None:
            # those that were launched while the host was looked at are not in what was seen
            state = msgspec.structs.replace(state, room=state.room - self._unseen(load))
        self._state = state
        self._open_or_close()
        full = self._closed and self._clock.monotonic() - self._closed_at >= _TOLD_AFTER
        self._tell(self._state.reason or (self._closed if full else ""))
        if self._state.shed and (handle := self._youngest()) is not None:
            log.warning("job_sent_away", job=handle.claim.job.spec.id, reason="memory")
            handle.ask_to_yield("the host ran out of memory; it goes on later")

    def _unseen(self, load: Load) -> int:
        return sum(
            one.launched and one.parked is None and one.stamp is not None and one.profile_id not in load.used
            for one in self._handles
        )

    def _open_or_close(self) -> None:
        """Close the gate while there is no room."""
        room = self._state.room
        closed = "" if room is None or room > 0 else self._state.reason or FULL
        if closed != self._closed:
            self._closed_at = self._clock.monotonic()
            before, self._closed = self._closed, closed
            self._steering.close(closed)
            self._steering.open(before)

    def _tell(self, reason: str) -> None:
        if reason != self._told:
            self._steering.tell_resumed(self._told)
            self._steering.tell_held(reason)
            self._told = reason

    def _youngest(self) -> Handle | None:
        launched = [one for one in self._handles if one.launched and one.parked is None and not one.yields.is_set()]
        return launched[-1] if len(launched) > 1 else None
