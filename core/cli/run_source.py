"""Where the jobs of a run come from: a feed, a durable queue, or what the last run left."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from core.clock import SystemClock
from core.errors import BadInput, Problem
from core.process.command import CommandFeed
from core.process.describe import FlowInspector
from core.profiles.store import FileProfileStore
from core.queue.feed import FeedDefaults, read_feed
from core.queue.header import refuse_foreign
from core.queue.http_feed import HttpFeed, is_address
from core.queue.intake import FileFollower, Intake
from core.queue.open import SourceKind, open_source
from core.queue.remote import FETCH_LIMIT, MAX_FETCHED, RemoteFollower, RemoteReader

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from core.clock import Clock
    from core.dispatch.ports import FeedFollower
    from core.queue.feed import Feed
    from core.queue.open import Source
    from core.queue.port import JobQueue
    from core.queue.remote import RemoteFeed
    from core.settings import Resolved


class Given(NamedTuple):
    """Where jobs come from: a feed, or a durable queue that the user names, or neither: then our own queue goes on.

    Attributes:
        reader: of a feed that a server or a command gives.
        source: what the queue argument names, unless that is a server.
        intake: reads and checks the feed.
        named: the durable queue that the user names.
    """

    reader: RemoteReader | None
    source: Source | None
    intake: Intake | None
    named: Path | None


def where_from(options: argparse.Namespace, resolved: Resolved, *, run_py: Path, env: Mapping[str, str]) -> Given:
    """Return where jobs come from; nothing is read yet.

    Args:
        options: the command line.
        resolved: the settings.
        run_py: what flows are asked through.
        env: the environment of whoever is asked.

    Raises:
        BadInput: it is none, or not what ``--watch`` can follow.
    """
    state_dir = resolved.settings.state_dir
    reader = _make_reader(options, resolved)
    source = open_source(options.queue, Path.cwd()) if options.queue is not None and reader is None else None
    is_feed = reader is not None or (source is not None and source.kind is SourceKind.FEED)
    _refuse_watching_nothing(options, source)
    named = source.path if source is not None and not is_feed else None
    if source is None and reader is None and not (state_dir / "queue.db").exists():
        hint = f"nothing was ever run in {state_dir}, so there is nothing to go on with"
        raise BadInput([Problem(place="queue", expected="queue.json, queue.db or -", found="no argument", hint=hint)])
    if named is not None:
        refuse_foreign(named)
    intake = _make_intake(options, resolved, reader, run_py=run_py, env=env) if is_feed else None
    return Given(reader, source, intake, named)


def follower_of(
    given: Given, queue: JobQueue, clock: Clock, *, interval: float, seen: tuple[int, int, int] | None
) -> FeedFollower | None:
    """Return what follows edits of the feed; None where there is none that could be edited.

    Args:
        given: where jobs come from.
        queue: that the edits are for.
        clock: time.
        interval: seconds between two looks at a server or a command.
        seen: signature of the file from before it was first read.
    """
    if given.intake is None:
        return None
    if given.reader is not None:
        return RemoteFollower(given.reader, given.intake, queue, clock, interval=interval)
    if given.source is not None and given.source.path is not None:
        return FileFollower(given.source.path, given.intake, queue, clock, seen=seen)
    return None


def _outside_defaults(options: argparse.Namespace, resolved: Resolved) -> FeedDefaults:
    """Return where a flow comes from that the feed does not name."""
    chosen = resolved.settings
    profiles = FileProfileStore(chosen.state_dir)

    def profile_flow(profile_id: str) -> str | None:
        metadata = profiles.read(profile_id)
        return None if metadata is None else metadata.flow

    config_flow = None if options.flow else chosen.flow
    place = resolved.origins["flow"].where if "flow" in resolved.origins else "ostler.toml"
    return FeedDefaults(
        flag_flow=options.flow, config_flow=config_flow, config_place=place, profile_flow=profile_flow,
        settled=frozenset(resolved.origins),
    )  # fmt: skip


def _make_reader(options: argparse.Namespace, resolved: Resolved) -> RemoteReader | None:
    """Return what reads a queue that a server or a command gives; None if it is neither."""
    remote: RemoteFeed
    if options.queue_command is not None:
        if options.queue is not None:
            found = "both"
            raise BadInput([Problem(place="queue", expected="a queue argument or --queue-command", found=found)])
        remote = CommandFeed(
            options.queue_command, os.environ, cwd=Path.cwd(), limit=FETCH_LIMIT, most=MAX_FETCHED
        )  # fmt: skip
    elif options.queue is not None and is_address(options.queue):
        remote = HttpFeed(options.queue, os.environ)
    else:
        return None
    return RemoteReader(remote, SystemClock(), cwd=Path.cwd(), defaults=_outside_defaults(options, resolved))


def _make_intake(
    options: argparse.Namespace,
    resolved: Resolved,
    reader: RemoteReader | None,
    *,
    run_py: Path,
    env: Mapping[str, str],
) -> Intake:
    """Return what reads and checks the feed."""
    chosen = resolved.settings
    stdin = sys.stdin.buffer if sys.stdin is not None else io.BytesIO()  # it may have been closed before the start
    outside = _outside_defaults(options, resolved)

    def read() -> Feed:
        return read_feed(options.queue, stdin=stdin, cwd=Path.cwd(), defaults=outside)

    environment, cache = dict(env), None
    if options.dry_run:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    else:
        cache = chosen.state_dir / ".flow_cache.json"
    inspector = FlowInspector(run_py, cache, timeout=chosen.describe_timeout, env=environment)
    return Intake(read if reader is None else reader.read, inspector)


def _refuse_watching_nothing(options: argparse.Namespace, source: Source | None) -> None:
    """Refuse ``--watch`` where nothing can change: what came on standard input. A durable queue is changed by hand.

    Raises:
        BadInput: it was asked for.
    """
    if options.watch and source is not None and source.path is None:
        expected = "a queue file whose edits can be followed"
        raise BadInput([Problem(place="--watch", expected=expected, found=source.argument)])
