"""``ostler completion``: what a shell runs so that the tab key completes commands and options."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from core.cli.command import add_command
from core.domain.outcome import ExitCode

if TYPE_CHECKING:
    import argparse

    from core.settings import Settings

_SHELLS = ("bash", "zsh", "fish")
_ZSH_HEAD = "#compdef ostler\n"
_ZSH_READY = """\
# a new account's zsh has not begun to complete anything; below a compinit of your own this does nothing
if (( ! $+functions[compdef] )); then
    autoload -Uz compinit && compinit -i
fi
"""


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the command line."""
    command = add_command(
        groups, "completion", "print what makes a shell complete this command",
        ['completion bash   for ~/.bashrc:  eval "$(ostler completion bash)"',
         'completion zsh    for ~/.zshrc, below compinit:  eval "$(ostler completion zsh)"',
         "completion fish > ~/.config/fish/completions/ostler.fish"],
    )  # fmt: skip
    command.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=", ".join(_SHELLS))
    command.set_defaults(run=_completion)


def _completion(arguments: argparse.Namespace, settings: Settings) -> ExitCode:  # noqa: ARG001 - a command takes both
    from argcomplete.shell_integration import shellcode  # noqa: PLC0415 - only this and a shell that asks need it

    script = shellcode(["ostler"], shell=arguments.shell).strip() + "\n"
    if arguments.shell == "zsh":
        script = f"{_ZSH_HEAD}{_ZSH_READY}{script.removeprefix(_ZSH_HEAD)}"
    sys.stdout.write(script)
    return ExitCode.DONE


def answer(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks how the line goes on, and end; it asks by way of the environment."""
    import argcomplete  # noqa: PLC0415 - only this and ``completion`` need it

    argcomplete.autocomplete(parser)
