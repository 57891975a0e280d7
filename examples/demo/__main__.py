"""Serve the demo site, or check its ledger: ``python -m examples.demo --help``."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path

from examples.demo import ledger
from examples.demo.application import Site
from examples.demo.chaos import Chaos
from examples.demo.serve import PortTaken, Server, already_served, bind, ready_line, watch_parent
from examples.demo.store import AlreadyServed, Store

CHECKOUT = Path(__file__).resolve().parents[2]
BAD_INPUT = 2
HELD = 5


def main() -> int:
    """Do what the command line says; return the exit code: 0 well, 1 a ledger with problems, 2 bad input, 5 already served."""
    given = _parser().parse_args()
    if given.check_ledger is not None:
        return _check(given.check_ledger, given.queue)
    chaos = Chaos(slow=given.slow, fail=given.fail, drop=given.drop, variant=given.variant)
    if wrong := chaos.problem():
        sys.stderr.write(f"demo site: {wrong}\n")
        return BAD_INPUT
    return _serve(given, chaos)


def _serve(given: argparse.Namespace, chaos: Chaos) -> int:
    os.umask(0o077)
    directory = (given.state_dir / "demo").resolve()
    parent = given.with_parent or given.parent_pid is not None
    try:
        store = Store(directory)
    except AlreadyServed:
        return _wait_beside(directory, given.parent_pid, parent=parent)
    try:
        bound = bind(directory, given.port)
    except PortTaken as exc:
        sys.stderr.write(f"demo site: {exc}\n")
        return BAD_INPUT
    server = Server(Site(store, chaos, seed=given.seed, directory=str(directory)), bound, parent=parent)
    if parent:
        watch_parent(given.parent_pid, server.end)
    try:
        server.serve_until_end()
    except KeyboardInterrupt:
        pass  # uvicorn hands ^C on after it has ended well
    finally:
        store.close()
    return 0


def _wait_beside(directory: Path, parent_pid: int | None, *, parent: bool) -> int:
    """Another process serves this directory: good enough for a parent that wants a site, an error for a person."""
    port = already_served(directory)
    if port is None or not parent:
        where = f" at http://127.0.0.1:{port}" if port is not None else ""
        sys.stderr.write(f"demo site: {directory} is already served by another process{where}\n")
        return HELD
    sys.stdout.write(f"{ready_line(port)}\n")
    sys.stdout.flush()
    gone = threading.Event()
    watch_parent(parent_pid, gone.set)
    gone.wait()
    return 0


def _check(path: Path, queue: Path | None) -> int:
    entries = ledger.read(path)
    profiles = ledger.profiles_of(queue) if queue is not None else list(dict.fromkeys(e.profile_id for e in entries))
    problems = ledger.not_once(entries, profiles)
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    verdict = f"{len(problems)} problems" if problems else "each exactly once per profile"
    sys.stdout.write(f"ledger: {len(profiles)} profiles, {len(entries)} effects, {verdict}\n")
    return 1 if problems or not entries else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo", description="A small web of four services to try Ostler on."
    )
    parser.add_argument(
        "--port", type=int, help="listen on this port; otherwise on the one that was kept, or a new one"
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=Path(os.environ.get("OSTLER_STATE_DIR") or CHECKOUT / "state"),
        help="data goes to its demo/ (default: %(default)s)",
    )
    life = parser.add_mutually_exclusive_group()
    life.add_argument("--with-parent", action="store_true", help="end when standard input ends")
    life.add_argument("--parent-pid", type=int, metavar="PID", help="end when this process does")
    parser.add_argument(
        "--slow", type=float, default=0.0, metavar="MS", help="milliseconds before each request is worked on"
    )
    parser.add_argument(
        "--fail", type=float, default=0.0, metavar="P", help="share of requests answered with an error 500"
    )
    parser.add_argument(
        "--drop", type=float, default=0.0, metavar="P", help="share of connections that break without an answer"
    )
    parser.add_argument(
        "--variant", type=int, metavar="N", help="the order form's markup for everybody (default: by profile)"
    )
    parser.add_argument("--seed", type=int, help="of the trouble's dice")
    parser.add_argument(
        "--check-ledger", type=Path, metavar="FILE", help="serve nothing; say whether each effect happened once"
    )
    parser.add_argument(
        "--queue", type=Path, metavar="FILE", help="with --check-ledger: the profiles that should be there"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
