"""The files of docs/deploy, as far as they can be judged without building an image, and what docs/operations.md says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import msgspec
import pytest

from core.domain.notification import About, Notification
from core.domain.retention import Retention
from core.supervision.health import Health

CHECKOUT = Path(__file__).resolve().parents[2]
DEPLOY = CHECKOUT / "docs" / "deploy"
OPERATIONS = CHECKOUT / "docs" / "operations.md"


def test_the_retention_table_is_that_of_the_code():
    """Every limit is there, with its default."""
    text = OPERATIONS.read_text("utf-8").partition("<!-- retention -->")[2].partition("<!-- end of retention -->")[0]
    table = tomllib.loads(text.replace("```toml", "").replace("```", ""))
    assert table == {"retention": msgspec.structs.asdict(Retention())}


def test_links_lead_somewhere():
    """Every file that the page names is there."""
    links = re.findall(r"\]\(([^)#]+)\)", OPERATIONS.read_text("utf-8"))
    assert len(links) >= 5
    assert [link for link in links if not (OPERATIONS.parent / link).exists()] == []


def test_the_image_copies_and_starts_what_there_is():
    """What is copied exists, packages are installed by hash, and it does not run as root."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    copied = [line.split()[1] for line in text.splitlines() if line.startswith("COPY ")]
    assert copied and all((CHECKOUT / name).exists() for name in copied)
    assert "--require-hashes -r requirements.lock" in text
    assert text.index("\nUSER ostler") < text.index("\nENTRYPOINT")
    for program in re.findall(r"/opt/ostler/(\w+\.py)", text):
        assert (CHECKOUT / program).is_file()


def test_the_image_holds_nothing_of_a_fleet():
    """Neither state, logs and settings of the checkout nor the queue that compose mounts."""
    left_out = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert {"state", "logs", "ostler.toml", ".venv", ".git", "docs/deploy/queue"} <= set(left_out)
    assert "- ./queue:/queue:ro" in (DEPLOY / "compose.yaml").read_text("utf-8")
    # a pattern without stars is a path from the checkout on: `state` leaves core/state in
    assert not {"**/state", "**/logs", "*/state"} & set(left_out)


def test_the_seccomp_profile_leaves_what_the_sandbox_needs():
    """JSON as Docker reads it, and no call of Chromium's namespace sandbox is denied."""
    profile = json.loads((DEPLOY / "seccomp.json").read_text("utf-8"))
    assert profile["defaultAction"] == "SCMP_ACT_ALLOW"
    denied = {name for rule in profile["syscalls"] for name in rule["names"]}
    assert denied >= {"mount", "init_module", "kexec_load", "bpf"}
    assert not denied & {"clone", "clone3", "unshare", "setns", "chroot", "ptrace", "seccomp", "prctl"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_unit_is_understood_by_systemd(tmp_path):
    """No unknown or contradictory directive; paths are those of this checkout."""
    unit = tmp_path / "ostler.service"
    text = (DEPLOY / "ostler.service").read_text("utf-8")
    assert "KillMode=mixed" in text and "User=ostler" in text
    unit.write_text(text.replace("/opt/ostler", str(CHECKOUT)), "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_names_every_field_of_the_health_file():
    """As the code writes it."""
    text = OPERATIONS.read_text("utf-8").partition("## Does it live?")[2].partition("\n## ")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert named | {"exit_code"} == set(Health.__struct_fields__)


def test_the_page_names_all_that_somebody_is_told_of():
    """Each sort, and each field of it."""
    text = OPERATIONS.read_text("utf-8").partition("## Who is told?")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == {"about", *About}
    assert set(Notification.__struct_fields__) <= set(re.findall(r"`(\w+)`", text))


def test_what_the_image_looks_at_is_what_the_orchestrator_writes():
    """Its health check reads the file that its environment names, and the unit says what it is told."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    [named] = re.findall(r"OSTLER_HEALTH_FILE=(\S+)", text)
    assert f"CMD find {named} -mmin -1" in text
    unit = (DEPLOY / "ostler.service").read_text("utf-8")
    assert "Type=notify\n" in unit and "WatchdogSec=60\n" in unit
