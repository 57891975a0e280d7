"""The ``ostler`` command. Each group of subcommands is a module with ``register(groups)``."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from core.cli import (
    completion,
    config,
    ctl,
    doctor,
    events,
    explain,
    flow,
    gc,
    identity,
    logs,
    profile,
    queue,
    report,
    session,
    status,
)
from core.cli.printing import log_aside, say_aside
from core.domain.outcome import ExitCode
from core.errors import (
    BadInput,
    DurableWriteFailed,
    Fenced,
    FlowLoadError,
    ForeignDatabase,
    HolderAlive,
    HostFailed,
    JobsRefused,
    NewerSchema,
    OstlerError,
    QueueUnavailable,
    StateCorrupt,
    TemplateLive,
    TemplateMissing,
    UnknownJob,
    WorkspaceCorrupt,
    WorkspaceError,
)
from core.profiles.errors import ProfileDamaged, ProfileError, ProfileInUse
from core.settings import load, unknown_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.settings import Settings

    Command = Callable[[argparse.Namespace, Settings], ExitCode]

_GROUPS = (
    status,
    ctl,
    explain,
    report,
    logs,
    events,
    queue,
    profile,
    session,
    identity,
    flow,
    doctor,
    gc,
    config,
    completion,
)
_EXIT_CODES: tuple[tuple[type[OstlerError], ExitCode], ...] = (
    (BadInput, ExitCode.BAD_INPUT),
    (NewerSchema, ExitCode.BAD_INPUT),
    (FlowLoadError, ExitCode.BAD_INPUT),
    (UnknownJob, ExitCode.BAD_INPUT),
    (JobsRefused, ExitCode.BAD_INPUT),
    (ForeignDatabase, ExitCode.BAD_INPUT),
    (QueueUnavailable, ExitCode.HOST_FAULT),
    (HolderAlive, ExitCode.HOLDER_ALIVE),
    (ProfileInUse, ExitCode.HOLDER_ALIVE),
    (ProfileDamaged, ExitCode.QUARANTINED),
    (ProfileError, ExitCode.BAD_INPUT),
    (Fenced, ExitCode.HOLDER_ALIVE),
    (StateCorrupt, ExitCode.QUARANTINED),
    (DurableWriteFailed, ExitCode.HOST_FAULT),
    (TemplateMissing, ExitCode.BAD_INPUT),
    (TemplateLive, ExitCode.HOLDER_ALIVE),
    (WorkspaceCorrupt, ExitCode.QUARANTINED),
    (WorkspaceError, ExitCode.HOST_FAULT),
    (HostFailed, ExitCode.HOST_FAULT),
)


class _Parser(argparse.ArgumentParser):
    """Knows the options of all commands, at any place, and does not repeat what was typed: it may be a secret."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)
        # suppressed, not None: a subcommand's default would overwrite what stands before its name
        for option, help_ in (
            ("--state-dir", "where everything durable is"),
            ("--log-dir", "where logs and events are"),
        ):
            self.add_argument(option, metavar="DIR", default=argparse.SUPPRESS, help=help_)

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments"):
            message = "too many arguments, or an unknown option (values never go on the command line)"
        super().error(message)


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar; ``run`` of the parsed arguments is the command to call."""
    top = _Parser(prog="ostler", description="Looks after the profiles that the orchestrator runs.")
    top.set_defaults(state_dir=None, log_dir=None)
    groups = top.add_subparsers(metavar="COMMAND", required=True)
    for group in _GROUPS:
        group.register(groups)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (``core.domain.outcome.ExitCode``)."""
    grammar = parser()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an old encoding, or a file's name that is no text
    if "_ARGCOMPLETE" in os.environ:
        completion.answer(grammar)
    arguments = grammar.parse_args(argv)
    log_aside()
    try:
        settings = load({"state_dir": arguments.state_dir, "log_dir": arguments.log_dir}, os.environ, cwd=Path.cwd())
        for line in unknown_variables(os.environ):
            say_aside(line)
        command: Command = arguments.run
        code = int(command(arguments, settings))
        sys.stdout.flush()
        return code  # noqa: TRY300 - the flush belongs to the attempt
    except BrokenPipeError:  # whoever reads has seen enough
        _close_output()
        return int(ExitCode.DONE)
    except OSError as exc:
        say_aside(f"{exc.filename or 'output'}: {exc.strerror or exc}")
        _close_output()
        return int(ExitCode.HOST_FAULT)
    except OstlerError as exc:
        say_aside(exc)
        return int(next((code for kind, code in _EXIT_CODES if isinstance(exc, kind)), ExitCode.FAILED))
    except KeyboardInterrupt:
        sys.stderr.write("\nostler: interrupted, nothing was written\n")
        return int(ExitCode.INTERRUPTED)


def _close_output() -> None:
    """Let nothing more be written, not even when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
