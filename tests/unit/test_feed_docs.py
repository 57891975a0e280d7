"""The examples of docs/feeds.md and docs/schedule.md are what is said of such queues."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from core.errors import BadInput
from core.queue.feed import FeedDefaults, read_feed

DOCS = Path(__file__).resolve().parents[2] / "docs" / "feeds.md"


def test_the_wrong_queue_of_the_docs_is_refused_as_they_say(tmp_path: Path) -> None:
    """Line by line."""
    text = DOCS.read_text("utf-8").partition("<!-- wrong queue -->")[2].partition("<!-- end of wrong queue -->")[0]
    queue, said = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    (tmp_path / "queue.json").write_text(queue, "utf-8")
    (tmp_path / "hello.py").touch()
    with pytest.raises(BadInput) as caught:
        read_feed("queue.json", stdin=io.BytesIO(), cwd=tmp_path, defaults=FeedDefaults(flag_flow="hello.py"))
    assert f"{caught.value}\n" == said


def test_the_scheduled_queue_of_the_docs_is_a_queue(tmp_path: Path) -> None:
    """With all that the page explains."""
    text = DOCS.with_name("schedule.md").read_text("utf-8").partition("<!-- scheduled queue -->")[2]
    (tmp_path / "queue.json").write_text(re.findall(r"```\n(.*?)```", text, re.DOTALL)[0], "utf-8")
    (tmp_path / "hello.py").touch()
    feed = read_feed("queue.json", stdin=io.BytesIO(), cwd=tmp_path, defaults=FeedDefaults(flag_flow="hello.py"))
    jobs = {spec.id: spec for spec in feed}
    assert (jobs["report"].after, jobs["watcher"].every, jobs["anna"].priority) == (("anna", "bert"), 900.0, 5)
    assert jobs["bert"].not_before is not None
