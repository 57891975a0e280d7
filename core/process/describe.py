"""Asks a flow what it is, in a short-lived process: user code is imported in workers only.

``run.py --describe FLOW`` reads one JSON object of parameters a line and prints a ``FlowDescription``. Good answers are kept
in ``state/.flow_cache.json`` by the hash of the flow's folder and the parameters, so that a second run asks nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from core import durable
from core.domain.messages import FlowDescription
from core.errors import DurableWriteFailed, FlowLoadError, HostFailed
from core.process.answer import ask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = structlog.get_logger(__name__)

MAX_SOURCES = 500
MAX_CACHED = 200


class _Cache(msgspec.Struct):
    """Hash of flow, its folder's sources and parameter sets → the description, which had no problems."""

    good: dict[str, FlowDescription] = {}


class FlowInspector:
    """Describes flows and checks parameters against them.

    Args:
        run_py: our shell.
        cache: where good answers are kept; None to ask each time.
        timeout: seconds that loading a flow may take.
        env: the environment of the process that loads it.
    """

    def __init__(self, run_py: Path, cache: Path | None, *, timeout: float, env: Mapping[str, str]) -> None:
        self._run_py = run_py
        self._cache = cache
        self._timeout = timeout
        self._env = dict(env)

    def describe(self, flow: Path, params: Sequence[dict[str, Any]]) -> FlowDescription:
        """Return what the flow says of itself and of these parameter sets (``problems``).

        Raises:
            FlowLoadError: it cannot be loaded, or takes longer than the time limit.
            HostFailed: the host could not do it.
        """
        lines = b"".join(msgspec.json.encode(one) + b"\n" for one in params)
        if self._cache is None:
            return self._ask(flow, lines)
        key = _key(flow, lines)
        cache = _read(self._cache)
        if key in cache.good:
            return cache.good[key]
        description = self._ask(flow, lines)
        if not description.problems:
            _keep(self._cache, cache, key, description)
        return description

    def _ask(self, flow: Path, lines: bytes) -> FlowDescription:
        command = [sys.executable, str(self._run_py), "--describe", str(flow)]
        try:
            code, answer, said = ask(command, lines, nonce=secrets.token_hex(16), timeout=self._timeout, env=self._env)
        except TimeoutError:
            raise FlowLoadError(str(flow), f"loading it took longer than {self._timeout:g} s") from None
        if code < 0:
            raise HostFailed(f"the process that loaded {flow} was ended by signal {-code}")
        if code != 0:
            words = said.decode("utf-8", "replace").strip().splitlines()
            raise _load_error(flow, words[-1] if words else f"describing it ended with {code}")
        try:
            return msgspec.json.decode(answer, type=FlowDescription)
        except (msgspec.ValidationError, msgspec.DecodeError) as exc:
            raise FlowLoadError(str(flow), f"its description cannot be read: {exc}") from exc


def _read(path: Path) -> _Cache:
    try:
        return msgspec.json.decode(durable.bytes_of(path) or b"", type=_Cache)
    except (OSError, msgspec.ValidationError, msgspec.DecodeError):
        return _Cache()  # it is only a cache


def _keep(path: Path, cache: _Cache, key: str, description: FlowDescription) -> None:
    good = {**cache.good, key: description}
    kept = dict(list(good.items())[-MAX_CACHED:])
    try:
        durable.write_bytes(path, msgspec.json.encode(_Cache(good=kept)), fsync=False)
    except DurableWriteFailed as exc:
        log.warning("flow_cache_not_written", reason=str(exc))  # it is only a cache


def _load_error(flow: Path, said: str) -> FlowLoadError:
    """Turn ``path:line: reason`` into its parts; the path may be of a file that the flow imports."""
    found = re.fullmatch(r"(?P<path>.+?):(?:(?P<line>\d+):)? (?P<reason>.+)", said)
    if found is None or not Path(found["path"]).is_absolute():
        return FlowLoadError(str(flow), said)
    return FlowLoadError(found["path"], found["reason"], int(found["line"]) if found["line"] else None)


def _key(flow: Path, lines: bytes) -> str:
    """Hash what the answer depends on: the flow, the Python files beside it, and the parameters."""
    digest = hashlib.sha256(str(flow).encode() + b"\0" + lines)
    sources = sorted(path for path in flow.parent.glob("*.py") if path != flow)[:MAX_SOURCES]
    for source in [flow, *sources]:
        try:
            digest.update(durable.bytes_of(source) or b"")
        except OSError as exc:
            digest.update(repr(exc.errno).encode())
        digest.update(b"\0")
    return digest.hexdigest()
