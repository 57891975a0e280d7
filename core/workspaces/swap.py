"""Puts a new directory in the place of an old one: whoever looks finds the old one or the new one, whole.

The order: an intent record, durable → the new directory takes the name ``.<target>.incoming`` → it changes places with the
target (one exchange where the kernel can, else two renames) → the old one and the record are removed. A token stands in
the new directory and in the record, so ``recover`` knows after a kill on which side of the exchange it happened, and
rolls forward. What is swapped in reaches the disk before the names change: one ``syncfs``.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import secrets
import sys
from typing import TYPE_CHECKING

import msgspec
import structlog

from core import durable
from core.errors import StateCorrupt, WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOKEN = ".ostler-swap"  # noqa: S105 - a file's name; it tells two directories apart and opens nothing
log = structlog.get_logger(__name__)
_RANDOM, _CHECK = 32, 8
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class _Intent(msgspec.Struct, frozen=True):
    token: str


_DECODER = msgspec.json.Decoder(_Intent)  # made before there are threads: see ``core.sealed``


def exchange(first: Path, second: Path) -> bool:
    """Let two paths change places atomically; whether this system can.

    Raises:
        OSError: it can, but not these two.
    """
    renameat2 = _renameat2()
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    error = ctypes.get_errno()
    # the kernel or the file system does not know the flag
    if error in _CANNOT:
        return False
    raise OSError(error, os.strerror(error), str(first))


def no_exchange(_first: Path, _second: Path) -> bool:
    """Stand in for ``exchange`` where there is none."""
    return False


def replace(
    new: Path, target: Path, remove: Callable[[Path], None], *, exchange: Callable[[Path, Path], bool] = exchange
) -> None:
    """Make ``new`` the target, durably; the former target is removed.

    Args:
        new: on the target's file system; gone afterwards.
        target: may be missing.
        remove: removes a directory tree.
        exchange: as the function above.

    Raises:
        StateCorrupt: the record of an earlier swap is damaged.
        WorkspaceError: the target is still the old one.
    """
    recover(target, remove, exchange=exchange)
    name = _new_token()
    try:
        durable.write_bytes(new / TOKEN, name.encode(), fsync=False)
        sync_file_system(new)
        durable.write_bytes(record(target), msgspec.json.encode(_Intent(name)))
        new.rename(_incoming(target))
        durable.sync_directory(target.parent)
        _finish(target, remove, exchange)
    except OSError as exc:
        raise WorkspaceError(f"{target} could not be replaced: {exc.strerror or exc}") from exc


def recover(target: Path, remove: Callable[[Path], None], *, exchange: Callable[[Path, Path], bool] = exchange) -> bool:
    """Bring a swap that a kill interrupted to its end; whether there was one.

    Where the record is gone or damaged, or the token in the new directory is, what stands in the target's place stays, which is
    whole.

    Raises:
        StateCorrupt: the record is no file.
        WorkspaceError: it could not be finished.
    """
    if not pending(target):
        return False
    name = _recorded(target)
    if not name:
        log.warning("swap_record_damaged", path=str(record(target)), kept=str(target))
    try:
        if name and _token_or_damaged(_incoming(target)) == name:
            _finish(target, remove, exchange)
        else:
            # it had not begun, or it is done; what lies beside the target is not needed any more
            _tidy(target, remove)
    except OSError as exc:
        raise WorkspaceError(f"{target}: an interrupted swap could not be finished: {exc.strerror or exc}") from exc
    return True


def pending(target: Path) -> bool:
    """Whether a swap of this target was begun and not finished; its record may be gone."""
    return any(os.path.lexists(path) for path in (record(target), _incoming(target), _old(target)))


def damage(target: Path) -> list[str]:
    """Return what is wrong with the marks that swaps have left, one sentence each; nothing is changed."""
    wrong = []
    try:
        if pending(target) and not _recorded(target):
            wrong.append(f"{record(target)} is damaged: it names no swap")
    except StateCorrupt as exc:
        wrong.append(str(exc))
    try:
        if target.is_dir():
            token(target)
    except StateCorrupt as exc:
        wrong.append(str(exc))
    return wrong


def sync_file_system(path: Path) -> None:
    """Wait until the disk has everything that was written to the file system of ``path``."""
    syncfs = getattr(_libc(), "syncfs", None) if sys.platform == "linux" else None
    if syncfs is None:
        if hasattr(os, "sync"):
            os.sync()
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if syncfs(descriptor) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(path))
    finally:
        os.close(descriptor)


def _finish(target: Path, remove: Callable[[Path], None], exchange: Callable[[Path, Path], bool]) -> None:
    incoming = _incoming(target)
    old = _old(target)
    if target.exists() and not exchange(incoming, target):
        if old.exists():
            remove(old)
        target.rename(old)
        incoming.rename(target)
    elif not target.exists():
        incoming.rename(target)
    durable.sync_directory(target.parent)
    _tidy(target, remove)


def _tidy(target: Path, remove: Callable[[Path], None]) -> None:
    if not target.exists() and _old(target).exists():
        _old(target).rename(target)
    for path in (_incoming(target), _old(target)):
        if path.exists():
            remove(path)
    record(target).unlink(missing_ok=True)
    durable.sync_directory(target.parent)


def record(target: Path) -> Path:
    """Return where the record of a swap of this target stands while it is under way."""
    return target.with_name(f".{target.name}.intent")


def _incoming(target: Path) -> Path:
    return target.with_name(f".{target.name}.incoming")


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def token(directory: Path) -> str | None:
    """Return what tells this directory from the one before it, None if it was not swapped in.

    Raises:
        StateCorrupt: it is damaged.
    """
    try:
        data = durable.bytes_of(directory / TOKEN)
    except OSError as exc:
        raise StateCorrupt(directory / TOKEN, f"it cannot be read ({exc.strerror or exc})") from exc
    if data is None:
        return None
    text = data.decode("ascii", "replace")
    if not is_token(text):
        raise StateCorrupt(directory / TOKEN, "it is not what a swap writes")
    return text


def is_token(text: str) -> bool:
    """Whether this is a token, whole: its last digits follow from the others."""
    return len(text) == _RANDOM + _CHECK and text[_RANDOM:] == _check(text[:_RANDOM])


def _new_token() -> str:
    name = secrets.token_hex(_RANDOM // 2)
    return name + _check(name)


def _check(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_CHECK]


def _recorded(target: Path) -> str:
    """Return the token of the swap that was begun, empty if its record is damaged.

    Raises:
        StateCorrupt: the record is no file.
    """
    path = record(target)
    try:
        name = _DECODER.decode(durable.bytes_of(path) or b"").token
    except OSError as exc:
        raise StateCorrupt(path, f"it cannot be read ({exc.strerror or exc})") from exc
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        name = ""
    return name if is_token(name) else ""


def _token_or_damaged(directory: Path) -> str:
    try:
        return token(directory) or ""
    except StateCorrupt as exc:
        log.warning("swap_token_damaged", path=str(exc.path))
        return ""


_CANNOT = frozenset({22, 38, 95})  # EINVAL, ENOSYS, EOPNOTSUPP of Linux


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    function = getattr(_libc(), "renameat2", None)
    if function is None:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    function.restype = ctypes.c_int
    return function  # type: ignore[no-any-return]
