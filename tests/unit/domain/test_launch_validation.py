"""A launch configuration: what is taken, what is refused and why, and what the engine is told."""

from __future__ import annotations

import json
import typing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.launch_configuration import (
    BatchProcessing,
    ErrorHandling,
    LaunchConfiguration,
    Resources,
    SystemConfiguration,
    Timeouts,
    engine_settings,
    fields_of,
)
from core.domain.launch_input import validate_input
from core.domain.launch_payload import DEEPEST, LARGEST, MOST_VALUES, validate_configuration
from core.domain.launch_profiles import Fleet, KnownProfile, validate_profiles
from core.domain.launch_validation import validate_launch
from core.domain.validation_result import MEANINGS, IssueCode
from core.settings import rules
from core.settings_table import Settings

GROUPS = (BatchProcessing, Timeouts, ErrorHandling, Resources)
MB = 1024 * 1024


def issues(found):
    """Return what was found as (severity, code, field), in order."""
    return [(one.severity, str(one.code), one.field) for one in (*found.errors, *found.warnings)]


def errors(found):
    assert found.is_valid is (found.errors == ()) is (found.sanitized_data is not None)
    return [(str(one.code), one.field) for one in found.errors]


def test_the_fields_are_those_that_were_asked_for():
    """Names, ranges and defaults of the six, and the names of the four groups."""
    six = {name: (one.least, one.most, one.default) for name, one in fields_of(LaunchConfiguration).items()}
    assert six["batch_size"] == (1, 20, 10)
    assert (six["delay_between_batches"][0], six["delay_between_batches"][2]) == (1000, 2000)
    assert (six["timeout_per_profile"][0], six["timeout_per_profile"][2]) == (10_000, 30_000)
    assert (six["retry_failed_profiles"][2], six["cleanup_on_failure"][2]) == (False, True)
    assert six["concurrent_browsers"] == (1, 5, 3)
    assert [one.camel for one in fields_of(SystemConfiguration).values()] == [
        "batchProcessing", "timeouts", "errorHandling", "resources",
    ]  # fmt: skip
    assert {one.camel for group in GROUPS for one in fields_of(group).values()} == {
        "defaultBatchSize", "maxBatchSize", "minDelayBetweenBatches", "defaultDelayBetweenBatches", "maxConcurrentBrowsers",
        "profileInitialization", "browserLaunch", "cdpConnection", "operationTimeout", "retryAttempts", "retryDelay",
        "cleanupOnFailure", "continueOnError", "memoryThreshold", "cpuThreshold", "cleanupInterval", "maxIdleTime",
    }  # fmt: skip
    assert all(one.says for struct in (LaunchConfiguration, *GROUPS) for one in fields_of(struct).values())


@pytest.mark.parametrize("payload", [{}, "{}", b"\xef\xbb\xbf{}", {"system": {}}])
def test_nothing_named_is_the_defaults(payload):
    """As an object, text or bytes."""
    found = validate_launch(payload)
    assert found.sanitized_data == LaunchConfiguration()
    assert issues(found) == []


def test_both_spellings_are_the_same():
    """JavaScript's and ours, groups included."""
    theirs = {
        "batchSize": 4,
        "retryFailedProfiles": True,
        "system": {"errorHandling": {"retryAttempts": 5}, "resources": {"cpuThreshold": 1}},
    }
    ours = {
        "batch_size": 4,
        "retry_failed_profiles": True,
        "system": {"error_handling": {"retry_attempts": 5}, "resources": {"cpu_threshold": 1.0}},
    }
    assert validate_launch(theirs) == validate_launch(ours)
    launch = validate_launch(theirs).sanitized_data
    assert (launch.batch_size, launch.system.error_handling.retry_attempts) == (4, 5)
    assert launch.system.resources.cpu_threshold == 1.0


@pytest.mark.parametrize(
    ("raw", "taken", "warned"),
    [(10, 10, False), (10.0, 10, False), ("10", 10, True), (" 10\n", 10, True), ("+7.0", 7, True), (None, None, True)],
)
def test_a_number_is_taken_as_it_is_meant(raw, taken, warned):
    """Text is read, and that is said; null leaves the field out, and says so."""
    found = validate_input({"batchSize": raw})
    assert found.sanitized_data == ({} if taken is None else {"batch_size": taken})
    assert issues(found) == ([("warning", "sanitized", "batchSize")] if warned else [])


@pytest.mark.parametrize(("raw", "taken"), [(True, True), ("true", True), (" FALSE ", False)])
def test_a_truth_value_is_taken_as_it_is_meant(raw, taken):
    """Bare, or as the words in text."""
    assert validate_input({"cleanup_on_failure": raw}).sanitized_data == {"cleanup_on_failure": taken}


@pytest.mark.parametrize(
    ("field", "raw", "code"),
    [
        ("batchSize", 0, "out_of_range"),
        ("batchSize", 21, "out_of_range"),
        ("batchSize", "-3", "out_of_range"),
        ("batchSize", 10**40, "out_of_range"),
        ("batchSize", 2.5, "wrong_type"),
        ("batchSize", float("inf"), "wrong_type"),
        ("batchSize", True, "wrong_type"),
        ("batchSize", "ten", "wrong_type"),
        ("batchSize", "", "wrong_type"),
        ("batchSize", [10], "wrong_type"),
        ("batchSize", {}, "wrong_type"),
        ("batchSize", {1, 2}, "wrong_type"),
        ("concurrentBrowsers", 6, "out_of_range"),
        ("delayBetweenBatches", 999, "out_of_range"),
        ("delayBetweenBatches", "2 s", "wrong_type"),
        ("timeoutPerProfile", 9999, "out_of_range"),
        ("retryFailedProfiles", 1, "wrong_type"),
        ("retryFailedProfiles", "yes", "wrong_type"),
        ("retryFailedProfiles", {}, "wrong_type"),
        ("system", 3, "not_an_object"),
    ],
)
def test_a_wrong_value_is_named(field, raw, code):
    """With its field as it was spelt, what was expected, and no value in its place."""
    found = validate_input({field: raw})
    assert errors(found) == [(code, field)]
    issue = found.errors[0]
    assert issue.message.startswith(f"expected {issue.expected}, found {issue.found}")
    assert len(issue.message) < 300 and issue.message.isprintable()


def test_a_share_is_a_number_of_0_to_1():
    """Whole ones too; not what is no number."""
    for raw, code in ((5, "out_of_range"), (-0.1, "out_of_range"), ("x", "wrong_type"), (True, "wrong_type")):
        found = validate_input({"system": {"resources": {"cpuThreshold": raw}}})
        assert errors(found) == [(code, "system.resources.cpuThreshold")]
    for number in (float("nan"), float("inf")):
        assert errors(validate_input({"system": {"resources": {"cpuThreshold": number}}}))[0][0] == "wrong_type"


def test_everything_is_found_in_one_pass():
    """Structure, names, values and rules together; a rule about a field that is wrong anyway is left out."""
    text = """{"batchSize": 99, "batchSize": "x", "delay_between_batches": 2000, "delayBetweenBatches": 3000, "batchsize": 1,
      "bad\\u001bname": 1, "cleanupOnFailure": "false\\u0007", "retryDelay": 3, "colour": "red", "concurrentBrowsers": 5,
      "system": {"timeouts": {"browserlaunch": 5, "cdpConnection": 5}, "errorHandling": {"continueOnError": false}}}"""
    found = validate_launch(text)
    assert errors(found) == [
        ("given_twice", "batchSize"),
        ("control_character", "bad\\x1bname"),
        ("control_character", "cleanupOnFailure"),
        ("given_twice", "delayBetweenBatches"),
        ("unknown_field", "batchsize"),
        ("unknown_field", "bad\\x1bname"),
        ("unknown_field", "retryDelay"),
        ("unknown_field", "colour"),
        ("unknown_field", "system.timeouts.browserlaunch"),
        ("wrong_type", "batchSize"),
        ("wrong_type", "cleanupOnFailure"),
        ("out_of_range", "system.timeouts.cdpConnection"),
    ]
    hints = {issue.field: issue.hint for issue in found.errors if issue.code == "unknown_field"}
    assert hints["batchsize"] == "did you mean batch_size?"
    assert hints["retryDelay"] == "it stands in system.error_handling"
    assert hints["colour"].startswith("there are batch_size, delay_between_batches,")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ("", "not_json"),
        ("{", "not_json"),
        (b"\xff{}", "not_json"),
        ('{"batchSize": NaN}', "not_json"),
        ('{"batchSize": ' + "1" * 5000 + "}", "not_json"),
        ("[" * 20_000, "too_deep"),
        ('{"a": ' * (DEEPEST + 1) + "1" + "}" * (DEEPEST + 1), "too_deep"),
        (" " * (LARGEST + 1), "too_large"),
        ({f"a{number}": 1 for number in range(MOST_VALUES)}, "too_large"),
        ("[1]", "not_an_object"),
        (None, "not_an_object"),
        ("\ud800", "not_json"),
    ],
)
def test_what_is_no_launch_configuration(payload, code):
    """Is refused at once, and not read any further."""
    found = validate_configuration(payload)
    assert [one[0] for one in errors(found)] == [code]


def test_a_name_need_not_be_text():
    """A Python caller may pass anything."""
    found = validate_configuration({1: 2, "system": {"resources": [["\x00"]]}})
    assert errors(found) == [
        ("control_character", "system.resources[0][0]"),
        ("unknown_field", "1"),
        ("not_an_object", "system.resources"),
    ]


def test_limits_of_the_system_bind_what_is_asked_for():
    """And give what is not; a default is never beyond a limit of browsers."""
    limits = {"maxBatchSize": 5, "defaultBatchSize": 4, "minDelayBetweenBatches": 5000, "maxConcurrentBrowsers": 2,
              "defaultDelayBetweenBatches": 6000}  # fmt: skip
    launch = validate_launch({"system": {"batchProcessing": limits}}).sanitized_data
    assert (launch.batch_size, launch.delay_between_batches, launch.concurrent_browsers) == (4, 6000, 2)
    asked = {"batchSize": 6, "concurrentBrowsers": 3, "delayBetweenBatches": 2000}
    found = validate_launch({**asked, "system": {"batchProcessing": limits}})
    assert errors(found) == [("system_limit", name) for name in asked]


def test_defaults_of_the_system_keep_its_limits():
    """Each of the two that do not is named."""
    found = validate_launch({"system": {"batchProcessing": {"maxBatchSize": 5, "minDelayBetweenBatches": 3000}}})
    of = "system.batch_processing."
    assert errors(found) == [
        ("system_limit", f"{of}default_batch_size"),
        ("system_limit", f"{of}default_delay_between_batches"),
    ]


def test_rules_between_fields():
    """What cuts off, what has no effect, what leaves browsers idle, what keeps secrets, what cannot be."""
    found = validate_launch({"batchSize": 2, "timeoutPerProfile": 10_000, "cleanupOnFailure": False,
                             "system": {"errorHandling": {"retryAttempts": 3}}})  # fmt: skip
    assert issues(found) == [
        ("warning", "timeouts_clash", "timeoutPerProfile"),
        ("warning", "idle_browsers", "batchSize"),
        ("warning", "without_effect", "system.errorHandling.retryAttempts"),
        ("warning", "keeps_secrets", "cleanupOnFailure"),
    ]
    found = validate_launch(
        {"system": {"timeouts": {"operationTimeout": 30_000}, "resources": {"cleanupInterval": 5000}}}
    )
    assert errors(found) == [
        ("not_supported", "system.resources.cleanupInterval"),
        ("timeouts_clash", "timeout_per_profile"),
    ]


def test_a_rule_is_left_out_where_a_value_is_wrong():
    """It would speak of a default that nobody asked for."""
    found = validate_launch({"batchSize": 2, "concurrentBrowsers": "x"})
    assert issues(found) == [("error", "wrong_type", "concurrentBrowsers")]


def test_what_the_engine_is_told():
    """Its own settings, in its own units, each with the field that it comes from."""
    told = {name: one.value for name, one in engine_settings(LaunchConfiguration()).items()}
    assert told == {
        "batch_size": 10, "batch_delay": 2.0, "progress_timeout": 30.0, "start_timeout": 30.0, "max_attempts": 1,
        "keep_failed": False, "max_concurrent": 3,
    }  # fmt: skip
    launch = validate_launch({
        "retryFailedProfiles": True, "cleanupOnFailure": False,
        "system": {
            "timeouts": {"profileInitialization": 4000, "browserLaunch": 9000, "cdpConnection": 1000, "operationTimeout": 5000},
            "errorHandling": {"retryAttempts": 4, "retryDelay": 500, "continueOnError": False},
            "resources": {"memoryThreshold": 2, "cpuThreshold": 0.5, "maxIdleTime": 60_000},
        },
    }).sanitized_data  # fmt: skip
    told = {name: one.value for name, one in engine_settings(launch).items()}
    assert told == {
        "batch_size": 10, "batch_delay": 2.0, "progress_timeout": 30.0, "start_timeout": 4.0, "max_attempts": 5,
        "keep_failed": True, "max_concurrent": 3, "browser_timeout": 10.0, "action_timeout": 5.0, "retry_delay": 0.5,
        "memory_reserve_bytes": 2 * MB, "cpu_threshold": 0.5, "wait_parked": 60.0, "halt": "soon,fail=1",
    }  # fmt: skip
    assert engine_settings(launch)["max_attempts"].field == "system.error_handling.retry_attempts"
    assert set(told) <= set(Settings.__struct_fields__) & set(rules())


def test_no_field_is_taken_and_ignored():
    """Each of them changes what the engine is told or what is allowed, or is refused."""
    usual = {"retryFailedProfiles": True}
    before = validate_launch(usual)
    other = {"int": 12_000, "bool": False, "float": 0.25}
    for group in GROUPS:
        key = next(one.camel for one in fields_of(SystemConfiguration).values() if one.type is group)
        for field in fields_of(group).values():
            raw: typing.Any = min(other[field.type.__name__], field.most) if field.type is not bool else False
            payload = {**usual, "system": {key: {field.camel: raw}}}
            after = validate_launch(payload)
            same = after.errors == before.errors and (
                after.sanitized_data is not None
                and engine_settings(after.sanitized_data) == engine_settings(before.sanitized_data)
            )
            limits = [
                {**payload, "batchSize": 20},
                {**payload, "delayBetweenBatches": 1000},
                {**payload, "concurrentBrowsers": 5},
            ]
            allowed = [validate_launch(one).errors for one in limits]
            if field.name not in ("max_batch_size", "max_concurrent_browsers"):  # their most is what holds anyway
                assert not same or any(allowed), field.name


def test_profiles_are_checked_by_themselves_and_together():
    """IDs, damage, who works with them; those of the result are as they were given."""
    known = {"torn": KnownProfile(problem="metadata.json is missing"), "busy": KnownProfile(holder="pid 7"),
             "Anna": KnownProfile(), "anna": KnownProfile()}  # fmt: skip
    ids = ("anna", "torn", "busy", "x y", "anna", "Anna", "fresh")
    found = validate_profiles(LaunchConfiguration(), Fleet(profile_ids=ids, known=known))
    assert issues(found) == [
        ("error", "profile_twice", "profiles[4]"),
        ("error", "profile_twice", "profiles[5]"),
        ("error", "profile_damaged", "profiles[1]"),
        ("error", "bad_profile_id", "profiles[3]"),
        ("warning", "profile_in_use", "profiles[2]"),
        ("warning", "profile_new", "profiles[6]"),
    ]
    good = validate_profiles(LaunchConfiguration(), Fleet(profile_ids=("anna",), known=known))
    assert good.sanitized_data == ("anna",)
    assert errors(validate_profiles(LaunchConfiguration(), Fleet(profile_ids=()))) == [("no_profiles", "profiles")]


def test_the_host_has_to_have_room():
    """For the copies that exist at a time, the largest ones; too little memory is only slower."""
    known = {f"p{number}": KnownProfile(bytes=number * MB) for number in range(1, 9)}
    launch = LaunchConfiguration(batch_size=2, concurrent_browsers=2)
    needed = (8 + 7 + 6 + 5) * MB
    for free, memory, expected in (
        (needed + MB, 700 * MB, []),
        (needed + MB - 1, 699 * MB, ["not_enough_disk", "not_enough_memory"]),
        (None, None, []),
    ):
        fleet = Fleet(profile_ids=tuple(known), known=known, disk_free=free, disk_reserve=MB, memory_free=memory,
                      memory_reserve=100 * MB, browser_memory=300 * MB)  # fmt: skip
        found = validate_launch(msgspec.to_builtins(launch), fleet)
        assert [code for _, code, _ in issues(found)] == expected
        assert found.is_valid is ("not_enough_disk" not in expected)


def test_every_code_is_explained():
    """The set is closed: each member has a meaning."""
    assert set(MEANINGS) == set(IssueCode)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
_NAMES = st.sampled_from([one.camel for one in fields_of(LaunchConfiguration).values()]) | st.text(max_size=10)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(_NAMES, _VALUES, max_size=6))
def test_whatever_comes_there_is_an_answer(payload):
    """Valid or with reasons on one line each, the same for its text, and what is valid is within its ranges."""
    found = validate_launch(payload)
    assert found.is_valid is not bool(found.errors)
    assert all(issue.message.isprintable() for issue in (*found.errors, *found.warnings))
    if found.sanitized_data is not None:
        again = validate_launch(json.dumps(msgspec.to_builtins(found.sanitized_data)))
        assert again.sanitized_data == found.sanitized_data
