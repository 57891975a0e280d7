"""Settings: where each value comes from, and one clear line for each mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from core.cli import main as cli
from core.cli.config import masked, report
from core.domain.failure import Code
from core.domain.limits import Limit, Rate
from core.domain.policy import PolicyChange
from core.errors import BadInput
from core.settings import CHECKOUT, Settings, load, located, resolve, rules, unknown_variables, variable
from core.settings_value import Rule, convert, members, shown
from tests.snapshots import compare

SNAPSHOTS = Path(__file__).parent / "snapshots" / "settings"
TOML = "o.toml"

WRONG: dict[str, tuple[str | bytes | None, dict[str, str], dict[str, Any]]] = {
    # the file as a whole
    "missing file": (None, {"OSTLER_CONFIG": "gone.toml"}, {}),
    "empty name of a file": (None, {"OSTLER_CONFIG": ""}, {}),
    "file is a directory": (None, {"OSTLER_CONFIG": "folder"}, {}),
    "file is a pipe": (None, {"OSTLER_CONFIG": "pipe"}, {}),
    "file is a device": (None, {"OSTLER_CONFIG": "/dev/zero"}, {}),
    "file of nobody": (None, {"OSTLER_CONFIG": "~nobody-of-that-name/o.toml"}, {}),
    "not utf8": ('flow = "Köln"\n'.encode("latin-1"), {}, {}),
    "utf16": ("timeout = 5\n".encode("utf-16"), {}, {}),
    "json": ('{"timeout": 5}', {}, {}),
    "too large": (b"#" * (1024 * 1024 + 1), {}, {}),
    # TOML
    "no equals sign": ("# mine\ntimeout 5\n", {}, {}),
    "colon": ("timeout: 5\n", {}, {}),
    "no value": ("timeout =\n", {}, {}),
    "bare text": ("headed = no\nflow = flows/a.py\n", {}, {}),
    "text without end": ('flow = "a.py\n', {}, {}),
    "list without end": ("timeout = [1,\n", {}, {}),
    "key twice": ("timeout = 5\nheaded = true\ntimeout = 6\n", {}, {}),
    "table twice": ("[retention]\nlogs_days = 1\n[retention]\nlogs_days = 2\n", {}, {}),
    "two values on a line": ("timeout = 5 headed = true\n", {}, {}),
    "deep lists": ("timeout = " + "[" * 100_000, {}, {}),
    "deep names": ("a" + ".a" * 3000 + " = 1", {}, {}),
    "hexadecimal without end": ("max_concurrent = 0x" + "f" * 20_000, {}, {}),
    "five thousand digits": ("timeout = " + "7" * 5000, {}, {}),
    "no such date": ("timeout = 2026-02-30\n", {}, {}),
    "zero in a path": ('state_dir = "a\\u0000b"\n', {}, {}),
    "nul": ("timeout = 5\0\n", {}, {}),
    # names
    "misspelt": ("max_concurent = 5\n", {}, {}),
    "hyphens": ("# mine\nmax-concurrent = 5\nlaunch-interval = 1\n", {}, {}),
    "capitals": ("Timeout = 5\n", {}, {}),
    "unknown": ("colour = 'red'\n", {}, {}),
    "unknown table": ("[orchestrator]\nmax_concurrent = 5\n", {}, {}),
    "after a table": ("[retention]\nlogs_days = 3\ntimeout = 5\n", {}, {}),
    "outside its table": ("logs_days = 3\n", {}, {}),
    "misspelt in a table": ("[retention]\nlog_days = 3\n", {}, {}),
    "table as a value": ("retention = 3\n", {}, {}),
    "value as a table": ("[timeout]\nseconds = 5\n", {}, {}),
    "list of tables": ("[[retention]]\nlogs_days = 3\n", {}, {}),
    # failures
    "failure of no code": ("[failures.site_dwn]\nattempts = 3\n[failures.xyzzy]\ndelay = 1\n", {}, {}),
    "failure that cannot be changed": ("[failures.interrupted]\ndelay = 1\n[failures.captcha_asked]\nattempts = 2\n", {}, {}),
    "attempts of what costs nothing": ("[failures.disk_full]\nattempts = 3\ndelay = 9\n", {}, {}),
    "numbers of a failure": (
        "[failures.rate_limited]\nattempts = 0\njitter = 2\nfactor = 0.5\ndelay = '1 min'\nreclone = 1\nmax_delay = 1e9\n", {}, {},
    ),
    "misspelt number of a failure": ("[failures.site_down]\nretries = 3\n", {}, {}),
    "failures as a value": ("failures = 3\n", {}, {}),
    "failure as a value": ("[failures]\nsite_down = 3\ninterrupted = 1\n", {}, {}),
    "empty table of a failure": ("[failures.site_down]\n", {}, {}),
    "empty table of failures": ("[failures]\n", {}, {}),
    "delay beyond the longest": ("[failures.site_down]\ndelay = 60\n", {"OSTLER_FAILURES_SITE_DOWN_MAX_DELAY": "30"}, {}),
    "failure in a variable": (None, {"OSTLER_FAILURES_SITE_DOWN_DELAY": "soon", "OSTLER_FAILURES_SITE_DOWN_ATTEMPTS": "2.5"}, {}),
    # types
    "number in quotes": ('timeout = "60"\nmax_concurrent = "5"\n', {}, {}),
    "wrong types": (
        "timeout = true\nmax_concurrent = 2.5\nheaded = 1\nflow = 7\nstate_dir = []\nlog_keep = {a = 1}\nsandbox = 'no'\n", {}, {},
    ),
    "date for a number": ("timeout = 2026-11-20\n", {}, {}),
    "word for a number": (None, {"OSTLER_MAX_CONCURRENT": "five"}, {}),
    "word for a boolean": (None, {"OSTLER_HEADED": "maybe"}, {}),
    "fraction for a count": (None, {"OSTLER_MAX_ATTEMPTS": "2.5"}, {}),
    "comma for a point": (None, {"OSTLER_LAUNCH_INTERVAL": "0,5"}, {}),
    "empty variables": (None, {"OSTLER_TIMEOUT": "", "OSTLER_STATE_DIR": "", "OSTLER_HEADED": ""}, {}),
    # units
    "milliseconds": (None, {"OSTLER_TIMEOUT": "500ms"}, {}),
    "minutes": ('timeout = "30 min"\n', {}, {}),
    "megabytes": ('log_max_bytes = "10MB"\n', {}, {}),
    "days": ('[retention]\nlogs_days = "2w"\n', {}, {}),
    "seconds that are milliseconds": ("progress_timeout = 1800000\n", {}, {}),
    "unknown unit": (None, {"OSTLER_TIMEOUT": "5 parsecs"}, {}),
    # ranges
    "out of range": ("max_concurrent = 0\npoison_limit = -1\nlog_max_bytes = 10\ntimeout = 0.5\n", {}, {}),
    "too many": (None, {"OSTLER_MAX_CONCURRENT": "1001", "OSTLER_LOG_KEEP": "100000"}, {}),
    "not finite": ("timeout = inf\nstop_grace = nan\nretry_delay = -inf\n", {}, {}),
    "negative": (None, {}, {"launch_interval": "-1"}),
    "huge": (None, {"OSTLER_MAX_ATTEMPTS": "9" * 400}, {}),
    "neither number nor never": ("[retention]\nlogs_days = 'often'\n", {}, {}),
    # forms of their own
    "halting": ("halt = 3\n", {"OSTLER_HALT": "soon,fail"}, {"halt": "now,fail=0%"}),
    "percentages": ('timeout = "99%"\n', {"OSTLER_TIMEOUT": "300 percent"}, {"timeout": "%"}),
    "limits": ('[limits]\n"shop.example" = "5 per min"\n', {"OSTLER_LIMITS": '{"a": {"rate": "5/w"}}'}, {}),
    "limits that are none": ("limits = 3\n", {"OSTLER_LIMITS": "5/min"}, {}),
    # flags, and sources together
    "flags": (None, {}, {"max_concurrent": "many", "timeout": "5s", "progress_timeout": ""}),
    "a file for a directory": (None, {}, {"state_dir": TOML}),
    "conflicting limits": ("action_timeout = 60\n", {}, {"progress_timeout": "20"}),
    "conflict with a default": (None, {"OSTLER_ACTION_TIMEOUT": "45"}, {}),
    "wrong everywhere": ("timeout = 'x'\n", {"OSTLER_HEADED": "x", "OSTLER_RETENTION_LOGS_DAYS": "x"}, {"max_attempts": "x"}),
    "wrong and overridden": ("timeout = -5\n", {"OSTLER_TIMEOUT": "60"}, {}),
    "password in a value": (None, {"OSTLER_TIMEOUT": "http://user:hunter2@h"}, {}),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with things that are no files of settings."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def write(folder: Path, content: str | bytes) -> dict[str, str]:
    (folder / TOML).write_bytes(content if isinstance(content, bytes) else content.encode())
    return {"OSTLER_CONFIG": TOML}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_one_clear_line(folder: Path, case: str) -> None:
    """Where it stands, to the line; what was expected and found; how to mend it."""
    content, env, flags = WRONG[case]
    env = {**write(folder, content or ""), **env}
    with pytest.raises(BadInput) as caught:
        load(flags, env, cwd=folder)
    said = str(caught.value).replace(str(folder), "DIR")
    assert len(said.splitlines()) == len(caught.value.problems)
    assert "hunter2" not in said
    assert all(len(line) < 300 for line in said.splitlines())
    compare(SNAPSHOTS / f"{case.replace(' ', '-')}.txt", said)


def test_no_snapshot_is_left_of_a_case_that_is_gone() -> None:
    """The cases and their snapshots are the same list."""
    assert {path.stem for path in SNAPSHOTS.iterdir()} == {case.replace(" ", "-") for case in WRONG}


def test_the_stronger_source_wins_and_is_named(folder: Path) -> None:
    """Flag, then variable, then file, then default; the file's lines are right, in tables too."""
    text = '# mine\ntimeout = 50\nheaded = true\n"log_keep" = 9\n\n[retention]\n# none\nlogs_days = 3\nevents_days = "never"\n'
    env = {
        **write(folder, text),
        "OSTLER_HEADED": "false",
        "OSTLER_MAX_CONCURRENT": "7",
        "OSTLER_RETENTION_LOGS_DAYS": "4",
    }
    resolved = resolve({"max_concurrent": "8", "headed": None}, env, cwd=folder)
    chosen = resolved.settings
    assert (chosen.max_concurrent, chosen.headed, chosen.timeout, chosen.log_keep) == (8, False, 50.0, 9)
    assert (chosen.retention.logs_days, chosen.retention.events_days) == (4.0, "never")
    file = folder / TOML
    assert {name: (one.kind, one.where) for name, one in located(resolved).items()} == {
        "timeout": ("file", f"{file}:2"),
        "headed": ("environment", "OSTLER_HEADED"),
        "log_keep": ("file", f"{file}:4"),
        "max_concurrent": ("flag", "--max-concurrent"),
        "retention.logs_days": ("environment", "OSTLER_RETENTION_LOGS_DAYS"),
        "retention.events_days": ("file", f"{file}:9"),
    }


def test_relative_paths_start_where_they_are_written(folder: Path) -> None:
    """Those of the file from its directory, those of flags and variables from the working directory; links are followed."""
    (folder / "etc").mkdir()
    (folder / "etc" / "o.toml").write_text('state_dir = "s"\nflow = "../f.py"\nlog_dir = "l"\n')
    (folder / "loop").symlink_to("loop")
    env = {"OSTLER_CONFIG": "etc/o.toml", "OSTLER_LOG_DIR": "m", "OSTLER_BROWSER": "loop"}
    chosen = load({}, env, cwd=folder)
    assert (chosen.state_dir, chosen.log_dir) == (folder / "etc" / "s", folder / "m")
    assert chosen.flow == str(folder / "f.py")
    assert chosen.browser == str(folder / "loop")


def test_every_setting_can_be_set_everywhere(folder: Path) -> None:
    """File and environment know every field, those of nested tables and those of tomorrow among them."""
    samples = {bool: True, int: 4096, float: 7.0, str: "x", Path: "x"}
    for rule in rules().values():
        table, _, leaf = rule.name.rpartition(".")
        kind = next(iter(members(rule.type)), None)
        if rule.name == "limits":
            continue  # a table whose names are the user's own: see below
        samples[None] = "never"
        value = samples[kind] if kind in samples else typing.get_args(kind)[-1]
        value = min(value, kind(rule.most)) if kind in (int, float) else value
        toml = json.dumps(value)
        content = f"[{table}]\n{leaf} = {toml}\n" if table else f"{leaf} = {toml}\n"
        from_file = resolve({}, write(folder, content), cwd=folder)
        from_env = resolve({}, {**write(folder, ""), variable(rule.name): str(value).lower()}, cwd=folder)
        assert from_file.settings == from_env.settings
        assert list(from_file.origins) == list(from_env.origins) == [rule.name]


def test_limits_are_set_by_key(folder: Path) -> None:
    """A key may have dots; the variable has JSON; what is shown is what was written, with its line."""
    text = (
        '[limits]\nconcurrency = 2\n"shop.example" = "5/min"\n[limits."api.example"]\nrate = "100/h"\nconcurrency = 3\n'
    )
    given = '{"concurrency": 2, "shop.example": "5/min", "api.example": {"rate": "100/h", "concurrency": 3}}'
    from_file = resolve({}, write(folder, text), cwd=folder)
    [shown_] = [one for one in report(from_file, []).settings if one.name == "limits"]
    from_env = resolve({}, {**write(folder, ""), "OSTLER_LIMITS": given}, cwd=folder)
    assert from_file.settings == from_env.settings
    assert from_file.settings.limits == {
        "shop.example": Limit(rate=Rate(5, 60.0), concurrency=2),
        "api.example": Limit(rate=Rate(100, 3600.0), concurrency=3),
    }
    written = '{"shop.example":{"rate":"5/min","concurrency":2},"api.example":{"rate":"100/h","concurrency":3}}'
    assert (shown_.value, shown_.where) == (written, f"{folder / TOML}:1")


def test_variables_that_set_nothing_are_named(folder: Path) -> None:
    """A misspelt variable is a warning with the nearest name; other programs' variables are none of ours."""
    env = {"OSTLER_MAX_CONCURENT": "5", "ostler_timeout": "5", "OSTLER_XYZZY": "1", "HOME": "/", "OSTLER_CONFIG": "x"}
    said = "expected a variable that sets something, found one that does not"
    assert unknown_variables(env) == [
        f"OSTLER_MAX_CONCURENT: {said} (did you mean OSTLER_MAX_CONCURRENT?)",
        f"OSTLER_XYZZY: {said} (`ostler config show` lists those that do)",
        f"ostler_timeout: {said} (did you mean OSTLER_TIMEOUT?)",
    ]


def test_what_is_shown_matches_its_schema(folder: Path) -> None:
    """Every setting once, as published."""
    env = {**write(folder, ""), "OSTLER_MAX_CONCURRENT": "9"}
    found = json.loads(msgspec.json.encode(report(resolve({}, env, cwd=folder), [])))
    jsonschema.validate(found, json.loads((CHECKOUT / "docs" / "schemas" / "config-show.json").read_text()))
    assert [one["name"] for one in found["settings"]] == plain_rules()
    assert {"name": "max_concurrent", "value": 9, "origin": "environment", "where": "OSTLER_MAX_CONCURRENT",
            "variable": "OSTLER_MAX_CONCURRENT"} in found["settings"]  # fmt: skip


def plain_rules() -> list[str]:
    """All but those of single failures: of these, only what is set is shown."""
    return [name for name in rules() if not name.startswith("failures.")]


def test_what_is_set_for_a_failure_reaches_the_policy(folder: Path) -> None:
    """From file and environment; of the others the table holds; it is shown with its line, and nothing else of its table is."""
    env = {
        **write(folder, "[failures.rate_limited]\nattempts = 6\ndelay = 60\n"),
        "OSTLER_FAILURES_OFFLINE_DELAY": "90",
    }
    resolved = resolve({}, env, cwd=folder)
    retry = resolved.settings.retry
    assert retry.changes == {
        Code.RATE_LIMITED: PolicyChange(attempts=6, delay=60.0),
        Code.OFFLINE: PolicyChange(delay=90.0),
    }
    assert (retry.rule(Code.RATE_LIMITED).delay, retry.rule(Code.OFFLINE).max_delay) == (60.0, 90.0)
    shown_ = {one.name: (one.value, one.where) for one in report(resolved, []).settings if "failures" in one.name}
    assert shown_ == {
        "failures.rate_limited.attempts": (6, f"{folder / TOML}:2"),
        "failures.rate_limited.delay": (60.0, f"{folder / TOML}:3"),
        "failures.offline.delay": (90.0, "OSTLER_FAILURES_OFFLINE_DELAY"),
    }


def test_what_the_page_about_failures_sets_can_be_set(folder: Path) -> None:
    """Its example is read, and changes what it says."""
    page = (CHECKOUT / "docs" / "failures.md").read_text("utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    retry = resolve({}, write(folder, example), cwd=folder).settings.retry
    assert retry.changes == {
        Code.RATE_LIMITED: PolicyChange(attempts=6, delay=60.0, factor=1.5, max_delay=1800.0, jitter=0.3),
        Code.BROWSER_CRASHED: PolicyChange(reclone=True),
    }


def test_config_failures_says_what_follows(folder: Path, monkeypatch, capsys) -> None:
    """Every code with the numbers that hold here; what is set is marked, and where; as JSON, as published."""
    write(folder, "max_attempts = 1\n[failures.rate_limited]\nattempts = 6\n[failures.disk_full]\ndelay = 30\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OSTLER_CONFIG", TOML)
    assert cli.main(["config", "failures"]) == 0
    out, _ = capsys.readouterr()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines()}
    assert rows["rate_limited"] == "network medium site an attempt 6 * 30 s 900 s no failed"
    assert rows["disk_full"] == "resource critical host nothing - 30 s * 60 s no waiting"
    assert rows["proxy_auth"].startswith("authentication high operator an attempt 1 5 s")
    assert f"* rate_limited: attempts is set in {folder / TOML}:3" in out.splitlines()
    assert set(rows) == {"code", "*", *map(str, Code)}
    assert cli.main(["config", "failures", "--json"]) == 0
    shown_ = json.loads(capsys.readouterr()[0])
    jsonschema.validate(shown_, json.loads((CHECKOUT / "docs" / "schemas" / "config-failures.json").read_text()))
    assert [one["code"] for one in shown_["failures"]] == list(map(str, Code))
    [changed] = [one for one in shown_["failures"] if one["code"] == "rate_limited"]
    assert (changed["attempts"], changed["apart"], changed["end"], changed["exit_code"]) == (6, True, "failed", 1)


def test_a_path_of_impossible_characters_is_refused(folder: Path) -> None:
    """Half a pair of surrogates is in no file's name."""
    with pytest.raises(BadInput, match="expected a path, found characters that no path has"):
        load({"flow": "\ud800"}, {}, cwd=folder)


def test_a_secret_setting_is_never_shown() -> None:
    """The name decides, in messages as in tables."""
    rule = Rule("service.api_key", int, 0, 10, is_path=False)
    wrong = convert(rule, "hunter2", Path("/"), is_text=True)
    assert "hunter2" not in str(wrong)
    assert shown("service.api_key", "hunter2") == "[redacted]"
    assert masked("service.api_key", "hunter2") == masked("pin_password", 1234) == "[redacted]"
    assert masked("service.endpoint", "ws://user:hunter2@host/") == "ws://user:[redacted]@host/"


def test_config_show_prints_a_line_for_each(folder: Path, monkeypatch, capsys) -> None:
    """The command reads what the orchestrator reads, and says which file and line."""
    write(folder, "timeout = 77\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OSTLER_CONFIG", TOML)
    monkeypatch.setenv("OSTLER_STOP_GRASE", "1")
    assert cli.main(["config", "show", "--state-dir", "s"]) == 0
    out, err = capsys.readouterr()
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert list(rows) == plain_rules()
    assert rows["timeout"] == ["77.0", f"{folder / TOML}:1"]
    assert rows["state_dir"] == [str(folder / "s"), "--state-dir"]
    assert rows["retry_delay"] == ["1.0", "default"]
    assert "did you mean OSTLER_STOP_GRACE?" in err
    assert cli.main(["config", "show", "--json"]) == 0
    out, _ = capsys.readouterr()
    shown_ = json.loads(out)
    jsonschema.validate(shown_, json.loads((CHECKOUT / "docs" / "schemas" / "config-show.json").read_text()))
    assert shown_["file"] == str(folder / TOML)
    assert len(shown_["warnings"]) == 1


@pytest.mark.parametrize("program", ["orchestrator.py", "run.py"])
def test_a_wrong_setting_stops_the_command(folder: Path, program: str) -> None:
    """Exit code 2, the line, no traceback, and nothing was made."""
    (folder / "q.json").write_text('["a"]')
    write(folder, "timeout = 5\nmax_concurent = 3\n")
    env = {**os.environ, "OSTLER_CONFIG": TOML, "OSTLER_STATE_DIR": "s", "OSTLER_LOG_DIR": "l"}
    argument = "q.json" if program == "orchestrator.py" else "anna"
    done = subprocess.run(
        [sys.executable, CHECKOUT / program, argument], cwd=folder, env=env, capture_output=True, text=True, timeout=30, check=False
    )  # fmt: skip
    assert done.returncode == 2
    expected = f'{folder / TOML}:2:1: expected a known setting, found "max_concurent" (did you mean "max_concurrent"?)'
    assert done.stderr.strip() == expected
    assert not (folder / "s").exists()
    assert not (folder / "l").exists()


def test_no_file_is_no_mistake_unless_it_is_named(folder: Path) -> None:
    """Without OSTLER_CONFIG a missing ostler.toml leaves the defaults."""
    assert isinstance(load({}, {}, cwd=folder), Settings)
