"""The example of docs/feeds.md is what is said of such a queue."""

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
