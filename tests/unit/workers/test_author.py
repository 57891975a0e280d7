"""Errors are told in the author's lines."""

from __future__ import annotations

from pathlib import Path

import anyio
import msgspec
import pytest

from core.domain.messages import StepProblem
from core.errors import FlowLoadError
from tests.unit.workers.stage import Theatre
from workers.author import authors_traceback, is_authors, place_of, whole_traceback
from workers.steps.load import load

FLOW = """\
from workers.steps import Flow
flow = Flow("mine")
@flow.step
async def one(ctx):
    {body}
"""


@pytest.fixture
def theatre():
    """A stage of its own."""
    return Theatre()


def written(tmp_path: Path, body: str, more: str = ""):
    """Load a flow whose only step does this, in line 5."""
    file = tmp_path / "mine.py"
    file.write_text(FLOW.format(body=body) + more)
    return load(str(file))


def raised(function) -> Exception:
    try:
        function()
    except Exception as exc:  # noqa: BLE001 - any
        return exc
    raise AssertionError


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise RuntimeError('no button')", "mine.py:5: RuntimeError: no button"),
        ("int('x')", "mine.py:5: ValueError: invalid literal"),
        ("await ctx.locate('pay', 'button', timeout=0.01)", "mine.py:5: 'pay' was not found"),
        ("ctx.remember('(mine', 1)", "mine.py:5: ValueError: a name must not begin with"),
    ],
)
async def test_a_reason_begins_with_the_authors_line(theatre, tmp_path, body, said):
    """Also where it was raised deep in our code, or in a library."""
    outcome = await theatre.play(written(tmp_path, body))
    assert outcome.reason.startswith(said)
    assert theatre.control.all(StepProblem)[0].reason == outcome.reason


async def test_a_step_that_took_too_long_says_where_it_was(theatre, tmp_path):
    """The line it waited in, not the line of our timer."""
    flow = written(tmp_path, "import anyio; await anyio.sleep_forever()")
    flow.steps[0].spec = msgspec.structs.replace(flow.steps[0].spec, timeout=0.05)
    outcome = await theatre.play(flow)
    assert outcome.reason == "it did not end within 0.05 s; it was at mine.py:5"


async def test_a_post_condition_that_does_not_hold_is_named(theatre, tmp_path):
    """By the line where it is written."""
    flow = written(tmp_path, "pass", "@one.postcondition\nasync def holds(ctx): return False\n")
    outcome = await theatre.play(flow)
    assert "post-condition (mine.py:6) does not hold" in outcome.reason


async def test_prepare_is_told_the_same_way(theatre, tmp_path):
    """It is the author's, too."""
    flow = written(tmp_path, "pass", "@flow.prepare\nasync def begin(ctx): raise KeyError('shop')\n")
    outcome = await theatre.play(flow)
    assert (outcome.step, outcome.reason) == ("prepare", "mine.py:7: KeyError: 'shop'")
    assert theatre.browsers.opened[0].pages[0].paused == 0
    theatre.again()
    await theatre.play(flow, inspect=True)
    assert theatre.browsers.opened[1].pages[0].paused == 1


@pytest.mark.parametrize("verbose", [False, True])
async def test_the_log_shows_the_authors_frames(theatre, tmp_path, capsys, verbose):
    """Ours are left out and counted; --verbose shows them all."""
    flow = written(tmp_path, "await helper(ctx)", "async def helper(ctx):\n    ctx.outputs['x'] = object()\n")
    await theatre.play(flow, verbose=verbose)
    said = capsys.readouterr().out
    assert 'mine.py", line 5, in one' in said and 'mine.py", line 7, in helper' in said
    assert ("workers/record.py" in said) is verbose
    assert ("are left out; run.py --verbose shows them" in said) is not verbose


def test_causes_are_thinned_as_well():
    """Each error of a chain keeps the author's frames; one that has none is told by its cause."""

    def inner():
        msgspec.json.decode(b"{")

    def outer():
        try:
            inner()
        except msgspec.DecodeError as exc:
            raise RuntimeError("cannot read it") from exc

    error = raised(outer)
    text = authors_traceback(error)
    assert "in inner" in text and "cannot read it" in text
    assert place_of(error).startswith("test_author.py:")
    group = ExceptionGroup("several", [error])
    assert place_of(group) == place_of(error)


def test_an_error_that_is_all_ours_is_shown_whole():
    """Nothing would be left of it."""
    error = raised(lambda: exec(compile("1 / 0", str(Path(anyio.__file__)), "exec"), {}))
    while is_authors(error.__traceback__.tb_frame.f_code.co_filename):
        error.__traceback__ = error.__traceback__.tb_next
    assert place_of(error) == ""
    assert authors_traceback(error) == whole_traceback(error)
    assert "anyio" in whole_traceback(error)


def test_whose_file_it_is():
    """Flows and what they import are the author's; our packages, Python's and libraries are not."""
    root = Path(__file__).resolve().parents[3]
    assert is_authors(str(root / "examples" / "demo" / "flow.py"))
    assert is_authors("/home/me/flows/shop.py")
    assert not any(
        map(is_authors, (str(root / "workers/steps/flow.py"), str(root / "run.py"), anyio.__file__, "<string>"))
    )


def test_an_error_in_a_file_that_the_flow_imports_names_both(tmp_path):
    """The line of the import in the flow, and the line where it broke."""
    (tmp_path / "neighbour_of_mine.py").write_text("x = 1\nx / 0\n")
    (tmp_path / "mine.py").write_text("import os\nimport neighbour_of_mine\n")
    with pytest.raises(FlowLoadError) as caught:
        load(str(tmp_path / "mine.py"))
    assert caught.value.line == 2
    assert caught.value.reason == "ZeroDivisionError: division by zero (in neighbour_of_mine.py:2)"


async def test_the_inspector_opens_where_a_step_fails(theatre, tmp_path):
    """At each try that failed, on the page of the step, and before the step of --from."""
    flow = written(tmp_path, "await ctx.locate('pay', 'button', timeout=0.01)")
    flow.steps[0].spec = msgspec.structs.replace(flow.steps[0].spec, retries=1)
    await theatre.play(flow, inspect=True)
    assert [page.paused for page in theatre.browsers.opened[0].pages] == [2]
    theatre.again()
    await theatre.play(flow, inspect=True, from_step="one")
    assert [page.paused for page in theatre.browsers.opened[1].pages] == [3]
    theatre.again()
    await theatre.play(flow)
    assert [page.paused for page in theatre.browsers.opened[2].pages] == [0]


async def test_there_must_be_something_to_inspect(theatre, tmp_path):
    """A flow without a browser is refused before its steps run."""
    flow = written(tmp_path, "raise AssertionError('must not run')")
    flow.browser = False
    outcome = await theatre.play(flow, inspect=True)
    assert "nothing to inspect" in outcome.reason
    assert theatre.control.all(StepProblem) == []
