"""Canaries: what is secret appears where it is kept, 0600, and nowhere else."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
import sys
import urllib.parse
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.fleet import FLOWS, ROOT, Fleet, children_of

if TYPE_CHECKING:
    from pathlib import Path

CANARIES = {
    "password": 'canary-Pass"word&7/ü',
    "two_fa_secret": "JBSWY3DPEHPK3PXPCANARYSEED",
    "api_key": "sk_live_canary_api_key_4711",
}
PROXY_PASSWORD = "canary-proxy-pass-99"
KEEPERS = ("sessions/", "queue.db", "profiles/", "workspaces/")
"""Below the state directory, what is meant to hold secrets: sessions, jobs, login states, the browser's own data."""


@pytest.mark.browser
def test_no_canary_gets_out(tmp_path: Path) -> None:
    """Password, TOTP secret, API key and proxy password: in no log, event, argv, environment, exception or table."""
    fleet = Fleet(directory=tmp_path)
    queue = tmp_path / "queue.json"
    proxy = f"http://user:{PROXY_PASSWORD}@127.0.0.1:9"
    shared = {"flow": str(FLOWS / "typist.py"), "proxy": proxy, "max_attempts": 2}
    jobs = [
        {"profile_id": "types"},
        {"profile_id": "crashes", "params": {"crash": True}},
    ]
    for job in jobs:
        give_identity(fleet, str(job["profile_id"]))
    queue.write_text(json.dumps({"defaults": shared, "jobs": jobs}))
    everything_kept = ("--screenshots", "on-failure", "--trace", "always")
    orchestrator = fleet.start(queue, "--retry-delay", 0.1, "--launch-interval", 0, *everything_kept)
    seen = set()
    while orchestrator.poll() is None:
        for kind in children_of(orchestrator.pid).values():
            for process in kind:
                with suppress(psutil.Error):
                    seen |= {*process.cmdline(), *(f"{k}={v}" for k, v in process.environ().items())}
    assert orchestrator.returncode == 1, fleet.output()
    assert any("--user-data-dir" in text for text in seen), "no browser was seen: this test would prove nothing"
    places = {"processes": "\n".join(seen), "terminal": fleet.output()}
    for path in [*fleet.state.rglob("*"), *fleet.logs.rglob("*")]:
        relative = str(path.relative_to(tmp_path))
        if path.is_file() and not any(keeper in relative for keeper in (*KEEPERS, "/SENSITIVE-")):
            places[relative] = path.read_bytes().decode("utf-8", "replace")
    assert "logs/types.log" in places and "logs/events.jsonl" in places
    hits = [
        f"{name} as {form} in {place}"
        for place, text in places.items()
        for name, value in {**CANARIES, "proxy": PROXY_PASSWORD}.items()
        for form, shape in shapes(value).items()
        if shape in text
    ]
    assert hits == []
    for profile in ("types", "crashes"):
        texts = {name: text for name, text in places.items() if f"artifacts/{profile}/1/" in name}
        assert {name.partition(".")[2] for name in texts} == {"html", "console.txt", "requests.txt", "txt"}, (
            texts.keys()
        )
        assert all("[redacted]" in text for text in texts.values()), "the evidence itself is there"
        marked = {path.suffix for path in (fleet.state / "artifacts" / profile / "1").glob("SENSITIVE-*")}
        assert marked == {".png", ".zip"}
    assert "careless" in places["logs/types.log"], "the log lines themselves are there"
    for path in [*fleet.state.rglob("*"), *fleet.logs.rglob("*")]:
        if not path.is_symlink():
            allowed = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) & ~allowed == 0, path


def give_identity(fleet: Fleet, profile: str) -> None:
    """Fill in the account as a user does: on standard input."""
    ostler = [
        sys.executable,
        "-m",
        "core.cli.main",
        "--state-dir",
        str(fleet.state),
        "identity",
        "import",
        profile,
        "-",
    ]
    done = subprocess.run(ostler, input=json.dumps(CANARIES), capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert not any(value in done.stdout + done.stderr for value in CANARIES.values())


def shapes(value: str) -> dict[str, str]:
    return {
        "itself": value,
        "JSON": json.dumps(value)[1:-1],
        "JSON, not ASCII": json.dumps(value, ensure_ascii=False)[1:-1],
        "URL": urllib.parse.quote(value, safe=""),
        "form": urllib.parse.quote_plus(value),
        "base64": base64.b64encode(value.encode()).decode().rstrip("="),
    }


def test_the_canary_test_finds_a_leak() -> None:
    """Each shape is really another one, so that a leak in any of them is found."""
    assert len(set(shapes(CANARIES["password"]).values())) >= 5
