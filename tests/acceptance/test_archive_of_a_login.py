"""A login made in a real browser, carried to another place in an archive: the first run there finds it, and so does the next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.state.sessions import FileSessionStore
from tests.children import site
from tests.display import WITH_WINDOWS, needs_windows
from tests.extension import template

CHECKOUT = Path(__file__).resolve().parents[2]
FLOW = CHECKOUT / "tests" / "children" / "flows" / "travel.py"

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def types(tmp_path: Path):
    """Run commands in a directory, each for the state directory it names."""
    with site.serving() as origin:
        env = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
        env |= {"PYTHONPATH": str(CHECKOUT), "OSTLER_TEST_ORIGIN": origin}

        def run(state: str, *command: object) -> str:
            places = ["--state-dir", tmp_path / state, "--log-dir", tmp_path / f"{state}-logs"]
            done = subprocess.run(
                [sys.executable, *map(str, [*command, *places])],
                capture_output=True, text=True, check=False, timeout=120, cwd=CHECKOUT, env=env,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        yield run


def found(state_dir: Path, profile_id: str) -> dict:
    return FileSessionStore(state_dir).read(profile_id).value.outputs["found"]


def test_a_login_travels(types, tmp_path: Path):
    """Lasting and passing cookies, localStorage and IndexedDB are there without a second login, run after run."""
    types("here", "run.py", "anna", "--flow", FLOW)
    assert found(tmp_path / "here", "anna")["cookies"] == ["nobody"]
    types("here", "-m", "core.cli.main", "profile", "export", "anna", tmp_path / "anna.zip", "--with-secrets")
    said = types("there", "-m", "core.cli.main", "profile", "import", tmp_path / "anna.zip", "--as", "bert")
    assert "the browser here can read all of the browser data" in said
    for _ in range(2):
        types("there", "run.py", "bert", "--flow", FLOW)
        assert found(tmp_path / "there", "bert") == {
            "cookies": ["sid=persistent", "tab=session"], "storage": "stored", "database": "kept", "marked": None,
        }  # fmt: skip


def test_without_secrets_nobody_is_logged_in(types, tmp_path: Path):
    """The flag came along, the login did not: a run there is nobody."""
    types("here", "run.py", "anna", "--flow", FLOW)
    types("here", "-m", "core.cli.main", "profile", "export", "anna", tmp_path / "anna.zip")
    types("there", "-m", "core.cli.main", "profile", "import", tmp_path / "anna.zip")
    types("there", "run.py", "anna", "--flow", FLOW)
    assert found(tmp_path / "there", "anna") == {
        "cookies": ["nobody"],
        "storage": None,
        "database": None,
        "marked": None,
    }
    assert FileSessionStore(tmp_path / "there").read("anna").value.completion_flags == {"logged_in": True}


@needs_windows
def test_an_extension_travels(types, tmp_path: Path):
    """It runs in the new place, and has what it kept."""
    browser = ("--browser", WITH_WINDOWS)
    types("here", "run.py", "anna", "--flow", FLOW, "--template", template(tmp_path, "packed"), *browser)
    before = int(found(tmp_path / "here", "anna")["marked"])
    types("here", "-m", "core.cli.main", "profile", "export", "anna", tmp_path / "anna.zip", "--with-secrets")
    types("there", "-m", "core.cli.main", "profile", "import", tmp_path / "anna.zip")
    types("there", "run.py", "anna", "--flow", FLOW, *browser)
    assert int(found(tmp_path / "there", "anna")["marked"]) > before > 0
