"""Playwright's trace of a browser: everything it showed and was told. It cannot be cleaned, so it is off by default."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from core.domain.messages import Kept, Trace
from core.errors import NeedsPerson, OstlerError
from workers.failure import reason_of
from workers.port import Artifacts, AttemptKey, Control
from workers.record import Record

if TYPE_CHECKING:
    from pathlib import Path


LIMIT = 5.0
"""Seconds that starting or saving may take."""
NAME = "SENSITIVE-trace.zip"


@dataclass(kw_only=True)
class Tracer:
    """Traces the browsers of an attempt, one file each.

    Attributes:
        when: ``off``, ``on-failure`` or ``always``.
        key: whose file it is.
        artifacts: where it is kept.
        control: who is told.
        record: knows what is secret.
        log: structlog, with profile and attempt bound.
    """

    when: Trace
    key: AttemptKey
    artifacts: Artifacts
    control: Control
    record: Record
    log: Any
    _running: bool = False

    async def start(self, context: Any) -> None:
        """Trace this Playwright context from now on."""
        self._running = False
        if self.when == "off":
            return
        with anyio.move_on_after(LIMIT):
            try:
                await context.tracing.start(screenshots=True, snapshots=True, sources=False)
                self._running = True
            except Exception as exc:  # noqa: BLE001 - no trace is no reason not to run
                self._say_no("trace_not_started", exc)
            return
        self._say_no("trace_not_started", TimeoutError(f"no answer in {LIMIT:g} s"))

    async def stop(self, context: Any, failed: Exception | None, *, step: str, temp_dir: Path) -> None:
        """Keep the trace, if it is wanted; where the browser is frozen or gone there is none.

        Args:
            context: that of ``start``.
            failed: what ended the use of the browser.
            step: where that was.
            temp_dir: of the workspace; the driver writes there first.
        """
        if not self._running:
            return
        self._running = False
        if self.when == "on-failure" and (failed is None or isinstance(failed, NeedsPerson)):
            # closing the browser throws it away
            return
        file = temp_dir / NAME
        try:
            with anyio.fail_after(LIMIT):
                await context.tracing.stop(path=file)
            kept = await anyio.to_thread.run_sync(partial(self.artifacts.take_in, self.key, NAME, file))
        except Exception as exc:  # noqa: BLE001 - the attempt ends as it would without a trace
            self._say_no("trace_not_kept", exc)
            return
        self.control.send(Kept(step=step, why="trace", files=(kept,), sensitive=True))
        self.log.info("trace_kept", file=kept, sensitive=True)

    def _say_no(self, event: str, error: Exception) -> None:
        reason = (
            reason_of(error, self.record.mask)
            if isinstance(error, (OstlerError, TimeoutError))
            else type(error).__name__
        )
        self.log.warning(event, reason=reason)
