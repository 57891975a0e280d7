"""What the commands that look at the queue say where there is none yet, and where there is something else."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from core.cli import main as cli

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"
LOOKS = [
    ["queue", "list"], ["queue", "export"], ["queue", "retry", "--state", "failed"], ["queue", "cancel", "--state", "queued"],
    ["status"], ["report"], ["report", "--format", "csv"],
]  # fmt: skip


@pytest.fixture
def ostler(tmp_path: Path, capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs a command on the directory ``state``; returns exit code, output and errors."""

    def run(*args: str) -> tuple[int, str, str]:
        code = cli.main([*args, "--state-dir", str(tmp_path / "state"), "--log-dir", str(tmp_path / "logs")])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def missing(state: Path) -> None:
    """Make nothing."""
    assert not state.exists()


def fresh(state: Path) -> None:
    """Make a directory as a file system of its own has it, or a checkout."""
    (state / "lost+found").mkdir(parents=True)
    (state / ".gitignore").touch()


def used_by_hand(state: Path) -> None:
    """Make one in which a session was written, and nothing was ever queued."""
    (state / "sessions").mkdir(parents=True)


@pytest.mark.parametrize("make", [missing, fresh, used_by_hand])
def test_where_nothing_was_ever_run_all_commands_agree(
    ostler: Any, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """They say so, or give empty lists, and exit with 0; nothing is made."""
    state = tmp_path / "state"
    make(state)
    before = sorted(tmp_path.rglob("*"))
    said = {tuple(look): ostler(*look) for look in LOOKS}
    assert {(code, err) for code, _, err in said.values()} == {(0, "")}
    for look in (("queue", "list"), ("status",), ("report",)):
        assert f"no jobs: nothing was ever run or added in {state}\n" in said[look][1]
    assert said["queue", "export"][1].split() == ["[]"]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("look", "schema", "empty"), [
    (["queue", "list"], "queue-list", {"jobs": [], "total": 0}),
    (["report"], "report", {"jobs": [], "counts": {}}),
    (["queue", "retry", "--state", "failed"], "queue-change", {"changed": []}),
])  # fmt: skip
def test_as_json_it_is_an_empty_list(ostler: Any, look: list[str], schema: str, empty: Any) -> None:
    """As the schema says."""
    code, out, err = ostler(*look, "--json")
    assert (code, json.loads(out), err) == (0, empty, "")
    jsonschema.validate(json.loads(out), json.loads((SCHEMAS / f"{schema}.json").read_text("utf-8")))


def test_a_job_that_is_asked_for_by_name_is_not_there(ostler: Any) -> None:
    """As in a queue that has others."""
    code, _, err = ostler("queue", "show", "anna")
    assert (code, err) == (2, "ostler: no job 'anna' in the queue\n")


@pytest.mark.parametrize("look", LOOKS)
def test_a_directory_of_other_things_is_refused(ostler: Any, tmp_path: Path, look: list[str]) -> None:
    """It was not meant; an empty list would hide that."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "IMG_1.jpg").touch()
    code, out, err = ostler(*look)
    assert (code, out) == (2, "")
    assert err == (
        f"ostler: {tmp_path}/state: expected a state directory, or an empty one, found other things, such as 'IMG_1.jpg' "
        "(--state-dir names another)\n"
    )


@pytest.mark.parametrize("look", LOOKS)
def test_a_directory_that_cannot_be_read_is_refused(ostler: Any, tmp_path: Path, look: list[str]) -> None:
    """With why."""
    (tmp_path / "state").symlink_to("state")
    code, out, err = ostler(*look)
    assert (code, out) == (2, "")
    assert "state: expected a state directory, found one that cannot be read (Too many levels of symbolic links)" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_without_permission_is_refused(ostler: Any, tmp_path: Path) -> None:
    """As such."""
    (tmp_path / "state").mkdir(mode=0)
    code, _, err = ostler("queue", "list")
    assert code == 2
    assert "Permission denied" in err
