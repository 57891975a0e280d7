"""A launch configuration among the other sources of settings, and as a file of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from core.cli import main as cli
from core.clock import ManualClock
from core.domain.launch_validation import validate_launch
from core.errors import BadInput
from core.profiles import ProfileManager
from core.settings import Settings, resolve
from core.settings_launch import read_launch_file
from core.upkeep.launch_view import read_fleet

LAUNCH = {"batchSize": 4, "timeoutPerProfile": 20_000, "system": {"timeouts": {"operationTimeout": 15_000}}}


@pytest.fixture
def launch(tmp_path: Path) -> Path:
    """A launch configuration."""
    path = tmp_path / "launch.json"
    path.write_text(json.dumps(LAUNCH), "utf-8")
    return path


def test_it_stands_between_the_command_line_and_the_environment(launch: Path, tmp_path: Path) -> None:
    """Whole: what it does not name has its own default; of the system, what it does not name is as it is set."""
    (tmp_path / "o.toml").write_text("batch_size = 7\nmax_concurrent = 8\npoison_limit = 9\n", "utf-8")
    env = {
        "OSTLER_CONFIG": "o.toml", "OSTLER_BATCH_SIZE": "6", "OSTLER_MAX_ATTEMPTS": "5", "OSTLER_RETRY_DELAY": "8",
        "OSTLER_START_TIMEOUT": "7",
    }  # fmt: skip
    found = resolve({"batch_delay": "9"}, env, cwd=tmp_path, launch=read_launch_file("launch.json", cwd=tmp_path))
    chosen = found.settings
    assert (chosen.batch_size, chosen.batch_delay, chosen.max_concurrent, chosen.max_attempts) == (4, 9.0, 3, 1)
    assert (chosen.start_timeout, chosen.progress_timeout, chosen.action_timeout) == (20.0, 20.0, 15.0)
    assert (chosen.poison_limit, chosen.retry_delay) == (9, 8.0)
    where = {name: (one.kind, one.where) for name, one in found.origins.items()}
    assert where["batch_size"] == ("launch", "launch.json batch_size")
    assert where["action_timeout"] == ("launch", "launch.json system.timeouts.operation_timeout")
    assert where["batch_delay"][0] == "flag"
    assert where["retry_delay"][0] == "environment"


def test_what_does_not_go_with_another_source_is_named_with_both(launch: Path, tmp_path: Path) -> None:
    """As between any two of them."""
    read = read_launch_file("launch.json", cwd=tmp_path)
    with pytest.raises(
        BadInput, match=r"launch\.json system.timeouts.operation_timeout: expected less than progress_timeout"
    ):
        resolve({"progress_timeout": "12"}, {}, cwd=tmp_path, launch=read)


def test_a_wrong_file_is_refused_with_everything(launch: Path, tmp_path: Path) -> None:
    """File and field, and one that is not there by its name."""
    launch.write_text('{"batchSize": 40, "concurrent": 2}', "utf-8")
    with pytest.raises(BadInput) as caught:
        read_launch_file("launch.json", cwd=tmp_path)
    lines = str(caught.value).splitlines()
    assert [line.split(" expected")[0] for line in lines] == ["launch.json: concurrent:", "launch.json: batchSize:"]
    with pytest.raises(BadInput, match="a launch configuration, found nothing there"):
        read_launch_file("gone.json", cwd=tmp_path)
    launch.write_bytes(b" " * 100_000)
    with pytest.raises(BadInput, match="at most 65536 bytes"):
        read_launch_file(str(launch), cwd=Path("/"))


def test_warnings_come_along(launch: Path, tmp_path: Path) -> None:
    """For whoever starts a run with it."""
    launch.write_text('{"batchSize": "2"}', "utf-8")
    first, second = read_launch_file("launch.json", cwd=tmp_path).warnings
    assert first.startswith("launch.json: batchSize: expected a whole number") and "taken as 2" in first
    assert "expected at least the 3 browsers at a time" in second


def test_what_the_host_has_is_looked_at(tmp_path: Path) -> None:
    """Profiles that are there, damage, holders, sizes; names that can be no ID never become paths."""
    state = tmp_path / "not" / "yet"
    settings = Settings(state_dir=state, memory_reserve_bytes=5)
    clock = ManualClock()
    before = read_fleet(settings, ["anna", "../etc"], clock)
    assert (before.profile_ids, before.known) == (("anna", "../etc"), {})
    assert before.disk_free and before.memory_free and before.memory_reserve == 5 and before.browser_memory
    manager = ProfileManager(state)
    for name in ("anna", "torn", "busy"):
        manager.create(name)
    (state / "profiles" / "anna" / "browser_profile" / "History").write_bytes(b"x" * 1000)
    (state / "profiles" / "torn" / "metadata.json").write_bytes(b"{")
    with manager.locks.acquire("busy", what="a person"):
        fleet = read_fleet(settings, ["anna", "torn", "busy"], clock)
    assert fleet.known["anna"].bytes == 1000
    assert "metadata.json" in fleet.known["torn"].problem
    assert f"pid {os.getpid()}" in fleet.known["busy"].holder
    found = validate_launch({}, fleet)
    assert [(issue.code, issue.field) for issue in found.errors] == [("profile_damaged", "profiles[1]")]
    assert ("profile_in_use", "profiles[2]") in [(issue.code, issue.field) for issue in found.warnings]


def test_check_says_what_is_wrong_and_what_it_sets(launch, tmp_path, monkeypatch, capsys):
    """As text and as JSON; 2 if it cannot be used."""
    monkeypatch.chdir(tmp_path)
    state = ["--state-dir", str(tmp_path / "state")]
    assert cli.main(["config", "check", "launch.json", *state]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[:2] == [["it", "can", "be", "used,", "and", "sets:"], ["SETTING", "VALUE", "FIELD"]]
    assert ["batch_size", "4", "batch_size"] in rows and ["keep_failed", "false", "cleanup_on_failure"] in rows
    assert cli.main(["config", "check", "launch.json", "anna", "--json", *state]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["is_valid"] and shown["sanitized_data"]["batch_size"] == 4
    assert "profile_new" in [issue["code"] for issue in shown["warnings"]]
    launch.write_text("[]", "utf-8")
    assert cli.main(["config", "check", "launch.json", *state]) == 2
    assert (
        capsys.readouterr().out
        == "error: expected an object with the fields of a launch, found a list [not_an_object]\n"
    )


def test_show_says_what_it_would_set(launch, tmp_path, monkeypatch, capsys):
    """With its field, among all the others."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["config", "show", "--launch-config", "launch.json", "--json"]) == 0
    shown = {one["name"]: one for one in json.loads(capsys.readouterr().out)["settings"]}
    assert (shown["batch_size"]["value"], shown["batch_size"]["origin"]) == (4, "launch")
    assert shown["batch_size"]["where"] == "launch.json batch_size"
