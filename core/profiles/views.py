"""What there is to know of the named profiles of a state directory, and which one is meant."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog

from core.clock import SystemClock
from core.domain.events import ProfileChanged
from core.domain.lifecycle import SESSION_STATUS
from core.errors import BadInput, DurableWriteFailed, HolderAlive, Problem, TemplateLive, WorkspaceError
from core.profiles import creation, difference, inspection, legacy, migration, places, usage
from core.profiles.errors import ProfileTaken
from core.profiles.lock_manager import PATIENCE, ProfileLockManager
from core.profiles.metadata import ProfileMetadataHandler
from core.profiles.migration import DEFAULT
from core.profiles.registry import ProfileRegistry
from core.profiles.stopping import GRACE
from core.profiles.updating import revision_of
from core.profiles.validator import ProfileValidator
from core.upkeep.finding import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.clock import Clock
    from core.events.port import EventSink
    from core.profiles.difference import ProfileDifference
    from core.profiles.inspection import Profile, ProfileReport, ProfileSize
    from core.profiles.usage import MemoryMetrics
    from core.upkeep.finding import Finding

Which = Literal["all", "active", "corrupted"]
STATUSES = ("active", "inactive", "corrupted", "in_use", *dict.fromkeys(map(str.lower, SESSION_STATUS.values())))
"""What ``by_status`` takes."""
log = structlog.get_logger(__name__)


class ProfileViews:
    """Looks at profiles.

    Args:
        state_dir: where everything durable is; None: as ``ostler`` has it, from the environment and ``ostler.toml``.
        clock: time.
        lock_timeout: seconds that an operation waits for another one.
        stop_grace: seconds that a worker has to close its browser when its profile is deleted.
        events: told of each change; None: nobody is. ``core.events.spool.EventSpool`` gives them to the orchestrator.
    """

    def __init__(
        self,
        state_dir: Path | str | None = None,
        *,
        clock: Clock | None = None,
        lock_timeout: float = PATIENCE,
        stop_grace: float = GRACE,
        events: EventSink | None = None,
    ) -> None:
        self._state_dir = (_default_state_dir() if state_dir is None else Path(state_dir)).resolve()
        self._clock = clock or SystemClock()
        self._grace = stop_grace
        self._events = events
        self.locks = ProfileLockManager(self._state_dir, self._clock, timeout=lock_timeout)
        self.registry = ProfileRegistry(self._state_dir, self._clock, self.locks)
        self.metadata = ProfileMetadataHandler(self._state_dir)
        self.validator = ProfileValidator(self.registry, self.locks)

    def chosen(self, profile_id: str | None = None) -> str:
        """Return the ID that was given, else that of the active profile, else ``default``.

        Raises:
            BadInput: it cannot be an ID.
        """
        return self.registry.get_active() or DEFAULT if profile_id is None else self.validator.validate_id(profile_id)

    def list(self, which: Which = "all") -> tuple[Profile, ...]:
        """Return the profiles, sorted by ID; damaged ones are among them.

        Args:
            which: all, the active one, or those that are corrupted.
        """
        self.tidy()
        active = self.registry.get_active()
        shown = []
        for profile_id in self.registry.ids():
            found, metadata = inspection.view(self._state_dir, profile_id, active, self.locks.holder)
            if metadata is None and not self.registry.exists(profile_id):
                continue  # it was removed at this moment
            if which in ("all", found.status):
                shown.append(found)
        return tuple(shown)

    def by_status(self, *statuses: str) -> tuple[Profile, ...]:
        """Return the profiles that are in one of these, sorted by ID.

        Args:
            statuses: of the profile (``active``, ``inactive``, ``corrupted``, ``in_use``), or of what ran last with it, in small
                letters: ``SESSION_STATUS`` of ``core.domain.lifecycle``. A profile that never ran is in none of these.

        Raises:
            BadInput: there is no such status.
        """
        unknown = [status for status in statuses if status not in STATUSES]
        if unknown:
            expected = f"one of {', '.join(STATUSES)}"
            raise BadInput([Problem(place="status", expected=expected, found=repr(one[:64])) for one in unknown])
        wanted = frozenset(statuses)
        return tuple(each for each in self.list() if wanted & inspection.statuses(self._state_dir, each))

    def get_memory_usage(self) -> MemoryMetrics:
        """Return what all profiles take on disk, and those in use of memory. It looks at every file once."""
        return usage.memory_usage(self._state_dir, self.locks.holder)

    def revision(self, profile_id: str) -> str:
        """Return what an update of a profile can be based on.

        Raises:
            UnknownProfile.
            StateCorrupt: its metadata are damaged.
        """
        self.registry.require(profile_id)
        return revision_of(self.metadata.load(profile_id))

    def get(self, profile_id: str) -> Profile:
        """Return one profile.

        Raises:
            UnknownProfile.
        """
        self.registry.require(profile_id)
        return inspection.view(self._state_dir, profile_id, self.registry.get_active(), self.locks.holder)[0]

    def status(self, profile_id: str | None = None, *, deep: bool = False) -> ProfileReport:
        """Return everything about a profile; damage that is found is marked.

        Args:
            profile_id: None: the active one, else ``default``.
            deep: read all of its browser data and compare it with what was saved.

        Raises:
            UnknownProfile.
        """
        chosen = self.chosen(profile_id)
        self.tidy()
        self.registry.require(chosen)
        found = self._report(chosen, deep=deep)
        worst = next((each for each in found.findings if each.level is Level.BAD), None)
        if worst is None or found.profile.status == "corrupted" or found.profile.holder is not None:
            return found
        self.metadata.mark_corrupted(chosen, worst.what)
        return msgspec.structs.replace(found, profile=self.get(chosen))

    def size(self, profile_id: str | None = None) -> ProfileSize:
        """Return what a profile takes on disk.

        Raises:
            UnknownProfile.
        """
        chosen = self.chosen(profile_id)
        self.registry.require(chosen)
        return inspection.size(self._state_dir, chosen)

    def diff(self, profile_id: str | None = None, *, against: Path | str | None = None) -> ProfileDifference:
        """Return how a profile's browser data differs from its template.

        Args:
            profile_id: None: the active one, else ``default``.
            against: another profile's ID, or a user-data-dir; None: the template that it began with.

        Raises:
            UnknownProfile.
            BadInput: it began without a template, or there is nothing to compare with.
        """
        chosen = self.chosen(profile_id)
        self.registry.require(chosen)
        other = self._other(chosen, against)
        data = places.profile(self._state_dir, chosen) / places.BROWSER_PROFILE
        return difference.compare(chosen, data, other)

    def doctor(self, *, deep: bool = False) -> tuple[Finding, ...]:
        """Look at all profiles and at what stands around them; stale records and begun operations are put right first."""
        self.locks.cleanup_stale()
        self.tidy()
        return tuple(inspection.check(self._state_dir, self.registry, deep=deep))

    def migrate(self, directory: Path | str | None = None, profile_id: str = DEFAULT) -> bool:
        """Make a named profile of the single one of old in a directory; whether there was one.

        Args:
            directory: has ``browser_profile`` in it, and ``session.json`` maybe; None: the state directory.
            profile_id: what it is called from now on.

        Raises:
            ProfileTaken: there is such a profile.
            TemplateLive: a browser uses it.
            DurableWriteFailed, WorkspaceError: the next operation goes on.
        """
        self.validator.validate_id(profile_id)
        source = self._state_dir if directory is None else Path(directory).resolve()
        if legacy.find(source) is None:
            return False
        with self.locks.acquire(profile_id, what="ostler profile migrate"):
            migration.migrate(self._state_dir, profile_id, source, self.registry, now=self._clock.now())
        return True

    def tidy(self, *, stale: bool = False) -> None:
        """Finish or take back what killed operations left, and bring the single profile of old to its new place.

        Every operation begins with this, and every start of a run; what cannot be done now is said in the log, and left to the
        next one.

        Args:
            stale: look at all profiles for records that killed holders left, too.
        """
        try:
            if stale:
                self.locks.cleanup_stale()
            else:
                self.locks.finish_begun()
            self.registry.settle()
            if legacy.find(self._state_dir) is not None and not self.registry.exists(DEFAULT):
                self.migrate()
        except (HolderAlive, ProfileTaken, TemplateLive):
            return  # somebody is at it
        except (DurableWriteFailed, WorkspaceError) as exc:
            log.warning("not_tidied", reason=str(exc))

    def cleanup(self) -> None:
        """Remove what killed operations and holders left: what every start of a run begins with."""
        self.tidy(stale=True)

    get_profiles_by_status = by_status

    def _tell(
        self, what: str, profile_id: str, *, before: str = "", fields: Sequence[str] = (), revision: str = ""
    ) -> None:
        if self._events is not None:
            self._events.emit(
                ProfileChanged(
                    at=self._clock.now(), profile_id=profile_id, what=what, before=before, fields=tuple(fields), revision=revision,
                )
            )  # fmt: skip

    def _report(self, profile_id: str, *, deep: bool) -> ProfileReport:
        active = self.registry.get_active()
        return inspection.report(self._state_dir, profile_id, active, self.locks.holder, deep=deep)

    def _other(self, profile_id: str, against: Path | str | None) -> Path:
        if against is None:
            template = self.metadata.load(profile_id).template
            if template is None:
                hint = "name a profile, or a directory, to compare it with"
                raise BadInput([Problem(place=profile_id, expected="a template", found="none on record", hint=hint)])
            return creation.require_directory(Path(template), f"template of {profile_id}")
        if isinstance(against, str) and places.is_there(places.profiles(self._state_dir) / against):
            return places.profile(self._state_dir, against) / places.BROWSER_PROFILE
        return creation.require_directory(Path(against), "--against")


def _default_state_dir() -> Path:
    from core.settings import load  # noqa: PLC0415 - for whoever has no settings of his own

    return load({}, os.environ, cwd=Path.cwd()).state_dir
