"""What a service manager and a health file are told."""

from __future__ import annotations

import json
import os
import socket

import anyio
import msgspec
import pytest
from structlog.testing import capture_logs

from core.clock import ManualClock
from core.domain import events as ev
from core.domain.model import JobState
from core.errors import BadInput, HolderAlive, OstlerError
from core.events.recording import RecordingEvents
from core.supervision.attendant import Attendant
from core.supervision.ending import told_to_the_end
from core.supervision.health import EVERY, HealthFile
from core.supervision.open import open_supervision
from core.supervision.sd_notify import ServiceManager, service_manager, watchdog
from core.supervision.standing import Standing

STARTED = ev.RunStarted(at=100.0, run=3, queued=4, max_concurrent=2)
ENDED = ev.RunEnded(at=130.0, run=3, exit_code=4, counts={"done": 4}, seconds=30.0)


def standing(*events: ev.Event) -> Standing:
    one = Standing()
    for event in (STARTED, *events):
        one.emit(event)
    return one


def changed(job: str, state: str, at: float = 110.0) -> ev.JobChanged:
    return ev.JobChanged(at=at, profile_id=job, job=job, state=state)


class Listener:
    """The other end of a service manager's socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.socket.settimeout(10)

    def hear(self) -> list[str]:
        return self.socket.recv(65536).decode().split("\n")


@pytest.fixture(params=["path", "abstract"])
def listener(request, tmp_path):
    one = Listener(str(tmp_path / "notify") if request.param == "path" else f"@ostler-{os.getpid()}")
    yield one
    one.socket.close()


# --- a service manager ------------------------------------------------------------------------------------------------


def test_a_service_manager_is_told(listener):
    """One datagram, an assignment a line, to a path or an abstract name."""
    manager = service_manager({"NOTIFY_SOCKET": listener.address})
    manager.tell("READY=1", "STATUS=ä")
    assert listener.hear() == ["READY=1", "STATUS=ä"]
    manager.close()


@pytest.mark.parametrize("address", ["", "vsock:2:1234"])
def test_nobody_to_tell_is_none(address):
    """And neither is an address of another kind, which is said."""
    with capture_logs() as logs:
        assert service_manager({"NOTIFY_SOCKET": address} if address else {}) is None
    assert [log["event"] for log in logs] == (["service_manager_not_known"] if address else [])


def test_a_manager_that_does_not_listen_is_said_once_and_waited_for_never(tmp_path):
    """Neither one that is gone nor one whose queue is full."""
    address = str(tmp_path / "notify")
    manager = ServiceManager(address)
    with capture_logs() as logs:
        manager.tell("READY=1")
        manager.tell("READY=1")
        assert [log["event"] for log in logs] == ["service_manager_not_told"]
        listener = Listener(address)
        for _ in range(2000):
            manager.tell(f"STATUS={'x' * 1000}")
        assert len(logs) == 2
        listener.socket.close()
    manager.close()


@pytest.mark.parametrize(
    ("env", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "many"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
    ],
)
def test_a_watchdog_watches_the_process_that_is_meant(env, seconds):
    """As the environment says."""
    assert watchdog(env, 7) == seconds


# --- how it stands ----------------------------------------------------------------------------------------------------


def test_a_run_in_one_line():
    """Numbers that are not zero, why nothing is started, and that it is to end."""
    one = standing(
        ev.AttemptStarted(at=101.0, profile_id="a", job="a", attempt=1, pid=1, fence=1),
        changed("b", "done"),
        changed("c", "quarantined"),
        ev.StartsHeld(at=111.0, reason="memory"),
        ev.StartsHeld(at=111.0, reason="paused by\nthe operator"),
    )
    assert (
        one.line()
        == "1 of 4 done, 1 quarantined, 1 running, 1 queued; nothing is started: memory, paused by the operator"
    )
    one.emit(ev.StartsResumed(at=112.0, reason="memory", seconds=1.0))
    one.emit(ev.StopAsked(at=112.0, how="drain"))
    assert one.line().endswith("nothing is started: paused by the operator; finishing what runs")
    one.emit(ev.StopAsked(at=112.0, how="now"))
    assert one.line().endswith("; stopping now")
    assert one.progressed_at == 110.0
    one.emit(STARTED)
    assert (one.line(), one.snapshot.held) == ("0 of 4 done, 4 queued", ())


# --- the beats --------------------------------------------------------------------------------------------------------


async def test_ready_status_and_watchdog_come_from_the_loop(listener):
    """READY and the first line at once, WATCHDOG by the loop's own turns, a new line when there is one, STOPPING at the end."""
    one = standing()
    manager = ServiceManager(listener.address)
    clock = ManualClock()
    attendant = Attendant(one, clock, manager=manager, watchdog=0.02)

    async def hear() -> list[str]:
        return await anyio.to_thread.run_sync(listener.hear)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(attendant.attend)
        assert await hear() == ["READY=1", "STATUS=0 of 4 done, 4 queued"]
        assert await hear() == ["WATCHDOG=1"]
        one.emit(changed("a", "done"))
        assert await hear() == ["STATUS=1 of 4 done, 3 queued"]
        clock.advance(0.01)
        assert await hear() == ["WATCHDOG=1"]
        tasks.cancel_scope.cancel()
    assert await hear() == ["STOPPING=1"]
    manager.close()


async def test_without_a_watchdog_nothing_beats(listener):
    """One who is not asked for signs of life sends none."""
    manager = ServiceManager(listener.address)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Attendant(standing(), ManualClock(), manager=manager).attend)
        assert (await anyio.to_thread.run_sync(listener.hear))[0] == "READY=1"
        tasks.cancel_scope.cancel()
    assert listener.hear() == ["STOPPING=1"]
    manager.close()


async def test_the_health_file_is_rewritten_on_change_and_every_few_seconds(tmp_path, monkeypatch):
    """Also when nothing happens, and also when the clock was set back."""
    monkeypatch.setattr("core.supervision.attendant.INTERVAL", 0.01)
    path, one, clock = tmp_path / "health", standing(), ManualClock(200.0)
    attendant = Attendant(one, clock, manager=None, health=HealthFile(path, one, "--health-file"))

    async def until(**fields: object) -> None:
        with anyio.fail_after(10):
            while not path.exists() or not fields.items() <= json.loads(path.read_bytes()).items():
                await anyio.sleep(0.005)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(attendant.attend)
        await until(at=200.0, done=0, queued=4)
        clock.advance(1.0)
        one.emit(changed("a", "done"))
        await until(at=201.0, done=1, queued=3, last_progress=110.0)
        clock.advance(EVERY)
        await until(at=206.0)
        clock.advance(-50.0)
        await until(at=156.0)
        tasks.cancel_scope.cancel()


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_says_how_the_run_stands(tmp_path):
    """Every number, mode 0600, and nothing left beside it."""
    path = tmp_path / "health"
    one = standing(
        changed("a", "failed"), changed("b", "parked"), changed("c", "cancelled"), ev.StartsHeld(at=111.0, reason="x")
    )
    file = HealthFile(path, one, "--health-file")
    file.write(file.health(120.0))
    assert json.loads(path.read_bytes()) == {
        "pid": os.getpid(), "run": 3, "at": 120.0, "state": "running", "started_at": 100.0, "total": 4, "queued": 1,
        "running": 0, "waiting": 0, "parked": 1, "done": 0, "failed": 1, "quarantined": 0, "cancelled": 1, "held": ["x"],
        "last_progress": 110.0, "exit_code": None, "v": 1,
    }  # fmt: skip
    assert path.stat().st_mode & 0o777 == 0o600 and [*tmp_path.iterdir()] == [path]
    one.emit(ev.StopAsked(at=112.0, how="drain"))
    assert file.health(121.0).state == "stopping"
    one.emit(ENDED)
    ended = file.health(131.0)
    assert (ended.state, ended.exit_code, ended.held) == ("ended", 4, ())


@pytest.mark.parametrize("what", ["text", "json", "directory", "link", "dangling link", "pipe", "no directory"])
def test_nothing_else_is_replaced(tmp_path, what):
    """Neither a queue that was named by mistake, nor what a link leads to."""
    path = tmp_path / "health"
    match what:
        case "text":
            path.write_text("dear diary", "utf-8")
        case "json":
            path.write_text('["anna"]', "utf-8")
        case "directory":
            path.mkdir()
        case "link":
            (tmp_path / "other").write_text("x", "utf-8")
            path.symlink_to(tmp_path / "other")
        case "dangling link":
            path.symlink_to(tmp_path / "nowhere")
        case "pipe":
            os.mkfifo(path)
        case _:
            path = tmp_path / "missing" / "health"
    with pytest.raises(BadInput, match="--health-file: expected a new file, or a health file"):
        HealthFile(path, Standing(), "--health-file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_not_replaced(tmp_path):
    """Whoever it belongs to."""
    path = tmp_path / "health"
    path.write_text("{}", "utf-8")
    path.chmod(0)
    with pytest.raises(BadInput, match="Permission denied"):
        HealthFile(path, Standing(), "--health-file")


def test_a_link_that_is_put_there_later_is_replaced_not_followed(tmp_path):
    """What it leads to stays as it is; an empty file that was made for it is taken."""
    path, other = tmp_path / "health", tmp_path / "other"
    path.touch()
    one = standing()
    file = HealthFile(path, one, "--health-file")
    other.write_text("x", "utf-8")
    path.unlink()
    path.symlink_to(other)
    file.write(file.health(1.0))
    assert other.read_text("utf-8") == "x" and not path.is_symlink()
    HealthFile(path, one, "--health-file")


def test_what_cannot_be_written_is_said_once(tmp_path):
    """And written again when that is possible."""
    directory = tmp_path / "d"
    directory.mkdir()
    file = HealthFile(directory / "health", standing(), "--health-file")
    directory.rmdir()
    with capture_logs() as logs:
        file.write(file.health(1.0))
        file.write(file.health(2.0))
        directory.mkdir()
        file.write(file.health(3.0))
    assert [log["event"] for log in logs] == ["health_not_written"]
    assert json.loads((directory / "health").read_bytes())["at"] == 3.0


# --- both -------------------------------------------------------------------------------------------------------------


def test_nobody_watches_where_nobody_asked():
    """No task, and no socket."""
    with open_supervision(None, {}, ManualClock()) as supervision:
        assert supervision.attendant is None


def test_the_file_says_that_the_run_has_ended(tmp_path, listener):
    """Once it has, and not before: one that never began leaves none."""
    path = tmp_path / "health"
    env = {"NOTIFY_SOCKET": listener.address}
    with open_supervision(str(path), env, ManualClock(200.0)) as supervision:
        assert supervision.attendant is not None
    assert not path.exists()
    with open_supervision(str(path), env, ManualClock(200.0)) as supervision:
        supervision.standing.emit(STARTED)
        supervision.standing.emit(ENDED)
    found = json.loads(path.read_bytes())
    assert (found["state"], found["exit_code"], found["at"]) == ("ended", 4, 200.0)


@pytest.mark.parametrize(
    ("error", "code"),
    [(OstlerError("x"), 7), (HolderAlive("x", "y"), 5), (KeyboardInterrupt(), 6), (ValueError("x"), 1)],
)
def test_an_end_by_an_error_is_told(error, code):
    """With the exit code that the shell returns, and the counts there are; the error goes on."""
    sink, clock = RecordingEvents(), ManualClock(200.0)

    def counts() -> dict[JobState, int]:
        clock.advance(5.0)
        return {JobState.DONE: 2, JobState.WAITING: 0}

    with pytest.raises(type(error)), told_to_the_end(3, sink, standing(), counts, clock):
        raise error
    assert sink.events == [ev.RunEnded(at=205.0, run=3, exit_code=code, counts={"done": 2, "waiting": 0}, seconds=5.0)]


def test_an_end_is_told_once_and_also_without_counts():
    """What the run said itself stands; a queue that cannot be read has none."""
    sink = RecordingEvents()
    with pytest.raises(ValueError, match="late"), told_to_the_end(3, sink, standing(ENDED), dict, ManualClock()):
        raise ValueError("late")
    assert sink.events == []

    def broken() -> dict[JobState, int]:
        raise OstlerError("the queue is damaged")

    with pytest.raises(OstlerError, match="first"), told_to_the_end(3, sink, standing(), broken, ManualClock()):
        raise OstlerError("first")
    assert msgspec.structs.asdict(sink.events[0])["counts"] == {}
