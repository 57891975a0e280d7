"""A real worker that plays the same scripts as the scripted one: the script is JSON in ``SCRIPT_WORKER``."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import msgspec

from core.domain.messages import Dismiss, Go, Launch, LimitGiven, Resume, Stop, Yield
from core.process import scripted
from core.process.channel import CONTROL_VARIABLE, BlockingChannel, adopt, decode_down

plan = msgspec.json.decode(os.environ["SCRIPT_WORKER"], type=scripted.Script)
sent: list[object] = []
changed = threading.Condition()
if plan.ignore_term:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
control = adopt(int(os.environ[CONTROL_VARIABLE]))
channel = BlockingChannel(control, decode_down)
channel_is_closed = False
print("begins as", sys.argv[1:], flush=True)


def listen() -> None:
    """Note what comes down; a worker does not outlive its orchestrator."""
    while (message := channel.receive()) is not None:
        with changed:
            sent.append(message)
            changed.notify_all()
    if not channel_is_closed:
        os._exit(70)


def wait_for(*kinds: type) -> None:
    """Wait for a message of one of these kinds."""
    with changed:
        changed.wait_for(lambda: any(isinstance(message, kinds) for message in sent))


threading.Thread(target=listen, daemon=True).start()
for action in plan.actions:
    match action:
        case scripted.Say(message=message):
            channel.send(message)
        case scripted.Garble(size=size):
            control.sendall(b"?" * size + b"\n")
        case scripted.AwaitHello():
            wait_for(object)
        case scripted.AwaitGo():
            wait_for(*((Go,) if plan.ignore_stop else (Go, Stop)))
        case scripted.AwaitLaunch():
            wait_for(*((Launch,) if plan.ignore_stop else (Launch, Stop)))
        case scripted.AwaitDecision():
            wait_for(Resume, Dismiss)
        case scripted.AwaitYield():
            wait_for(Yield)
        case scripted.AwaitLimit():
            wait_for(LimitGiven, Stop)
        case scripted.AwaitStop():
            wait_for(Stop)
        case scripted.CloseControl():
            channel_is_closed = True
            channel.close()
        case scripted.Exit(code=code):
            print("exits with", code, flush=True)
            os._exit(code)
        case scripted.Crash(signal=number):
            os.kill(os.getpid(), number)
            time.sleep(60)
        case _:
            time.sleep(600)
os._exit(0)
