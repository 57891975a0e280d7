"""The documentation says what the code does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from core.domain.outcome import PRECEDENCE, ExitCode

CHECKOUT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("generate", Path(__file__).parent / "generate.py")
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


@pytest.fixture(scope="module")
def readme() -> str:
    """The README's text."""
    return (CHECKOUT / "README.md").read_text("utf-8")


def test_the_state_diagram_is_the_table(readme):
    """Between the markers stands what `make docs` makes of the job's table."""
    assert generate.with_diagram(readme) == readme, "type `make docs`"


def test_the_event_table_is_the_catalogue():
    """Each kind of event, its sentence, its fields, and what a launch panel makes of it."""
    page = generate.EVENTS.read_text("utf-8")
    assert generate.with_events(page) == page, "type `make docs`"
    assert generate.with_events(page.replace("`run` integer", "`run` text", 1)) == page


def test_the_tables_of_failures_are_those_of_the_code():
    """Every code with its words, and what follows from it."""
    page = generate.FAILURES.read_text("utf-8")
    assert generate.with_failures(page) == page, "type `make docs`"
    assert generate.with_failures(page.replace("| `site_down` |", "| `site_up` |")) == page


def test_the_tables_of_a_launch_configuration_are_those_of_the_code():
    """Every field with its range, unit and default, and every code of an issue."""
    page = generate.LAUNCH_PAGE.read_text("utf-8")
    assert generate.with_launch(page) == page, "type `make docs`"
    assert generate.with_launch(page.replace("| 1 to 20 | jobs |", "| 1 to 30 | jobs |")) == page


@pytest.mark.parametrize("name", sorted(generate.SCHEMAS))
def test_published_schemas_are_those_of_the_code(name):
    """What `--json` prints is what docs/schemas says."""
    assert generate.schema_file(name).read_text("utf-8") == generate.schema(name), "type `make docs`"


def test_the_published_schema_of_queue_files_is_that_of_the_reader():
    """What `ostler queue schema` prints."""
    assert generate.FEED_SCHEMA.read_text("utf-8") == generate.feed_schema_text(), "type `make docs`"


def test_a_changed_table_would_be_noticed(readme):
    """The comparison can fail."""
    assert generate.with_diagram(readme.replace("queued --> prepared", "queued --> done", 1)) == readme
    assert readme.replace("queued --> prepared", "queued --> done", 1) != readme


def test_exit_codes_stand_in_the_order_of_precedence(readme):
    """One row for each code, the strongest first."""
    rows = [int(code) for code in re.findall(r"^\| (\d) \|", readme, re.MULTILINE)]
    assert rows == [int(code) for code in PRECEDENCE]
    assert set(rows) == {int(code) for code in ExitCode}


def test_the_map_shows_only_what_is_there(readme):
    """Every path in the picture of the house exists."""
    house = readme.partition("<!-- map -->")[2].partition("<!-- end of map -->")[0]
    paths = re.findall(r"^(\S+) ", house.replace("```", ""), re.MULTILINE)
    assert len(paths) > 10
    assert [path for path in paths if not (CHECKOUT / path).exists()] == []


def test_make_targets_that_are_named_exist(readme):
    """`make something` in the README is something."""
    makefile = (CHECKOUT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z-]+)", " ".join(re.findall(r"`[^`]+`|```[^`]+```", readme)))) <= targets
