"""How one job gets from its claim to its browser: the right to prepare, then a slot, then the launch gate."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from core.dispatch.admission import LaunchGate, Seat, Slots
    from core.dispatch.batches import Batch


class Turn:
    """One task's way, and what it holds on it.

    Attributes:
        slot: may run a browser.
        permit: may prepare; given up once that is done, by the jobs of a batch, or else once it is launched: what is prepared
            and waits takes memory.
        batch: which the job belongs to; None where jobs start one by one.
    """

    def __init__(self, slot: Seat, permit: Seat, gate: LaunchGate, batch: Batch | None) -> None:
        self.slot = slot
        self.permit = permit
        self.batch = batch
        self._gate = gate

    async def come(self) -> bool:
        """Wait, prepared, for a slot and for the gate; whether it came before the gate was closed for good."""
        if self.batch is not None:
            self.permit.give_up()
        await self.slot.take()
        passed = await self._gate.passage()
        self.permit.give_up()
        return passed

    def launch(self, job: str) -> None:
        """The browser may start."""
        if self.batch is not None:
            self.batch.launch(job)


@asynccontextmanager
async def take_turn(slots: Slots, preparing: Slots, gate: LaunchGate, batch: Batch | None) -> AsyncIterator[Turn]:
    """Give a turn that holds nothing yet; whatever it takes is given back on leaving."""
    async with slots.seat() as slot, preparing.seat() as permit:
        yield Turn(slot, permit, gate, batch)
