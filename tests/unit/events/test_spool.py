"""Events that are left for the orchestrator."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from core.domain.events import ProfileChanged, encode
from core.events import spool
from core.events.spool import EventSpool

CHECKOUT = Path(__file__).resolve().parents[3]
WRITER = """\
import sys
from pathlib import Path
from core.domain.events import ProfileChanged
from core.events.spool import EventSpool
for number in range(100):
    EventSpool(Path(sys.argv[1])).emit(ProfileChanged(at=float(number), profile_id=sys.argv[2], what="updated"))
"""


def event(name: str = "anna") -> ProfileChanged:
    return ProfileChanged(at=1.0, profile_id=name, what="updated")


def test_what_is_left_is_taken_once(tmp_path: Path) -> None:
    """In order, and by whoever asks first; private, as all below the state directory."""
    state = tmp_path / "state"
    left = EventSpool(state)
    assert left.take() == []
    left.emit(event("a"))
    left.emit(event("b"))
    assert stat.S_IMODE((state / "announced.jsonl").stat().st_mode) == 0o600
    assert EventSpool(state).take() == [event("a"), event("b")]
    assert left.take() == []
    left.emit(event("c"))
    assert left.take() == [event("c")]


def test_what_is_no_event_of_this_version_is_left_out(tmp_path: Path) -> None:
    """A torn line, and a kind that only a newer version knows."""
    path = tmp_path / "announced.jsonl"
    path.write_bytes(
        encode(event()) + b'{"type": "from the future", "at": 1.0}\n' + encode(event("b")) + b'{"type": "prof'
    )
    assert EventSpool(tmp_path).take() == [event(), event("b")]


def test_there_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where no orchestrator ever comes, the later ones are lost."""
    monkeypatch.setattr(spool, "MOST_BYTES", 2 * len(encode(event())))
    left = EventSpool(tmp_path)
    for name in ("anna", "bert", "carl"):
        left.emit(event(name))
    assert [one.profile_id for one in left.take()] == ["anna", "bert"]


@pytest.mark.parametrize("wrong", ["directory", "file above"])
def test_a_place_that_refuses_costs_the_event_only(tmp_path: Path, wrong: str) -> None:
    """Nothing is raised, at either end."""
    state = tmp_path / "state"
    if wrong == "directory":
        (state / "announced.jsonl").mkdir(parents=True)
    else:
        state.write_text("")
    left = EventSpool(state)
    left.emit(event())
    assert left.take() == []


def test_several_processes_leave_theirs(tmp_path: Path) -> None:
    """While somebody takes them: each is there once, whole, and those of one process in order."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name], cwd=CHECKOUT) for name in "ab"]
    left, taken = EventSpool(tmp_path), []
    while any(writer.poll() is None for writer in writers):
        taken += left.take()
    taken += left.take()
    assert [writer.returncode for writer in writers] == [0, 0]
    for name in "ab":
        assert [one.at for one in taken if one.profile_id == name] == [float(number) for number in range(100)]


def test_what_a_full_disk_took_a_part_of_does_not_spoil_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the one that did not fit is lost."""
    left = EventSpool(tmp_path)
    write = spool.os.write
    monkeypatch.setattr(spool.os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    left.emit(event("anna"))
    monkeypatch.undo()
    left.emit(event("bert"))
    assert left.take() == [event("bert")]
