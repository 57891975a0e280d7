"""What a launch panel subscribes to: seven events with its names, its fields and its units (milliseconds).

They say nothing that the catalogue (``core.domain.events``) does not, so that they are not written: they are made from it, by
whoever wants them (``core.domain.launch_fold``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from core.domain import events as ev
from core.domain.lifecycle import AttemptState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.domain.events import Event


class _Launch(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", rename="camel"):
    timestamp: str
    v: int = ev.VERSION


class ProfilesFetched(_Launch, frozen=True, kw_only=True, tag="event:profiles-fetched"):
    """A feed was read. ``total`` is what it names; who they are is said by ``ostler queue list --json``: there may be thousands."""

    source: str
    total: int
    added: int
    updated: int
    done: int
    cancelled: int


class ProfileStatusChanged(_Launch, frozen=True, kw_only=True, tag="event:profile-status-changed"):
    """An attempt went on to another status of the status flow. ``phase``: the stage or step that it is in."""

    profile_id: str
    job_id: str
    attempt: int
    status: AttemptState
    message: str
    phase: str | None = None


class LaunchError(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A classified error."""

    code: str
    type: str
    severity: str
    retryable: bool
    user_message: str
    technical_message: str
    suggested_action: str


class ProfileError(_Launch, frozen=True, kw_only=True, tag="event:profile-error"):
    """An attempt failed. ``error`` is classified as in docs/failures.md; ``retryable`` in it is what its table says."""

    profile_id: str
    job_id: str
    attempt: int
    message: str
    error: LaunchError
    phase: str | None = None


class LaunchProgress(_Launch, frozen=True, kw_only=True, tag="event:launch-all-progress"):
    """How far the run is. ``current`` of ``total`` jobs need no more of it, ``errors`` of them failed or are quarantined;
    ``launched`` counts browser starts. ``currentBatch``: profiles of the latest batch, or those that run where there are none
    (``batchNumber`` 0). ``estimatedTimeRemaining``: milliseconds.
    """

    current: int
    total: int
    launched: int
    errors: int
    current_batch: tuple[str, ...]
    batch_number: int
    estimated_time_remaining: int | None = None


class LaunchCompleted(_Launch, frozen=True, kw_only=True, tag="event:launch-all-completed"):
    """The run has ended. ``counts``: jobs by state over the whole queue."""

    total: int
    launched: int
    errors: int
    duration: int
    exit_code: int
    counts: dict[str, int]


class LaunchBatchStarted(_Launch, frozen=True, kw_only=True, tag="event:batch-started"):
    """The profiles of a batch are prepared in parallel."""

    batch_number: int
    batch_size: int
    profile_ids: tuple[str, ...]


class LaunchBatchCompleted(_Launch, frozen=True, kw_only=True, tag="event:batch-completed"):
    """Every profile of a batch was launched, or failed before that. ``nextBatchAt``: when the next one may begin."""

    batch_number: int
    launched: int
    errors: int
    duration: int
    next_batch_at: str


LaunchEvent = (
    ProfilesFetched
    | ProfileStatusChanged
    | ProfileError
    | LaunchProgress
    | LaunchCompleted
    | LaunchBatchStarted
    | LaunchBatchCompleted
)

MADE_FROM: Mapping[type[LaunchEvent], tuple[type[Event], ...]] = {
    ProfilesFetched: (ev.FeedRead,),
    ProfileStatusChanged: (
        ev.AttemptStarted,
        ev.PhaseStarted,
        ev.BrowserLaunched,
        ev.BrowserClosed,
        ev.AttemptParked,
        ev.AttemptResumed,
        ev.AttemptEnded,
    ),
    ProfileError: (ev.AttemptEnded,),
    LaunchProgress: (ev.AttemptLaunched, ev.JobChanged),
    LaunchCompleted: (ev.RunEnded,),
    LaunchBatchStarted: (ev.BatchStarted,),
    LaunchBatchCompleted: (ev.BatchCompleted,),
}
"""Which kinds of the catalogue each of the seven follows."""

_decoder: msgspec.json.Decoder[LaunchEvent] = msgspec.json.Decoder(LaunchEvent)


def encode(event: LaunchEvent) -> bytes:
    """Return the event as JSON, on one line, without a line break; what could not be read back is refused.

    Raises:
        msgspec.ValidationError: a field is of a wrong type.
    """
    text = msgspec.json.encode(event)
    _decoder.decode(text)
    return text


def decode(text: bytes) -> LaunchEvent:
    """Return the event of one line.

    Raises:
        msgspec.ValidationError: it is none of the seven.
        msgspec.DecodeError: not JSON.
    """
    return _decoder.decode(text)
