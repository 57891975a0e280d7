"""Wires a browser provider from a worker's settings; Playwright is loaded only when a flow needs a browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.browser.port import BrowserProvider
    from core.domain.messages import WorkerSettings


def open_provider(settings: WorkerSettings, environ: Mapping[str, str] | None = None) -> BrowserProvider:
    """Return the provider for a worker's settings.

    Args:
        settings: the worker's.
        environ: the environment; None for this process's own.
    """
    from workers.browser.chromium import ChromiumProvider, ChromiumSettings  # noqa: PLC0415 - costs 0.3 s

    return ChromiumProvider(
        ChromiumSettings(
            state_dir=Path(settings.state_dir),
            environ=dict(os.environ if environ is None else environ),
            browser=settings.browser,
            sandbox=settings.sandbox,
            launch_timeout=settings.launch_timeout,
        )
    )
