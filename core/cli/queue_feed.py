"""From a feed to the queue by hand, and back: what ``ostler queue add`` reads and ``ostler queue export`` writes."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core import durable
from core.domain.model import TERMINAL, JobSpec
from core.domain.validation import case_collisions, require_id
from core.errors import BadInput, Problem
from core.process.describe import FlowInspector
from core.profiles.store import FileProfileStore
from core.queue.feed import FeedDefaults, read_feed
from core.queue.intake import Intake
from core.redaction import MASK, mask_url
from core.settings import CHECKOUT
from core.text import visible_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import TextIO

    from core.queue.feed import Feed
    from core.queue.port import QueueDesk, Selection
    from core.settings import Settings

_PLACE = "ID"


def read_jobs(arguments: argparse.Namespace, settings: Settings) -> Feed:
    """Return the jobs to add, read and checked as those of any queue file; whom they come after is asked of the queue.

    Raises:
        BadInput: with everything that is wrong.
    """
    ids: list[str] = arguments.profile_ids
    source: str | None = arguments.source
    if bool(ids) == (source is not None):
        found = "both" if ids else "neither"
        raise BadInput([Problem(place=_PLACE, expected="profile IDs, or --from FILE", found=found)])
    if source is not None and (arguments.after or arguments.every is not None):
        found = "--after or --every, which the file says for each job"
        raise BadInput([Problem(place="--from", expected="a queue file alone", found=found)])
    for profile_id in ids:
        require_id(profile_id, _PLACE)
    if twice := [f"{second!r}; {first!r} was there before" for first, second in case_collisions(ids)]:
        raise BadInput([Problem(place=_PLACE, expected="one spelling of an ID", found=found) for found in twice])
    profiles = FileProfileStore(settings.state_dir)

    def profile_flow(profile_id: str) -> str | None:
        metadata = profiles.read(profile_id)
        return None if metadata is None else metadata.flow

    defaults = FeedDefaults(
        flag_flow=arguments.flow, config_flow=None if arguments.flow else settings.flow, profile_flow=profile_flow
    )
    typed = msgspec.json.encode(_typed(arguments)) if ids else b""
    stdin = io.BytesIO(typed) if ids or sys.stdin is None else sys.stdin.buffer

    def read() -> Feed:
        return read_feed("-" if ids or source is None else source, stdin=stdin, cwd=Path.cwd(), defaults=defaults)

    cache = settings.state_dir / ".flow_cache.json"
    inspector = FlowInspector(CHECKOUT / "run.py", cache, timeout=settings.describe_timeout, env=os.environ)
    intake = Intake(read, inspector)
    try:
        feed = intake.read()
        durable.ensure_directory(settings.state_dir)  # for what the flows say; not before the feed is right in itself
        intake.check(feed)
    except BadInput as exc:
        if not ids:
            raise
        raise BadInput(of_ids(exc.problems)) from None
    return feed


def _typed(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return what was typed as the entries of a feed."""
    after = [name.strip() for given in arguments.after or () for name in given.split(",")]
    common = {
        name: value for name, value in (("after", after or None), ("every", arguments.every)) if value is not None
    }
    return [{"profile_id": profile_id, **common} for profile_id in dict.fromkeys(arguments.profile_ids)]


def of_ids(problems: tuple[Problem, ...]) -> list[Problem]:
    """Return the problems without places in a text that nobody wrote, each once."""
    found: dict[str, Problem] = {}
    for problem in problems:
        ours = problem
        if problem.place == "<stdin>":
            field = problem.field.rpartition("].")[2]
            ours = Problem(place=_PLACE, field=field, expected=problem.expected, found=problem.found, hint=problem.hint)
        found.setdefault(str(ours), ours)
    return list(found.values())


def export(desk: QueueDesk, selection: Selection, out: TextIO, *, ended: bool, lines: bool, with_secrets: bool) -> int:
    """Write the jobs of a selection as a feed; return how many proxies lost their password.

    Args:
        desk: where they are.
        selection: which of them.
        out: where to.
        ended: also those that are done, failed, quarantined or cancelled.
        lines: as JSON Lines instead of JSON.
        with_secrets: keep the passwords of proxies.
    """
    without = 0
    between = "" if lines else "["
    for kept in desk.select(selection):
        if not ended and kept.job.state in TERMINAL:
            continue
        entry = dict(_entry(kept.job.spec))
        if "proxy" in entry and not with_secrets and entry["proxy"] != (bare := _without_password(entry["proxy"])):
            entry["proxy"] = bare
            without += 1
        out.write(between if lines else f"{between}\n  ")
        out.write(visible_json(msgspec.json.encode(entry).decode()))
        between = "\n" if lines else ","
    if lines:
        out.write("\n" if between else "")
    else:
        out.write("[]\n" if between == "[" else "\n]\n")
    return without


def _entry(spec: JobSpec) -> Iterator[tuple[str, Any]]:
    """Yield what a feed has to say of a job so that the same job is read from it."""
    for field in msgspec.structs.fields(JobSpec):
        value = getattr(spec, field.name)
        if field.name == "id" and value == spec.profile_id:
            continue
        if field.required or value != field.default:
            if field.name == "params" and not value:
                continue
            yield field.name, value


def _without_password(url: str) -> str:
    return mask_url(url).replace(f":{MASK}@", "@", 1)
