"""A template with an extension, as the commands that a user types meet it: it goes on working, or it is said that it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.state.sessions import FileSessionStore
from tests.children import site
from tests.display import WITH_WINDOWS, needs_display, needs_windows
from tests.extension import template
from tests.person import WITHIN, Person

CHECKOUT = Path(__file__).resolve().parents[2]
FLOW = CHECKOUT / "tests" / "children" / "flows" / "marked.py"
SHELL = shutil.which("chromium-headless-shell")

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def origin():
    with site.serving() as origin:
        yield origin


def run(tmp_path: Path, origin: str, *args: str, **env: str) -> tuple[str, str]:
    """Run the flow on a profile; return what was said, and what the extension said."""
    places = ["--state-dir", str(tmp_path / "state"), "--log-dir", str(tmp_path / "logs")]
    params = ["--flow", str(FLOW), "--param", f"url={origin}/whoami"]
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "run.py"), "anna", *params, *places, *args],
        capture_output=True, text=True, timeout=WITHIN, check=False, env={**os.environ, **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, FileSessionStore(tmp_path / "state").read("anna").value.outputs["marked"]


@needs_windows
def test_a_run_without_windows_has_it_too(tmp_path, origin):
    """A packed one: the browser that runs extensions is chosen by itself, and what it keeps is saved with the profile."""
    clone = template(tmp_path, "packed")
    assert run(tmp_path, origin, "--template", str(clone))[1] == "1"
    shutil.rmtree(clone)
    assert run(tmp_path, origin)[1] == "2"


@needs_display
def test_a_person_and_a_run_with_windows_share_it(tmp_path, origin, display):
    """An unpacked one, where its author has it: opened by hand from the template, then in a run that is shown."""
    person = Person(
        tmp_path, display, "anna", "--template", str(template(tmp_path, "unpacked")), "--url", f"{origin}/who"
    )
    try:
        with person.at_the_browser() as context:
            context.pages[-1].wait_for_selector("html[data-marked='1']", state="attached")
        person.close_windows()
        assert person.end() == 0, person.said
    finally:
        person.process.kill()
        person.process.wait()
    assert "made profile anna, from the template" in person.said
    assert run(tmp_path, origin, "--headed", DISPLAY=display)[1] == "2"


@pytest.mark.skipif(SHELL is None or WITH_WINDOWS is None, reason="needs both kinds of Chromium")
def test_a_browser_that_has_none_says_so(tmp_path, origin):
    """The event names it and what to install; the next run, in another browser, has it again."""
    clone = str(template(tmp_path, "packed"))
    said, marked = run(tmp_path, origin, "--template", clone, "--browser", SHELL, "--param", "runs=false")
    assert marked == "no"
    assert "note extensions_not_run: extensions=['Marker'], hint=a headless shell runs none: install chromium" in said
    assert run(tmp_path, origin)[1] == "1"
