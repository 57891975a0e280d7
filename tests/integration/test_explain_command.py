"""``ostler explain`` over a real queue and a real event log: what a person reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from core.cli import main as cli
from core.domain import events as ev
from core.domain.failure import Code
from core.domain.lifecycle import JobEvent
from core.domain.model import Counters, JobSpec
from core.domain.retry import Decision
from core.queue.sqlite import SqliteQueue

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "word-of-the-proxy"
TOLD = """\
anna failed for good, after 2 attempts.

Attempt 1, 1970-01-01 00:01:40Z, 10.0 s: selector_gone (validation, medium, the site's fault)
  An element that the flow looks for is not on the page, or not the only one (pay).
  no button
  Committed: log in, cart
  Try 1 of pay failed: too slow
  Also: the copy of the browser data was made anew: the login is not there
  Kept, below the state directory: artifacts/anna/1/pay.html
  It was tried again 30.0 s later; it was failing attempt 1 of 2.

Attempt 2, 1970-01-01 00:02:20Z, 10.0 s: proxy_refused (network, high, the operator's fault)
  The profile's proxy cannot be reached, or does not let the connection through (pay).
  http://user:[redacted]@p:1 refused
  The job was given up; it was failing attempt 2 of 2.

Attempts before it was asked for anew, not told here: 1 (ostler queue show has them).

What comes next: Nothing, by itself.
What to do: Look at the proxy of anna: its address, whether it runs, and whether it knows the site. Then: ostler queue retry anna
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A queue in which a job failed twice after it was asked for anew, and the events of that."""
    queue = SqliteQueue(tmp_path / "queue.db")
    queue.begin_run(1.0)
    proxy = f"http://user:{PASSWORD}@p:1"
    spec = JobSpec(id="anna", profile_id="anna", flow="/f.py", max_attempts=2, proxy=proxy)
    queue.reconcile("q.json", [spec], now=1.0)
    codes = (Code.UNKNOWN, Code.SELECTOR_GONE, Code.PROXY_REFUSED)
    reasons = ("", "no button", f"{proxy} refused")
    for start, code, reason in zip((50.0, 100.0, 140.0), codes, reasons, strict=True):
        event = JobEvent.RETRY if code is Code.SELECTOR_GONE else JobEvent.GIVEN_UP
        queue.claim(start, f"n{start}")
        queue.record_go(f"n{start}", fence=1, user_data_dir=None, now=start)
        queue.record_launch(f"n{start}", now=start)
        counters = Counters(attempts=1)
        decision = Decision(event=event, counters=counters, code=code, reason=reason, retry_at=start + 20)
        queue.finish(f"n{start}", decision, now=start + 10, seconds=10.0, outcome="failed")
        if code is Code.UNKNOWN:
            queue.reconcile("q.json", [spec], now=90.0, retry_failed={Code.UNKNOWN})
    queue.close()
    of = {"profile_id": "anna", "job": "anna", "attempt": 1}
    log = [
        ev.StepsPlanned(at=101.0, done=(), todo=("log in", "cart", "pay"), **of),
        ev.WorkerNoted(at=102.0, name="workspace_rebuilt", data={"reason": "the login is not there"}, **of),
        ev.StepCommitted(at=103.0, step="log in", seconds=1.0, **of),
        ev.StepCommitted(at=104.0, step="cart", seconds=1.0, **of),
        ev.StepStarted(at=105.0, step="pay", try_=1, **of),
        ev.StepFailed(at=106.0, step="pay", try_=1, reason="too slow", will_retry=True, **of),
        ev.ArtifactsKept(at=107.0, step="pay", why="x", files=("artifacts/anna/1/pay.html",), **of),
        ev.StepStarted(at=141.0, step="pay", try_=1, **{**of, "attempt": 2}),
    ]
    (tmp_path / "events.jsonl").write_bytes(b"".join(map(ev.encode, log)))
    return tmp_path


def test_all_of_it_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Attempt by attempt, in sentences, without the proxy's password; from a queue that is named, too."""
    places = ["--state-dir", str(here), "--log-dir", str(here)]
    assert cli.main(["explain", "anna", *places]) == 0
    assert capsys.readouterr().out == TOLD
    named = ["--state-dir", str(here / "elsewhere"), "--log-dir", str(here), "--queue", str(here / "queue.db")]
    assert cli.main(["explain", "anna", *named]) == 0
    assert capsys.readouterr().out == TOLD
    assert cli.main(["explain", "anna", "--json", *places]) == 0
    assert PASSWORD not in capsys.readouterr().out


def test_what_cannot_be_read_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log that is no file: the queue's own record is told; no such job, or none at all, is a mistake."""
    (here / "events.jsonl").unlink()
    (here / "events.jsonl").mkdir()
    assert cli.main(["explain", "anna", "--state-dir", str(here), "--log-dir", str(here)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert f"Not known: {here / 'events.jsonl'} cannot be read: Is a directory." in said
    assert sum(line.startswith("Not known: The event log has nothing of attempt") for line in said) == 2
    assert "  no button" in said
    assert cli.main(["explain", "bert", "--state-dir", str(here)]) == 2
    assert capsys.readouterr().err == "ostler: no job 'bert' in the queue\n"
    assert cli.main(["explain", "anna", "--state-dir", str(here / "elsewhere")]) == 2
    assert "no job 'anna' in the queue" in capsys.readouterr().err
