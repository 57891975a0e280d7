"""Makes the clones of one manager: within the limits of all processes, in turn, and in another place where one fails."""

from __future__ import annotations

import errno
import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec
import structlog

from core.domain.cloning import Pace, Trouble, next_place
from core.domain.lifecycle import WorkspaceEvent, WorkspaceState
from core.domain.verification import ProfileType
from core.errors import (
    DurableWriteFailed,
    NoSpace,
    OstlerError,
    TemplateLive,
    TemplateMissing,
    TooLarge,
    WorkspaceCorrupt,
)
from core.workspaces import building, filling
from core.workspaces.errors import (
    BaseProfileUnreadable,
    CopyStopped,
    InsufficientSpaceException,
    PermissionDeniedException,
    ProfileCorruptedException,
    ProfileCreationError,
    ProfileLimitError,
    ProfileLockedException,
)
from core.workspaces.marker import Marker
from core.workspaces.places import USER_DATA
from core.workspaces.port import Receipt
from core.workspaces.worker_profile import WorkerProfile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.clock import Clock
    from core.workspaces.locks import Lock
    from core.workspaces.monitoring import Measured
    from core.workspaces.places import Place, Places

_log = structlog.get_logger()
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_RIGHT = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_KNOWN: tuple[tuple[type[OstlerError], Trouble, type[ProfileCreationError], int | None], ...] = (
    (NoSpace, Trouble.PLACE, InsufficientSpaceException, None),
    (TooLarge, Trouble.FINAL, ProfileCreationError, errno.EFBIG),
    (TemplateLive, Trouble.FINAL, ProfileLockedException, None),
    (TemplateMissing, Trouble.FINAL, ProfileCreationError, errno.ENOENT),
    (BaseProfileUnreadable, Trouble.FINAL, PermissionDeniedException, None),
    (WorkspaceCorrupt, Trouble.TORN, ProfileCorruptedException, None),
)
_Made = TypeVar("_Made")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a manager allows.

    Attributes:
        profiles: clones at a time, of all processes together.
        bytes: of one clone.
        concurrent: copies that are made at a time, by all processes together.
        clone_timeout: seconds that a copy may take, and that it may wait for its turn.
    """

    profiles: int
    bytes: int
    concurrent: int
    clone_timeout: float


class Clone:
    """What is known about one worker's profile; ``profile`` is None while it is being made.

    Attributes:
        worker_id: whose.
        guard: held while it is made, filled or removed.
        profile: what the worker was given.
        root: its directory, with our marker; None for a base profile.
        digests: of the files that matter most, as they were copied.
        accessed: when its worker last asked for it, epoch seconds.
        measured: what monitoring found last.
    """

    def __init__(self, worker_id: int | str) -> None:
        self.worker_id = worker_id
        self.guard = threading.RLock()
        self.profile: WorkerProfile | None = None
        self.root: Path | None = None
        self.digests: dict[str, str] = {}
        self.accessed = 0.0
        self.measured: Measured | None = None
        self._locks: list[Lock] = []

    def hold(self, lock: Lock) -> None:
        """Keep a lock for as long as there is this clone."""
        self._locks.append(lock)

    def let_go(self) -> None:
        """Give back what it holds."""
        while self._locks:
            self._locks.pop().remove()


class Maker:
    """Makes clones.

    Args:
        places: where they lie.
        base: what they are copies of; None for none.
        limits: how many, how large, how long.
        keep: they outlive this process.
        clock: for records.
        is_over: says that no more clones are wanted.
    """

    def __init__(
        self,
        places: Places,
        base: Path | None,
        limits: Limits,
        *,
        keep: bool,
        clock: Clock,
        is_over: Callable[[], bool],
    ) -> None:
        self._places = places
        self._base = base
        self._limits = limits
        self._keep = keep
        self._clock = clock
        self._is_over = is_over
        self._guard = threading.Lock()
        self.pace = Pace()

    def make(self, clone: Clone, kind: ProfileType, *, own: int) -> WorkerProfile:
        """Make a worker's profile.

        Args:
            clone: the caller holds its guard.
            kind: a copy, or the base profile itself.
            own: how many clones the caller has beside this one.

        Raises:
            ProfileLimitError, ProfileCreationError: nothing was made.
        """
        troubles: list[Trouble] = []
        errors: list[ProfileCreationError] = []
        while (index := next_place(troubles, len(self._places.all))) is not None:
            where = self._places.all[index]
            try:
                clone.profile = profile = self._attempt(clone, kind, where, own)
            except ProfileLimitError:
                raise
            except (OSError, OstlerError) as exc:
                clone.let_go()
                trouble, error = explain(clone.worker_id, exc)
                troubles.append(trouble)
                errors.append(error)
                _log.warning("clone_failed", worker=clone.worker_id, place=str(where.root), reason=error.reason)
            except BaseException:
                # a signal's exception may come between any two lines
                if clone.root is not None:
                    building.discard(clone.root)
                clone.let_go()
                raise
            else:
                self._count(made=True)
                return profile
        self._count(made=False)
        raise errors[-1]

    def refill(self, clone: Clone) -> None:
        """Replace a clone's data by a new copy of the base profile.

        Raises:
            ProfileCreationError: it is as it was.
        """
        with clone.guard:
            profile, root = clone.profile, clone.root
            if profile is None or root is None or not root.is_dir():
                raise ProfileCreationError(str(clone.worker_id), "it has no clone that could be filled", errno.ENOENT)
            try:
                filling.refuse_live(profile.profile_path)
                profile.receipt, clone.digests = self._in_turn(lambda: building.refill(root, self._order()))
            except (OSError, OstlerError) as exc:
                raise explain(clone.worker_id, exc)[1]  # noqa: B904 - it has its cause

    def start_over(self) -> None:
        """Forget how it went so far, in a new child of the process where that was."""
        self._guard = threading.Lock()
        self.pace = Pace()

    def _attempt(self, clone: Clone, kind: ProfileType, where: Place, own: int) -> WorkerProfile:
        name = f"{clone.worker_id}-{uuid.uuid4().hex[:12]}"
        clone.hold(self._places.admit(where, name, own=own, most=self._limits.profiles))
        clone.accessed = now = self._clock.now()
        made = Marker(
            profile=str(clone.worker_id),
            fence=0,
            state=WorkspaceState.CREATING,
            temp_dir="",
            created=now,
            rebuilt=False,
            keep=self._keep,
        )
        if kind is ProfileType.BASE:
            path, receipt = self._lend_base(clone), Receipt(source="base")
            made = made.after(WorkspaceEvent.CLONED)
        else:
            clone.root = root = where.root / name
            built = self._in_turn(lambda: building.build(root, made, self._order()))
            path, receipt, made = root / USER_DATA, built.receipt, built.marker
            clone.digests = built.digests
        return WorkerProfile(
            worker_id=clone.worker_id,
            profile_type=kind,
            profile_path=path,
            created_at=datetime.fromtimestamp(now, UTC),
            state=made.state,
            receipt=receipt,
        )

    def _lend_base(self, clone: Clone) -> Path:
        base = self._base
        if base is None or not base.is_dir():
            raise ProfileCreationError(str(clone.worker_id), f"there is no base profile ({base})", errno.ENOENT)
        filling.refuse_live(base)
        lock = self._places.base(base)
        if lock is None:
            raise TemplateLive(base, "another worker uses it itself")
        clone.hold(lock)
        return base

    def _in_turn(self, copy: Callable[[], _Made]) -> _Made:
        if self._base is None:
            return copy()
        number = 1 if self.pace.sequential else self._limits.concurrent
        slot = self._places.slot(number, self._limits.clone_timeout, self._is_over)
        if slot is None:
            raise CopyStopped(
                f"{number} other copies took longer than {self._limits.clone_timeout:g} s (clone_timeout)",
                errno.ETIMEDOUT,
            )
        try:
            return copy()
        finally:
            slot.release()

    def _order(self) -> building.Order:
        limits = self._limits
        return building.Order(base=self._base, limit=limits.bytes, timeout=limits.clone_timeout, is_over=self._is_over)

    def _count(self, *, made: bool) -> None:
        with self._guard:
            before, self.pace = self.pace, self.pace.after(made=made)
        if before.sequential is not self.pace.sequential:
            _log.warning("clone_pace_changed", sequential=self.pace.sequential)


def explain(worker_id: int | str, exc: OSError | OstlerError) -> tuple[Trouble, ProfileCreationError]:
    """Return what went wrong with a clone, for the decision where to try again and for the caller, with its cause."""
    trouble, error = _explained(worker_id, exc)
    if error is not exc:
        error.__cause__ = exc
    return trouble, error


def _explained(worker_id: int | str, exc: OSError | OstlerError) -> tuple[Trouble, ProfileCreationError]:
    worker, reason = str(worker_id), why(exc)
    if isinstance(exc, ProfileCreationError):
        return Trouble.FINAL, exc
    if isinstance(exc, CopyStopped):
        trouble = Trouble.PLACE if exc.code == errno.ENOMEM else Trouble.FINAL
        return trouble, ProfileCreationError(worker, reason, exc.code)
    for kind, trouble, error, code in _KNOWN:
        if isinstance(exc, kind):
            return trouble, error(worker, reason, code)
    number = _number(exc)
    if number in _NO_ROOM:
        return Trouble.PLACE, InsufficientSpaceException(worker, reason)
    if number in _NO_RIGHT:
        return Trouble.PLACE, PermissionDeniedException(worker, reason, number)
    return Trouble.PLACE, ProfileCreationError(worker, reason, number)


def why(exc: OSError | OstlerError) -> str:
    """Return an error's text, without the number that the system gives it."""
    if isinstance(exc, OSError) and not isinstance(exc, OstlerError) and exc.filename is not None:
        return f"{exc.filename}: {exc.strerror}"
    return str(exc)


def _number(exc: BaseException) -> int | None:
    if isinstance(exc, (OSError, DurableWriteFailed)) and exc.errno is not None:
        return exc.errno
    return exc.__cause__.errno if isinstance(exc.__cause__, OSError) else None
