"""What is due to go, by age and by size, and how the limits are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.domain.retention import DAY, Item, Retention, due
from core.errors import BadInput
from core.settings import load

NOW = 1_000 * DAY


def item(name: str, *, age: float, size: int = 1) -> Item:
    return Item(path=name, owner="", bytes=size, changed=NOW - age * DAY)


def names(items) -> list[str]:
    return [found.path for found in items]


def test_only_what_is_older_than_the_limit_goes():
    """What is just as old as the limit stays; the oldest go first."""
    items = [item("young", age=9.9), item("limit", age=10), item("old", age=10.1), item("older", age=99)]
    assert names(due(items, days=10.0, now=NOW)) == ["older", "old"]


def test_never_keeps_everything():
    """Without limits nothing goes, however old and large."""
    assert due([item("old", age=999, size=10**15)], days="never", now=NOW) == []


def test_beyond_the_size_the_oldest_go_until_the_rest_fits():
    """Not more than is needed."""
    items = [item("c", age=1, size=40), item("b", age=2, size=40), item("a", age=3, size=40)]
    assert names(due(items, days="never", most=80.0, now=NOW)) == ["a"]
    assert names(due(items, days="never", most=79.0, now=NOW)) == ["a", "b"]


def test_what_goes_for_its_age_counts_no_more_for_the_size():
    """The size is that of what stays."""
    items = [item("old", age=50, size=100), item("young", age=1, size=50)]
    assert names(due(items, days=10.0, most=60.0, now=NOW)) == ["old"]


def test_the_file_sets_limits_and_the_environment_is_stronger(tmp_path):
    """``[retention]`` is read by name; what is not given keeps its default."""
    (tmp_path / "o.toml").write_text('[retention]\nlogs_days = 3\nevents_days = 5\ndownloads_days = "never"\n', "utf-8")
    env = {"OSTLER_CONFIG": "o.toml", "OSTLER_RETENTION_EVENTS_DAYS": "7"}
    assert load({}, env, cwd=tmp_path).retention == Retention(logs_days=3.0, events_days=7.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[retention]\nlog_days = 3",
            'expected a known setting, found "retention.log_days" (did you mean "retention.logs_days"?)',
        ),
        (
            "[retention]\nlogs_days = -1",
            'retention.logs_days: expected a number of days or "never", at least 0, found -1',
        ),
        ("[retention]\nlogs_bytes = true", 'retention.logs_bytes: expected a number of bytes or "never", found true'),
        ("[retention]\nlogs_days = inf", "retention.logs_days: expected a number of days"),
        ("[retention]\nlogs_days = 'often'", "retention.logs_days: expected a number of days"),
        ("retention = 3", "retention: expected a table with logs_days"),
    ],
)
def test_a_wrong_limit_is_named(tmp_path, text, said):
    """Every mistake is one clear line."""
    (tmp_path / "o.toml").write_text(text, "utf-8")
    with pytest.raises(BadInput) as caught:
        load({}, {"OSTLER_CONFIG": "o.toml"}, cwd=Path(tmp_path))
    assert said in str(caught.value)
