"""The cheapest worker that keeps the order of ``core.domain.messages``: no imports but ``os`` and ``sys``, one step, no files.

A process of its own all the same: it is spawned, talked to, waited for and reaped as any other.
"""

import os
import sys

if len(sys.argv) > 2:
    # asked to describe its flow: the real one knows
    os.execv(sys.executable, [sys.executable, os.environ["STUB_RUN_PY"], *sys.argv[1:]])
control = int(os.environ["OSTLER_CONTROL_FD"])
unread = b""


def hear(kind: bytes) -> None:
    """Read messages until one is of this kind; an orchestrator that is gone, or wants an end, ends it."""
    global unread  # noqa: PLW0603 - a whole worker in one file
    while True:
        line, end, rest = unread.partition(b"\n")
        if end:
            unread = rest
            if b'"type":"' + kind + b'"' in line:
                return
            if b'"type":"stop"' in line:
                os._exit(6)
            continue
        more = os.read(control, 65536)
        if not more:
            os._exit(70)
        unread += more


def say(message: str) -> None:
    os.write(control, message.encode() + b"\n")


hear(b"hello")
say(f'{{"type":"ready","fence":1,"process":{{"host":"stub","pid":{os.getpid()},"started":0.0}},"user_data_dir":null}}')
hear(b"go")
say('{"type":"planned","done":[],"todo":["only"],"flags":{"only":"only_done"}}')
say('{"type":"prepared"}')
hear(b"launch")
say('{"type":"step_started","step":"only","try_":1,"limit":60.0}')
say('{"type":"step_committed","step":"only","flag":"only_done","seconds":0.0}')
say('{"type":"finished","outcome":{"type":"done"}}')
os._exit(0)
