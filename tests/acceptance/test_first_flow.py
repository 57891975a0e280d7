"""The README's first flow, and the commands that stand below it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
CHECKOUT = Path(__file__).resolve().parents[2]
PORT = "8800"
WITHIN = 120.0


def between(page: str, what: str) -> str:
    """Return what stands in the block between two marks."""
    found = re.search(rf"<!-- {what} -->\n```\w*\n(.*?)```\n<!-- end of {what} -->", page, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def checkout(tmp_path):
    """A directory that looks like a checkout that was just set up."""
    for name in ("run.py", "orchestrator.py", "examples", ".venv"):
        (tmp_path / name).symlink_to(Path(sys.prefix) if name == ".venv" else CHECKOUT / name)
    return tmp_path


def test_first_flow_does_what_the_readme_says(checkout):
    """Copied from the page and typed as it stands, at a port that is free: ten lines, and the session shows what was found."""
    page = (CHECKOUT / "README.md").read_text("utf-8")
    flow, commands = between(page, "first flow"), between(page, "first commands")
    assert len(flow.splitlines()) <= 10
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    assert PORT in flow and PORT in commands
    (checkout / "hello.py").write_text(flow.replace(PORT, port), "utf-8")
    # the site ends with the shell that typed all this
    typed = commands.replace(
        f"{PORT} &", f"{port} --parent-pid $$ > site &\nuntil grep -q ready site; do sleep 0.1; done"
    )
    env = os.environ | {"OSTLER_STATE_DIR": str(checkout / "state"), "OSTLER_LOG_DIR": str(checkout / "logs")}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    done = subprocess.run(
        ["bash", "-e"], input=typed, env=env, cwd=checkout, capture_output=True, text=True, timeout=WITHIN, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 done in" in done.stdout
    assert re.search(r"greeted +true", done.stdout)
    assert re.search(r"heading +Good things, around the corner", done.stdout)


def test_a_flow_that_was_just_begun_runs(tmp_path):
    """What `ostler flow new` writes is a flow and a queue that work as they are (but for the site, a page of our own)."""
    ostler = str(Path(sys.executable).with_name("ostler"))
    places = ["--state-dir", str(tmp_path / "state"), "--log-dir", str(tmp_path / "logs")]

    def do(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=WITHIN, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    do(ostler, "flow", "new", "hello", *places)
    queue = tmp_path / "queue.json"
    text = queue.read_text("utf-8")
    assert "https://example.org/" in text
    queue.write_text(text.replace("https://example.org/", "data:text/html,<h1>Good evening</h1>"), "utf-8")
    assert "nothing to complain about" in do(ostler, "flow", "check", "hello.py", "--queue", "queue.json", *places)
    do(sys.executable, str(CHECKOUT / "orchestrator.py"), "queue.json", *places)
    shown = do(ostler, "session", "show", "hello-1", *places)
    assert re.search(r"hello_heading_kept +true", shown)
    assert re.search(r"heading +Good evening", shown)
