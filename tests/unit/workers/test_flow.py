"""What a flow's author may write, what is refused, and where the refusal points."""

from __future__ import annotations

import sys

import msgspec
import pytest

from core.domain.session import StepSpec
from core.errors import FlowLoadError, NeedsPerson
from workers.steps import Flow, needs_person
from workers.steps.load import describe, load


def write(folder, text, name="shop.py"):
    """Write a flow file and return its path."""
    path = folder / name
    path.write_text(text)
    return str(path)


GOOD = """
import msgspec
from workers.steps import Flow
class Params(msgspec.Struct):
    amount: int
    colour: str = "red"
flow = Flow(params=Params)
@flow.step
async def one(ctx): ...
@flow.step(flag="second", requires="one", timeout=5, retries=2, commit="storage")
async def two(ctx): ...
@flow.step(always=True)
async def three(ctx): ...
"""


def test_steps_as_data(tmp_path):
    """A loaded flow is named after its file and describes its steps with their defaults."""
    flow = load(write(tmp_path, GOOD))
    assert flow.name == "shop"
    assert flow.specs == (
        StepSpec(name="one", flag="one"),
        StepSpec(name="two", flag="second", requires=("one",), timeout=5.0, retries=2, commit="storage"),
        StepSpec(name="three"),
    )


def test_description_names_the_field_of_each_bad_parameter(tmp_path):
    """Every set of parameters is checked, strictly; a problem says which set, which field, what was expected."""
    found = describe(load(write(tmp_path, GOOD)), [{"amount": 1}, {"amount": "1"}, {}, {"amount": 1, "color": "red"}])
    assert [(problem.index, problem.field) for problem in found.problems] == [(1, "amount"), (2, ""), (3, "color")]
    assert "takes amount, colour" in found.problems[2].message
    assert found.params_schema is not None
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found


def test_command_line_text_becomes_what_the_flow_declares(tmp_path):
    """Text from a command line is converted; a flow without parameters takes none."""
    flow = load(write(tmp_path, GOOD))
    assert flow.convert({"amount": "5"}, strict=False).amount == 5
    with pytest.raises(ValueError, match="takes no parameters"):
        Flow().convert({"x": 1}, strict=False)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("from workers.steps import Flow\nflow = Flow(\n", 2, "never closed"),
        ("import does_not_exist", 1, "does_not_exist"),
        ("x = 1", None, "no Flow"),
        ("from workers.steps import Flow\nflow = Flow()", None, "no steps"),
        ("from workers.steps import Flow\na = Flow()\nb = Flow()", None, "several flows (a, b)"),
        ("from workers.steps import Flow\nflow = Flow()\n@flow.step\ndef one(ctx): ...", 3, "async def"),
        (
            "from workers.steps import Flow\nf = Flow()\n@f.step\nasync def a(c): ...\n@f.step(name='a')\nasync def b(c): ...",
            5,
            "two steps",
        ),
        (
            "from workers.steps import Flow\nf = Flow()\n@f.step(requires='b')\nasync def a(c): ...\n@f.step\nasync def b(c): ...",
            3,
            "no step before",
        ),
        ("from workers.steps import Flow\nf = Flow()\n@f.step(timeout=0)\nasync def a(c): ...", 3, "timeout"),
        ("from workers.steps import Flow\nf = Flow(commit='all')", 2, "cookies, storage, snapshot"),
        (
            "from workers.steps import Flow\nf = Flow()\n@f.step(always=True, flag='x')\nasync def a(c): ...",
            3,
            "no flag",
        ),
        ("raise SystemExit(3)", 1, "SystemExit"),
    ],
)
def test_mistakes_point_into_the_authors_file(tmp_path, text, line, reason):
    """A flow that cannot be used says why, and on which line of the author's file."""
    path = write(tmp_path, text)
    with pytest.raises(FlowLoadError) as caught:
        load(path)
    assert caught.value.line == line
    assert reason in caught.value.reason
    assert str(caught.value).startswith(path)


def test_several_flows_and_one_named_flow(tmp_path):
    """Of several the one named ``flow`` is meant; the same flow under two names is one."""
    path = write(tmp_path, GOOD + "\nother = Flow('other')\n")
    assert load(path).name == "shop"
    assert load(write(tmp_path, GOOD + "\nagain = flow\n", "again.py")).name == "again"


def test_neighbours_are_importable_and_nothing_is_left_behind(tmp_path):
    """A flow imports its neighbours; its folder is not left on the path, nor its own name among modules."""
    write(tmp_path, "VALUE = 1", "neighbour_of_a_flow.py")
    load(write(tmp_path, "from neighbour_of_a_flow import VALUE\n" + GOOD, "json.py"))
    assert str(tmp_path) not in sys.path
    assert not hasattr(sys.modules["json"], "flow")


@pytest.mark.parametrize("name", ["core", "workers"])
def test_folder_with_a_package_of_our_name_is_refused(tmp_path, name):
    """A folder that would hide Ostler's own packages is refused before anything of it is imported."""
    (tmp_path / name).mkdir()
    with pytest.raises(FlowLoadError, match=f"'{name}' of its own"):
        load(write(tmp_path, "raise AssertionError('imported')"))


def test_missing_file(tmp_path):
    """A path that leads nowhere says so."""
    with pytest.raises(FlowLoadError, match="no such file"):
        load(str(tmp_path / "gone.py"))


def test_needs_person_raises():
    """It never returns."""
    with pytest.raises(NeedsPerson):
        needs_person("look")
