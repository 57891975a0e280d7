"""``ProfileManager`` beside a model of a few lines: whatever is done in whatever order, both say the same."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.clock import ManualClock
from core.profiles import (
    ProfileActiveError,
    ProfileCorruptedError,
    ProfileExistsError,
    ProfileManager,
    ProfileNotFoundError,
)

IDS = ("a", "b", "c", "A")
MEMORY = Path("/dev/shm")
ids = st.sampled_from(IDS)
tags = st.sampled_from(("x", "y"))


class Model:
    """What a profile is, as far as the operations go."""

    def __init__(self, tags: frozenset[str] = frozenset(), data: int = 0) -> None:
        self.tags = tags
        self.data = data
        self.corrupted = False


class Profiles(RuleBasedStateMachine):
    """The rules are the operations; each says what it expects of the model before it looks."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="ostler-model-", dir=MEMORY if MEMORY.is_dir() else None))
        self.manager = ProfileManager(self.root / "state", clock=ManualClock(), lock_timeout=0.1)
        self.model: dict[str, Model] = {}
        self.active: str | None = None
        self.written = 0

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def is_free(self, name: str) -> bool:
        return name.lower() not in {each.lower() for each in self.model}

    def path(self, name: str) -> Path:
        return self.root / "state" / "profiles" / name

    @rule(name=ids, tag=tags)
    def create(self, name: str, tag: str) -> None:
        if not self.is_free(name):
            with pytest.raises(ProfileExistsError):
                self.manager.create(name, tags=[tag])
            return
        self.manager.create(name, tags=[tag])
        self.model[name] = Model(frozenset({tag}))

    @rule(name=ids)
    def browse(self, name: str) -> None:
        """What a run leaves: browser data, here a number."""
        if name in self.model:
            self.written += 1
            (self.path(name) / "browser_profile" / "data").write_text(str(self.written))
            self.model[name].data = self.written

    @rule(name=ids)
    def damage(self, name: str) -> None:
        if name in self.model:
            (self.path(name) / "metadata.json").write_text("{")
            self.model[name].corrupted = True

    @rule(name=ids)
    def activate(self, name: str) -> None:
        if name not in self.model:
            with pytest.raises(ProfileNotFoundError):
                self.manager.activate(name)
        elif self.model[name].corrupted and self.active != name:
            with pytest.raises(ProfileCorruptedError):
                self.manager.activate(name)
        else:
            self.manager.activate(name)
            self.active = name

    @rule()
    def deactivate(self) -> None:
        assert self.manager.deactivate() == self.active
        self.active = None

    @rule(name=ids, force=st.booleans())
    def delete(self, name: str, force: bool) -> None:  # noqa: FBT001 - hypothesis calls it
        if name not in self.model:
            with pytest.raises(ProfileNotFoundError):
                self.manager.delete(name, force=force)
        elif self.active == name and not force:
            with pytest.raises(ProfileActiveError):
                self.manager.delete(name)
        else:
            self.manager.delete(name, force=force)
            del self.model[name]
            self.active = None if self.active == name else self.active

    @rule(name=ids, new=ids)
    def clone(self, name: str, new: str) -> None:
        if self.refused(self.manager.clone, name, new):
            return
        self.manager.clone(name, new)
        self.model[new] = Model(self.model[name].tags, self.model[name].data)

    @rule(name=ids, new=ids)
    def rename(self, name: str, new: str) -> None:
        if self.refused(self.manager.rename, name, new):
            return
        self.manager.rename(name, new)
        self.model[new] = self.model.pop(name)
        self.active = new if self.active == name else self.active

    def refused(self, operation, name: str, new: str) -> bool:
        """Expect the refusal, if there is to be one; whether there was."""
        if name == new:
            return True
        expected = None
        if name not in self.model:
            expected = ProfileNotFoundError
        elif self.model[name].corrupted:
            expected = ProfileCorruptedError
        elif not self.is_free(new):
            expected = ProfileExistsError
        if expected is not None:
            with pytest.raises(expected):
                operation(name, new)
        return expected is not None

    @rule(name=ids, tag=tags, removes=st.booleans())
    def tag(self, name: str, tag: str, removes: bool) -> None:  # noqa: FBT001 - as above
        if name not in self.model or self.model[name].corrupted:
            return
        self.manager.tag(name, **({"remove": [tag]} if removes else {"add": [tag]}))
        model = self.model[name]
        model.tags = model.tags - {tag} if removes else model.tags | {tag}

    @rule(name=ids, hard=st.booleans())
    def recover(self, name: str, hard: bool) -> None:  # noqa: FBT001 - as above
        if name not in self.model:
            with pytest.raises(ProfileNotFoundError):
                self.manager.recover(name)
            return
        self.manager.recover(name, "hard" if hard else "soft")
        model = self.model[name]
        if model.corrupted:
            model.corrupted, model.tags = False, frozenset()
        if hard:
            model.data = 0

    @invariant()
    def both_say_the_same(self) -> None:
        found = {profile.id: profile for profile in self.manager.list()}
        assert set(found) == set(self.model)
        assert self.manager.registry.get_active() == self.active
        for name, model in self.model.items():
            expected = "corrupted" if model.corrupted else "active" if name == self.active else "inactive"
            assert found[name].status == expected
            assert model.corrupted or frozenset(found[name].tags) == model.tags
            data = self.path(name) / "browser_profile" / "data"
            assert (int(data.read_text()) if data.exists() else 0) == model.data

    @invariant()
    def nothing_is_left_over(self) -> None:
        root = self.root / "state"
        if (root / "profiles").exists():
            assert list(root.glob(".import-*")) == []
            assert {path.name for path in (root / "profiles").iterdir()} <= {*self.model, ".active"}


CHECKS = (HealthCheck.too_slow, HealthCheck.data_too_large)
Profiles.TestCase.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=CHECKS
)
TestProfiles = Profiles.TestCase


@pytest.mark.slow
@pytest.mark.timeout(3600)
class TestManyProfiles(Profiles.TestCase):
    """The same, for longer."""

    settings = settings(max_examples=300, stateful_step_count=50, deadline=None, suppress_health_check=CHECKS)
