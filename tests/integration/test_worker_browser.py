"""``run.py`` with a real Chromium against a tiny shop: save-back, resume, and a login that survives SIGKILL."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.domain.outcome import ExitCode
from core.profiles import ProfileManager
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.selector_cache import FileSelectorCache
from core.state.sessions import FileSessionStore

pytestmark = pytest.mark.browser
CHECKOUT = Path(__file__).resolve().parents[2]
FLOW = CHECKOUT / "tests" / "children" / "flows" / "shop.py"
WITHIN = 100.0

PAGE = b"""<!doctype html><title>Shop</title><body><p id=is></p>|<button>Log in</button>
<a href=/receipt download>Receipt</a><span data-testid=state></span>
<script>
  const has = name => document.cookie.includes(name + '=1') ? 'yes' : 'no';
  document.getElementById('is').textContent =
    `cookie=${has('keep')} session=${has('short')} storage=${localStorage.getItem('token') ? 'yes' : 'no'}`;
  document.querySelector('button').onclick = () => {
    document.cookie = 'keep=1; max-age=86400; path=/';
    document.cookie = 'short=1; path=/';
    localStorage.setItem('token', 't');
    document.querySelector('[data-testid=state]').textContent = 'set';
  };
</script>"""


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        receipt = self.path == "/receipt"
        body = b"paid" if receipt else PAGE
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream" if receipt else "text/html")
        if receipt:
            self.send_header("Content-Disposition", 'attachment; filename="receipt.txt"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args): ...


@pytest.fixture
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def run(tmp_path, url, *extra):
    """Run the command that a person types."""
    command = [sys.executable, str(CHECKOUT / "run.py"), "p1", "--flow", str(FLOW), "--param", f"url={url}"]
    places = ["--state-dir", str(tmp_path / "state"), "--log-dir", str(tmp_path / "logs")]
    env = {**os.environ, "SHOP_STATE": str(tmp_path / "state")}
    return subprocess.run(
        [*command, *places, *extra], capture_output=True, text=True, timeout=WITHIN, check=False, env=env
    )


def browsers(tmp_path):
    """Return the command lines of browsers that run in this test's state directory."""
    listed = subprocess.run(["ps", "-wweo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if f"--user-data-dir={tmp_path}" in line]


def test_login_is_saved_and_resumed(tmp_path, url):
    """The second run starts from the saved browser data and is still logged in, session cookie included."""
    first = run(tmp_path, url)
    assert first.returncode == ExitCode.DONE, first.stdout + first.stderr
    state = tmp_path / "state"
    metadata = FileProfileStore(state).read("p1")
    session = FileSessionStore(state).read("p1").value
    assert metadata.generation == session.login_generation > 0
    assert metadata.browser_version
    assert (state / "profiles" / "p1" / "browser_profile" / "Default").is_dir()
    assert list((state / "workspaces").iterdir()) == []
    assert browsers(tmp_path) == []
    login = FileLoginStateStore(state).read("p1").value
    assert {cookie["name"] for cookie in login.cookies} == {"keep", "short"}
    assert login.origins[0]["localStorage"] == [{"name": "token", "value": "t"}]
    origin = url.rstrip("/")
    assert FileSelectorCache(state).get(origin, "shop", "log in").value == "button"
    assert session.outputs["receipt"] == "paid"
    receipt = state / "downloads" / "p1" / "receipt.txt"
    assert stat.S_IMODE(receipt.stat().st_mode) == 0o600

    again = run(tmp_path, url, "--from", "look")
    assert again.returncode == ExitCode.DONE, again.stdout + again.stderr
    assert "source=profile" in again.stdout
    assert FileSessionStore(state).read("p1").value.outputs["seen"] == "cookie=yes session=yes storage=yes"


def test_login_survives_a_kill_right_after_its_commit(tmp_path, url):
    """Worker and browser are killed at once after the login's commit; the next attempt is logged in and runs no login."""
    killed = run(tmp_path, url, "--param", "kill=true")
    assert killed.returncode == ExitCode.FAILED
    assert "killed by signal 9" in killed.stdout
    assert browsers(tmp_path) == []
    state = tmp_path / "state"
    session = FileSessionStore(state).read("p1").value
    assert session.completion_flags == {"log_in": True}
    again = run(tmp_path, url)
    assert again.returncode == ExitCode.DONE, again.stdout + again.stderr
    assert "source=crashed" in again.stdout
    assert "step log_in" not in again.stdout
    assert FileSessionStore(state).read("p1").value.outputs["seen"] == "cookie=yes session=yes storage=yes"


@pytest.mark.parametrize("how", ["hard, the login kept", "soft, the cookies broken"])
def test_login_is_put_into_the_browser_after_a_recovery(tmp_path, url, how):
    """What was exported last is there in the next run: cookies, that of the session among them, and storage."""
    first = run(tmp_path, url)
    assert first.returncode == ExitCode.DONE, first.stdout + first.stderr
    manager, data = ProfileManager(tmp_path / "state"), tmp_path / "state" / "profiles" / "p1" / "browser_profile"
    if how.startswith("hard"):
        report = manager.recover("p1", "hard", keep_login=True)
        assert list(data.iterdir()) == []
    else:
        cookies = next(path for path in data.rglob("Cookies") if path.is_file())
        cookies.write_bytes(b"torn" * 1000)
        report = manager.recover("p1")
    assert [loss.part for loss in report.losses] == ["browser data"]
    assert "log_in" in report.flags
    again = run(tmp_path, url, "--from", "look")
    assert again.returncode == ExitCode.DONE, again.stdout + again.stderr
    assert FileSessionStore(tmp_path / "state").read("p1").value.outputs["seen"] == "cookie=yes session=yes storage=yes"
    assert manager.status("p1", deep=True).findings == ()


def test_nothing_is_left_when_the_starter_is_killed(tmp_path, url):
    """SIGKILL of whoever started the worker, while a step blocks the worker's loop: worker and browser are gone soon."""
    command = [sys.executable, str(CHECKOUT / "run.py"), "p1", "--flow", str(FLOW), "--param", f"url={url}"]
    places = ["--state-dir", str(tmp_path / "state"), "--log-dir", str(tmp_path / "logs"), "--param", "block=true"]
    log = tmp_path / "logs" / "p1.log"
    with subprocess.Popen([*command, *places], stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: log.exists() and "blocking now" in log.read_text())
            assert browsers(tmp_path)
        finally:
            process.kill()
    killed = time.monotonic()
    wait_until(lambda: not browsers(tmp_path))
    # ten seconds are promised; the rest is for a busy host
    assert time.monotonic() - killed < 25


def wait_until(holds):
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
