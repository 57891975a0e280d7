"""``ostler flow``: what a flow's author types before anything runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import msgspec
import pytest

from core.cli.flow_check import FlowReport
from core.cli.main import main
from core.domain.messages import FlowDescription
from core.domain.session import SessionState
from core.state.sessions import FileSessionStore

CHECKOUT = Path(__file__).resolve().parents[2]
SCHEMAS = CHECKOUT / "docs" / "schemas"
HEAD = "import msgspec\nfrom workers.steps import Flow\n"


@pytest.fixture
def ostler(tmp_path, state_dir, monkeypatch, capsys):
    """Run a command in an empty directory; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OSTLER_STATE_DIR", str(state_dir))

    def run(*args: str) -> tuple[int, str, str]:
        code = main(args)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def steps(*names: str, name: str = "mine", **more: str) -> str:
    """Return a flow with steps of these names; ``more`` gives a step further arguments."""
    made = "".join(f"@flow.step({more.get(one, '')})\nasync def {one}(ctx): ...\n" for one in names)
    return f"{HEAD}flow = Flow({name!r})\n{made}"


def report(ostler, *args: str) -> FlowReport:
    """Return what `flow check --json` prints, held against the published schema."""
    _, out, err = ostler("flow", "check", *args, "--json")
    assert err == ""
    jsonschema.validate(json.loads(out), json.loads((SCHEMAS / "flow-check.json").read_text("utf-8")))
    return msgspec.json.decode(out, type=FlowReport)


def codes(said: FlowReport) -> list[str]:
    return [finding.code for finding in said.findings]


def keep(state_dir: Path, profile_id: str, *flags: str, remembered: dict | None = None) -> None:
    session = SessionState(profile_id=profile_id, completion_flags=dict.fromkeys(flags, True))
    session.remembered = remembered or {}
    FileSessionStore(state_dir).write(session, fence=1)


def test_a_new_flow_is_complete_and_without_complaint(ostler, tmp_path):
    """The flow can be checked, shown and its queue read as they were written."""
    code, out, _ = ostler("flow", "new", "hello", "--dir", "my/flows")
    assert code == 0
    assert "wrote my/flows/hello.py" in out and "wrote my/flows/queue.json" in out
    assert json.loads((tmp_path / "my/flows/queue.json").read_text())["defaults"] == {"flow": "hello.py"}
    said = report(ostler, "my/flows/hello.py", "--queue", "my/flows/queue.json")
    assert (said.ok, said.name, said.findings) == (True, "hello", ())


def test_a_new_flow_overwrites_nothing(ostler, tmp_path):
    """A file that is there stays as it is; a queue that is there is kept for both flows."""
    ostler("flow", "new", "hello")
    (tmp_path / "hello.py").write_text("mine")
    code, _, err = ostler("flow", "new", "hello")
    assert code == 2 and "hello.py: expected no such file yet" in err
    assert (tmp_path / "hello.py").read_text() == "mine"
    queue = (tmp_path / "queue.json").read_text()
    code, out, _ = ostler("flow", "new", "other")
    assert code == 0 and "queue.json is there already" in out
    assert (tmp_path / "queue.json").read_text() == queue


@pytest.mark.parametrize("name", ["json", "msgspec", "workers", "Hello", "1st", "a-b", "../up", "", "a" * 41])
def test_a_name_that_would_do_harm_is_refused(ostler, tmp_path, name):
    """No module is hidden, no path is left, nothing is written."""
    code, _, err = ostler("flow", "new", name)
    assert code == 2 and "NAME: expected 1 to 40" in err
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("flow = 1\nx ==\n", 2, "SyntaxError"),
        (HEAD + "flow = Flow('a')\n1 / 0\n", 4, "ZeroDivisionError"),
        (steps("one", "two", two="flag='one'"), 6, "state the same flag 'one'"),
        (steps("one", "two", one="requires='two'"), 4, "which no step before it states"),
        (steps("one", one="timeout=0"), 4, "timeout must be a positive number"),
        (HEAD + "flow = Flow('a')\n@flow.step\ndef one(ctx): ...\n", 4, "must be `async def"),
        (HEAD, None, "it defines no Flow"),
    ],
)
def test_a_flow_that_cannot_run_is_an_error_on_its_authors_line(ostler, tmp_path, text, line, reason):
    """Exit code 2, and the place is in the author's file."""
    (tmp_path / "mine.py").write_text(text)
    code, out, _ = ostler("flow", "check", "mine.py")
    assert code == 2
    assert out.startswith(f"mine.py:{line}: error: " if line else "mine.py: error: ")
    assert reason in out
    said = report(ostler, "mine.py")
    assert (said.ok, codes(said), said.findings[0].line) == (False, ["not_loadable"], line)


def test_parameters_of_a_queue_are_checked(ostler, tmp_path):
    """A job with parameters that the flow does not take is an error; secrets among the parameters are a warning."""
    text = HEAD + "class P(msgspec.Struct):\n    size: int\n    api_key: str = ''\n"
    (tmp_path / "mine.py").write_text(text + "flow = Flow('mine', params=P)\n@flow.step\nasync def a(ctx): ...\n")
    (tmp_path / "x.py").write_text("is not loaded for this")
    (tmp_path / "queue.json").write_text(
        json.dumps(
            [{"profile_id": "a", "flow": "mine.py", "params": {"size": "big"}}, {"profile_id": "b", "flow": "x.py"}]
        )
    )
    said = report(ostler, "mine.py", "--queue", "queue.json")
    assert codes(said) == ["params_refused", "secret_parameter"]
    assert "size" in said.findings[0].message and "'api_key'" in said.findings[1].message
    assert codes(report(ostler, "mine.py")) == ["secret_parameter"]
    (tmp_path / "queue.json").write_text(json.dumps([{"profile_id": "b", "flow": "x.py"}]))
    code, _, err = ostler("flow", "check", "mine.py", "--queue", "queue.json")
    assert code == 2 and "a job that runs mine.py" in err


def test_a_flag_that_another_flow_states_is_a_warning_that_names_it(ostler, tmp_path):
    """Sharing is by design, so the exit code stays 0; a file that is no flow is never run."""
    (tmp_path / "mine.py").write_text(steps("log_in", "order", order="requires='paid'"))
    (tmp_path / "other.py").write_text(steps("log_in", "pay", name="other", pay="flag='paid'"))
    (tmp_path / "no_flow.py").write_text("raise SystemExit('must not run')\n")
    (tmp_path / "broken.py").write_text(HEAD + "flow = Flow(\n")
    code, out, _ = ostler("flow", "check", "mine.py")
    assert code == 0
    assert "mine.py:4: warning: flag 'log_in' is also stated by other.py" in out
    said = report(ostler, "mine.py")
    assert codes(said) == ["shared_flag", "required_elsewhere"]
    assert "which other.py states" in said.findings[1].message


def test_a_neighbour_that_cannot_be_loaded_is_said(ostler, tmp_path):
    """It is a note about that file; the flow itself is judged all the same."""
    (tmp_path / "mine.py").write_text(steps("a"))
    (tmp_path / "other.py").write_text(steps("b", name="other") + "1 / 0\n")
    said = report(ostler, "mine.py")
    assert (said.ok, codes(said)) == (True, ["neighbour_unreadable"])
    assert (said.findings[0].line, Path(said.findings[0].file).name) == (6, "other.py")


def test_names_that_lead_astray_are_warned_of(ostler, tmp_path):
    """Names of our own phases, blanks, one name for two flows, and a requirement that nothing can meet."""
    (tmp_path / "mine.py").write_text(steps("save", "b", b="flag='two words', requires='mispelt'"))
    (tmp_path / "other.py").write_text(steps("c"))
    said = report(ostler, "mine.py")
    assert said.ok
    assert sorted(codes(said)) == ["awkward_name", "required_nowhere", "reserved_name", "same_flow_name"]


def test_what_sessions_hold_of_renamed_and_removed_steps_is_explained(ostler, tmp_path, state_dir):
    """Unknown flags and notes are named with their profiles; `flag=` with the old name settles it."""
    keep(state_dir, "ann", "sign_in", "paid")
    keep(state_dir, "bob", "sign_in", remembered={"sign_in": {"x": 1}, "gone": {"y": 2}})
    (tmp_path / "mine.py").write_text(steps("log_in", "paid"))
    said = report(ostler, "mine.py")
    assert (said.sessions, codes(said)) == (2, ["unknown_flag", "notes_of_unknown_step", "notes_of_unknown_step"])
    flag, *notes = said.findings
    assert "profiles ann, bob have flag 'sign_in'" in flag.message
    assert "kept untouched" in flag.hint and "(log_in)" in flag.hint and "flag='sign_in'" in flag.hint
    assert [note.step for note in notes] == ["gone", "sign_in"]
    assert "ostler session reset bob" in notes[0].hint
    (tmp_path / "mine.py").write_text(steps("log_in", "paid", log_in="flag='sign_in'"))
    assert codes(report(ostler, "mine.py")) == ["notes_of_unknown_step", "notes_of_unknown_step"]


def test_a_damaged_session_does_not_hide_the_others(ostler, tmp_path, state_dir):
    """It is said, and the rest is compared."""
    keep(state_dir, "ann", "old")
    (state_dir / "sessions" / "bob.json").write_text("{")
    (tmp_path / "mine.py").write_text(steps("a"))
    said = report(ostler, "mine.py")
    assert (said.ok, said.sessions, codes(said)) == (True, 1, ["unknown_flag", "session_unreadable"])


def test_a_flow_is_only_ever_run_in_a_process_of_its_own(ostler, tmp_path):
    """The command's own process never imports it, and one that does not end is given up."""
    (tmp_path / "mine.py").write_text(steps("a") + f"import os\nassert os.getpid() != {os.getpid()}\nprint('noise')\n")
    assert report(ostler, "mine.py").ok
    (tmp_path / "mine.py").write_text("import time\ntime.sleep(600)\n")
    run = [sys.executable, "-m", "core.cli.main", "flow", "check", "mine.py", "--state-dir", str(tmp_path / "state")]
    done = subprocess.run(
        run,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "OSTLER_DESCRIBE_TIMEOUT": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "loading it took longer than 1 s" in done.stdout


def test_show_prints_the_steps_as_a_table(ostler, tmp_path):
    """One line a step, with what it states and whether it has a post-condition; as JSON by the published schema."""
    text = steps("a", "b", b="requires=('a',), retries=2, timeout=5, always=True")
    (tmp_path / "mine.py").write_text(text + "@a.postcondition\nasync def c(ctx): return True\n")
    code, out, _ = ostler("flow", "show", "mine.py")
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert lines[0] == ["flow", "mine"]
    assert lines[2] == ["1", "a", "a", "60", "s", "0", "cookies", "yes", "4"]
    assert lines[3:] == [["2", "b", "(always)", "5", "s", "2", "cookies", "no", "6"], ["requires", "a"]]
    _, out, _ = ostler("flow", "show", "mine.py", "--json")
    jsonschema.validate(json.loads(out), json.loads((SCHEMAS / "flow-show.json").read_text("utf-8")))
    assert msgspec.json.decode(out, type=FlowDescription).checked == ("a",)
    code, _, err = ostler("flow", "show", "none.py")
    assert code == 2 and "there is no such file" in err


def test_show_fits_the_terminal_and_leaves_nothing_out(ostler, tmp_path, monkeypatch):
    """Long names go on in the next line; where a table has no room, each step is a list."""
    long, longer = "a_name_longer_than_anybody_should_give_to_a_step", "x" * 60
    text = steps("one", longer, long, **{long: f"requires=('one', {longer!r}), timeout=12.5"})
    (tmp_path / "mine.py").write_text(text)
    shown = {}
    for columns in (200, 80, 60, 30):
        monkeypatch.setenv("COLUMNS", str(columns))
        code, shown[columns], _ = ostler("flow", "show", "mine.py")
        assert code == 0
        assert all(len(line) <= columns for line in shown[columns].splitlines())
    assert long in shown[200] and longer in shown[200]
    assert sorted("".join(shown[80].split())) == sorted("".join(shown[200].split()))
    for columns in (60, 30):
        together = "".join(shown[columns].split())
        assert all(word in together for word in (long, longer, "12.5s", f"requiresone,{longer}"))


def test_show_is_no_wider_than_a_page_on_a_pipe(tmp_path):
    """80 columns hold the demo's flow, no name broken."""
    run = [sys.executable, "-m", "core.cli.main", "flow", "show", "examples/demo/flow.py", "--state-dir", str(tmp_path)]
    environ = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(run, check=True, cwd=CHECKOUT, env=environ, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for word in ("register_developer", "dev_registration", "enable_two_step", "shop_signup, two_fa_enabled"):
        assert word in done.stdout
