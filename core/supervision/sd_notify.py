"""What systemd is told, as ``sd_notify(3)`` has it: one datagram to the socket that the environment names.

Of the packages that do this none is kept, and it is a socket and a line of text.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping

log = structlog.get_logger(__name__)

SOCKET = "NOTIFY_SOCKET"
WATCHDOG_USEC = "WATCHDOG_USEC"
WATCHDOG_PID = "WATCHDOG_PID"
VARIABLES = frozenset({SOCKET, WATCHDOG_USEC, WATCHDOG_PID})
"""What is said to this process, and to none that it starts."""
_DIGITS = 18


class ServiceManager:
    """The other end of the socket. Telling it something never raises and never waits.

    Args:
        address: a path, or ``@`` and an abstract name.
    """

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        # Windows has no datagrams of this family, and no systemd either
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        self._failing = False

    def tell(self, *assignments: str) -> None:
        """Send ``NAME=value`` assignments; a failure is logged, the first of several."""
        try:
            self._socket.sendto("\n".join(assignments).encode("utf-8", "replace"), self._address)
        except OSError as exc:
            if not self._failing:
                self._failing = True
                with contextlib.suppress(OSError):  # the log's disk may be full
                    log.warning("service_manager_not_told", reason=exc.strerror, errno=exc.errno)
        else:
            self._failing = False

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()


def service_manager(env: Mapping[str, str]) -> ServiceManager | None:
    """Return who started us and wants to be told; None for nobody, and for a form of address that is not known here."""
    address = env.get(SOCKET, "")
    if not address:
        return None
    if address[0] not in "/@" or not hasattr(socket, "AF_UNIX"):
        log.warning("service_manager_not_known", expected="a path or an abstract name")
        return None
    return ServiceManager(address)


def watchdog(env: Mapping[str, str], pid: int) -> float | None:
    """Return after how many seconds of silence we are taken for dead; None for never, or where another process is meant.

    Args:
        env: of this process.
        pid: of this process.
    """
    usec = env.get(WATCHDOG_USEC, "")
    if not usec.isdecimal() or len(usec) > _DIGITS or int(usec) == 0:
        return None
    return int(usec) / 1e6 if env.get(WATCHDOG_PID, str(pid)) == str(pid) else None
