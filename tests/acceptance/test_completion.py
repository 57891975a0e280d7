"""The tab key, as a shell presses it; and help that shows how a command is typed."""

from __future__ import annotations

import argparse
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
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


def in_zsh(home: Path, startup: str, *typed: str) -> list[str]:
    """Return what a real zsh, on a terminal of its own, makes of lines that end with the tab key."""
    keys = """
        PS1='ready> '; unsetopt beep zle_bracketed_paste
        show() { print -r -- "<$BUFFER>"; BUFFER=''; zle reset-prompt }
        zle -N show; bindkey '^G' show
    """
    (home / ".zshrc").write_text(f'{startup}\neval "$(ostler completion zsh)"\n{keys}', "utf-8")
    env = os.environ | {
        "PATH": f"{OSTLER.parent}:{os.environ['PATH']}", "HOME": str(home), "ZDOTDIR": str(home), "TERM": "dumb", "COLUMNS": "200",
    }  # fmt: skip
    terminal, inner = pty.openpty()
    with subprocess.Popen(
        ["zsh", "-i"], env=env, cwd=home, stdin=inner, stdout=inner, stderr=inner, start_new_session=True
    ) as zsh:
        os.close(inner)
        try:
            said = until(terminal, rb"ready> ")
            assert b"not found" not in said and b"insecure" not in said
            found = []
            for line in typed:
                os.write(terminal, line.encode() + b"\t\x07")
                shown = until(terminal, rb"<.*?>\r*\n.*ready> ")
                found.append(re.findall(rb"<(.*?)>\r*\n", shown)[-1].decode())
            return found
        finally:
            zsh.kill()
            os.close(terminal)


def until(terminal: int, pattern: bytes) -> bytes:
    """Return what a terminal shows up to this; it has a minute."""
    said, end = b"", time.monotonic() + 60
    while re.search(pattern, said, re.DOTALL) is None:
        ready, _, _ = select.select([terminal], [], [], max(end - time.monotonic(), 0))
        assert ready, f"there was only {said!r}"
        said += os.read(terminal, 65536)
    return said


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
@pytest.mark.parametrize("startup", ["", "autoload -Uz compinit && compinit -i"], ids=["new account", "with compinit"])
def test_zsh_completes(startup, tmp_path):
    """Commands, options, choices and files; in a new account, too, where nothing was ever set up."""
    (tmp_path / "hello-flow.py").touch()
    typed = (
        "ostler queue exp",
        "ostler queue list --sta",
        "ostler completion z",
        "ostler flow check hel",
        "ostler gc --js",
    )
    queue, options, choice, file, unique = in_zsh(tmp_path, startup, *typed)
    assert queue == "ostler queue export "
    assert options == "ostler queue list --state"
    assert choice == "ostler completion zsh "
    assert file == "ostler flow check hello-flow.py "
    assert unique == "ostler gc --json "


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_fish_completes(tmp_path, capsys):
    """From the file that the help names: commands, options, choices and files."""
    assert cli.main(["completion", "fish"]) == 0
    script = tmp_path / "fish" / "completions" / "ostler.fish"
    script.parent.mkdir(parents=True)
    script.write_text(capsys.readouterr().out, "utf-8")
    (tmp_path / "hello-flow.py").touch()
    env = os.environ | {
        "PATH": f"{OSTLER.parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path),
    }  # fmt: skip
    expected = {
        "ostler queue exp": {"export"}, "ostler queue list --sta": {"--state", "--state-dir"}, "ostler completion z": {"zsh"},
        "ostler flow check hel": {"hello-flow.py"},
    }  # fmt: skip
    for line, words in expected.items():
        done = subprocess.run(
            ["fish", "-c", f"complete -C '{line}'"],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert {offered.partition("\t")[0] for offered in done.stdout.splitlines()} == words, done.stderr


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
