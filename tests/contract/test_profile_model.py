"""Named profiles against a model of a few lines: whatever is asked for in whatever order, both say the same."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.profiles import (
    ProfileActiveError,
    ProfileCorruptedError,
    ProfileExistsError,
    ProfileManager,
    ProfileNotFoundError,
)

IDS = st.sampled_from(["anna", "ANNA", "bert", "carl_2", "d-e"])
PLATFORMS = st.sampled_from(["whatsapp", "telegram", "discord", "custom"])
TAGS = st.sampled_from(["checked", "old"])


class Profiles(RuleBasedStateMachine):
    """What is kept of each profile, by ID: platform, tags, and whether its metadata were damaged; and which one is active."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.manager = ProfileManager(self.directory / "state", lock_timeout=0.1)
        self.platforms: dict[str, str] = {}
        self.tags: dict[str, list[str]] = {}
        self.damaged: set[str] = set()
        self.active: str | None = None

    def teardown(self) -> None:
        shutil.rmtree(self.directory)

    def is_taken(self, profile_id: str) -> bool:
        return profile_id.lower() in {known.lower() for known in self.platforms}

    @rule(profile_id=IDS, platform=PLATFORMS)
    def create(self, profile_id: str, platform: str) -> None:
        if self.is_taken(profile_id):
            with pytest.raises(ProfileExistsError):
                self.manager.create(profile_id, platform)
        else:
            self.manager.create(profile_id, platform)
            self.platforms[profile_id], self.tags[profile_id] = platform, []

    @rule(profile_id=IDS)
    def activate(self, profile_id: str) -> None:
        if profile_id not in self.platforms:
            with pytest.raises(ProfileNotFoundError):
                self.manager.activate(profile_id)
        elif profile_id in self.damaged and self.active != profile_id:
            with pytest.raises(ProfileCorruptedError):
                self.manager.activate(profile_id)
        else:
            self.manager.activate(profile_id)
            self.active = profile_id

    @rule()
    def deactivate(self) -> None:
        self.manager.deactivate()
        self.active = None

    @rule(profile_id=IDS, force=st.booleans())
    def delete(self, profile_id: str, *, force: bool) -> None:
        if profile_id not in self.platforms:
            with pytest.raises(ProfileNotFoundError):
                self.manager.delete(profile_id, force=force)
        elif self.active == profile_id and not force:
            with pytest.raises(ProfileActiveError):
                self.manager.delete(profile_id)
        else:
            self.manager.delete(profile_id, force=force)
            del self.platforms[profile_id], self.tags[profile_id]
            self.damaged.discard(profile_id)
            self.active = None if self.active == profile_id else self.active

    @rule(profile_id=IDS, new=IDS)
    def clone(self, profile_id: str, new: str) -> None:
        if profile_id in self.damaged or profile_id == new:
            return
        if profile_id not in self.platforms:
            with pytest.raises(ProfileNotFoundError):
                self.manager.clone(profile_id, new)
        elif self.is_taken(new):
            with pytest.raises(ProfileExistsError):
                self.manager.clone(profile_id, new)
        else:
            self.manager.clone(profile_id, new)
            self.platforms[new], self.tags[new] = self.platforms[profile_id], list(self.tags[profile_id])

    @rule(profile_id=IDS, new=IDS)
    def rename(self, profile_id: str, new: str) -> None:
        if profile_id in self.damaged or profile_id == new:
            return
        if profile_id not in self.platforms:
            with pytest.raises(ProfileNotFoundError):
                self.manager.rename(profile_id, new)
        elif self.is_taken(new):
            with pytest.raises(ProfileExistsError):
                self.manager.rename(profile_id, new)
        else:
            self.manager.rename(profile_id, new)
            self.platforms[new], self.tags[new] = self.platforms.pop(profile_id), self.tags.pop(profile_id)
            self.active = new if self.active == profile_id else self.active

    @rule(profile_id=IDS, add=TAGS, remove=TAGS)
    def tag(self, profile_id: str, add: str, remove: str) -> None:
        if add == remove or profile_id not in self.platforms or profile_id in self.damaged:
            return
        self.manager.tag(profile_id, add=[add], remove=[remove])
        kept = [tag for tag in self.tags[profile_id] if tag != remove]
        self.tags[profile_id] = kept if add in kept else [*kept, add]

    @rule(profile_id=IDS)
    def damage(self, profile_id: str) -> None:
        if profile_id in self.platforms:
            (self.directory / "state" / "profiles" / profile_id / "metadata.json").write_bytes(b"\0" * 20)
            self.damaged.add(profile_id)

    @rule(profile_id=IDS)
    def recover(self, profile_id: str) -> None:
        if profile_id in self.damaged:
            self.manager.recover(profile_id, mode="soft")
            self.damaged.remove(profile_id)
            self.platforms[profile_id], self.tags[profile_id] = "custom", []

    @rule()
    def another_process_looks(self) -> None:
        self.manager = ProfileManager(self.directory / "state", lock_timeout=0.1)

    @invariant()
    def both_say_the_same(self) -> None:
        found = {profile.id: profile for profile in self.manager.list()}
        assert set(found) == set(self.platforms)
        assert self.manager.registry.get_active() == self.active
        assert {name for name, profile in found.items() if profile.status == "corrupted"} == self.damaged
        for name in set(found) - self.damaged:
            profile = found[name]
            assert (profile.platform, list(profile.tags)) == (self.platforms[name], self.tags[name])
            assert profile.status == ("active" if name == self.active else "inactive")
        assert len({name.lower() for name in found}) == len(found)


Profiles.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestProfiles = Profiles.TestCase


@pytest.mark.slow
def test_many_more_orders() -> None:
    """The same with a thousand sequences."""
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Profiles, settings=settings(max_examples=1000, stateful_step_count=30, deadline=None))
