"""What follows when a clone could not be made: where the next attempt is made, if there is one, and at which pace clones go on.

=============================  ==========================================
what went wrong                then
=============================  ==========================================
no room, or no right to write  again in the next place
the copy is torn               again in the same place, once
the base profile, a limit      nothing: another directory changes nothing
=============================  ==========================================
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

_TURNING_POINT = 2


class Trouble(enum.StrEnum):
    """Why one attempt at a clone failed."""

    PLACE = "place"
    TORN = "torn"
    FINAL = "final"


def next_place(troubles: Sequence[Trouble], places: int) -> int | None:
    """Return the index of the place where the next attempt is made, None if there is none.

    Args:
        troubles: of this clone so far.
        places: how many there are.
    """
    if Trouble.FINAL in troubles or troubles.count(Trouble.TORN) > 1:
        return None
    place = troubles.count(Trouble.PLACE)
    return place if place < places else None


class Pace(msgspec.Struct, frozen=True):
    """Whether clones are made side by side or one after the other: one after the other from the second failure in a row, until
    as many in a row went well.

    Attributes:
        sequential: one after the other.
        against: outcomes in a row that speak for the other pace.
    """

    sequential: bool = False
    against: int = 0

    def after(self, *, made: bool) -> Pace:
        """Return the pace after a clone was made, or could not be."""
        if made is not self.sequential:
            return Pace(self.sequential)
        if self.against + 1 < _TURNING_POINT:
            return Pace(self.sequential, self.against + 1)
        return Pace(not self.sequential)
