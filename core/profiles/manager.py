"""``ProfileManager``: everything that is done with named profiles, as one class.

Each operation is whole or has not happened, also where it is killed: what it leaves is finished or taken back by whoever
takes the profile's lock next (``core.profiles.mending``). Operations wait for each other, up to ``lock_timeout`` seconds; a
worker does not wait for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from core.errors import BadInput, Problem, ProfileHeld
from core.profiles import (
    archive_export,
    archive_import,
    creation,
    deletion,
    losses,
    places,
    recovery,
    renaming,
)
from core.profiles import platforms as known
from core.profiles.archive_export import Home
from core.profiles.changes import ProfileChanges
from core.profiles.errors import ProfileInUse
from core.profiles.intents import Recovery
from core.profiles.stopping import stop_holder
from core.profiles.store import fresh
from core.profiles.views import ProfileViews

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from core.profiles.archive_export import Exported
    from core.profiles.archive_import import Imported
    from core.profiles.creation import Receipt
    from core.profiles.inspection import Profile
    from core.profiles.intents import Mode
    from core.profiles.losses import RecoveryReport

log = structlog.get_logger(__name__)


class ProfileManager(ProfileChanges):
    """The named profiles of a state directory: everything that ``ProfileViews`` shows, and everything that changes them.

    Calls are synchronous, and may come from several threads.
    """

    # --- life --------------------------------------------------------------------------------------------------------

    def create(
        self,
        profile_id: str,
        platform: str = "custom",
        *,
        template: Path | str | None = None,
        source: Path | str | None = None,
        name: str | None = None,
        tags: Iterable[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> Profile:
        """Make a profile.

        Args:
            profile_id: see ``core.domain.validation.ID_RULE``.
            platform: the service that it belongs to.
            template: a closed user-data-dir that its browser data begins with.
            source: a closed user-data-dir, or a directory with ``browser_profile`` and ``session.json``, that it goes on with.
            name: what people call it.
            tags: words to find it by.
            settings: fields of its metadata (``core.profiles.platforms.SETTINGS``), before what the platform says.

        Raises:
            BadInput: an argument is wrong.
            ProfileTaken: there is such a profile.
            TemplateMissing, TemplateLive, WorkspaceCorrupt: the template or source cannot be used.
            NoSpace, DurableWriteFailed, WorkspaceError: the host could not; nothing is left of it.
        """
        self.validator.validate_id(profile_id)
        self.validator.validate_platform(platform)
        if template is not None and source is not None:
            raise BadInput([Problem(place="source", expected="a template or a source", found="both")])
        self.tidy()
        metadata = fresh(profile_id, self._clock.now())
        metadata.platform, metadata.name, metadata.tags = platform, name, tuple(dict.fromkeys(tags))
        metadata = known.begin_with(metadata, settings or {})
        origin = None
        if template is not None:
            origin = creation.from_template(self._state_dir, Path(template), self.locks.holder)
            metadata.template = str(Path(template).resolve())
        elif source is not None:
            origin = creation.from_directory(Path(source))
        with self.locks.acquire(profile_id, what="ostler profile create"):
            with creation.aside(self._state_dir, profile_id, self.registry) as staged:
                receipt = creation.fill(staged, metadata, origin)
            _log_receipt(profile_id, receipt)
        log.info("profile_created", profile_id=profile_id, platform=platform)
        self._tell("created", profile_id)
        return self.get(profile_id)

    def clone(self, profile_id: str, new: str, *, with_session: bool = False) -> Profile:
        """Make a copy of a profile: its settings, browser data and login state.

        Args:
            profile_id: whose copy.
            new: the copy's ID.
            with_session: what is done for it, its identity and its outputs, too; else the copy starts with none.

        Raises:
            UnknownProfile, ProfileTaken, ProfileHeld.
            ProfileDamaged: the profile's own data is damaged.
            NoSpace, DurableWriteFailed, WorkspaceError: the host could not; nothing is left of it.
        """
        self.validator.validate_id(profile_id)
        self._require_other(profile_id, new)
        self.tidy()
        self.registry.require(profile_id)
        with self.locks.acquire(profile_id, new, what="ostler profile clone"):
            self.registry.require(profile_id)
            metadata = self.metadata.load_whole(profile_id)
            with creation.aside(self._state_dir, new, self.registry) as staged:
                receipt = creation.copy_of(
                    self._state_dir, staged, metadata, new, now=self._clock.now(), with_session=with_session
                )
            _log_receipt(new, receipt)
        log.info("profile_cloned", profile_id=new, source=profile_id)
        self._tell("created", new)
        return self.get(new)

    def rename(self, profile_id: str, new: str) -> Profile:
        """Give a profile another ID; all that belongs to it goes along, but for working copies of attempts that were cut off.

        Raises:
            UnknownProfile, ProfileTaken, ProfileHeld.
            ProfileDamaged: the profile's own data is damaged.
            DurableWriteFailed, WorkspaceError: nothing changed; or, if it says so later, the next operation goes on.
        """
        self.validator.validate_id(profile_id)
        self._require_other(profile_id, new)
        self.tidy()
        self.registry.require(profile_id)
        with self.locks.acquire(profile_id, new, what="ostler profile rename"):
            self.registry.require(profile_id)
            metadata = self.metadata.load_whole(profile_id)
            self.registry.require_free(new)
            places.clear(places.profile(self._state_dir, new))
            renaming.rename(self._state_dir, metadata, new, self.registry)
        log.info("profile_renamed", profile_id=new, before=profile_id)
        self._tell("renamed", new, before=profile_id)
        return self.get(new)

    def delete(self, profile_id: str, *, force: bool = False) -> None:
        """Remove a profile: its directory, its session and its working copies. Downloads and evidence stay.

        Args:
            profile_id: which.
            force: also the active one, and one that somebody works with: that is stopped first.

        Raises:
            UnknownProfile.
            ProfileActive: it is the active one.
            ProfileInUse: somebody works with it, or cannot be stopped.
            DurableWriteFailed, WorkspaceError: it is there as before; or, once it is gone, something is left to the next one.
        """
        self.validator.validate_id(profile_id)
        self.tidy()
        if force:
            self.registry.require(profile_id)
            stop_holder(self._state_dir, profile_id, self.locks, grace=self._grace)
        else:
            self.validator.can_delete(profile_id)
        try:
            held = self.locks.acquire(profile_id, what="ostler profile delete")
        except ProfileHeld as exc:
            raise ProfileInUse(profile_id, exc.holder, "wait for it, or use --force, which stops it") from exc
        with held:
            if force:
                self.registry.require(profile_id)
            else:
                self.validator.can_delete(profile_id)
            self.registry.unregister(profile_id)
            deletion.finish(self._state_dir, profile_id)
        log.info("profile_deleted", profile_id=profile_id)
        self._tell("deleted", profile_id)

    # --- the active one ----------------------------------------------------------------------------------------------

    def activate(self, profile_id: str) -> str | None:
        """Make a profile the one that is meant where no ID is given; return the one before it.

        Raises:
            UnknownProfile.
            ProfileDamaged: it is corrupted.
            ProfileHeld: somebody works with it.
            DurableWriteFailed: nothing changed.
        """
        self.validator.validate_id(profile_id)
        self.tidy()
        self.registry.require(profile_id)
        if self.registry.is_active(profile_id):
            return profile_id
        with self.locks.acquire(profile_id, what="ostler profile activate"):
            self.registry.require(profile_id)
            self.metadata.load_whole(profile_id)
            before = self.registry.set_active(profile_id)
        log.info("profile_activated", profile_id=profile_id, before=before)
        self._tell("activated", profile_id)
        return before

    def deactivate(self, profile_id: str | None = None) -> str | None:
        """Let no profile be the active one; return the one that was.

        Args:
            profile_id: expect that it is this one.

        Raises:
            BadInput: it is another.
            DurableWriteFailed: nothing changed.
        """
        self.tidy()
        active = self.registry.get_active()
        if profile_id is not None and active != self.validator.validate_id(profile_id):
            expected = "no ID: none is active" if active is None else f"the active profile, {active}"
            raise BadInput([Problem(place="ID", expected=expected, found=repr(profile_id))])
        before = self.registry.set_active(None)
        log.info("profile_deactivated", profile_id=before)
        if before is not None:
            self._tell("deactivated", before)
        return before

    # --- care --------------------------------------------------------------------------------------------------------

    def recover(
        self,
        profile_id: str | None = None,
        mode: Mode = "soft",
        *,
        keep_login: bool = False,
        dry_run: bool = False,
        deep: bool = False,
        beforehand: Callable[[RecoveryReport], object] = lambda _: None,
    ) -> RecoveryReport:
        """Get a damaged profile going again.

        Args:
            profile_id: None: the active one, else ``default``.
            mode: ``soft`` drops only what is broken; ``hard`` resets login state and browser data.
            keep_login: with ``hard``: keep the login state, and put it into the browser of the next run.
            dry_run: only say what would be lost.
            deep: with ``soft``: read all of the browser data to find what is broken.
            beforehand: called with what will be lost, before anything is.

        Raises:
            UnknownProfile, ProfileHeld.
            BadInput: the arguments do not go together.
            ProfileDamaged: the login state that is to be kept cannot be read.
            NewerSchema: something of it was written by a newer version.
        """
        chosen = self.chosen(profile_id)
        if keep_login and mode == "soft":
            raise BadInput([Problem(place="--keep-login", expected="mode hard", found="soft, which keeps it anyway")])
        if mode not in ("soft", "hard"):
            raise BadInput([Problem(place="mode", expected="soft or hard", found=repr(mode))])
        self.tidy()
        self.registry.require(chosen)
        intent = Recovery(profile_id=chosen, mode=mode, keep_login=keep_login, deep=deep, at=self._clock.now())
        if dry_run:
            return losses.plan(self._state_dir, intent, dry_run=True)
        with self.locks.acquire(chosen, what="ostler profile recover"):
            self.registry.require(chosen)
            recovery.prepare(self._state_dir, intent)
            beforehand(losses.plan(self._state_dir, intent, dry_run=False))
            report = recovery.recover(self._state_dir, intent)
        self.registry.settle()
        log.info("profile_recovered", profile_id=chosen, mode=mode, losses=len(report.losses))
        self._tell("recovered", chosen)
        return report

    # --- archives ----------------------------------------------------------------------------------------------------

    def export(
        self, profile_id: str, target: Path | str, *, with_secrets: bool = False, overwrite: bool = False
    ) -> Exported:
        """Write a profile into an archive, a file of mode 0600; see ``archive_export.export``.

        Args:
            profile_id: whose.
            target: the file.
            with_secrets: take login, browser data and passwords along.
            overwrite: replace a file that is there.
        """
        self.validator.validate_id(profile_id)
        self.tidy()
        return archive_export.export(
            self._home(), profile_id, Path(target), with_secrets=with_secrets, overwrite=overwrite
        )

    def import_(self, source: Path | str, *, as_id: str | None = None, place: str | None = None) -> Imported:
        """Make a new profile of an archive; see ``archive_import.import_``.

        Args:
            source: the file.
            as_id: the new profile's ID; None for the one it had.
            place: what the file is called in messages; None: as it is.
        """
        self.tidy()
        path = Path(source).absolute()
        made = archive_import.import_(self._home(), path, place or str(source), as_id=as_id)
        self._tell("created", made.profile_id)
        return made

    def _home(self) -> Home:
        return Home(state_dir=self._state_dir, locks=self.locks, registry=self.registry, clock=self._clock)

    # --- the same by longer names ------------------------------------------------------------------------------------

    create_profile = create
    activate_profile = activate
    deactivate_profile = deactivate
    delete_profile = delete
    list_profiles = ProfileViews.list
    recover_profile = recover

    def _require_other(self, profile_id: str, new: str) -> None:
        self.validator.validate_id(new)
        if new == profile_id:
            raise BadInput([Problem(place="NEW", expected="another ID", found="the same")])


def _log_receipt(profile_id: str, receipt: Receipt) -> None:
    if receipt.unreadable:
        log.warning("files_not_readable", profile_id=profile_id, files=list(receipt.unreadable))
    if receipt.keyring_cookies:
        hint = "the template's logins are encrypted by its desktop's keyring: log in once more"
        log.warning("keyring_cookies_lost", profile_id=profile_id, cookies=receipt.keyring_cookies, hint=hint)
