"""What there is to know of the named profiles of a state directory, and which one is meant."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog

from core.clock import SystemClock
from core.errors import BadInput, DurableWriteFailed, HolderAlive, Problem, TemplateLive, WorkspaceError
from core.profiles import creation, difference, inspection, legacy, migration, places
from core.profiles.errors import ProfileTaken
from core.profiles.lock_manager import PATIENCE, ProfileLockManager
from core.profiles.metadata import ProfileMetadataHandler
from core.profiles.migration import DEFAULT
from core.profiles.registry import ProfileRegistry
from core.profiles.stopping import GRACE
from core.profiles.validator import ProfileValidator
from core.upkeep.finding import Level

if TYPE_CHECKING:
    from core.clock import Clock
    from core.profiles.difference import ProfileDifference
    from core.profiles.inspection import Profile, ProfileReport, ProfileSize
    from core.upkeep.finding import Finding

Which = Literal["all", "active", "corrupted"]
log = structlog.get_logger(__name__)


class ProfileViews:
    """Looks at profiles.

    Args:
        state_dir: where everything durable is; None: as ``ostler`` has it, from the environment and ``ostler.toml``.
        clock: time.
        lock_timeout: seconds that an operation waits for another one.
        stop_grace: seconds that a worker has to close its browser when its profile is deleted.
    """

    def __init__(
        self,
        state_dir: Path | str | None = None,
        *,
        clock: Clock | None = None,
        lock_timeout: float = PATIENCE,
        stop_grace: float = GRACE,
    ) -> None:
        self._state_dir = (_default_state_dir() if state_dir is None else Path(state_dir)).resolve()
        self._clock = clock or SystemClock()
        self._grace = stop_grace
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
        found = (
            inspection.view(self._state_dir, profile_id, active, self.locks.holder)[0]
            for profile_id in self.registry.ids()
        )
        return tuple(profile for profile in found if which in ("all", profile.status))

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
