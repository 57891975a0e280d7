"""What README.md and docs/operations.md tell an operator to type, typed in their order over a queue that was run."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.cli import main as cli
from tests.fleet import BRISK, Fleet

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/operations.md")
ALL_PAGES = [
    *PAGES,
    "docs/events.md",
    "docs/failures.md",
    "docs/fleet.md",
    "docs/flows.md",
    "docs/integrity.md",
    "docs/launch-configuration.md",
    "docs/profiles.md",
    "docs/schedule.md",
    "docs/tutorial.md",
]
OTHER_CODES = {"ostler status --check": 1}
"""Where the page says that nothing else can come of it here."""
FLOW = """\
from workers.steps import Flow
flow = Flow("hello", browser=False)
@flow.step(flag="greeted")
async def greet(ctx):
    if ctx.profile_id == "sick":
        raise ValueError("not today")
"""


def typed(page: str) -> list[str]:
    """Return the commands of a page's blocks, without what is said about them."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", (CHECKOUT / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line.removeprefix(".venv/bin/") for line in lines if line.removeprefix(".venv/bin/").startswith("ostler ")]


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """A queue of which one job is done, one failed, and one waits."""
    (tmp_path / "hello.py").write_text(FLOW, "utf-8")
    (tmp_path / "queue.json").write_text('["anna", "sick"]', "utf-8")
    fleet = Fleet(directory=tmp_path)
    fleet.run("--flow", "hello.py", "queue.json", *BRISK, "--max-attempts", 1)
    return fleet


@pytest.mark.browser
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_works(fleet, page):
    """With the exit code of a success; what follows a log is ended as a person would end it."""
    # a window is shown by those tests that have a display
    lines = [line for line in typed(page) if not line.startswith("ostler profile open")]
    assert len(lines) >= 7
    env = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OSTLER_STATE_DIR": str(fleet.state),
        "OSTLER_LOG_DIR": str(fleet.logs),
    }  # fmt: skip
    assert (
        subprocess.run(
            ["ostler", "queue", "add", "bert", "--flow", "hello.py"], env=env, cwd=fleet.directory, check=False
        ).returncode
        == 0
    )
    wrong = []
    for line in lines:
        command = line if " -f" not in line else f"timeout --preserve-status --signal INT 5 {line}"
        done = subprocess.run(
            ["bash", "-c", command],
            env=env,
            cwd=fleet.directory,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        if done.returncode != OTHER_CODES.get(line, 0) or "Traceback" in done.stderr:
            wrong.append((line, done.returncode, done.stderr))
    assert wrong == []


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: below for group in groups for name, below in group.choices.items()}


@pytest.mark.parametrize("page", ALL_PAGES)
def test_commands_in_the_text_are_there(page):
    """`ostler something --option` between two backticks is something, and knows the option."""
    text = (CHECKOUT / page).read_text("utf-8")
    mentioned = re.findall(r"`(?:\.venv/bin/)?ostler ([^`\n]+)`", text) + [
        line.removeprefix("ostler ") for line in typed(page)
    ]
    assert mentioned
    for mention in mentioned:
        grammar, words = cli.parser(), mention.split()
        while words and (below := commands(grammar)):
            assert words[0] in below, f"ostler {mention}"
            grammar = below[words.pop(0)]
        options = re.findall(r"(?<!\S)\[?(--?[a-z][a-z-]*)", " ".join(words).partition(">")[0])
        assert set(options) <= set(grammar._option_string_actions), f"ostler {mention}"
