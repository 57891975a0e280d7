"""The tab key, as a shell presses it; and help that shows how a command is typed."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.cli import main as cli

OSTLER = Path(sys.executable).with_name("ostler")


def completed(typed: str) -> set[str]:
    """Return what ``ostler`` offers to a shell for a line."""
    env = os.environ | {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/stdout",
        "COMP_LINE": typed, "COMP_POINT": str(len(typed)), "COMP_TYPE": "9",
    }  # fmt: skip
    done = subprocess.run([OSTLER], env=env, capture_output=True, text=True, timeout=30, check=False)
    return {word.strip() for word in done.stdout.split("\n") if word.strip()}


def test_commands_and_options_are_completed():
    """Whatever there is."""
    assert {"queue", "session", "identity"} <= completed("ostler ")
    assert completed("ostler queue re") == {"retry"}
    assert completed("ostler queue list --st") >= {"--state"}
    assert completed("ostler completion z") == {"zsh"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_takes_its_script(shell, capsys):
    """It is printed, and a shell that is here finds no mistake in it."""
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "ostler" in script
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here: its script was printed, and not tried")
    done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_bash_completes(capsys):
    """The script, loaded by a real bash, leads to what the command offers."""
    assert cli.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    ask = (
        "\nCOMP_LINE='ostler queue exp'; COMP_POINT=16; COMP_TYPE=9; COMP_WORDS=(ostler queue exp); COMP_CWORD=2\n"
        '_python_argcomplete ostler exp queue; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    env = os.environ | {"PATH": f"{OSTLER.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script + ask], env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.split() == ["export"], done.stderr


def commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    inner = [command for action in below for command in action.choices.values()]
    return inner + [command for one in inner for command in commands(one)]


@pytest.mark.parametrize("command", commands(cli.parser()), ids=lambda command: command.prog)
def test_help_shows_examples(command):
    """Every command's help says what it does and shows how it is typed."""
    assert command.description
    assert command.epilog is not None
    assert f"\n  {command.prog}" in command.epilog
