"""``ostler events``: what is chosen, how it is shown, and following across rotations and orchestrators."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys

import pytest

from core.cli import main as cli
from core.clock import ManualClock
from core.domain import events as ev
from core.events.jsonl import JsonlSink
from tests.fleet import ROOT

OF = {"profile_id": "anna", "job": "j1", "attempt": 1}
LOG = (
    ev.FeedRead(at=0.0, source="q.json", added=2, updated=0, unchanged=0, done=0, cancelled=0),
    ev.RunStarted(at=100.0, run=1, queued=2, max_concurrent=2),
    ev.AttemptStarted(at=101.0, pid=1, fence=1, **OF),
    ev.StepCommitted(at=102.5, step="log in", seconds=0.25, **OF),
    ev.JobChanged(at=103.0, profile_id="anna", job="j1", state="done"),
    ev.JobChanged(at=104.0, profile_id="bert", job="j2", state="failed", reason="a = b"),
)


@pytest.fixture
def logs(tmp_path):
    """A log in two parts."""
    lines = [ev.encode(event) for event in LOG]
    (tmp_path / "events.jsonl.1").write_bytes(b"".join(lines[:3]))
    (tmp_path / "events.jsonl").write_bytes(b"".join(lines[3:]))
    return tmp_path


@pytest.fixture
def typed(logs, capsys):
    """What a command line prints, and its exit code."""

    def run(*arguments: str) -> tuple[int, list[str], str]:
        code = cli.main(["events", *arguments, "--log-dir", str(logs)])
        found = capsys.readouterr()
        return code, found.out.splitlines(), found.err

    return run


def test_the_json_is_the_log_itself(typed):
    """Unchanged, from its oldest part on."""
    code, lines, err = typed("--json")
    assert (code, err) == (0, "")
    assert [line.encode() + b"\n" for line in lines] == [ev.encode(event) for event in LOG]


def test_lines_for_people_say_when_what_and_all_that_is_not_empty(typed):
    """Aligned; a text with blanks is quoted."""
    _, lines, _ = typed()
    assert lines[3] == (
        '1970-01-01 00:01:42Z  step_committed    profile_id=anna job=j1 attempt=1 step="log in" seconds=0.25 '
        "body_ran=true recovered=false"
    )
    assert 'reason="a = b"' in lines[5]


@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        (("--type", "run_started,job_changed", "--type", "feed_read"), "feed_read run_started job_changed job_changed"),
        (("--job", "j1"), "attempt_started step_committed job_changed"),
        (("--profile", "bert"), "job_changed"),
        (("--since", "103"), "job_changed job_changed"),
        (("--since", "1970-01-01T00:01:44Z"), "job_changed"),
        (("-n", "2", "--profile", "anna"), "step_committed job_changed"),
        (("-n", "0"), ""),
        (("--since", "1s"), ""),
        (("--type", "launch-all-progress", "--since", "104"), "event:launch-all-progress"),
        (("--launch", "--type", "event:profiles-fetched"), "event:profiles-fetched"),
        (
            ("--launch",),
            "event:profiles-fetched event:profile-status-changed event:launch-all-progress event:launch-all-progress",
        ),
        (("--type", "profile-status-changed,step_committed", "--job", "j1"), "event:profile-status-changed step_committed"),
    ],
)  # fmt: skip
def test_what_is_chosen_is_shown(typed, arguments, kinds):
    """By kind, job, profile, time and number; those of a launch panel are made from all that came before."""
    code, lines, err = typed("--json", *arguments)
    assert (code, err) == (0, "")
    assert " ".join(json.loads(line)["type"] for line in lines) == kinds
    assert len(typed(*arguments)[1]) == len(lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--type", "job_chnged"), "found 'job_chnged' (did you mean job_changed?)"),
        (("--type", "batch started"), "did you mean batch"),
        (("--type", "zzz"), "expected a kind of event (profiles-fetched, "),
        (("--launch", "--type", "run_ended"), "expected a kind of event (profiles-fetched, "),
        (("--since", "yesterday"), "--since: expected a time: 90s, 15m"),
        (("--since", "99999-01-01"), "--since: expected a time"),
    ],
)
def test_what_cannot_be_chosen_is_a_mistake(typed, arguments, said):
    """Exit code 2, and what there is."""
    code, lines, err = typed(*arguments)
    assert (code, lines) == (2, [])
    assert said in err


@pytest.mark.parametrize("number", ["-1", "x", "9999999999"])
def test_a_number_of_lines_is_one(typed, number):
    """As for `ostler logs`."""
    with pytest.raises(SystemExit):
        typed("-n", number)


def test_bad_lines_are_named_and_end_nothing(typed, logs):
    """The first twenty one by one, the rest in a number; nothing of them reaches a terminal as a command."""
    bad = b'{"type":"\\u001b[31m","at":1}\n'
    with (logs / "events.jsonl").open("ab") as stream:
        stream.write(bad * 22 + ev.encode(LOG[-1]))
    code, lines, err = typed("--json")
    assert (code, len(lines)) == (0, len(LOG) + 1)
    assert err.splitlines()[0] == (
        r"ostler: events.jsonl, line 4 left out: an event that this Ostler does not know: '\x1b[31m'"
    )
    assert len(err.splitlines()) == 21 and err.endswith("ostler: 2 more lines left out\n")


def test_times_that_no_calendar_has_are_shown(typed, logs):
    """A log may be anybody's."""
    with (logs / "events.jsonl").open("ab") as stream:
        stream.write(ev.encode(ev.StopAsked(at=1e300, how="now")) + ev.encode(ev.StopAsked(at=-1e300, how="now")))
    code, lines, _ = typed("-n", "2")
    assert code == 0 and [line[:5] for line in lines] == ["9999-", "1970-"]


def test_nothing_is_there_yet(tmp_path, capsys):
    """That is no mistake."""
    assert cli.main(["events", "--json", "--log-dir", str(tmp_path)]) == 0
    found = capsys.readouterr()
    assert (found.out, found.err) == ("", f"ostler: there are no events in {tmp_path} yet\n")


def following(logs, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "core.cli.main", "events", "-f", "--json", "--log-dir", str(logs), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@contextlib.contextmanager
def ended(follower: subprocess.Popen[str]):
    with follower:
        try:
            yield
        finally:
            follower.kill()


@pytest.mark.timeout(60)
def test_following_goes_on_across_rotations_and_orchestrators(tmp_path):
    """One writer after another, each with a small log, and every event comes once, in order; ^C ends it well."""
    follower = following(tmp_path)
    with ended(follower):
        assert follower.stdout is not None
        for run in range(1, 4):
            sink = JsonlSink(tmp_path / "events.jsonl", ManualClock(), max_bytes=300, keep=3)
            for number in range(5):
                sink.emit(ev.RunStarted(at=float(number), run=run, queued=number, max_concurrent=1))
                event = json.loads(follower.stdout.readline())
                assert (event["run"], event["queued"]) == (run, number)
            sink.close()
        assert (tmp_path / "events.jsonl.3").exists()
        follower.send_signal(signal.SIGINT)
        out, err = follower.communicate(timeout=30)
    assert (out, err, follower.returncode) == ("", "", 0)


@pytest.mark.timeout(60)
def test_a_reader_that_has_seen_enough_ends_the_following(logs):
    """As `| head` does: no traceback, exit code 0."""
    follower = following(logs)
    with ended(follower):
        assert follower.stdout is not None and follower.stderr is not None
        follower.stdout.readline()
        follower.stdout.close()
        sink = JsonlSink(logs / "events.jsonl")
        sink.emit(LOG[0])
        sink.close()
        assert follower.wait(30) == 0
        assert follower.stderr.read() == ""
