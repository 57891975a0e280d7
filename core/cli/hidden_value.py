"""Values that must not stand on a command line, where every user of the host could read them: they come from a prompt, standard
input, a private file or the environment.
"""

from __future__ import annotations

import getpass
import os
import stat
import sys
from pathlib import Path

from core.errors import BadInput, Problem

SOURCES = "env:NAME, a file with mode 0600, or - for standard input"


def hidden_value(name: str, source: str | None) -> str:
    """Return one value; a line break at its end is not part of it.

    Args:
        name: what is asked for.
        source: one of ``SOURCES``; None to ask on the terminal.

    Raises:
        BadInput: it cannot be had from there.
    """
    if source is None:
        if not sys.stdin.isatty():
            raise BadInput([Problem(place="--from", expected=SOURCES, found="no terminal to ask on")])
        try:
            return getpass.getpass(f"{name}: ")
        except EOFError:
            return ""
    if source == "-":
        text = standard_input()
    elif source.startswith("env:"):
        variable = source.removeprefix("env:")
        if variable not in os.environ:
            raise BadInput([Problem(place=source, expected="a variable that is set", found="none of that name")])
        text = os.environ[variable]
    else:
        text = private_file(source)
    return text.removesuffix("\n").removesuffix("\r")


def standard_input() -> str:
    """Return all of standard input.

    Raises:
        BadInput: it is no text.
    """
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise BadInput([Problem(place="<stdin>", expected="text in UTF-8", found="other bytes")]) from None


def private_file(source: str) -> str:
    """Return the text of a file that only its owner can read.

    Raises:
        BadInput: others can, or nobody.
    """
    problem = Problem(place=source, expected="a readable file of text", found="none")
    try:
        with Path(source).open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077 and os.name != "nt":
                problem.expected, problem.found = "a file with mode 0600", f"mode {mode:04o}"
                problem.hint = f"others may have read it: chmod 600 {source}"
                raise BadInput([problem])
            return file.read().decode()
    except (OSError, UnicodeDecodeError) as exc:
        problem.found = exc.strerror or "an unreadable one" if isinstance(exc, OSError) else "other bytes"
        raise BadInput([problem]) from None
