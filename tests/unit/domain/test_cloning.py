"""Where a clone is tried next, and at which pace."""

from __future__ import annotations

import pytest

from core.domain.cloning import Pace, Trouble, next_place

PLACE, TORN, FINAL = Trouble


@pytest.mark.parametrize(
    ("troubles", "place"),
    [
        ([], 0),
        ([PLACE], 1),
        ([PLACE, PLACE], None),
        ([TORN], 0),
        ([TORN, PLACE], 1),
        ([PLACE, TORN], 1),
        ([TORN, TORN], None),
        ([FINAL], None),
        ([PLACE, FINAL], None),
    ],
)
def test_the_next_place(troubles: list[Trouble], place: int | None):
    """A place that cannot be written to is left, a torn copy is made once more, what another directory cannot mend ends it."""
    assert next_place(troubles, 2) == place


def test_two_failures_in_a_row_make_it_sequential_and_two_successes_parallel_again():
    """One failure, or one success, between others changes nothing."""
    pace = Pace()
    seen = []
    for made in (True, False, True, False, False, True, False, True, True):
        pace = pace.after(made=made)
        seen.append(pace.sequential)
    assert seen == [False, False, False, False, True, True, True, True, False]
