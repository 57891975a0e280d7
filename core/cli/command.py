"""How a command is put on the command line: what it does, more about it, and examples to type."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH = 78


def add_command(
    commands: argparse._SubParsersAction[Any], name: str, says: str, examples: Sequence[str], *, more: str = ""
) -> argparse.ArgumentParser:
    """Add a command, or a group of them, and return its parser.

    Args:
        commands: where to.
        name: what is typed.
        says: what it does, in one line, as a phrase.
        examples: command lines, without ``ostler``.
        more: sentences for its own help.
    """
    sentence = f"{says[0].upper()}{says[1:]}."
    epilog = ["examples:" if len(examples) > 1 else "example:", *(f"  ostler {example}" for example in examples)]
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=says,
        description=textwrap.fill(f"{sentence} {more}".strip(), _WIDTH),
        epilog="\n".join(epilog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser
