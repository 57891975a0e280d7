"""The kernel's counters of those it killed for want of memory, and who is taken for one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from core.process import oom
from core.process.oom import OomWatch, oom_kills

if TYPE_CHECKING:
    from pathlib import Path


def place(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


V2 = "low 0\noom 9\noom_kill {}\noom_group_kill 0\n"
V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "groups/a/b/memory.events": V2.format(3)}, 3),
        ({"proc/self/cgroup": "0::/gone\n", "groups/memory.events": V2.format(4)}, 4),
        (
            {
                "proc/self/cgroup": "5:cpu,memory:/x\n1:name=systemd:/\n0::/\n",
                "groups/memory/x/memory.oom_control": V1.format(7),
                "proc/vmstat": "oom_kill 99\n",
            },
            7,
        ),
        ({"proc/self/cgroup": "4:memory:/x\n", "groups/memory/memory.oom_control": V1.format(8)}, 8),
        ({"proc/self/cgroup": "0::/\n", "proc/vmstat": "nr_free_pages 1\noom_kill 2\n"}, 2),
        ({"proc/vmstat": "oom_kill 5\n"}, 5),
        ({"proc/self/cgroup": "0::/\n", "groups/memory.events": "oom 1\n"}, None),
        ({"proc/vmstat": "oom_kill many\n"}, None),
        ({}, None),
    ],
)
def test_the_closest_counter_is_read(tmp_path, files, expected):
    """Our own group's, of either hierarchy, also where a container shows it at the root; else the host's; else none."""
    place(tmp_path, files)
    assert oom_kills(tmp_path / "proc", tmp_path / "groups") == expected


def test_each_kill_is_one_workers(monkeypatch):
    """A worker is taken for starved once per kill, and never for what was before its time."""
    counts = iter([5, 5, 6, 6, 8, 8, 8])
    monkeypatch.setattr(oom, "oom_kills", lambda: next(counts))
    watch = OomWatch()
    first = watch.now()
    assert not watch.took(first)
    assert watch.took(first)
    assert not watch.took(first)
    assert [watch.took(first) for _ in range(3)] == [True, True, False]


def test_where_nothing_is_known_nobody_was_starved(monkeypatch):
    """Without a counter a killed worker is a killed worker."""
    monkeypatch.setattr(oom, "oom_kills", lambda: None)
    assert not OomWatch().took(OomWatch().now())
