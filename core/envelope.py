"""A value in a file that can prove that it is whole.

An ``EnvelopeFile`` adds to a durable write a checksum, a generation, the number of the holder that wrote it, and one
previous generation beside it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from core.durable import (
    KERNEL_LOCKS,
    bytes_of,
    ensure_directory,
    is_unreadable,
    link,
    sync_directory,
    take_turn,
    temporary,
    temporary_name,
    write_bytes,
    write_failed,
)
from core.errors import DurableWriteFailed, Fenced, NewerSchema, StateCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


class Envelope(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What an ``EnvelopeFile`` holds.

    Attributes:
        value: the payload.
        generation: 1 for the first write, and never the same twice.
        fence: number of the holder that wrote it.
        recovered: the newest version is damaged or missing; this is the one before.
    """

    value: T
    generation: int
    fence: int
    recovered: bool = False


class _Head(msgspec.Struct):
    schema: int


class _OnDisk(msgspec.Struct):
    schema: int
    generation: int
    fence: int
    sha256: str
    payload: msgspec.Raw


_HEAD = msgspec.json.Decoder(_Head)  # made before there are threads: see ``core.sealed``
_ON_DISK = msgspec.json.Decoder(_OnDisk)


class _Damaged(Exception):
    """These bytes are not an envelope of ours."""


class EnvelopeFile(Generic[T]):
    """One value in one file, ``{schema, generation, fence, sha256, payload}``, and ``<name>.prev``, the version before it.

    ``sha256`` covers schema, generation, fence and the payload's bytes as they stand in the file. Readers need no lock.
    Writers take turns by a kernel lock on the current file, so that the fence that was checked is the one replaced.
    """

    def __init__(
        self, path: Path, kind: Any, *, schema: int = 1, check: Callable[[T], str] = lambda _value: ""
    ) -> None:
        """Name the file.

        Args:
            path: the file; its directory is created by the first write.
            kind: type of the payload, a ``T``, as msgspec understands it.
            schema: version of the payload's form that this program writes.
            check: says what is wrong with a payload that is whole, as another's in this one's place; empty if nothing is.
        """
        self._path = path
        self._previous = path.with_name(path.name + ".prev")
        self._schema = schema
        self._check = check
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)

    def read(self) -> Envelope[T] | None:
        """Return what is stored, None if nothing is. Damaged bytes are copied to ``<name>.corrupt-<n>``.

        Raises:
            StateCorrupt: both generations are damaged or unreadable, or the payload is whole and yet no ``T`` or not this one's,
                or the previous generation is the newer one.
            NewerSchema: the file says so, whole or not: if in doubt, it is not ours to judge.
        """
        try:
            return self._read()
        except OSError as exc:
            if not is_unreadable(exc):
                raise
            raise StateCorrupt(self._path, f"it cannot be read ({exc.strerror})") from exc

    def _read(self) -> Envelope[T] | None:
        current = bytes_of(self._path)
        reason = "missing"
        if current is not None:
            try:
                return self._expect_newest(self._parse(self._path, current))
            except _Damaged as exc:
                reason = str(exc)
                # The damaged file stays where it is, too, so a full disk must not keep anybody from the good version.
                with contextlib.suppress(DurableWriteFailed):
                    self._keep_aside(self._path, current)
        previous = bytes_of(self._previous)
        if previous is None:
            if current is None:
                return None
            raise StateCorrupt(self._path, f"{reason}; there is no previous generation")
        try:
            found = self._parse(self._previous, previous)
        except _Damaged as exc:
            with contextlib.suppress(DurableWriteFailed):
                self._keep_aside(self._previous, previous)
            raise StateCorrupt(self._path, f"{reason}; previous generation: {exc}") from None
        if current is None and self._path.exists():  # the first two writes fell between our two looks
            return self._read()
        return msgspec.structs.replace(found, recovered=True)

    def write(self, value: T, *, fence: int) -> int:
        """Make ``value`` durable; return its generation.

        Raises:
            Fenced: a newer holder has written; nothing changed.
            StateCorrupt, NewerSchema: what is there must not be replaced; nothing changed.
            DurableWriteFailed: the old version is intact.
            TypeError: ``value`` holds something that JSON has no form for; nothing changed.
        """
        payload = msgspec.json.encode(value, order="deterministic")
        ensure_directory(self._path.parent)
        while True:
            try:
                turn = take_turn(self._path)
                try:
                    return self._replace(payload, fence, is_first=KERNEL_LOCKS and turn is None)
                finally:
                    _close(turn)
            except FileExistsError:  # two first writers, and the other was faster: now there is something to check
                continue
            except OSError as exc:
                raise write_failed(self._path, exc) from exc

    def delete(self) -> bool:
        """Remove both generations; whether there was one. Bytes that were kept aside stay.

        Raises:
            DurableWriteFailed: it could not be removed.
        """
        if not self._path.parent.is_dir():
            return False
        found = False
        try:
            turn = take_turn(self._path)
            try:
                # the previous one first: a kill in between must not bring an older version back
                for path in (self._previous, self._path):
                    with contextlib.suppress(FileNotFoundError):
                        path.unlink()
                        found = True
                    sync_directory(path.parent)
            finally:
                _close(turn)
        except OSError as exc:
            raise write_failed(self._path, exc) from exc
        return found

    def _replace(self, payload: bytes, fence: int, *, is_first: bool) -> int:
        stored = self.read()
        current = bytes_of(self._path)
        if current is not None and (is_first or stored is None):
            raise FileExistsError(errno.EEXIST, "another first writer was faster", str(self._path))
        generation = 1
        if stored is not None:
            if fence < stored.fence:
                raise Fenced(str(self._path), ours=fence, newer=stored.fence)
            # the lost version had the next number; nobody may meet it again with another content
            generation = stored.generation + (2 if stored.recovered else 1)
        data = msgspec.json.encode(
            _OnDisk(
                self._schema,
                generation,
                fence,
                _checksum(self._schema, generation, fence, payload),
                msgspec.Raw(payload),
            )
        )
        with temporary(self._path, data + b"\n", fsync=True) as temp:
            if current is None:
                link(temp, self._path)  # FileExistsError if another first writer was faster
            else:
                if stored is not None and stored.recovered:
                    self._keep_aside(self._path, current)
                else:
                    self._keep_previous()
                temp.replace(self._path)
        sync_directory(self._path.parent)
        return generation

    def look(self) -> tuple[Envelope[T] | None, list[str]]:
        """Return what a read would give, None if nothing, and what is wrong with either generation; nothing is changed.

        Each sentence names the file. With nothing to give and something wrong, a read would raise.
        """
        wrong: list[str] = []
        whole: dict[Path, Envelope[T]] = {}
        refused: set[Path] = set()
        for path in (self._path, self._previous):
            try:
                data = bytes_of(path)
                if data is not None:
                    whole[path] = self._parse(path, data)
            except _Damaged as exc:
                wrong.append(f"{path} is damaged: {exc}")
            except (StateCorrupt, NewerSchema) as exc:
                wrong.append(str(exc))
                refused.add(path)
            except OSError as exc:
                wrong.append(f"{path} is damaged: it cannot be read ({exc.strerror})")
                refused.add(path)
        current, previous = whole.get(self._path), whole.get(self._previous)
        if current is not None and previous is not None and previous.generation > current.generation:
            wrong.append(f"{self._path} is damaged: {self._older(current.generation, previous.generation)}")
            return None, wrong
        if current is not None or previous is None or self._path in refused:
            return current, wrong
        return msgspec.structs.replace(previous, recovered=True), wrong or [f"{self._path} is missing"]

    def refuse_newer(self) -> None:
        """Expect that no newer version has written here; what is damaged or missing is fine.

        Raises:
            NewerSchema: one has.
        """
        for path in (self._path, self._previous):
            with contextlib.suppress(_Damaged, OSError):
                self._opened(path, bytes_of(path) or b"")

    def _expect_newest(self, found: Envelope[T]) -> Envelope[T]:
        """Return what was found if it is not older than the previous generation.

        Raises:
            StateCorrupt: it is; the two have changed places, or somebody brought an old one back.
        """
        newest = self._generation_in(self._previous)
        # a writer may have been at work between the two looks; then a third one shows its newer version
        if newest > found.generation and found.generation == self._generation_in(self._path):
            raise StateCorrupt(self._path, self._older(found.generation, newest))
        return found

    def _older(self, current: int, previous: int) -> str:
        name = self._previous.name
        return (
            f"it is generation {current}, but {name} is generation {previous}; "
            f"if they changed places, change them back, and if this one is meant, remove {name}"
        )

    def _generation_in(self, path: Path) -> int:
        """Return the generation of a file, 0 if it has none that can be believed."""
        try:
            data = bytes_of(path)
            return 0 if data is None else self._opened(path, data).generation
        except (_Damaged, OSError, NewerSchema):
            return 0

    def _keep_previous(self) -> None:
        """Make the current version the previous one, without a moment in which either name is missing."""
        second = temporary_name(self._path)
        try:
            link(self._path, second)
            second.replace(self._previous)
        finally:
            second.unlink(missing_ok=True)

    def _keep_aside(self, path: Path, damaged: bytes) -> None:
        number = 1
        while (kept := bytes_of(aside := path.with_name(f"{path.name}.corrupt-{number}"))) is not None:
            if kept == damaged:
                return
            number += 1
        write_bytes(aside, damaged)

    def _parse(self, path: Path, data: bytes) -> Envelope[T]:
        disk = self._opened(path, data)
        try:
            value = self._decoder.decode(bytes(disk.payload))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            # Whole, so it is what somebody meant to write: falling back to an older version would lose it.
            raise StateCorrupt(path, str(exc)) from None
        wrong = self._check(value)
        if wrong:
            raise StateCorrupt(path, wrong)
        return Envelope(value=value, generation=disk.generation, fence=disk.fence)

    def _opened(self, path: Path, data: bytes) -> _OnDisk:
        """Return an envelope that is whole, its payload unread."""
        try:
            head = _HEAD.decode(data)
        except msgspec.MsgspecError as exc:
            raise _Damaged(str(exc) if data else "the file is empty") from None
        except UnicodeDecodeError:
            raise _Damaged("not UTF-8") from None
        except RecursionError:
            raise _Damaged("nested too deep") from None
        if head.schema > self._schema:
            raise NewerSchema(path, found=head.schema, known=self._schema)
        try:
            disk = _ON_DISK.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _Damaged("not an envelope") from None
        if disk.sha256 != _checksum(disk.schema, disk.generation, disk.fence, bytes(disk.payload)):
            raise _Damaged("the checksum does not match")
        return disk


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _checksum(schema: int, generation: int, fence: int, payload: bytes) -> str:
    return hashlib.sha256(b"%d:%d:%d:" % (schema, generation, fence) + payload).hexdigest()
