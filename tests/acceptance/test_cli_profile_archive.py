"""``ostler profile export`` and ``import`` as a user types them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from core.profiles.store import FileProfileStore
from core.workspaces import live
from tests.profiles import SECRETS, make_profile

CHECKOUT = Path(__file__).resolve().parents[2]

HOLD = """import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()"""


@pytest.fixture
def ostler(tmp_path: Path):
    """Run the command in an empty directory; return the finished process."""

    def run(*arguments: str, state: str = "here", **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "core.cli.main", "--state-dir", tmp_path / state, "profile", *arguments],
            capture_output=True, text=True, encoding="utf-8", timeout=60, check=False, cwd=tmp_path,
            env={"PYTHONPATH": str(CHECKOUT), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **env},
        )  # fmt: skip
        assert [secret for secret in SECRETS if secret in done.stdout + done.stderr] == []
        return done

    make_profile(tmp_path / "here")
    return run


def test_out_and_in_with_everything(ostler, tmp_path: Path, browser_executable: str):
    """What is in it is said on both sides, whether the browser here can read it, and which settings came along."""
    done = ostler("export", "anna", "anna.zip", "--with-secrets")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("anna is in anna.zip (")
    assert lines[1:5] == [
        "in it      metadata and settings",
        "in it      1 flag, 2 outputs, 5 fields of the identity",
        "in it      login state: 1 cookie, storage of 1 origin",
        "in it      browser data: 10 files, 18.1 KB, written by Chromium 156.0.8078.108",
    ]
    assert "GrShaderCache (1)" in lines[5]
    assert lines[6] == "whoever has this file has the account: keep it as you keep a password"
    assert stat.S_IMODE((tmp_path / "anna.zip").stat().st_mode) == 0o600
    done = ostler("import", "anna.zip", "--as", "bert", state="there", OSTLER_BROWSER=browser_executable)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("bert was made of anna.zip (anna, exported 20")
    assert "attention  cookies and passwords of the browser data (2) are encrypted by the keyring" in done.stdout
    assert "setting    proxy: http://me:[redacted]@proxy.example:8080" in done.stdout
    assert FileProfileStore(tmp_path / "there").read("bert").name == "Anna, Zürich"


def test_without_secrets_it_says_what_is_missing(ostler, tmp_path: Path):
    """Each part that is left out has a line, and how to take it along is said; no browser is looked for on the other side."""
    done = ostler("export", "anna", "anna.zip")
    assert done.returncode == 0
    assert "secret     not in it: identity.two_fa_secret" in done.stdout
    assert "secret     not in it: browser data (files: 10)" in done.stdout
    assert done.stdout.endswith("--with-secrets takes along what is secret\n")
    done = ostler("import", "anna.zip", state="there", OSTLER_BROWSER="/nonexistent")
    assert done.returncode == 0
    assert "must be given again: ostler identity set anna password" in done.stdout
    assert "attention" not in done.stdout


def test_as_json(ostler, tmp_path: Path):
    """Both print the same record; a file that others can read, and a browser that is missing, are doubts."""
    out = json.loads(ostler("export", "anna", "anna.zip", "--with-secrets", "--json").stdout)
    assert (out["profile_id"], out["of"], out["counts"]["files"], out["doubts"]) == ("anna", "anna", 10, [])
    (tmp_path / "anna.zip").chmod(0o644)
    done = ostler("import", "anna.zip", "--as", "bert", "--json", state="there", OSTLER_BROWSER="/nonexistent")
    into = json.loads(done.stdout)
    assert (into["profile_id"], into["of"], into["encrypted"]) == ("bert", "anna", {"basic": 4, "keyring": 2})
    assert into["settings"]["extra_headers"] == {"X-Key": "[redacted]"}
    assert any("no browser works here" in line for line in into["doubts"])
    assert any("others on this host can read anna.zip" in line for line in into["doubts"])


def test_what_goes_wrong_has_a_code_and_a_line(ostler, tmp_path: Path):
    """A wrong ID, a file that is there, a file that is none: 2. Data in use: 5, naming the holder. Damage: 3."""
    (tmp_path / "there.zip").write_text("no ZIP")
    for arguments, said in (
        (("export", "../anna", "x.zip"), "ID: expected 1 to 32 of A-Z"),
        (("export", "nobody", "x.zip"), "there is no profile 'nobody'"),
        (("export", "anna", "there.zip"), "--overwrite"),
        (("import", "there.zip"), "there.zip: expected a whole ZIP file"),
        (("import", "missing.zip"), "missing.zip: expected an archive"),
    ):
        done = ostler(*arguments)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert said in done.stderr
    lock = tmp_path / "here/profiles/anna/browser_profile" / live.LEVELDB_LOCK
    lock.touch()
    with subprocess.Popen([sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as browser:
        assert browser.stdout.readline() == b"held\n"
        done = ostler("export", "anna", "x.zip")
        browser.stdin.close()
    assert done.returncode == 5
    assert f"is locked by pid {browser.pid}" in done.stderr
    (tmp_path / "here/profiles/anna/browser_profile/Default/Preferences").write_text("{torn")
    done = ostler("export", "anna", "x.zip")
    assert (done.returncode, "Default/Preferences: not JSON" in done.stderr) == (3, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "there.zip"]


def test_a_flow_that_is_not_here_is_said(ostler, tmp_path: Path):
    """Settings that name files of another machine come along, and are shown."""
    store = FileProfileStore(tmp_path / "here")
    metadata = store.read("anna")
    metadata.flow, metadata.downloads = "/elsewhere/flow.py", "/elsewhere/downloads"
    store.write(metadata)
    ostler("export", "anna", "anna.zip")
    done = ostler("import", "anna.zip", state="there")
    assert "setting    flow: /elsewhere/flow.py" in done.stdout
    assert "setting    downloads: /elsewhere/downloads" in done.stdout
