"""What a run says while it is under way: to its orchestrator, and to its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.domain.messages import Note, Phase

if TYPE_CHECKING:
    from core.domain.messages import Up
    from workers.port import Control
    from workers.record import Secrets
    from workers.steps.network import NetworkAccount


class Reporter:
    """Says things, masked.

    Attributes:
        phase: the stage of the pipeline, or the step, under way.
        log: structlog, with profile and attempt bound.
        secrets: what nothing may show.
    """

    def __init__(self, control: Control, secrets: Secrets, log: Any) -> None:
        self._control = control
        self.secrets = secrets
        self.log = log
        self.phase = "start"

    def enter(self, phase: str, limit: float = 30.0) -> None:
        """Begin a stage of the pipeline; ``limit`` seconds without progress are too long."""
        self.phase = phase
        self._control.send(Phase(name=phase, limit=limit))
        self.log.info("phase_started", phase=phase)

    def note(self, name: str, **data: Any) -> None:
        """Say something worth an event."""
        masked = {key: self.secrets.mask(value) if isinstance(value, str) else value for key, value in data.items()}
        self._control.send(Note(name=name, data=masked))
        self.log.info(name, **masked)

    def say_network(self, account: NetworkAccount) -> None:
        """Say what the browsers asked of the network, if anything."""
        used = account.summary(self.secrets.mask)
        if used.requests:
            self._control.send(used)
            self.log.info(
                "network_used",
                requests=used.requests,
                failures=used.failures,
                received=used.received,
                sent=used.sent,
                proxy=used.proxy,
                hosts=[host.host for host in used.hosts],
            )

    def send(self, message: Up) -> None:
        """Send any other message."""
        self._control.send(message)
