"""Makes the parts of the documentation that follow from the code: ``make docs``.

``test_readme.py`` holds the files equal to what this makes.
"""

from __future__ import annotations

import enum
import types
import typing
from pathlib import Path

import msgspec

import core.domain.launch_configuration as launch
from core.cli import profile_archive_shown, profile_shown, queue_shown
from core.cli.config import ConfigReport
from core.cli.config_failures import ShownPolicies
from core.cli.dry_run_shown import DryRun
from core.cli.flow_check import FlowReport
from core.control.port import RunView
from core.domain import events, failure, launch_events
from core.domain.lifecycle import JOB, as_mermaid
from core.domain.messages import FlowDescription
from core.domain.model import JobState
from core.domain.outcome import exit_code_of
from core.domain.policy import POLICIES as POLICY
from core.domain.policy import Cost
from core.domain.retry import RetryPolicy
from core.domain.session import Identity, SessionState
from core.domain.validation_result import MEANINGS, ValidationResult
from core.profiles.difference import ProfileDifference
from core.profiles.inspection import ProfileSize
from core.profiles.losses import RecoveryReport
from core.profiles.updating import BatchResult
from core.profiles.usage import MemoryMetrics
from core.queue.feed_schema import feed_schema_text
from core.upkeep.collection import Collection
from core.upkeep.explanation import Explanation
from core.upkeep.finding import CheckUp
from core.upkeep.job_report import Report
from core.upkeep.status import Status

CHECKOUT = Path(__file__).resolve().parents[2]
README = CHECKOUT / "README.md"
EVENTS = CHECKOUT / "docs" / "events.md"
FAILURES = CHECKOUT / "docs" / "failures.md"
SCHEMAS = {
    "ctl": RunView,
    "config-check": ValidationResult[launch.LaunchConfiguration],
    "config-failures": ShownPolicies,
    "config-show": ConfigReport,
    "dry-run": DryRun,
    "explain": Explanation,
    "flow-check": FlowReport,
    "flow-show": FlowDescription,
    "doctor": CheckUp,
    "events": events.Event | launch_events.LaunchEvent,
    "gc": Collection,
    "identity-show": Identity,
    "profile-archive": profile_archive_shown.ShownArchive,
    "profile-change": profile_shown.ShownChange,
    "profile-diff": ProfileDifference,
    "profile-list": profile_shown.ShownProfiles,
    "profile-recover": RecoveryReport,
    "profile-set": BatchResult,
    "profile-size": ProfileSize,
    "profile-status": profile_shown.ShownProfile,
    "profile-usage": MemoryMetrics,
    "queue-add": queue_shown.ShownAdded,
    "queue-change": queue_shown.ShownChange,
    "queue-list": queue_shown.ShownJobs,
    "queue-show": queue_shown.ShownHistory,
    "report": Report,
    "session-show": SessionState,
    "status": Status,
}
"""What commands print with `--json`: name of the file in docs/schemas → type."""
LAUNCH_PAGE = CHECKOUT / "docs" / "launch-configuration.md"
FIELDS = ("<!-- fields: made by `make docs` from core/domain/launch_configuration.py -->", "<!-- end of fields -->")
ISSUES = ("<!-- issues: made by `make docs` from core/domain/validation_result.py -->", "<!-- end of issues -->")
FEED_SCHEMA = CHECKOUT / "docs" / "schemas" / "queue.schema.json"
BEGIN = "<!-- job states: made by `make docs` from core/domain/lifecycle.py -->"
END = "<!-- end of job states -->"
CODES = ("<!-- codes: made by `make docs` from core/domain/failure.py -->", "<!-- end of codes -->")
POLICIES = ("<!-- policies: made by `make docs` from core/domain/policy.py -->", "<!-- end of policies -->")
CATALOGUE = ("<!-- kinds: made by `make docs` from core/domain/events.py -->", "<!-- end of kinds -->")
LAUNCH = ("<!-- launch: made by `make docs` from core/domain/launch_events.py -->", "<!-- end of launch -->")


def diagram() -> str:
    """Return the README's diagram, fenced."""
    return f"```mermaid\n{as_mermaid(JOB, JobState.QUEUED)}\n```"


def with_events(page: str) -> str:
    """Return ``docs/events.md`` with the two tables of now between their markers."""
    return _between(_between(page, *CATALOGUE, event_table()), *LAUNCH, launch_table())


def event_table() -> str:
    """Return the table of the catalogue, with the names that a launch panel has for what follows each kind."""
    names = {
        source: [one.__struct_config__.tag for one, sources in launch_events.MADE_FROM.items() if source in sources]
        for source in typing.get_args(events.Event)
    }
    rows = [
        f"| `{kind.__struct_config__.tag}` | {_says(kind)} | {_fields(kind)} | {_named(names[kind])} |"
        for kind in typing.get_args(events.Event)
    ]
    return "\n".join(["| type | says | fields | for a launch panel |", "| --- | --- | --- | --- |", *rows])


def launch_table() -> str:
    """Return the table of what a launch panel subscribes to."""
    rows = [
        f"| `{kind.__struct_config__.tag}` | {_says(kind)} | {_fields(kind)} "
        f"| {_named([source.__struct_config__.tag for source in launch_events.MADE_FROM[kind]])} |"
        for kind in typing.get_args(launch_events.LaunchEvent)
    ]
    return "\n".join(["| type | says | fields | made from |", "| --- | --- | --- | --- |", *rows])


def _says(kind: type[msgspec.Struct]) -> str:
    return " ".join((kind.__doc__ or "").split()).replace("|", "\\|")


def _fields(kind: type[msgspec.Struct]) -> str:
    hints = typing.get_type_hints(kind)
    of_all = {"at", "v", "timestamp"}
    fields = [one for one in msgspec.structs.fields(kind) if one.name not in of_all]
    return ", ".join(f"`{one.encode_name}` {_type(hints[one.name])}" for one in fields) or "-"


def _named(kinds: list[str]) -> str:
    return ", ".join(f"`{kind}`" for kind in kinds) or "-"


def schema_file(name: str) -> Path:
    """Return where a schema is published."""
    return CHECKOUT / "docs" / "schemas" / f"{name}.json"


def schema(name: str) -> str:
    """Return a file of ``docs/schemas``."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(SCHEMAS[name])}
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


def with_diagram(readme: str) -> str:
    """Return the README with the diagram of now between its markers."""
    return _between(readme, BEGIN, END, diagram())


def with_failures(page: str) -> str:
    """Return ``docs/failures.md`` with the two tables of now between their markers."""
    return _between(_between(page, *CODES, code_table()), *POLICIES, policy_table())


def code_table() -> str:
    """Return the table of codes."""
    rows = [
        f"| `{code}` | {one.type} | {one.severity} | {one.blame} | {one.says.replace('{where}', '')} "
        f"| {one.do.replace('{profile}', 'the profile')} |"
        for code, one in failure.FAILURES.items()
    ]
    head = [
        "| code | type | severity | to be mended at | what happened | what to do |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows])


def policy_table() -> str:
    """Return the table of policies, with the seconds that the default settings make of it."""
    retry, rows = RetryPolicy(), []
    for code, policy in POLICY.items():
        rule = retry.rule(code)
        once = policy.attempts == 1 or (policy.cost is Cost.NOTHING and policy.end is not JobState.WAITING)
        delay = "-" if once else f"{rule.delay:g} s"
        if not once and policy.factor > 1:
            delay += f", then times {policy.factor:g} up to {rule.max_delay:g} s"
        number = {Cost.ATTEMPT: "the job's", Cost.CRASH: "`poison_limit`", Cost.NOTHING: "-"}[policy.cost]
        rows.append(
            f"| `{code}` | {policy.cost} | {policy.attempts or number} | {delay} | {'-' if once else f'{policy.jitter:g}'} "
            f"| {'yes' if policy.reclone else 'no'} | {policy.end} | {exit_code_of(code)} |"
        )
    head = ["| code | costs | at most | delay | jitter | new copy | then | exit code |", "|" + " --- |" * 8]
    return "\n".join([*head, *rows])


def with_launch(page: str) -> str:
    """Return ``docs/launch-configuration.md`` with the two tables of now between their markers."""
    return _between(_between(page, *FIELDS, field_table()), *ISSUES, issue_table())


def field_table() -> str:
    """Return the table of what a launch configuration may say."""
    rows = []
    groups = launch.fields_of(launch.SystemConfiguration).values()
    named = [("", launch.LaunchConfiguration), *((f"{launch.SYSTEM}.{group.camel}.", group.type) for group in groups)]
    for path, struct in named:
        for field in launch.fields_of(struct).values():
            if field.name == launch.SYSTEM:
                continue
            limits = "`true` or `false`" if field.type is bool else f"{field.least:,.15g} to {field.most:,.15g}"
            default = "as set" if field.default is None else f"`{field.default}`".lower()
            rows.append(f"| `{path}{field.camel}` | {limits} | {field.unit or '-'} | {default} | {field.says} |")
    return "\n".join(["| field | takes | unit | default | is |", "| --- " * 5 + "|", *rows])


def issue_table() -> str:
    """Return the table of codes of issues."""
    rows = [f"| `{code}` | {meaning} |" for code, meaning in MEANINGS.items()]
    return "\n".join(["| code | means |", "| --- | --- |", *rows])


def _between(text: str, begin: str, end: str, made: str) -> str:
    before, marker, rest = text.partition(begin)
    _, closing, after = rest.partition(end)
    if not marker or not closing:
        raise SystemExit(f"the markers {begin} and {end} are lost")
    return f"{before}{begin}\n{made}\n{end}{after}"


def _type(hint: object) -> str:
    if isinstance(hint, types.UnionType):
        return " or ".join("null" if part is type(None) else _type(part) for part in typing.get_args(hint))
    names = {float: "number", int: "integer", str: "text", bool: "true or false"}
    origin = typing.get_origin(hint)
    if origin is tuple:
        return f"list of {_type(typing.get_args(hint)[0])}".replace("of object ", "of objects ")
    if origin is dict:
        value = typing.get_args(hint)[1]
        return "object" if value is typing.Any else f"object of {_type(value)}"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return f"object with {_fields(hint)}"
    if isinstance(hint, type) and issubclass(hint, enum.StrEnum):
        return f"one of {', '.join(f'`{one}`' for one in hint)}"
    return names[hint]


def main() -> None:
    """Rewrite what is made."""
    README.write_text(with_diagram(README.read_text("utf-8")), "utf-8")
    EVENTS.write_text(with_events(EVENTS.read_text("utf-8")), "utf-8")
    FAILURES.write_text(with_failures(FAILURES.read_text("utf-8")), "utf-8")
    LAUNCH_PAGE.write_text(with_launch(LAUNCH_PAGE.read_text("utf-8")), "utf-8")
    FEED_SCHEMA.write_text(feed_schema_text(), "utf-8")
    for name in SCHEMAS:
        schema_file(name).parent.mkdir(exist_ok=True)
        schema_file(name).write_text(schema(name), "utf-8")


if __name__ == "__main__":
    main()
