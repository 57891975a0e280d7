"""What tests of several parts talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server import QueueServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stands between a test and its server."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(no_proxy: None) -> Iterator[QueueServer]:
    """A server of queues, which also remembers what it is sent."""
    one = QueueServer()
    yield one
    one.close()
