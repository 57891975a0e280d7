"""The control socket: a real one, with clients that behave and clients that do not."""

from __future__ import annotations

import contextlib
import socket
import stat
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from core.control.port import Answer, Cancel, Look, RunView
from core.control.socket import NAME, ControlSocket, ask
from core.errors import NotUnderWay

RUN = RunView(max_concurrent=3, running=("a",))


@contextlib.asynccontextmanager
async def serving(directory: Path):
    """Serve; yield the requests that arrive."""
    seen = []

    def obey(request):
        seen.append(request)
        return Answer(done="done", run=RUN)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ControlSocket(directory).serve, obey)
        with anyio.fail_after(10):
            while not (directory / NAME).exists():
                await anyio.sleep(0.01)
        yield seen
        tasks.cancel_scope.cancel()


async def ask_there(directory, request):
    return await anyio.to_thread.run_sync(ask, directory, request)


async def test_a_request_is_answered_and_the_socket_goes_with_its_server(tmp_path):
    """As often as asked; only its owner may connect; nothing is left when the server ends."""
    async with serving(tmp_path) as seen:
        assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
        assert (await ask_there(tmp_path, Look())).run == RUN
        assert (await ask_there(tmp_path, Cancel(job="x"))).done == "done"
        assert seen == [Look(), Cancel(job="x")]
    assert not (tmp_path / NAME).exists()


async def test_where_nobody_serves_it_is_said(tmp_path):
    """No socket, a socket that a kill left behind, and no directory."""
    with pytest.raises(NotUnderWay, match="no orchestrator runs there"):
        ask(tmp_path, Look())
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / NAME))
    with pytest.raises(NotUnderWay, match="no orchestrator runs there"):
        ask(tmp_path, Look())
    with pytest.raises(NotUnderWay, match="no orchestrator runs there"):
        ask(tmp_path / "nowhere", Look())


async def test_what_a_kill_left_behind_is_replaced(tmp_path):
    """A socket without a server does not keep the next one from serving."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / NAME))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ControlSocket(tmp_path).serve, lambda _: Answer(run=RUN))
        with anyio.fail_after(10):
            while True:
                with contextlib.suppress(NotUnderWay):
                    await ask_there(tmp_path, Look())
                    break
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\n",
        b"{}\n",
        b'{"type": "nothing"}\n',
        b"\xff\xfe\n",
        b"[" * 10_000 + b"\n",
        b"x" * 200_000,
        b'{"type": "look"',
    ],
    ids=["empty", "untyped", "unknown", "no text", "deep", "endless", "cut off"],
)
async def test_rubbish_ends_its_own_conversation_only(tmp_path, rubbish):
    """It is hung up on, and the next client is served."""
    async with serving(tmp_path) as seen:

        def talk():
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                client.connect(str(tmp_path / NAME))
                with contextlib.suppress(OSError):
                    client.sendall(rubbish)
                    client.shutdown(socket.SHUT_WR)
                    assert client.recv(10) == b""

        await anyio.to_thread.run_sync(talk)
        assert (await ask_there(tmp_path, Look())).run == RUN
        assert seen == [Look()]


async def test_clients_that_say_nothing_do_not_keep_others_out(tmp_path):
    """Several that only connect."""
    async with serving(tmp_path):
        with contextlib.ExitStack() as stack:
            for _ in range(8):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(str(tmp_path / NAME))
            assert (await ask_there(tmp_path, Look())).run == RUN


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux has another name for a long path")
async def test_a_long_path_has_a_short_name(tmp_path):
    """A state directory may lie deeper than a socket's path is long."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    async with serving(deep):
        assert (await ask_there(deep, Look())).run == RUN
        assert [path.name for path in deep.iterdir()] == [NAME]


async def test_where_there_can_be_no_socket_the_run_goes_on(tmp_path, capsys):
    """It is said, and serving just ends."""
    with anyio.fail_after(10):
        await ControlSocket(tmp_path / "nowhere").serve(lambda _: Answer(run=RUN))
    assert "no_control_socket" in capsys.readouterr().out
