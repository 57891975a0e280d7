"""Messages out of bytes, whatever the bytes are."""

from __future__ import annotations

import socket
import threading

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.messages import Go, Heartbeat, Progress, Stop
from core.errors import ControlLost
from core.process.channel import AsyncChannel, BlockingChannel, Framing, adopt, decode_down, decode_up, encode

MESSAGES = [Heartbeat(), Progress(note="a\nb ü"), Progress(note="x" * 500)]


@given(sizes=st.lists(st.integers(1, 100)))
def test_how_it_is_cut_changes_nothing(sizes):
    """Any cut of the same lines gives the same messages."""
    raw = b"".join(map(encode, MESSAGES))
    framing = Framing(decode_up)
    got = []
    for size in sizes:
        got += framing.feed(raw[:size])
        raw = raw[size:]
    assert [*got, *framing.feed(raw)] == MESSAGES


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{}",
        b"nonsense",
        b'{"type":"nobody"}',
        b'{"type":"go"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b"x" * 2_000_000,
        b"1e999",
    ],
    ids=["empty", "object", "text", "unknown", "other way", "bytes", "deep", "long", "number"],
)
def test_a_bad_line_is_skipped(bad):
    """Nothing that the other side writes takes the channel down."""
    framing = Framing(decode_up)
    assert list(framing.feed(encode(Heartbeat()) + bad + b"\n" + encode(Progress(note="on")))) == [
        Heartbeat(),
        Progress(note="on"),
    ]


def test_a_line_without_end_is_not_kept():
    """What is too long is counted, not held."""
    framing = Framing(decode_up, limit=1000)
    for _ in range(100):
        assert list(framing.feed(b"x" * 1000)) == []
    assert len(framing._partial) <= 1000
    assert list(framing.feed(b"\n" + encode(Heartbeat()))) == [Heartbeat()]


async def test_both_sides_talk():
    """The orchestrator's side and a worker's thread understand each other, and each learns of the other's end."""
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    worker = BlockingChannel(adopt(theirs.detach()), decode_down)
    got = []

    def work() -> None:
        while (message := worker.receive()) is not None:
            got.append(message)
            worker.send(Progress(note=type(message).__name__))

    thread = threading.Thread(target=work)
    thread.start()
    boss = AsyncChannel(ours, decode_up)
    await boss.send(Go())
    assert await boss.receive() == Progress(note="Go")
    boss.close()
    thread.join(10)
    assert got == [Go()]
    with pytest.raises(ControlLost):
        worker.send(Heartbeat())
    worker.close()
    worker.close()


async def test_a_cancelled_send_tears_no_line():
    """The rest of a line goes out before the next message."""
    ours, theirs = socket.socketpair()
    boss = AsyncChannel(ours, decode_up)
    big = Stop(reason="r" * 900_000, grace=1.0)
    with anyio.move_on_after(0.05) as scope:
        await boss.send(big)
    assert scope.cancelled_caught
    worker = BlockingChannel(theirs, decode_down)
    got = []
    reader = threading.Thread(target=lambda: got.extend([worker.receive(), worker.receive()]))
    reader.start()
    await boss.send(Go())
    reader.join(10)
    assert got == [big, Go()]
    boss.close()
    worker.close()


def test_what_is_adopted_is_not_inherited():
    """The worker's end goes no further down."""
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    with ours, adopt(theirs.detach()) as control:
        assert control.get_inheritable() is False
    with pytest.raises(OSError, match=r"."):
        adopt(9999)
