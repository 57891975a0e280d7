"""One attempt started by a person: this process is its orchestrator, and shows what happens as plain lines."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from core.clock import SystemClock
from core.dispatch.passes import Passes
from core.dispatch.turnstiles import Turnstiles
from core.domain.messages import (
    BrowserStarted,
    Finished,
    Go,
    Hello,
    Kept,
    Launch,
    Network,
    Note,
    Phase,
    Planned,
    Prepared,
    Ready,
    SecretLearnt,
    StepCommitted,
    StepProblem,
    StepStarted,
    Stop,
)
from core.domain.outcome import EXIT_CODES, Busy, Done, Exit, ExitCode, Outcome, Waiting, classify
from core.domain.policy import classified
from core.errors import ControlLost
from core.line_tail import LineTail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from core.domain.limits import Limit
    from core.domain.messages import Up
    from core.process.port import Child, Launcher, WorkerCommand
    from core.redaction import Redactor

_FOLLOW_INTERVAL = 0.1


class ByHand:
    """Runs one worker and prints.

    Args:
        launcher: starts it.
        log: the worker's log, followed while it runs; None: it is not shown.
        redactor: masks in the log; learns what the worker learns.
        say: prints one line.
        stop_grace: seconds from a stop to the kill of the tree.
        tell: puts what the worker says into words, empty for nothing; None for those of ``line_of``.
        limits: by key; they hold for this worker alone.
    """

    def __init__(
        self,
        launcher: Launcher,
        log: Path | None,
        redactor: Redactor,
        say: Callable[[str], None],
        stop_grace: float,
        *,
        tell: Callable[[Up], str] | None = None,
        limits: Mapping[str, Limit] | None = None,
    ) -> None:
        self._launcher = launcher
        self._log = log
        self._redactor = redactor
        self._say = say
        self._grace = stop_grace
        self._tell = tell or line_of
        self._turnstiles = Turnstiles(lambda: limits or {}, SystemClock())
        self._stop = anyio.Event()
        self._ended = anyio.Event()
        self._reported: Outcome | None = None
        self._user_data_dir: str | None = None
        self._last_step = ""

    def stop(self) -> None:
        """A person asks for the end. On the loop's thread."""
        self._stop.set()

    async def run(self, command: WorkerCommand, hello: Hello) -> ExitCode:
        """Run the worker to its end; return its exit code.

        Raises:
            SpawnFailed: it could not be started.
        """
        tail = None if self._log is None else self._opened(self._log)
        child = await self._launcher.spawn(command, self._redactor)
        try:
            async with anyio.create_task_group() as group:
                if tail is not None:
                    group.start_soon(self._follow, tail)
                group.start_soon(self._stop_ladder, child)
                with Passes(self._turnstiles, child.send, _Waits(self._say)) as passes:
                    await self._converse(child, hello, lambda said: passes.hear(said, group))
                returncode = await child.wait()
                # what the worker left behind is its browser's: nothing else is marked so
                await child.kill_tree(self._user_data_dir)
                self._ended.set()
        finally:
            await child.close()
            if tail is not None:
                tail.close()
        stopped = "operator" if self._stop.is_set() else None
        outcome = classify(
            Exit(
                returncode=returncode,
                reported=self._reported,
                stopped_by=stopped,
                stop_reason="stopped by hand",
                last_step=self._last_step,
                out_of_memory=child.out_of_memory,
            )
        )
        self._say(_ending(outcome))
        if not isinstance(outcome, Done):
            known = classified(outcome.code, "", step=getattr(outcome, "step", ""), profile_id=command.profile_id)
            self._say(f"{outcome.code}: {known.user_message} {known.suggested_action}")
        return EXIT_CODES[type(outcome)]

    async def _converse(self, child: Child, hello: Hello, limits: Callable[[Up], bool]) -> None:
        try:
            await child.send(hello)
            while (message := await child.receive()) is not None:
                if limits(message):
                    continue
                match message:
                    case Ready():
                        self._user_data_dir = message.user_data_dir
                        await child.send(Go())
                    case Prepared():
                        await child.send(Launch())
                    case SecretLearnt():
                        self._redactor.add(message.value)
                    case Finished():
                        self._reported = message.outcome
                    case StepStarted():
                        self._last_step = message.step
                line = self._tell(message)
                if line:
                    self._say(self._redactor.text(line))
        except ControlLost:
            # it has ended: its exit code says how
            pass

    async def _stop_ladder(self, child: Child) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._until_ended, group.cancel_scope)
            await self._stop.wait()
            self._say("stopping …")
            with suppress(ControlLost):
                await child.send(Stop(reason="stopped by hand", grace=self._grace))
            await anyio.sleep(self._grace)
            await child.kill_tree(self._user_data_dir)

    async def _until_ended(self, scope: anyio.CancelScope) -> None:
        await self._ended.wait()
        scope.cancel()

    def _opened(self, log: Path) -> LineTail | None:
        """Return what follows the log from here on; a log costs lines, never the run."""
        try:
            return LineTail(log, from_end=True)
        except OSError as exc:
            self._say(f"{log} cannot be followed: {exc.strerror}")
            return None

    async def _follow(self, tail: LineTail) -> None:
        """Show the log as it grows; a last look after the end."""
        while True:
            last = self._ended.is_set()
            try:
                while lines := tail.read_new():
                    for line in lines:
                        text = line.decode("utf-8", "replace")
                        if not _SAID.search(text):
                            self._say(f"  | {text}")
            except OSError as exc:
                self._say(f"{self._log} cannot be followed: {exc.strerror}")
                return
            if last:
                return
            with anyio.move_on_after(_FOLLOW_INTERVAL):
                await self._ended.wait()


class _Waits:
    """Says what the worker waits for. A ``core.dispatch.passes.Watcher``; nothing here stops a worker that takes long."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def waits(self, ticket: int) -> None:
        """See ``Watcher``."""

    def held(self, key: str, reason: str) -> None:
        """See ``Watcher``."""
        self._say(f"waits for {key}: {reason}")

    def went_on(self, ticket: int, key: str, held: float | None) -> None:
        """See ``Watcher``."""


# what the log says of the run itself stands on the terminal already, in fewer words
_SAID = re.compile(
    r"^--- attempt |^\S+Z \[info\] (phase_started|planned|step_started|step_committed|workspace_ready|saved"
    r"|evidence_kept|trace_kept|network_used) "
)


def line_of(message: Up) -> str:  # noqa: C901, PLR0911 - one per message
    """Return what a worker says as one line, empty for what nobody waits for."""
    match message:
        case Ready():
            return f"started: pid {message.process.pid}"
        case Phase():
            return f"phase {message.name}"
        case Planned():
            return f"{len(message.done)} steps done, {len(message.todo)} to do: {', '.join(message.todo) or 'nothing'}"
        case BrowserStarted():
            return f"browser {message.name} {message.version}"
        case StepStarted():
            return f"step {message.step}" + (f", try {message.try_}" if message.try_ > 1 else "")
        case StepCommitted():
            how = "" if message.body_ran else ", its post-condition already held"
            return f"step {message.step} done in {message.seconds:.1f} s{how}"
        case StepProblem():
            then = "trying again" if message.will_retry else "giving up"
            return f"step {message.step} failed ({then}): {message.reason}"
        case Note():
            data = ", ".join(f"{name}={value}" for name, value in message.data.items())
            return f"note {message.name}" + (f": {data}" if data else "")
        case Kept():
            return f"kept {', '.join(message.files)}" + (" (sensitive)" if message.sensitive else "")
        case Network():
            through = f" through {message.proxy}" if message.proxy else ""
            unknown = f", not measured {message.unmeasured}" if message.unmeasured else ""
            size = message.received + message.sent
            return f"network{through}: requests {message.requests}, failed {message.failures}, bytes {size}{unknown}"
        case _:
            return ""


def _ending(outcome: Outcome) -> str:
    match outcome:
        case Done():
            return "done"
        case Busy():
            return f"the profile is held by {outcome.holder}"
        case Waiting():
            return f"needs a person in step {outcome.step}: {outcome.why}"
        case _:
            kind = type(outcome).__name__.lower()
            step = getattr(outcome, "step", "")
            return f"{kind}{f' in {step}' if step else ''}: {outcome.reason}"
