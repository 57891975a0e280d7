"""``make run``: the demo site, twelve profiles in real browsers, and a check of what really happened.

``python -m examples.demo.fleet [--max-concurrent N] [--fresh] [-- ARGUMENTS OF orchestrator.py]``
"""

from __future__ import annotations

import argparse
import fcntl
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from examples.demo import ledger

CHECKOUT = Path(__file__).resolve().parents[2]
QUEUE = CHECKOUT / "examples" / "demo" / "queue.json"
SITE_SECONDS = 30.0
HOLDER_ALIVE = 5
HOST_FAULT = 7


def main() -> int:
    """Run the demo; return the orchestrator's exit code, or 1 if all is said to be done and the ledger disagrees."""
    parser = argparse.ArgumentParser(prog="make run", description="The demo: a site and twelve profiles.")
    parser.add_argument("--max-concurrent", default="5", metavar="N")
    parser.add_argument("--fresh", action="store_true", help="first forget what the demo has done before")
    parser.add_argument("arguments", nargs="*", help="further arguments of orchestrator.py")
    given = parser.parse_args()
    state = Path(os.environ.get("OSTLER_STATE_DIR") or CHECKOUT / "state").resolve()
    logs = Path(os.environ.get("OSTLER_LOG_DIR") or CHECKOUT / "logs").resolve()
    if given.fresh:
        if refusal := forget(state, logs):
            return refusal
        given.arguments.append("--again")
    # the site ends with us: it holds the other end of this pipe
    site = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "examples.demo", "--with-parent", "--state-dir", str(state)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with site:
        if not is_ready(site):
            _say(f"demo: the site did not start within {SITE_SECONDS:.0f} s")
            site.kill()
            return HOST_FAULT
        code = orchestrate(state, ["--max-concurrent", given.max_concurrent, *given.arguments])
        problems = check(state, complete=code == 0)
    return 1 if problems else code


def forget(state: Path, logs: Path) -> int:
    """Remove what the demo has left, and nothing else; return 0, or the exit code if that is refused."""
    from examples.demo.serve import already_served  # noqa: PLC0415 - the server's imports are slow

    if already_served(state / "demo") is not None:
        _say("demo: the site is being served by another process; end that first")
        return HOLDER_ALIVE
    state.mkdir(mode=0o700, exist_ok=True)
    with (state / "orchestrator.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("demo: an orchestrator is running on this state directory; stop it first")
            return HOLDER_ALIVE
        remove(state / "demo")
        for profile in ledger.profiles_of(QUEUE):
            for kept in (state / "profiles", state / "downloads", state / "artifacts"):
                remove(kept / profile)
            for pattern in (f"sessions/{profile}.json*", f"workspaces/{profile}-*"):
                for entry in state.glob(pattern):
                    remove(entry)
            for entry in logs.glob(f"{profile}.log*"):
                remove(entry)
    return 0


def remove(entry: Path) -> None:
    """Remove a file or a directory, if it is there."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


def is_ready(site: subprocess.Popen[bytes]) -> bool:
    """Wait for the site's ready line."""
    if site.stdout is None:
        return False
    deadline = time.monotonic() + SITE_SECONDS
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(site.stdout, selectors.EVENT_READ)
        while b"\n" not in said:
            if not selector.select(max(deadline - time.monotonic(), 0)):
                return False
            more = os.read(site.stdout.fileno(), 4096)
            if not more:
                return False
            said += more
    return said.startswith(b"ready ")


def orchestrate(state: Path, arguments: list[str]) -> int:
    """Run ``orchestrator.py`` to its end; return its exit code. ^C reaches it by itself, SIGTERM is passed on."""
    command = [sys.executable, str(CHECKOUT / "orchestrator.py"), "--state-dir", str(state), *arguments, str(QUEUE)]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(command, preexec_fn=_end_with_parent)  # noqa: S603, PLW1509 - single-threaded here
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    code = child.wait()
    return 128 - code if code < 0 else code


def check(state: Path, *, complete: bool) -> int:
    """Compare the site's own ledger with the queue; print what it says and return the number of problems.

    Of a run that is not ``complete`` nothing can be missing yet, so it is only counted.
    """
    entries = ledger.read(state / "demo" / "ledger.jsonl")
    profiles = ledger.profiles_of(QUEUE)
    if not complete:
        sys.stdout.write(f"The site's ledger: {len(entries)} effects so far. The same command goes on.\n")
        return 0
    problems = ledger.not_once(entries, profiles)
    for problem in problems[:20]:
        sys.stdout.write(f"{problem}\n")
    verdict = f"{len(problems)} problems" if problems else "each effect exactly once per profile"
    sys.stdout.write(f"The site's ledger: {len(profiles)} profiles, {len(entries)} effects, {verdict}.\n")
    return len(problems)


def _end_with_parent() -> None:
    """Without the site every job would fail, so the orchestrator goes when we are killed; the next run goes on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - only here

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
