"""``ostler profile open`` as a person uses it, on a display without a screen: what they did is there in runs, or nothing is."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pyotp
import pytest

from core.cli.main import parser
from core.profiles.manager import ProfileManager
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.sessions import FileSessionStore
from tests.children import site
from tests.display import needs_display
from tests.person import WITHIN, Person, until

CHECKOUT = Path(__file__).resolve().parents[2]
DEMO = CHECKOUT / "examples" / "demo" / "flow.py"
TRACES = CHECKOUT / "tests" / "children" / "flows" / "trace_of_hand.py"

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WRITE_NOTE = """() => new Promise(done => {
  const request = indexedDB.open('notes', 1);
  request.onupgradeneeded = () => request.result.createObjectStore('notes');
  request.onsuccess = () => {
    const change = request.result.transaction('notes', 'readwrite');
    change.objectStore('notes').put('by hand', 'hand');
    change.oncomplete = () => { request.result.close(); done(); };
  };
})"""


@pytest.fixture
def person(tmp_path, display):
    """Send somebody to a profile; nothing of them is left at the end."""
    people: list[Person] = []

    def start(*args: str) -> Person:
        people.append(Person(tmp_path, display, *args))
        return people[-1]

    yield start
    for one in people:
        if one.process.poll() is None:
            one.process.terminate()
            one.end()
    if people:
        until(lambda: people[-1].processes() == [], lambda: str(people[-1].processes()))


@pytest.fixture
def origin():
    with site.serving() as origin:
        yield origin


@pytest.fixture
def demo(tmp_path):
    """Serve the demo site; gives the directory of its data."""
    where = tmp_path / "site"
    command = [sys.executable, "-m", "examples.demo", "--with-parent", "--seed", "5", "--state-dir", str(where)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("ready ")
        yield where / "demo"
        process.stdin.close()


def run(tmp_path: Path, flow: Path, demo: Path, profile: str = "anna") -> subprocess.CompletedProcess[str]:
    """Run a flow on a profile, by hand and without a window."""
    places = ["--state-dir", str(tmp_path / "state"), "--log-dir", str(tmp_path / "logs")]
    command = [
        sys.executable,
        str(CHECKOUT / "run.py"),
        profile,
        "--flow",
        str(flow),
        "--param",
        f"port_file={demo / 'port'}",
        *places,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def sign_ins(demo: Path) -> dict[str, int]:
    """Count sign-ins by service, as the site has them; it lets nobody else read its database, so a copy is read."""
    (database,) = demo.glob("*.db")
    with tempfile.TemporaryDirectory() as scratch:
        for file in demo.glob(f"{database.name}*"):
            shutil.copy(file, scratch)
        with closing(sqlite3.connect(Path(scratch, database.name))) as copied:
            return dict(copied.execute("SELECT service, count(*) FROM logins GROUP BY service"))


def is_kept(tmp_path: Path) -> bool:
    """Whether the whole login of the small site is durable, while the browser runs."""
    kept = FileLoginStateStore(tmp_path / "state").read("anna")
    return kept is not None and len(kept.value.cookies) == 2 and len(kept.value.origins) == 1


def outputs(tmp_path: Path, profile: str = "anna") -> dict[str, object]:
    return FileSessionStore(tmp_path / "state").read(profile).value.outputs


@needs_display
def test_a_login_by_hand_is_there_in_a_run_and_survives_it_and_an_archive(person, tmp_path, demo):
    """Cookies that last, cookies of the session, localStorage and IndexedDB: nobody signs in a second time."""
    run(tmp_path, DEMO, demo)
    state = tmp_path / "state"
    identity = FileSessionStore(state).read("anna").value.identity
    # all logins of the profile are lost, as after a recovery
    shutil.rmtree(state / "profiles" / "anna" / "browser_profile")
    for kept in (state / "profiles" / "anna").glob("session.json*"):
        kept.unlink()
    url = f"http://id.localhost:{(demo / 'port').read_text().strip()}/login"
    visit = person("anna", "--url", url)
    with visit.at_the_browser() as context:
        page = context.pages[-1]
        page.get_by_label("E-mail").press_sequentially(identity.email)
        page.get_by_label("Password").press_sequentially(identity.password)
        page.keyboard.press("Enter")
        page.get_by_label("Code").press_sequentially(pyotp.TOTP(identity.two_fa_secret).now())
        page.keyboard.press("Enter")
        page.locator("[data-testid=login-state][data-state=in]").wait_for()
        page.evaluate(WRITE_NOTE)
        page.goto(url.replace("//id.", "//shop."))
        page.get_by_label("E-mail").press_sequentially(identity.email)
        page.get_by_label("Password").press_sequentially(identity.password)
        page.keyboard.press("Enter")
        page.get_by_test_id("member").wait_for()
    by_hand = sign_ins(demo)
    visit.close_windows()
    assert visit.end() == 0, visit.said
    assert "closed; saving" in visit.said and "the login state of 2 sites" in visit.said

    run(tmp_path, DEMO, demo)
    assert sign_ins(demo) == by_hand
    everything = {"logged_in": True, "token": True, "note": "by hand", "lasting": True, "member": identity.email}
    for _ in range(2):
        run(tmp_path, TRACES, demo)
        assert {name: outputs(tmp_path)[name] for name in everything} == everything

    elsewhere = tmp_path / "elsewhere"
    for here, args in ((tmp_path, ["export", "anna", "--with-secrets"]), (elsewhere, ["import", "--as", "bert"])):
        places = ["--state-dir", str(here / "state"), "--log-dir", str(here / "logs")]
        command = [sys.executable, "-m", "core.cli.main", "profile", *args, str(tmp_path / "anna.zip"), *places]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=WITHIN, check=False)
        assert done.returncode == 0, done.stderr
    run(elsewhere, TRACES, demo, "bert")
    assert {name: outputs(elsewhere, "bert")[name] for name in everything} == everything
    assert sign_ins(demo) == by_hand


@needs_display
def test_the_whole_login_state_is_exported(person, tmp_path, origin):
    """Browser data and login state are of one age; what a page alone cannot show without being in the way is in it, too."""
    visit = person("--url", f"{origin}/login")
    with visit.at_the_browser() as context:
        context.pages[-1].locator("p").wait_for()
        context.pages[-1].evaluate(WRITE_NOTE)
        # no page is at that site any more when it ends
        context.pages[-1].goto("about:blank")
    visit.process.send_signal(signal.SIGINT)
    assert visit.end() == 0, visit.said
    state = tmp_path / "state"
    session, metadata = FileSessionStore(state).read("default").value, FileProfileStore(state).read("default")
    assert session.login_generation == metadata.generation == 1
    assert (session.status, metadata.browser, metadata.login_state) == ("PENDING", "Chromium", "unknown")
    assert metadata.last_activity == metadata.last_used > metadata.created_at
    login = FileLoginStateStore(state).read("default").value
    assert (login.level, login.unexportable) == ("storage", ())
    assert {cookie["name"]: cookie["expires"] == -1 for cookie in login.cookies} == {"sid": False, "tab": True}
    (kept,) = login.origins
    assert kept["localStorage"] == [{"name": "token", "value": "stored"}]
    assert "by hand" in json.dumps(kept["indexedDB"])
    assert list((state / "workspaces").iterdir()) == []


@needs_display
@pytest.mark.parametrize("who", ["browser", "worker", "command"])
def test_a_kill_saves_nothing_half_and_loses_nothing(person, tmp_path, origin, who):
    """The profile has its old data; whoever comes next is told, and goes on from what the killed browser had."""
    store = FileProfileStore(tmp_path / "state")
    before = store.ensure("anna", 1.0)
    cut_off = person("anna", "--url", f"{origin}/login")
    with cut_off.at_the_browser() as context:
        context.pages[-1].locator("p").wait_for()
    until(lambda: is_kept(tmp_path), lambda: cut_off.said)
    worker = cut_off.worker()
    {"browser": cut_off.browser(), "worker": worker, "command": cut_off.process}[who].send_signal(signal.SIGKILL)
    cut_off.end()
    until(lambda: not worker.is_running() and cut_off.processes() == [], lambda: str(cut_off.processes()))
    if who == "browser":
        assert store.read("anna").last_error.startswith("the browser did not close in order: it crashed, or was killed")
    if who != "command":
        assert store.read("anna").generation == before.generation == 0
        assert not any((tmp_path / "state" / "profiles" / "anna" / "browser_profile").iterdir())
    if who == "browser":
        assert cut_off.process.returncode == 1
        assert "it crashed, or was killed; nothing was saved" in cut_off.said

    after = person("anna", "--url", f"{origin}/whoami")
    with after.at_the_browser() as context:
        assert context.pages[-1].locator("#who").inner_text() == "sid=persistent; tab=session"
        assert context.pages[-1].evaluate("localStorage.getItem('token')") == "stored"
    if who != "command":  # its worker had the time to end well
        assert "an earlier browser on this profile was cut off; going on from its own data" in after.said
    assert ("last time, in visit: the browser did not close in order" in after.said) == (who == "browser")
    after.close_windows()
    assert after.end() == 0
    session = FileSessionStore(tmp_path / "state").read("anna").value
    assert store.read("anna").generation == session.login_generation > 0


@needs_display
def test_what_was_exported_comes_back_where_the_data_of_a_kill_is_damaged(person, tmp_path, origin):
    """It goes on from what was saved last, with the login that was exported; both are said."""
    first = person("anna")
    first.sees("is open")
    first.close_windows()
    assert first.end() == 0, first.said
    cut_off = person("anna", "--url", f"{origin}/login")
    cut_off.sees("is open")
    until(lambda: is_kept(tmp_path), lambda: cut_off.said)
    cut_off.worker().kill()
    cut_off.end()
    until(lambda: cut_off.processes() == [], lambda: str(cut_off.processes()))
    (data,) = (tmp_path / "state" / "workspaces").glob("anna-*/user-data")
    (data / "Default" / "Preferences").write_text("{torn")

    after = person("anna", "--url", f"{origin}/whoami")
    with after.at_the_browser() as context:
        assert context.pages[-1].locator("#who").inner_text() == "sid=persistent; tab=session"
        assert context.pages[-1].evaluate("localStorage.getItem('token')") == "stored"
    assert "cut off, and its data is lost or damaged; going on from what was saved last" in after.said
    assert "the login state of 20" in after.said and "was put back" in after.said


@needs_display
def test_nothing_is_kept_without_save(person, tmp_path, origin):
    """A profile that is there is as it was; one that is not does not come to be."""
    FileProfileStore(tmp_path / "state").ensure("anna", 1.0)
    profiles = tmp_path / "state" / "profiles"
    before = {path: path.read_bytes() for path in profiles.rglob("*") if path.is_file()}
    for profile in ("anna", "bert"):
        visit = person(profile, "--no-save", "--url", f"{origin}/login")
        with visit.at_the_browser() as context:
            context.pages[-1].locator("p").wait_for()
        visit.process.terminate()
        assert visit.end() == 0
        assert "nothing was kept" in visit.said
    assert {path: path.read_bytes() for path in profiles.rglob("*") if path.is_file()} == before
    assert [path.name for path in profiles.iterdir()] == ["anna"]
    assert not (tmp_path / "state" / "sessions").exists()
    assert list((tmp_path / "state" / "workspaces").iterdir()) == []


@needs_display
def test_the_person_answers_dialogs_and_gets_their_downloads(person, tmp_path, origin):
    """No dialog is answered by the machine; a download is in the profile's directory, under its own name."""
    visit = person("anna", "--url", f"{origin}/receipt")
    visit.sees("downloaded ")
    with visit.at_the_browser() as context:
        page = context.pages[-1]
        with page.expect_event("dialog") as dialog:
            page.evaluate("setTimeout(() => { document.title = confirm('sure?') })")
        dialog.value.accept()
        page.wait_for_function("document.title === 'true'")
    visit.close_windows()
    assert visit.end() == 0
    assert (tmp_path / "state" / "downloads" / "anna" / "receipt.txt").read_text() == "paid"


@needs_display
def test_who_wants_the_profile_meanwhile_is_told_by_whom_it_is_held(person, tmp_path):
    """A second visit is refused at once; an orchestrator's job waits, and costs no try."""
    visit = person("anna")
    visit.sees("is open")
    holder = f"ostler profile open, pid {visit.worker().pid} on "
    places = ["--state-dir", str(tmp_path / "state"), "--log-dir", str(tmp_path / "logs")]
    again = subprocess.run(
        [sys.executable, "-m", "core.cli.main", "profile", "open", "anna", *places],
        env={"DISPLAY": ":0", "PATH": "/usr/bin"}, cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (again.returncode, again.stdout) == (5, "")
    assert f"profile anna is held by {holder}" in again.stderr
    (tmp_path / "quick.py").write_text(
        "from workers.steps import Flow\nflow = Flow('quick', browser=False)\n@flow.step\nasync def one(ctx): ...\n"
    )
    (tmp_path / "queue.json").write_text('["anna"]')
    command = [sys.executable, str(CHECKOUT / "orchestrator.py"), "--flow", "quick.py", "queue.json", *places]
    with (tmp_path / "out").open("wb") as out:
        fleet = subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=subprocess.STDOUT)
    try:
        events = tmp_path / "logs" / "events.jsonl"
        until(lambda: events.exists() and holder in events.read_text(), (tmp_path / "out").read_text)
        visit.close_windows()
        assert visit.end() == 0
        assert fleet.wait(WITHIN) == 0, (tmp_path / "out").read_text()
    finally:
        fleet.kill()
        fleet.wait()
    with closing(sqlite3.connect(tmp_path / "state" / "queue.db")) as queue:
        assert queue.execute("SELECT state, failures FROM jobs").fetchall() == [("done", 0)]


def test_what_the_page_says_to_type_is_understood():
    """Each command of docs/profile-open.md is one."""
    lines = (CHECKOUT / "docs" / "profile-open.md").read_text("utf-8").splitlines()
    typed = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("ostler ")]
    assert len(typed) == 5
    assert {parser().parse_args(line).profile_id for line in typed} == {"anna", "bert", None}


def test_without_an_id_the_active_profile_is_meant(tmp_path):
    """Somebody has it, so it is named, and nothing is started."""
    manager = ProfileManager(tmp_path / "state")
    manager.create("bert")
    manager.activate("bert")
    with manager.locks.acquire("bert", what="a test"):
        person = Person(tmp_path, ":0")
        assert person.end() == 5
    assert "profile bert is held by a test, pid " in person.said


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["anna"], 7, "there is no display here; on a server: ssh -X, or xvfb-run"),
        (["../x"], 2, "expected 1 to 32 of"),
        (
            ["anna", "--url", "example.org/?token=secret"],
            2,
            "--url: expected an address like https://example.org/login",
        ),
    ],
)
def test_what_cannot_be_opened_is_said_in_a_line(tmp_path, args, code, words):
    """Nothing is begun, and no address is repeated."""
    person = Person(tmp_path, None, *args)
    assert person.end() == code
    assert words in person.said and "secret" not in person.said and len(person.said.splitlines()) == 1
    assert not person.state.exists()
