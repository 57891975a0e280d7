"""Where in a feed a parameter stands that its flow does not take."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from core.domain.messages import FlowDescription, ParamProblem
from core.errors import BadInput
from core.queue.feed import FeedDefaults, read_feed
from core.queue.intake import Intake

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Picky:
    """Takes no text where it wants a number."""

    def __init__(self, field: str) -> None:
        self.field = field

    def describe(self, flow: Path, params: Sequence[dict[str, Any]]) -> FlowDescription:
        wrong = [index for index, one in enumerate(params) if "x" in str(one)]
        problems = tuple(ParamProblem(index=index, field=self.field, message="`str`") for index in wrong)
        return FlowDescription(name="f", steps=(), problems=problems)


@pytest.mark.parametrize(
    ("feed", "field", "place"),
    [
        ('["a",\n {"profile_id": "b", "params": {"n": "x"}}]', "n", "2:38: [1].params.n"),
        ('{"jobs": ["a",\n  {"profile_id": "b", "params": {"n": "x"}}]}', "n", "2:39: jobs[1].params.n"),
        ('{"defaults": {"params":\n {"n": "x"}}, "jobs": ["a", "b"]}', "n", "2:8: defaults.params.n"),
        ('[{"profile_id": "b", "params": {"list": [1, "x"]}}]', "list[1]", "1:45: [0].params.list[1]"),
        ('[{"profile_id": "b", "params": {"list": "x"}}]', "list[7]", "1:41: [0].params.list[7]"),
        ('[{"profile_id": "b", "params": {"y": "x"}}]', "", "1:32: [0].params"),
        ('{"profile_id": "a"}\n\n{"profile_id": "b", "params": {"n": "x"}}', "n", "3:37: params.n"),
    ],
)
def test_a_parameter_is_named_with_its_place(tmp_path: Path, feed: str, field: str, place: str) -> None:
    """Line, column and path, also where the defaults of the feed have it, and in JSON Lines."""
    (tmp_path / "f.py").touch()

    def read() -> Any:
        defaults = FeedDefaults(flag_flow=str(tmp_path / "f.py"))
        return read_feed("-", stdin=io.BytesIO(feed.encode()), cwd=tmp_path, defaults=defaults)

    with pytest.raises(BadInput) as caught:
        Intake(read, Picky(field)).accept()
    assert str(caught.value).startswith(f"<stdin>:{place}: expected what f.py takes, found `str`")
