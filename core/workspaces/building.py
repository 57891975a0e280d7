"""Builds a clone under a hidden name, and gives it its own name when it is whole; or fills one that exists anew."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from core import durable
from core.domain.lifecycle import WorkspaceEvent
from core.errors import TemplateMissing, WorkspaceCorrupt
from core.workspaces import clone, filling, marker, removal, swap, verify
from core.workspaces.errors import BaseProfileUnreadable, CopyStopped
from core.workspaces.marker import Marker
from core.workspaces.places import NEW, USER_DATA
from core.workspaces.port import Receipt

RECEIPT = ".ostler-receipt.json"
_INCOMING = "incoming"
_MEMINFO = Path("/proc/meminfo")
_LEAST_MEMORY = 128 * 1024 * 1024
_LOOK_EVERY = 16 * 1024 * 1024


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a clone is made of.

    Attributes:
        base: what is copied; None for a clone that starts empty.
        limit: the most bytes that it may have.
        timeout: seconds that copying may take.
        is_over: says that nobody wants it any more.
    """

    base: Path | None
    limit: int
    timeout: float
    is_over: Callable[[], bool]


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """A clone that is whole.

    Attributes:
        marker: as it stands in it.
        receipt: also in it, as ``.ostler-receipt.json``.
        digests: of the files that matter most, as they are in the clone.
    """

    marker: Marker
    receipt: Receipt
    digests: dict[str, str]


def build(workspace: Path, made: Marker, order: Order) -> Built:
    """Make a clone's directory: it is there when it is whole and verified, or not at all.

    Raises:
        TemplateMissing, TemplateLive, BaseProfileUnreadable, TooLarge: the base profile cannot be copied, wherever to.
        WorkspaceCorrupt: the copy is not what the base profile is.
        NoSpace, DurableWriteFailed, WorkspaceError, OSError: it cannot be written here.
        CopyStopped: it took too long, memory ran out, or nobody wants it any more.
    """
    hidden = workspace.with_name(f"{NEW}{workspace.name}")
    hidden.mkdir(mode=0o700)
    try:
        marker.write(hidden, made)
        receipt, digests = _fill(hidden / USER_DATA, order)
        made = msgspec.structs.replace(made.after(WorkspaceEvent.CLONED), browser=receipt.browser)
        durable.write_bytes(hidden / RECEIPT, msgspec.json.encode(receipt), fsync=False)
        marker.write(hidden, made)
        hidden.rename(workspace)
    except BaseException:
        removal.workspace(hidden, workspace.parent)
        raise
    return Built(marker=made, receipt=receipt, digests=digests)


def discard(workspace: Path) -> None:
    """Remove a clone's directory, whole, half made or half removed; one that is gone already is fine."""
    removal.workspace(workspace.with_name(f"{NEW}{workspace.name}"), workspace.parent)
    removal.workspace(workspace, workspace.parent)


def refill(workspace: Path, order: Order) -> tuple[Receipt, dict[str, str]]:
    """Replace the browser data of a clone by a new copy of the base profile; if that fails it is as it was.

    Raises:
        as ``build``.
    """
    incoming = workspace / _INCOMING
    removal.tree(incoming, workspace.parent)
    try:
        receipt, digests = _fill(incoming, order)
        durable.write_bytes(workspace / RECEIPT, msgspec.json.encode(receipt), fsync=False)
        data = workspace / USER_DATA
        if not swap.exchange(incoming, data):
            data.rename(workspace / "old")
            incoming.rename(data)
            (workspace / "old").rename(incoming)
    finally:
        removal.tree(incoming, workspace.parent)
    return receipt, digests


def _fill(data: Path, order: Order) -> tuple[Receipt, dict[str, str]]:
    base = order.base
    if base is None:
        data.mkdir(mode=0o700)
        return Receipt(source="empty"), {}
    if not base.exists():
        raise TemplateMissing(base)
    if not os.access(base, os.R_OK | os.X_OK):
        raise BaseProfileUnreadable(base)
    if not filling.is_user_data_dir(base):
        raise WorkspaceCorrupt(base, ["it is not a browser's user-data-dir (that holds Local State and Default)"])
    filling.refuse_live(base)
    before = _most_memory()
    receipt = filling.fill(data, base, kind="template", limit=order.limit, watch=_watch(data, order))
    _refuse(base, _torn(base, data, receipt))
    clone.forget_crash(data)
    _refuse(base, verify.findings(data))
    return msgspec.structs.replace(receipt, memory=_most_memory() - before), verify.digests(data)


def _torn(base: Path, data: Path, receipt: Receipt) -> list[str]:
    if clone.listing_hash(base, service_workers=False) != receipt.template_hash:
        return ["it was written to while it was copied"]
    return verify.differences(verify.digests(base), data)


def _refuse(base: Path, findings: list[str]) -> None:
    if findings:
        raise WorkspaceCorrupt(base, findings)


def _watch(data: Path, order: Order) -> Callable[[int], None]:
    end = time.monotonic() + order.timeout
    looked = 0

    def watch(copied: int) -> None:
        nonlocal looked
        if order.is_over():
            raise CopyStopped("the manager was closed meanwhile", errno.ECANCELED)
        if time.monotonic() > end:
            raise CopyStopped(f"copying was not done within {order.timeout:g} s (clone_timeout)", errno.ETIMEDOUT)
        if copied - looked >= _LOOK_EVERY:
            looked = copied
            free = _free_memory()
            # where the target is a file system in memory, a copy uses it up
            if free is not None and free < _LEAST_MEMORY:
                raise CopyStopped(f"{free} bytes of memory are left while {data} is written", errno.ENOMEM)

    return watch


def _free_memory() -> int | None:
    """Return the bytes that programs may still get, None where nobody says so."""
    try:
        lines = _MEMINFO.read_text("ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _most_memory() -> int:
    """Return the most bytes that this process has had in memory so far; 0 where nobody counts."""
    try:
        import resource  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
