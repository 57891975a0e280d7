"""Every command over a state in which others wrote what they liked: nothing of it reaches the terminal as a command, and all
that ``--json`` prints is as its published schema says.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import msgspec
import pytest
from anyio.from_thread import start_blocking_portal

from core.cli import main as cli
from core.clock import SystemClock
from core.control.port import Answer, ParkedJob, Pause, Request, RunView
from core.control.socket import ControlSocket
from core.domain import events as ev
from core.domain.failure import Code
from core.domain.lifecycle import JobEvent
from core.domain.model import Counters, JobSpec
from core.domain.retry import Decision
from core.domain.session import Identity, SessionState
from core.profiles import ProfileManager
from core.queue.sqlite import SqliteQueue
from core.state.orchestrator_lock import OrchestratorLock
from core.state.sessions import FileSessionStore

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[2]
SCHEMAS = CHECKOUT / "docs" / "schemas"
EVIL = "\x1b]0;gone\x07\x1b[31m\x9b1m\u202e\rx\ny"
PASSWORD = "very-secret-word"
FLOW = f"""\
from workers.steps import Flow
flow = Flow("evil", browser=False)
@flow.step(flag={EVIL + "z"!r}, name={EVIL!r})
async def two(ctx): pass
@flow.step(flag={EVIL!r}, requires=[{EVIL + "z"!r}])
async def one(ctx): pass
"""
SHOWN: dict[str, tuple[str, tuple[str, ...]]] = {
    "status": ("status", ()),
    "ctl": ("ctl", ()),
    "report": ("report", ()),
    "queue add": ("queue-add", ("open", "another", "--flow", "evil.py")),
    "queue list": ("queue-list", ()),
    "queue show": ("queue-show", (f"failed{EVIL}",)),
    "queue retry": ("queue-change", ("--state", "failed")),
    "queue cancel": ("queue-change", ("--state", "queued")),
    "session show": ("session-show", ("anna",)),
    "identity show": ("identity-show", ("anna",)),
    "flow check": ("flow-check", ("evil.py",)),
    "flow show": ("flow-show", ("evil.py",)),
    "doctor": ("doctor", ()),
    "gc": ("gc", ("--dry-run",)),
    "config show": ("config-show", ()),
    "config failures": ("config-failures", ()),
    "config check": ("config-check", ("launch.json", "named", EVIL)),
    "profile create": ("profile-change", ("fresh", "--platform", "telegram")),
    "profile activate": ("profile-change", ("named",)),
    "profile deactivate": ("profile-change", ()),
    "profile delete": ("profile-change", ("named",)),
    "profile clone": ("profile-change", ("named", "second")),
    "profile rename": ("profile-change", ("named", "other")),
    "profile tag": ("profile-change", ("named", "--add", "checked")),
    "profile migrate": ("profile-change", ("legacy", "--as", "old")),
    "profile list": ("profile-list", ()),
    "profile status": ("profile-status", ("named", "--deep")),
    "profile size": ("profile-size", ("named",)),
    "profile set": ("profile-set", ("named,named2,nobody", "locale=de-DE")),
    "profile unset": ("profile-set", ("named", "locale")),
    "profile usage": ("profile-usage", ()),
    "profile diff": ("profile-diff", ("named", "--against", "named2")),
    "profile recover": ("profile-recover", ("named", "--dry-run")),
    "profile doctor": ("doctor", ()),
    "profile export": ("profile-archive", ("named", f"out{EVIL}.zip")),
    "profile import": ("profile-archive", (f"in{EVIL}.zip", "--as", "copied")),
    "explain": ("explain", (f"failed{EVIL}",)),
    "events": ("events", ("-n", "1")),
}
"""Every command that knows ``--json``: name of its schema, and arguments that make it print much."""
TELLS_OF_OTHERS = {
    name
    for name in SHOWN
    if name not in ("queue add", "doctor", "config failures")
    and (not name.startswith("profile ") or name in ("profile export", "profile import"))
}
"""Those that show text that somebody else wrote; what a profile's metadata may say is held to rules already."""
OTHERS = {
    "logs": ("anna",),
    "report": ("--format", "csv"),
    "queue export": ("--all",),
    "queue schema": (),
    "session reset": ("anna", "--step", "never"),
    "session show": ("nobody",),
    "queue cancel": (f"failed{EVIL}",),
    "ctl pause": (),
    "ctl drain": (),
}
"""Others, and others' errors."""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Iterator[list[str]]:
    """A directory with a state where every text has escape codes in it; the arguments that name it."""
    state, logs = tmp_path / "state", tmp_path / "logs"
    logs.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OSTLER_BROWSER", f"/nowhere/{EVIL}")
    monkeypatch.setenv(f"OSTLER_{EVIL}", "x")
    (tmp_path / "evil.py").write_text(FLOW, "utf-8")
    launch = {"batchSize": EVIL, EVIL: EVIL, "cleanupOnFailure": False}
    (tmp_path / "launch.json").write_text(json.dumps(launch), "utf-8")
    (tmp_path / f"ev{EVIL}il.py").write_text("from workers.steps import Flow\nraise ValueError('\x1b[31m')\n", "utf-8")
    session = SessionState(
        profile_id="anna",
        identity=Identity(password=PASSWORD, email=f"{EVIL}@example.org", extra={EVIL: EVIL}),
        completion_flags={EVIL: True, "old" + EVIL: True},
        outputs={EVIL: EVIL, "copy": PASSWORD, "list": [EVIL, 1]},
        remembered={EVIL: {"order": EVIL}},
    )
    FileSessionStore(state).write(session, fence=1)
    profiles = ProfileManager(state)
    profiles.create("named")
    profiles.create("named2")
    legacy = tmp_path / "legacy"
    (legacy / "browser_profile" / "Default").mkdir(parents=True)
    (legacy / "session.json").write_text("{}", "utf-8")
    profiles.export("named", f"in{EVIL}.zip")
    queue = SqliteQueue(state / "queue.db")
    queue.begin_run(1.0)
    flow = str(tmp_path / f"{EVIL}.py")
    params = {EVIL: [EVIL], "token": PASSWORD}
    specs = [JobSpec(id=f"{name}{EVIL}", profile_id=name, flow=flow, params=params) for name in ("failed", "running")]
    queue.reconcile(f"q{EVIL}.json", [*specs, JobSpec(id=f"open{EVIL}", profile_id="open", flow=flow)], now=1.0)
    for nonce in ("first", "second"):
        queue.claim(2.0, nonce)
        queue.record_go(nonce, fence=1, user_data_dir=None, now=2.0)
    decision = Decision(
        event=JobEvent.GIVEN_UP,
        counters=Counters(failures=1),
        retry_at=None,
        reason=f"it said {EVIL}",
        code=Code.UNKNOWN,
    )
    queue.finish("first", decision, now=3.0, seconds=1.0, outcome=f"broke {EVIL}")
    queue.close()
    started = ev.StepStarted(at=2.5, profile_id="running", job=f"running{EVIL}", attempt=1, step=EVIL, try_=1)
    (logs / "events.jsonl").write_bytes(
        ev.encode(ev.RunStarted(at=1.0, run=1, queued=2, max_concurrent=1)) + ev.encode(started)
    )
    (logs / "anna.log").write_text(f"2026-01-01T00:00:00Z [info] {EVIL}\ttab\n", "utf-8")
    odd = os.fsencode(state / "artifacts" / "anna" / EVIL) + b"\xff"
    Path(os.fsdecode(odd)).mkdir(parents=True)
    os.utime(odd, (1.0, 1.0))
    with under_way(state):
        yield ["--state-dir", str(state), "--log-dir", str(logs)]


@contextlib.contextmanager
def under_way(state: Path) -> Iterator[None]:
    """Answer at a state directory's control socket as a run would that has all of this to say."""
    parked = ParkedJob(job=f"j{EVIL}", profile_id="anna", step=EVIL, why=EVIL, since=1.0, asks=(EVIL,))
    view = RunView(
        max_concurrent=2, running=(EVIL,), prepared=(EVIL,), parked=(parked,), held=(EVIL,), stopping="drain"
    )

    def answer(request: Request) -> Answer:
        return Answer(run=view, done=EVIL, problem=EVIL if isinstance(request, Pause) else "")

    with start_blocking_portal() as portal:
        serving = portal.start_task_soon(ControlSocket(state).serve, answer)
        end = time.monotonic() + 30
        while not (state / "control.sock").exists():
            assert time.monotonic() < end and not serving.done()
            time.sleep(0.01)
        yield
        serving.cancel()


def commands(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every command that can be typed, with its grammar."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if parser.get_default("run") is not None:
        yield name, parser
    for group in groups:
        for word, below in group.choices.items():
            yield from commands(below, f"{name} {word}".strip())


def harmless(text: str) -> bool:
    """Whether a terminal shows this as it is."""
    return all(char.isprintable() or char in "\n\t" for char in text)


def test_every_command_with_json_is_tried_here():
    """A new one has to be added to the table, with a schema that is published."""
    known = {name for name, parser in commands(cli.parser()) if "--json" in parser._option_string_actions}
    assert known == set(SHOWN)
    published = {path.stem for path in SCHEMAS.glob("*.json")} - {"queue.schema", "dry-run"}
    assert published == {schema for schema, _ in SHOWN.values()}


@pytest.mark.parametrize("name", SHOWN)
def test_json_is_as_its_schema_says(here, capsys, name):
    """Over the whole of it, without a secret, and with nothing that a terminal obeys."""
    schema, arguments = SHOWN[name]
    cli.main([*name.split(), *arguments, "--json", *here])
    found = capsys.readouterr()
    assert harmless(found.out + found.err)
    assert PASSWORD not in found.out + found.err
    value = json.loads(found.out)
    rules = json.loads((SCHEMAS / f"{schema}.json").read_text("utf-8"))
    jsonschema.validate(value, rules)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([], rules)
    if name in TELLS_OF_OTHERS:
        assert "\\u202e" in found.out


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_said_to_people_is_harmless(here, capsys, name):
    """The same, as text: one line stays one line."""
    cli.main([*name.split(), *SHOWN[name][1], *here])
    found = capsys.readouterr()
    assert found.out
    assert harmless(found.out + found.err)
    assert PASSWORD not in found.out + found.err
    assert not any(line.startswith("y") for line in found.out.splitlines())


@pytest.mark.parametrize("name", OTHERS)
def test_other_commands_and_errors_are_harmless(here, capsys, name):
    """Logs, spreadsheets, exports, and messages that repeat what was typed or read."""
    cli.main([*name.split(), *OTHERS[name], *here])
    found = capsys.readouterr()
    assert found.out + found.err
    assert harmless(found.out + found.err)
    assert name != "logs" or ("\\x1b[31m" in found.out and "\ttab" in found.out)
    assert name != "queue export" or len(msgspec.json.decode(found.out)) == 3


def test_a_holder_is_named_without_what_it_calls_itself(here, capsys):
    """The record beside a lock can be written by whoever can write there."""
    with OrchestratorLock(Path(here[1]), SystemClock()).hold(f"orchestrator {EVIL}"):
        for command in (["status"], ["status", "--json"], ["gc"]):
            cli.main([*command, *here])
    found = capsys.readouterr()
    assert harmless(found.out + found.err) and "orchestrator \\x1b" in found.err


def test_a_log_that_becomes_a_directory_ends_the_following(tmp_path):
    """With a message, not a traceback; what was there before has been shown."""
    log = tmp_path / "anna.log"
    log.write_text("one\n", "utf-8")
    command = [sys.executable, "-m", "core.cli.main", "logs", "anna", "-f", "--log-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT) as follower:
        try:
            assert follower.stdout is not None
            assert follower.stdout.readline() == "one\n"
            log.rename(tmp_path / "elsewhere")
            log.mkdir()
            out, err = follower.communicate(timeout=30)
        finally:
            follower.kill()
    assert (out, follower.returncode) == ("", 2)
    assert err == f"ostler: ID: expected a profile that has a log, found {log}: Is a directory\n"


@pytest.mark.parametrize("wrong", ["directory", "pipe", "link to itself"])
@pytest.mark.parametrize("command", [["status"], ["logs", "events.jsonl"], ["logs", "anna"], ["gc", "--dry-run"]])
def test_what_stands_in_a_logs_place_is_said(tmp_path, capsys, wrong, command):
    """And not waited for, whichever command wants to read it."""
    logs = tmp_path / "logs"
    logs.mkdir()
    for name in ("events.jsonl", "anna.log"):
        match wrong:
            case "directory":
                (logs / name).mkdir()
            case "pipe":
                os.mkfifo(logs / name)
            case _:
                (logs / name).symlink_to(logs / name)
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(20)
    try:
        code = cli.main([*command, "--state-dir", str(tmp_path / "state"), "--log-dir", str(logs)])
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    found = capsys.readouterr()
    if command == ["status"]:
        assert code == 0 and "events.jsonl cannot be read" in found.out
    elif command[0] == "logs":
        assert code == 2 and found.err.startswith("ostler: ")


def test_output_that_cannot_be_written_is_said(tmp_path):
    """A full disk behind a redirection is named, once."""
    command = [
        sys.executable,
        "-m",
        "core.cli.main",
        "status",
        "--state-dir",
        str(tmp_path),
        "--log-dir",
        str(tmp_path),
    ]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT, check=False)
    assert (done.returncode, done.stderr) == (7, "ostler: output: No space left on device\n")


def test_an_old_terminal_is_no_traceback(tmp_path):
    """What its encoding lacks is spelled out."""
    command = [sys.executable, "-m", "core.cli.main", "config", "show"]
    environ = os.environ | {"PYTHONIOENCODING": "ascii", "OSTLER_STATE_DIR": str(tmp_path / "č")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=False, env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u010d" in done.stdout


def test_a_run_by_hand_needs_no_log(tmp_path):
    """Where its log cannot be written or followed that is said, and the steps are run."""
    (tmp_path / "logs" / "anna.log").mkdir(parents=True)
    flow = tmp_path / "hello.py"
    flow.write_text(FLOW.replace("async def one(ctx): pass", "async def one(ctx): print('\\x1b[31mred')"), "utf-8")
    command = [sys.executable, str(CHECKOUT / "run.py"), "anna", "--flow", str(flow)]
    here = ["--state-dir", str(tmp_path / "state"), "--log-dir", str(tmp_path / "logs")]
    first = subprocess.run([*command, *here], capture_output=True, text=True, check=False, timeout=60)
    assert first.returncode == 0, first.stderr
    assert f"{tmp_path / 'logs' / 'anna.log'} cannot be followed: Is a directory\n" in first.stdout
    (tmp_path / "logs" / "anna.log").rmdir()
    log = tmp_path / "logs" / "anna.log"
    taken = f"import os; os.rename({str(log)!r}, {str(log)!r} + 'x'); os.mkdir({str(log)!r})"
    flow.write_text(flow.read_text("utf-8").replace("print(", f"{taken}; print("), "utf-8")
    second = subprocess.run([*command, *here, "--from", "one"], capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode == 0, second.stderr
    assert f"{log} cannot be followed: Is a directory\n" in second.stdout
    assert harmless(first.stdout + second.stdout + second.stderr)
