"""What the orchestrator is told to try again, and how often: ``--retry-failed [CLASS]``, ``--retries``, ``--max-attempts``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from core.cli.run_arguments import attempts_asked, classes_to_retry, parse
from core.domain.failure import Code, codes_of
from core.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

ALL = frozenset(Code)
NONE: frozenset[Code] = frozenset()


@pytest.mark.parametrize(
    ("argv", "queue", "codes"),
    [
        ([], None, NONE),
        (["queue.json"], "queue.json", NONE),
        # as it always was: a flag
        (["--retry-failed"], None, ALL),
        (["--retry-failed", "queue.json"], "queue.json", ALL),
        (["queue.json", "--retry-failed"], "queue.json", ALL),
        (["--retry-failed", "--again"], None, ALL),
        (["--retry-failed", "-"], "-", ALL),
        (["--retry-failed", "http://host/queue"], "http://host/queue", ALL),
        (["--retry-failed", "--", "queue.json"], "queue.json", ALL),
        # with a class
        (["--retry-failed", "network"], None, codes_of("network")),
        (["--retry-failed", "network", "queue.json"], "queue.json", codes_of("network")),
        (["queue.json", "--retry-failed=rate_limited"], "queue.json", {Code.RATE_LIMITED}),
        (["--retry-failed", "rate_limited,site_down"], None, {Code.RATE_LIMITED, Code.SITE_DOWN}),
        (["--retry-failed", "site_down", "--retry-failed", "timeout"], None, {Code.SITE_DOWN} | codes_of("timeout")),
        (["--retry-failed", "network", "--retry-failed", "queue.json"], "queue.json", ALL),
    ],
)
def test_what_is_tried_again(tmp_path: Path, argv: list[str], queue: str | None, codes: frozenset[Code]) -> None:
    """Classes are classes; what cannot be one is the queue that was always allowed to stand there."""
    options = parse(argv)
    assert classes_to_retry(options, tmp_path) == codes
    assert options.queue == queue


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--retry-failed", "netwrk"], "found 'netwrk' (did you mean network?)"),
        (["--retry-failed", "site_down,x", "q.json"], "found 'x'"),
        (["q.json", "--retry-failed", "other.json"], "found 'other.json'"),
        (["--retry-failed", "other.json", "--queue-command", "cat q"], "found 'other.json'"),
        (["--retry-failed=,", "q.json"], "found ''"),
    ],
)  # fmt: skip
def test_what_is_no_class_is_said(tmp_path: Path, argv: list[str], said: str) -> None:
    """With what would have been one; a second queue is none."""
    with pytest.raises(BadInput) as caught:
        classes_to_retry(parse(argv), tmp_path)
    expected = (
        "--retry-failed: expected a type (validation, network, authentication, resource, timeout, unknown) or a code"
    )
    assert all(str(problem).startswith(expected) for problem in caught.value.problems)
    assert str(caught.value).endswith(said)


def test_a_file_with_a_name_like_a_class_is_a_queue(tmp_path: Path) -> None:
    """A file that is there is meant; one that is named exactly as a class needs its directory before it."""
    (tmp_path / "networks").write_text('["a"]')
    (tmp_path / "network").write_text('["a"]')
    options = parse(["--retry-failed", "networks"])
    assert (classes_to_retry(options, tmp_path), options.queue) == (ALL, "networks")
    options = parse(["--retry-failed", "./network"])
    assert (classes_to_retry(options, tmp_path), options.queue) == (ALL, "./network")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [([], None), (["--max-attempts", "4"], "4"), (["--retries", "3"], 4), (["--retries", "0"], 1)],
)
def test_retries_are_attempts_after_the_first(argv: list[str], expected: object) -> None:
    """One setting, two ways to say it."""
    assert attempts_asked(parse(argv)) == expected


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--retries", "2", "--max-attempts", "3"], "retries: expected --retries or --max-attempts, which is one more, found both"),
        (["--retries", "two"], 'retries: expected a whole number, 0 or more, found "two"'),
        (["--retries=-1"], 'found "-1"'),
        (["--retries", "9" * 5000], "expected a whole number"),
    ],
)  # fmt: skip
def test_a_wrong_number_of_retries_is_said(argv: list[str], said: str) -> None:
    """Also where both ways are used, whether they agree or not."""
    with pytest.raises(BadInput, match=said):
        attempts_asked(parse(argv))
