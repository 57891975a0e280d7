"""``ostler session`` and ``ostler identity`` as a user types them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.domain.session import Identity, SessionState
from core.profiles.lock import FileProfileLocks
from core.state.sessions import FileSessionStore

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PASSWORD = "pa'ss \"w<ö>rd"


@pytest.fixture
def ostler(state_dir, tmp_path):
    """Run the command on this test's state directory; return the finished process."""

    def run(*arguments, text="", env=None):
        return subprocess.run(
            [sys.executable, "-m", "core.cli.main", "--state-dir", state_dir, *arguments],
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=30,
            check=False,
            env={"PYTHONPATH": str(CHECKOUT), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **(env or {})},
            cwd=tmp_path,
        )

    return run


@pytest.fixture
def store(state_dir):
    return FileSessionStore(state_dir)


@pytest.fixture
def session(store):
    store.write(
        SessionState(
            profile_id="p1",
            status="FAILED",
            completion_flags={"mail_created": True, "shop_signup": True},
            identity=Identity(
                email="a@example.org",
                password=PASSWORD,
                two_fa_secret="JBSWY3DPEHPK3PXP",
                extra={
                    "recovery_codes": ["1111-2222", "3333-4444"],
                    "nested": {"api_key": "k-123456"},
                    "shop_password": "xyz",
                },
            ),
            outputs={"order": "o-1", "note": f"typed {PASSWORD} here", "dev_api_key": "abc-987"},
            remembered={
                "shop": {"mail_password": "zzz-555", "cart": "c-7", "(started)": 1.0},
                "order": {"(once key)": "0f"},
            },
        ),
        fence=4,
    )


SECRETS = (
    PASSWORD,
    json.dumps(PASSWORD)[1:-1],
    "JBSWY3DPEHPK3PXP",
    "1111-2222",
    "3333-4444",
    "k-123456",
    "abc-987",
    "zzz-555",
    "xyz",  # too short to be recognised by its value: only its name hides it
)


@pytest.mark.parametrize(
    "command", [("session", "show", "p1"), ("session", "show", "p1", "--json"), ("identity", "show", "p1")]
)
def test_show_masks_every_secret(ostler, session, command):
    """Whatever shows the session shows what is not secret, and no secret, by name or where its value turns up again."""
    done = ostler(*command)
    assert (done.returncode, done.stderr) == (0, "")
    assert "a@example.org" in done.stdout
    assert "[redacted]" in done.stdout
    assert [secret for secret in SECRETS if secret in done.stdout] == []


def test_show_as_json(ostler, session):
    """The JSON is the session's own structure."""
    shown = json.loads(ostler("session", "show", "p1", "--json").stdout)
    assert (shown["profile_id"], shown["status"], shown["platform"]) == ("p1", "FAILED", "desktop")
    assert shown["completion_flags"] == {"mail_created": True, "shop_signup": True}
    assert shown["outputs"]["order"] == "o-1"
    assert shown["remembered"] == {"shop": {"mail_password": "[redacted]", "cart": "c-7"}}


def test_reset_of_one_step(ostler, session, store):
    """One flag goes, the others and the identity stay, and the next holder's number is written."""
    assert ostler("session", "reset", "p1", "--step", "shop_signup").returncode == 0
    found = store.read("p1")
    assert found.value.completion_flags == {"mail_created": True}
    assert (found.value.status, found.value.identity.password, found.fence) == ("PENDING", PASSWORD, 5)


def test_reset_of_all(ostler, session, store):
    """All flags and everything remembered go; identity and outputs stay."""
    assert ostler("session", "reset", "p1").returncode == 0
    found = store.read("p1").value
    assert (found.completion_flags, found.remembered) == ({}, {})
    assert (found.identity.email, found.outputs["order"]) == ("a@example.org", "o-1")


def test_reset_of_an_unknown_step(ostler, session, store):
    """A flag that the profile does not have is bad input that names those it has; nothing changes."""
    done = ostler("session", "reset", "p1", "--step", "typo")
    assert done.returncode == 2
    assert "mail_created, shop_signup" in done.stderr
    assert store.read("p1").generation == 1


@pytest.mark.parametrize("command", [("session", "show"), ("session", "reset"), ("identity", "show")])
@pytest.mark.parametrize("profile_id", ["nobody", "../p1"])
def test_a_profile_that_is_not_there(ostler, state_dir, command, profile_id):
    """A missing profile, or what cannot be one, is bad input, and looking leaves no trace."""
    done = ostler(*command, profile_id)
    assert done.returncode == 2
    assert done.stderr.startswith("ostler: ")
    assert list(state_dir.iterdir()) == []


@pytest.mark.parametrize("source", ["-", "env:SECRET", "file"])
def test_set_from(ostler, store, tmp_path, source):
    """A value from standard input, a variable or a private file is stored as it is, without the line's end, unseen."""
    file = tmp_path / "value"
    file.write_text(PASSWORD + "\n", "utf-8")
    file.chmod(0o600)
    done = ostler(
        "identity",
        "set",
        "p1",
        "password",
        "--from",
        "value" if source == "file" else source,
        text=PASSWORD + "\n" if source == "-" else "",
        env={"SECRET": PASSWORD},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert PASSWORD not in done.stdout
    found = store.read("p1")
    assert (found.value.identity.password, found.fence) == (PASSWORD, 1)


def test_set_keeps_the_rest(ostler, session, store):
    """The other fields stay; a name that the identity does not have goes to ``extra``."""
    ostler("identity", "set", "p1", "phone", "--from", "-", text="123")
    ostler("identity", "set", "p1", "backup_pin", "--from", "-", text="9")
    found = store.read("p1")
    assert (found.value.identity.phone, found.value.identity.extra["backup_pin"]) == ("123", "9")
    assert (found.value.identity.password, found.value.completion_flags["mail_created"]) == (PASSWORD, True)
    assert found.fence == 6


def test_set_asks_on_a_terminal(state_dir, store):
    """Without a source, on a terminal, it asks, and what is typed is not echoed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(CHECKOUT)
        os.execv(
            sys.executable,
            [sys.executable, "-m", "core.cli.main", "identity", "set", "p1", "password", "--state-dir", str(state_dir)],
        )
    seen = b""
    try:
        while b"password: " not in seen:
            seen += os.read(terminal, 1024)
        os.write(terminal, b"hunter22\n")
        while chunk := _read(terminal):
            seen += chunk
    finally:
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert b"hunter22" not in seen
    assert store.read("p1").value.identity.password == "hunter22"


def _read(terminal):
    try:
        return os.read(terminal, 1024)
    except OSError:  # the other side has closed
        return b""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("p1", "password"), ""),
        (("p1", "password", "--from", "-"), ""),
        (("p1", "password", "--from", "env:NOT_SET"), ""),
        (("p1", "password", "--from", "missing"), ""),
        (("p1", "password", "--from", "open"), ""),
        (("p1", "password=hunter22"), ""),
        (("p1", "password", "hunter22"), ""),
        (("p1", "extra", "--from", "-"), "x"),
        (("../p1", "password", "--from", "-"), "hunter22"),
    ],
)
def test_set_refuses(ostler, store, tmp_path, arguments, text):
    """No value, a source that is not there, a file that others can read, a value in the arguments: 2, and no secret said."""
    (tmp_path / "open").write_text("hunter22")
    (tmp_path / "open").chmod(0o640)
    done = ostler("identity", "set", *arguments, text=text)
    assert done.returncode == 2
    assert "hunter22" not in done.stdout + done.stderr
    assert store.read("p1") is None


def test_import(ostler, session, store):
    """A JSON object sets the fields it names and leaves the others; its unknown names go to ``extra``."""
    document = {"email": "b@example.org", "phone": None, "shop_password": "hunter22", "extra": {"city": "Ulm"}}
    done = ostler("identity", "import", "p1", "-", text=json.dumps(document))
    assert (done.returncode, done.stderr) == (0, "")
    assert "hunter22" not in done.stdout
    identity = store.read("p1").value.identity
    assert (identity.email, identity.password) == ("b@example.org", PASSWORD)
    assert (identity.extra["shop_password"], identity.extra["city"]) == ("hunter22", "Ulm")
    assert identity.extra["recovery_codes"] == ["1111-2222", "3333-4444"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"password": 12345678}', '{"password": "hunter22"', '{"extra": "hunter22"}']
)
def test_import_refuses(ostler, store, text):
    """What is no JSON object of texts is bad input; its content is not repeated, nothing is written."""
    done = ostler("identity", "import", "p1", "-", text=text)
    assert done.returncode == 2
    assert not {"hunter22", "12345678"} & set(done.stderr.replace('"', " ").split())
    assert store.read("p1") is None


@pytest.mark.parametrize(
    "command",
    [
        ("session", "reset", "p1"),
        ("identity", "set", "p1", "password", "--from", "-"),
        ("identity", "import", "p1", "-"),
    ],
)
def test_a_held_profile_is_not_changed(ostler, session, store, state_dir, command):
    """While somebody works with the profile a change is refused with 5, naming the holder; showing works."""
    with FileProfileLocks(state_dir, SystemClock()).hold("p1", "worker"):
        done = ostler(*command, text="{}")
        assert done.returncode == 5
        assert f"worker, pid {os.getpid()}" in done.stderr
        assert ostler("session", "show", "p1").returncode == 0
    assert store.read("p1").generation == 1


def test_damage_is_said(ostler, session, store, state_dir):
    """A damaged session shows the version before and says so; two damaged versions are 3; a newer one is 2."""
    path = state_dir / "sessions" / "p1.json"
    store.write(SessionState(profile_id="p1"), fence=4)
    good = path.read_bytes()
    path.write_bytes(good[:50])
    done = ostler("session", "show", "p1")
    assert (done.returncode, "damaged" in done.stderr, "FAILED" in done.stdout) == (0, True, True)
    path.with_name("p1.json.prev").write_bytes(b"")
    assert ostler("session", "show", "p1").returncode == 3
    path.write_bytes(good.replace(b'"schema":1', b'"schema":2'))
    assert ostler("session", "show", "p1").returncode == 2


def test_the_installed_command(state_dir):
    """The ``ostler`` command of the virtual environment is this one."""
    command = Path(sys.executable).with_name("ostler")
    if not command.exists():
        pytest.skip("the project is not installed in this environment")
    done = subprocess.run(
        [command, "session", "show", "p1", "--state-dir", state_dir], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "p1" in done.stderr) == (2, True)
