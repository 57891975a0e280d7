"""Real worker processes: spawning, talking to, ending and reaping them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import msgspec
import structlog

from core.domain.validation import is_valid_id
from core.errors import SpawnFailed
from core.process.channel import CONTROL_VARIABLE, AsyncChannel, decode_up
from core.process.identity import stamp
from core.process.oom import OomWatch
from core.process.pump import LogLimits, Pump, header, open_log
from core.process.table import ATTEMPT_VARIABLE
from core.process.tree import Marks, kill_tree
from core.rotation import rotate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.domain.messages import Down, Up
    from core.domain.model import ProcessStamp
    from core.process.port import WorkerCommand
    from core.redaction import Redactor

_PUMP_MARGIN = 1.0
_log = structlog.get_logger()


class LaunchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What every worker is started with.

    Attributes:
        python: the interpreter.
        run_py: the worker's program; its directory becomes the working directory.
        log_dir: where ``<id>.log`` goes; exists.
        limits: how much of its output is kept.
    """

    python: str
    run_py: Path
    log_dir: Path
    limits: LogLimits = LogLimits()


class SubprocessLauncher:
    """Starts ``python run.py PROFILE_ID`` for each attempt.

    Call ``spawn`` on a loop that runs in the thread that stays: Linux tells a worker of its parent's death when the
    thread that spawned it ends. A worker takes five descriptors while it lives.

    Args:
        plan: what every worker is started with.
        env: the environment that workers inherit.
    """

    def __init__(self, plan: LaunchPlan, env: Mapping[str, str]) -> None:
        self._plan = plan
        self._env = dict(env)
        self._limiter: anyio.CapacityLimiter | None = None
        self._log_failed = False
        self._oom = OomWatch()

    async def spawn(self, command: WorkerCommand, redactor: Redactor) -> SubprocessChild:
        """Start a worker in a session of its own; its output goes to ``logs/<id>.log`` through ``redactor``.

        Raises:
            SpawnFailed: the host could not do it; nothing is left of the attempt.
        """
        what = f"the worker of {command.profile_id}"
        if not is_valid_id(command.profile_id):
            raise SpawnFailed("a worker", f"{command.profile_id!r} is not a profile ID")
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(32)
        path = self._plan.log_dir / f"{command.profile_id}.log"
        try:
            log = await anyio.to_thread.run_sync(self._open_log, path)
            return self._start(command, redactor, log)
        except (OSError, RuntimeError) as exc:
            # RuntimeError: "can't start new thread", for the pump
            raise SpawnFailed(what, str(exc)) from exc

    def _open_log(self, path: Path) -> int:
        """Return the log's descriptor; that of nowhere if there is none to be had: a log costs lines, never the run.

        Raises:
            OSError: the host has no descriptor left.
        """
        limits = self._plan.limits
        failed: OSError | None = None
        try:
            rotate(path, limits.max_bytes, limits.keep)
        except OSError as exc:
            failed = exc
        try:
            log = open_log(path)
        except OSError as exc:
            failed = exc
            log = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        if failed is not None and not self._log_failed:
            _log.warning("log_not_opened", path=str(path), errno=failed.errno, reason=failed.strerror)
        self._log_failed = failed is not None
        return log

    def _start(self, command: WorkerCommand, redactor: Redactor, log: int) -> SubprocessChild:
        """Everything from here on is synchronous: a cancelled caller can leave nothing half done."""
        limits = self._plan.limits
        ended = _Ended()
        try:
            output, output_end = os.pipe()
        except OSError:
            os.close(log)
            raise
        try:
            try:
                pump = Pump(output, log, limits, redactor, ended.set_from_thread)
            except OSError:
                os.close(output)
                os.close(log)
                raise
            try:
                ours, theirs = socket.socketpair()
            except OSError:
                pump.discard()
                raise
            with theirs:
                try:
                    pump.start(header(number=command.number, job_id=command.job_id, at=time.time()))
                except RuntimeError:
                    ours.close()
                    pump.discard()
                    raise
                try:
                    process = self._popen(command, theirs.fileno(), output_end)
                    return SubprocessChild(
                        process,
                        command.nonce,
                        ours,
                        _Output(pump, ended, limits.grace),
                        oom=self._oom,
                        limiter=self._limiter,
                    )
                except OSError:
                    ours.close()
                    pump.finish(0)
                    raise
        finally:
            os.close(output_end)

    def _popen(self, command: WorkerCommand, control: int, output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own program, and an ID that was checked
            [self._plan.python, str(self._plan.run_py), command.profile_id],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=self._plan.run_py.parent,
            env={
                **self._env,
                CONTROL_VARIABLE: str(control),
                ATTEMPT_VARIABLE: command.nonce,
                # what a step prints is in the log when it is printed, also if the worker is killed right after
                "PYTHONUNBUFFERED": "1",
            },
            pass_fds=(control,),
            start_new_session=True,
            # whatever a browser writes is its owner's alone
            umask=0o077,
        )


class SubprocessChild:
    """A worker process. Whoever has one calls ``wait`` and then ``close``."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        nonce: str,
        control: socket.socket,
        output: _Output,
        *,
        oom: OomWatch,
        limiter: anyio.CapacityLimiter | None,
    ) -> None:
        self._process = process
        self._nonce = nonce
        self._output = output
        self._oom = oom
        self._oom_before = oom.now()
        self._out_of_memory: bool | None = None
        self._limiter = limiter
        self._reaping = anyio.Lock()
        self._channel: AsyncChannel[Up] = AsyncChannel(control, decode_up)
        self._pidfd = -1
        try:
            # not reaped yet, so the number is still this child's
            self._stamp = stamp(process.pid)
            if hasattr(os, "pidfd_open"):
                self._pidfd = os.pidfd_open(process.pid)
        except OSError:
            process.kill()
            process.wait()
            raise

    @property
    def stamp(self) -> ProcessStamp:
        """Which process."""
        return self._stamp

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel shows that it was killed for want of memory."""
        return bool(self._out_of_memory)

    async def send(self, message: Down) -> None:
        """Send a message.

        Raises:
            ControlLost: the other side is gone.
        """
        await self._channel.send(message)

    async def receive(self) -> Up | None:
        """Return the next message, None at end of file; for one task."""
        return await self._channel.receive()

    def terminate(self) -> None:
        """Ask it to end: SIGTERM to the worker only; nothing happens if it has ended."""
        # send_signal checks first whether the child has ended, and an unreaped child keeps its number
        self._process.send_signal(signal.SIGTERM)

    async def kill_tree(self, user_data_dir: str | None) -> int:
        """Kill the worker and all that it started, frozen ones too; return how many processes it took."""
        marks = Marks(worker=self._stamp, nonce=self._nonce, user_data_dir=user_data_dir)
        return await anyio.to_thread.run_sync(kill_tree, marks, limiter=self._limiter)

    async def wait(self) -> int:
        """Return the exit code, negative for a signal, once its output is in the log or the pump's grace is over."""
        async with self._reaping:
            if self._process.returncode is None:
                if self._pidfd >= 0:
                    await anyio.wait_readable(self._pidfd)
                    self._process.wait()
                else:
                    # no descriptor to wait on here: a thread waits, and may be left behind by a cancelled caller
                    await anyio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True, limiter=self._limiter)
            if self._out_of_memory is None:
                self._out_of_memory = self._process.returncode == -signal.SIGKILL and self._oom.took(self._oom_before)
            await self._output.end()
        return self._process.returncode

    async def close(self) -> None:
        """Release descriptors; safe to call twice. What was not waited for is killed: a worker is never forgotten."""
        self._channel.close()
        with anyio.CancelScope(shield=True):
            if self._process.poll() is None:
                await self.kill_tree(None)
            await self.wait()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


class _Output:
    """A child's pump, and how long it may go on."""

    def __init__(self, pump: Pump, ended: _Ended, grace: float) -> None:
        self._pump = pump
        self._ended = ended
        self._grace = grace

    async def end(self) -> None:
        self._pump.finish(self._grace)
        # the margin is for a disk that does not answer; the thread then ends on its own
        with anyio.move_on_after(self._grace + _PUMP_MARGIN):
            await self._ended.wait()


class _Ended:
    """An event of the running loop that another thread sets."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = anyio.Event()

    def set_from_thread(self) -> None:
        # a loop that is closed has nobody left who waits
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        await self._event.wait()
