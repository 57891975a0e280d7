"""The README's first flow, and the commands that stand below it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
CHECKOUT = Path(__file__).resolve().parents[2]
WITHIN = 120.0


def test_first_flow_does_what_the_readme_says(tmp_path):
    """Copied from the page (but for the site, which is a page of our own), it runs, and the session shows what it found."""
    page = (CHECKOUT / "README.md").read_text("utf-8")
    found = re.search(r"<!-- first flow -->\n```python\n(.*?)```\n<!-- end of first flow -->", page, re.DOTALL)
    assert found is not None
    assert "https://example.org/" in found[1]
    (tmp_path / "hello.py").write_text(found[1].replace("https://example.org/", "data:text/html,<h1>Good morning</h1>"))
    (tmp_path / "queue.json").write_text('["anna", "bert"]')
    places = ["--state-dir", str(tmp_path / "state"), "--log-dir", str(tmp_path / "logs")]
    run = [sys.executable, str(CHECKOUT / "orchestrator.py"), "--flow", "hello.py", "queue.json", *places]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=WITHIN, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    show = [str(Path(sys.executable).with_name("ostler")), "session", "show", "anna", "--state-dir", places[1]]
    shown = subprocess.run(show, cwd=tmp_path, capture_output=True, text=True, timeout=WITHIN, check=False)
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"greeted +true", shown.stdout)
    assert re.search(r"heading +Good morning", shown.stdout)


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
