"""Several profiles at once, by ID or by status, as a user types it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

import pytest

from core.cli import main as cli
from core.clock import SystemClock
from core.profiles.lock import FileProfileLocks
from core.profiles.store import FileProfileStore

if TYPE_CHECKING:
    from pathlib import Path


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def ostler(state_dir: Path, capsys):
    """Run the command in this process."""

    def run(*arguments: str) -> Done:
        code = cli.main(["--state-dir", str(state_dir), "profile", *arguments])
        return Done(code, *capsys.readouterr())

    FileProfileStore(state_dir).ensure("anna", 1_795_212_000.0)
    return run


def test_several_profiles_at_once(ostler, state_dir):
    """What becomes of one is nothing to the others; a value that cannot be stops all of them before anything is changed."""
    store = FileProfileStore(state_dir)
    for name in ("bert", "carl", "torn"):
        store.ensure(name, 1_795_212_000.0)
    (state_dir / "profiles" / "torn" / "metadata.json").write_bytes(b"{")
    with FileProfileLocks(state_dir, SystemClock()).hold("bert", "a run"):
        done = ostler("set", "anna,bert,carl,torn,nobody", "locale=de_DE")
    assert done.returncode == 2
    first, second, third, *failed = done.stdout.splitlines()
    assert (first, second) == ("anna: locale changed", "carl: locale changed")
    assert third == "nobody: not changed, there is no such profile"
    assert [line.split(":")[0] for line in failed] == ["bert", "torn"]
    assert f"pid {os.getpid()}" in failed[0]
    assert [store.read(name).locale for name in ("anna", "bert", "carl")] == ["de-DE", None, "de-DE"]
    assert "expected a language tag" in ostler("set", "anna,carl", "locale=!").stderr
    found = json.loads(ostler("unset", "anna,carl", "locale", "--json").stdout)
    assert [each["fields"] for each in found["applied"]] == [["locale"], ["locale"]]
    assert found["conflicts"] == found["missing"] == found["failed"] == []
    left = (state_dir / "announced.jsonl").read_text("utf-8").splitlines()
    told = [(event["type"], event["profile_id"], event["fields"]) for event in map(json.loads, left)]
    assert told == [("profile_changed", name, ["locale"]) for name in ("anna", "carl", "anna", "carl")]


def test_lists_by_status(ostler):
    """Once or more; a word that is none is refused with those there are."""
    ostler("create", "bert")
    shown = json.loads(ostler("list", "--status", "in_use", "--status", "inactive", "--json").stdout)
    assert [profile["id"] for profile in shown["profiles"]] == ["anna", "bert"]
    assert ostler("list", "--status", "failed").stdout == "no profiles\n"
    done = ostler("list", "--status", "broken")
    assert (done.returncode, "expected one of active, inactive, corrupted, in_use, pending" in done.stderr) == (2, True)
    assert "  on disk: 2 profiles" in ostler("usage").stdout
