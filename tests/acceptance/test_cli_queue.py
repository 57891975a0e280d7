"""``ostler queue`` as it is typed: beside a run, and on what a run left."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from core.cli import main as cli
from core.domain.failure import Code
from core.domain.lifecycle import JobEvent
from core.domain.model import Counters
from core.domain.retry import Decision
from core.queue.feed import FeedDefaults, read_feed
from core.queue.sqlite import SqliteQueue
from tests.fleet import BRISK, FLOWS, Fleet

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK = str(FLOWS / "quick.py")
PASSWORD = "pr0xy-pass"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(directory=tmp_path)


@pytest.fixture
def ostler(fleet: Fleet, capsys, monkeypatch) -> Callable[..., tuple[int, str, str]]:
    """Runs one command; returns exit code, output and errors."""
    monkeypatch.chdir(fleet.directory)

    def run(*args: object) -> tuple[int, str, str]:
        code = cli.main([*map(str, args), "--state-dir", str(fleet.state)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def as_json(said: tuple[int, str, str]) -> Any:
    code, out, err = said
    assert (code, err) == (0, "")
    return json.loads(out)


def feed(fleet: Fleet, *jobs: Any, **params: Any) -> Path:
    path = fleet.write_queue(jobs, **params)
    return path.rename(path.with_name("more.json"))


def quick(fleet: Fleet, name: str, **fields: Any) -> dict[str, Any]:
    return {"profile_id": name, "flow": QUICK, "params": {"ledger": str(fleet.ledger_file)}, **fields}


def test_what_is_added_while_a_run_is_under_way_is_run_by_it(fleet, ostler):
    """Within seconds, without a queue argument; and what is cancelled in time never runs."""
    assert (
        ostler("queue", "add", "--from", feed(fleet, "first", {"profile_id": "late", "not_before": 4_000_000_000}))[0]
        == 0
    )
    running = fleet.start(*BRISK)
    try:
        fleet.wait_for(lambda: fleet.effects()["first", "b"] or fleet.effects())
        fleet.wait_for(lambda: ("done",) in fleet.query("SELECT state FROM jobs WHERE id = 'first'"))
        assert ostler("queue", "add", "--from", feed(fleet, "second", "first"))[1].splitlines() == [
            "added 1", "first is there already, done; left as it is",
        ]  # fmt: skip
        fleet.wait_for(lambda: ("done",) in fleet.query("SELECT state FROM jobs WHERE id = 'second'"))
        assert ostler("queue", "cancel", "late")[:2] == (0, "1 cancelled\nlate\n")
        assert running.wait(20) == 0
    finally:
        running.kill()
        running.wait()
    assert {name for name, _ in fleet.effects()} == {"first", "second"}
    assert fleet.leftovers() == []


def test_a_claimed_job_is_not_cancelled(fleet, ostler):
    """It is said which, and nothing is changed, not even the other one."""
    queue = fill(fleet, quick(fleet, "busy", priority=1), quick(fleet, "free"))
    assert queue.claim(1.0, "n") is not None
    code, out, err = ostler("queue", "cancel", "free", "busy", "nobody")
    assert (code, out) == (2, "")
    assert "busy is prepared; no job 'nobody' in the queue; nothing was changed" in err
    assert "what a worker has in hand cannot be cancelled" in err
    assert fleet.query("SELECT id, state FROM jobs") == [("busy", "prepared"), ("free", "queued")]
    queue.close()


def fill(fleet: Fleet, *jobs: Any) -> SqliteQueue:
    """Return a run's queue with these jobs."""
    path = fleet.directory / "filled.json"
    path.write_text(json.dumps(jobs), "utf-8")
    fleet.state.mkdir(mode=0o700, exist_ok=True)
    queue = SqliteQueue(fleet.state / "queue.db")
    queue.begin_run(1.0)
    queue.reconcile("filled.json", specs(path), now=1.0)
    return queue


def specs(path: Path) -> list[Any]:
    with Path("/dev/null").open("rb") as nothing:
        return list(read_feed(str(path), stdin=nothing, cwd=path.parent, defaults=FeedDefaults()))


def fail(queue: SqliteQueue, name: str, reason: str, code: Code = Code.STEP_TIMEOUT) -> None:
    claim = queue.claim(2.0, name)
    assert claim is not None
    assert claim.job.spec.id == name
    queue.record_go(name, fence=1, user_data_dir=None, now=3.0)
    counters = Counters(attempts=1, failures=1, codes={code: 1})
    failed = Decision(event=JobEvent.GIVEN_UP, counters=counters, reason=reason, code=code)
    queue.finish(name, failed, now=8.5, seconds=5.5, outcome="step failed")


def test_list_and_show(fleet, ostler):
    """Tables for people, one line a job; filters; and how many there are beyond the limit."""
    queue = fill(fleet, *(quick(fleet, name) for name in ("anna", "anton", "bert")))
    fail(queue, "anna", "step pay:\ntimed out \x1b[31m")
    queue.close()
    code, out, _ = ostler("queue", "list")
    assert code == 0
    assert [line.split()[:4] for line in out.splitlines()] == [
        ["JOB", "PROFILE", "STATE", "TRY"], ["anna", "anna", "failed", "1"], ["anton", "anton", "queued", "0"],
        ["bert", "bert", "queued", "0"],
    ]  # fmt: skip
    assert out.isprintable() is False and "\x1b" not in out
    assert ostler("queue", "list", "--limit", 1)[1].splitlines()[-1] == "… and 2 more: --limit 0 shows all"
    for given, wanted in (
        (["--state", "failed,done"], ["anna"]),
        (["--profile", "an*"], ["anna", "anton"]),
        (["--reason", "TIMED OUT"], ["anna"]),
        (["--flow", "quick.py", "--state", "queued"], ["anton", "bert"]),
        (["--flow", "other.py"], []),
        (["--code", "step_timeout,site_down"], ["anna"]),
        (["--class", "timeout", "--class", "network"], ["anna"]),
        (["--class", "network"], []),
        (["--class", "timeout", "--code", "site_slow"], []),
    ):
        listed = as_json(ostler("queue", "list", "--json", *given))
        assert [job["id"] for job in listed["jobs"]] == wanted
        assert listed["total"] == len(wanted)
    shown = ostler("queue", "show", "anna")[1]
    assert "step failed" in shown and "1970-01-01 00:00:08Z" in shown and "5.5" in shown
    assert as_json(ostler("queue", "show", "anna", "--json"))["history"] == [
        {
            "number": 1,
            "run": 1,
            "started_at": 2.0,
            "ended_at": 8.5,
            "seconds": 5.5,
            "outcome": "step failed",
            "fence": 1,
            "generation": 1,
            "code": "step_timeout",
            "reason": "step pay:\ntimed out \x1b[31m",
        }
    ]
    assert ostler("queue", "show", "nobody") == (2, "", "ostler: no job 'nobody' in the queue\n")


def test_a_proxys_password_is_never_shown(fleet, ostler):
    """Not in a list, not in a job, not where a reason repeats it; an export has it only when asked for."""
    proxy = f"http://user:{PASSWORD}@127.0.0.1:8080"
    queue = fill(fleet, quick(fleet, "anna", proxy=proxy))
    fail(queue, "anna", f"could not reach {proxy}")
    queue.close()
    for command in (["list"], ["show", "anna"], ["list", "--json"], ["show", "anna", "--json"], ["export", "--all"]):
        code, out, err = ostler("queue", *command)
        assert code == 0
        assert PASSWORD not in out + err
    code, out, err = ostler("queue", "export", "--all")
    assert json.loads(out)[0]["proxy"] == "http://user@127.0.0.1:8080"
    assert "1 proxies were written without their password" in err
    assert json.loads(ostler("queue", "export", "--all", "--with-secrets")[1])[0]["proxy"] == proxy


def test_retry_by_name_and_by_state(fleet, ostler):
    """As a new generation; those that are not to be retried are named."""
    queue = fill(fleet, quick(fleet, "anna", priority=2), quick(fleet, "bert", priority=1), quick(fleet, "carl"))
    fail(queue, "anna", "timed out")
    fail(queue, "bert", "wrong page")
    queue.close()
    assert ostler("queue", "retry", "anna", "carl")[0] == 2
    assert ostler("queue", "retry", "--reason", "timed")[:2] == (0, "1 queued again\nanna\n")
    assert ostler("queue", "retry", "--class", "network")[:2] == (0, "0 queued again\n")
    assert as_json(ostler("queue", "retry", "--class", "timeout", "--json")) == {"changed": ["bert"]}
    assert fleet.query("SELECT id, state, generation FROM jobs") == [
        ("anna", "queued", 2), ("bert", "queued", 2), ("carl", "queued", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_an_export_is_the_same_queue_again(fleet, ostler, form):
    """Every field survives the way out and in again, and order does."""
    jobs = [
        quick(fleet, "anna", id="anna-1", priority=-3, not_before=4e9, timeout=9.5, max_attempts=4, device="mobile"),
        quick(fleet, "anna", id="anna-2", template=str(fleet.directory), proxy=f"socks5://u:{PASSWORD}@h:1"),
        quick(fleet, "bert", params={"ledger": "l", "text": 'Zoë "\n€', "n": {"x": [1, None, 2.5]}}),
        {"profile_id": "carl", "flow": QUICK},
    ]
    queue = fill(fleet, *jobs)
    before = [job.spec for job in queue.jobs()]
    queue.close()
    out = fleet.directory / f"out.{form}"
    out.write_text(ostler("queue", "export", "--format", form, "--with-secrets")[1], "utf-8")
    assert specs(out) == before
    assert json.loads(ostler("queue", "export", "--state", "done")[1]) == []
    assert ostler("queue", "export", "--state", "done", "--format", "jsonl")[1] == ""


def test_what_is_json_is_as_its_schema_says(fleet, ostler):
    """Each ``--json`` validates against what is published for it."""
    queue = fill(fleet, quick(fleet, "anna", proxy="http://h:1"), quick(fleet, "bert"))
    fail(queue, "anna", "x")
    queue.close()
    folder = Path(__file__).resolve().parents[2] / "docs" / "schemas"
    for name, command in {
        "queue-add": ["add", "--from", feed(fleet, "anna", "zoe")],
        "queue-list": ["list"],
        "queue-show": ["show", "anna"],
        "queue-change": ["retry", "anna"],
    }.items():
        schema = json.loads((folder / f"{name}.json").read_text("utf-8"))
        found = as_json(ostler("queue", *command, "--json"))
        jsonschema.validate(found, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({}, schema)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["add"], "expected profile IDs, or --from FILE, found neither"),
        (["add", "anna", "--from", "x.json"], "found both"),
        (["add", "anna"], "expected a flow from the job"),
        (["add", "more.json"], "ID: expected 1 to 32 of"),
        (["add", "anna", "ANNA", "--flow", QUICK], "expected one spelling of an ID"),
        (["add", "anna", "--flow", "none.py"], "expected an existing flow file"),
        (["add", "anna", "--flow", QUICK], "missing required field `ledger`"),
        (["add", "--from", "none.json"], "expected a queue file, found nothing there"),
        (["list", "--state", "broken"], "--state: expected states among queued, prepared"),
        (["list", "--limit", "-1"], "--limit: expected a whole number from 0"),
        (["list", "--code", "timeout"], "--code: expected a code of docs/failures.md, found 'timeout' (it is a type: --class takes those)"),
        (["list", "--class", "netwrk"], "found 'netwrk' (did you mean network?)"),
        (["retry"], "expected job IDs, or a selection such as --state, found neither"),
        (["retry", "anna", "--state", "failed"], "found both"),
        (["retry", "--state", "running"], "--state: expected states among parked, done, quarantined, failed"),
        (["cancel", "--state", "done"], "--state: expected states among queued, waiting, parked"),
        (["list", "--queue", "foreign.db"], "expected a queue of Ostler, found it is a SQLite database, but not"),
        (["list", "--queue", "none.db"], "expected a queue of Ostler, found No such file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_line(fleet, ostler, typed, said):
    """With exit code 2, and nothing is changed."""
    fill(fleet).close()
    with sqlite3.connect(fleet.directory / "foreign.db") as foreign:
        foreign.execute("CREATE TABLE jobs (id)")
    foreign.close()
    code, out, err = ostler("queue", *typed)
    assert (code, out) == (2, "")
    assert said in err
    assert fleet.query("SELECT count(*) FROM jobs") == [(0,)]


def test_without_a_queue_it_says_so_and_makes_none(fleet, ostler):
    """Looking leaves no trace; adding makes the queue, which is private."""
    code, out, _ = ostler("queue", "list")
    assert code == 0
    assert "nothing was ever run or added" in out
    assert not fleet.state.exists()
    assert ostler("queue", "add", "nobody")[0] == 2
    assert not fleet.state.exists()
    assert as_json(ostler("queue", "add", "--json", "--from", feed(fleet, "anna"))) == {"added": 1, "known": []}
    assert (fleet.state / "queue.db").stat().st_mode & 0o777 == 0o600
    assert fleet.state.stat().st_mode & 0o777 == 0o700
