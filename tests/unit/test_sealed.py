"""A small file that can prove that it is whole."""

from __future__ import annotations

import json
import os

import pytest

from core import sealed
from core.errors import NewerSchema, StateCorrupt


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "mark.json"
    path.write_bytes(sealed.seal({"n": 1, "text": "Ü"}))
    return path


def test_what_was_sealed_is_read(path):
    """A value comes back as it was; without a file there is none."""
    assert sealed.read(path, dict) == {"n": 1, "text": "Ü"}
    path.unlink()
    assert sealed.read(path, dict) is None


def test_every_flipped_bit_is_noticed(path):
    """No bit can change without the file being refused."""
    good = path.read_bytes()
    for bit in range(len(good) * 8):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises((StateCorrupt, NewerSchema)):
            sealed.read(path, dict)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 90, b"[]", b"[" * 100_000, b'{"schema":1}', b'{"schema":1,"x":"\xff"}']
)
def test_what_is_no_such_file_is_damaged(path, content):
    """Emptied, zeroed, torn, of another form, nested without end, no text."""
    path.write_bytes(content)
    with pytest.raises(StateCorrupt, match="empty" if not content else "not what Ostler writes"):
        sealed.read(path, dict)


def test_another_type_inside_is_damaged(path):
    """Whole, and yet not what was asked for."""
    with pytest.raises(StateCorrupt):
        sealed.read(path, list)


@pytest.mark.parametrize("kind", ["directory", "pipe", "nowhere", "itself"])
def test_what_is_no_file_is_damaged(path, kind):
    """Nobody waits for a pipe, and a link to nothing is not "none"."""
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere" if kind == "nowhere" else path.name)
    with pytest.raises(StateCorrupt, match="cannot be read"):
        sealed.read(path, dict)


def test_a_newer_schema_is_not_judged(path):
    """It is refused as such, also where its form is another."""
    path.write_text(json.dumps({"schema": 2, "other": []}))
    with pytest.raises(NewerSchema) as caught:
        sealed.read(path, dict)
    assert (caught.value.found, caught.value.known) == (2, 1)
