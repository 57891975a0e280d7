"""The contracts that profiles and workspaces were asked for with, promise by promise, and the tests that hold them.

Four contracts: the data model of worker profiles (``MODEL``), named profiles (``NAMED``), the clone manager (``CLONES``), and of the
fleet engine (``ENGINE``) how a launch is configured and what its profile store can do. A row is
a heading of the contract, a promise in our words, and either tests or the reason why the house does otherwise. What is tested
here is the table itself: that every heading has rows, and every named test is there and not skipped for good.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).resolve().parents[1]
FILES = {
    "manager": "contract/test_clone_manager.py",
    "worker": "contract/test_worker_profiles.py",
    "profiles": "contract/test_profile_manager.py",
    "recovery": "contract/test_profile_recovery.py",
    "locks": "contract/test_profile_locks.py",
    "store": "contract/test_profile_store.py",
    "updates": "contract/test_profile_updates.py",
    "launch": "unit/domain/test_launch_validation.py",
    "launching": "acceptance/test_launch_config.py",
    "dispatcher": "unit/dispatch/test_dispatcher.py",
    "notice": "unit/dispatch/test_notice.py",
    "workspaces": "contract/test_workspaces.py",
    "schema": "unit/test_profile_schema.py",
    "verification": "unit/domain/test_verification.py",
    "cloning": "unit/domain/test_cloning.py",
    "lifecycle": "unit/domain/test_lifecycle.py",
    "clone": "integration/test_clone.py",
    "processes": "integration/test_clone_processes.py",
    "selenium": "integration/test_selenium.py",
    "archive": "integration/test_archive.py",
    "hostile": "integration/test_hostile_archives.py",
    "settings": "unit/test_profile_settings.py",
    "context": "acceptance/test_profile_context.py",
    "operations": "crash/test_operations.py",
    "imports": "architecture/test_imports.py",
    "durable": "unit/test_durable.py",
}


class Row(NamedTuple):
    """One promise.

    Attributes:
        heading: of the contract.
        promise: what it says, in our words.
        tests: ``file:test``, the file by its short name above, several with spaces between.
        instead: why the house does otherwise, where it does.
    """

    heading: str
    promise: str
    tests: str = ""
    instead: str = ""


MODEL = (
    Row(
        "manager",
        "has base path, directory of clones, copies at a time, timeout, verification",
        "worker:test_the_manager_has_the_models_fields",
    ),
    Row(
        "manager",
        "makes an isolated profile for a worker",
        "worker:test_a_created_profile_is_ready_and_has_the_models_fields",
    ),
    Row("manager", "verifies a profile", "worker:test_verification_writes_down_what_it_found"),
    Row("manager", "removes a profile, given as such", "manager:test_cleanup_takes_a_worker_or_its_profile"),
    Row("manager", "says how the base profile is", "worker:test_the_status_of_the_base_profile"),
    Row(
        "manager",
        "goes from initialized to active to shutdown",
        "worker:test_the_manager_goes_from_initialized_to_active_to_shutdown",
    ),
    Row(
        "manager",
        "a profile goes from creating to destroyed in six states",
        "worker:test_a_profile_goes_through_the_models_states lifecycle:test_every_state_stands_in_its_table_and_can_be_reached",
    ),
    Row(
        "worker profile",
        "has worker, type, path, times, status and options",
        "worker:test_a_created_profile_is_ready_and_has_the_models_fields",
    ),
    Row("worker profile", "the worker is a positive number", "worker:test_a_worker_id_is_a_positive_integer"),
    Row("worker profile", "the path exists and can be read", "worker:test_a_profile_that_breaks_a_rule_cannot_be_made"),
    Row("worker profile", "one base profile for a manager", "worker:test_only_one_worker_has_the_base_profile"),
    Row("worker profile", "clones have unique paths", "worker:test_clones_have_unique_paths"),
    Row(
        "worker profile",
        "gives options for a driver, which work",
        "worker:test_selenium_options_are_a_copy selenium:test_selenium_sees_in_a_clone_what_the_base_profile_has",
    ),
    Row(
        "worker profile",
        "says whether a browser may start in it",
        "worker:test_a_profile_is_ready_while_a_browser_may_be_started_in_it",
    ),
    Row(
        "worker profile",
        "sums up its verification",
        "worker:test_verification_writes_down_what_it_found worker:test_a_profile_that_was_never_verified_has_a_summary_too",
    ),
    Row("verification config", "methods, two timeouts, a URL, files, retries", "verification:test_methods_in_force"),
    Row(
        "verification config",
        "at least one method, positive times, a valid URL",
        "verification:test_a_verification_config_that_makes_no_sense_is_refused",
    ),
    Row(
        "verification result",
        "worker, status, each method, times, error, retries",
        "verification:test_a_result_says_who_how_long_and_why",
    ),
    Row(
        "verification result",
        "says success, failed methods, duration",
        "verification:test_what_all_methods_amount_to verification:test_a_result_says_who_how_long_and_why",
    ),
    Row(
        "retry config",
        "attempts, delays, backoff, jitter",
        "verification:test_delays_double_to_a_limit_and_are_stretched",
    ),
    Row(
        "retry config",
        "at least one attempt, positive delays, the longest not below the base",
        "verification:test_a_retry_config_out_of_range_is_refused verification:test_the_limits_of_a_retry_config_are_allowed",
    ),
    Row("enumerations", "names and values of all", "verification:test_the_words_are_the_contracts"),
    Row(
        "relationships",
        "one manager, many profiles, at most one base",
        "worker:test_only_one_worker_has_the_base_profile",
    ),
    Row(
        "relationships",
        "many results, of which the latest counts",
        "worker:test_verification_writes_down_what_it_found",
    ),
    Row(
        "creation",
        "worker 1 has the base profile, others clones",
        "worker:test_worker_1_uses_the_base_profile_itself_where_that_was_chosen worker:test_by_default_every_worker_gets_a_clone",
        "only where that was chosen: by default everybody gets a clone",
    ),
    Row(
        "creation",
        "a clone is a copy, returned ready",
        "worker:test_a_created_profile_is_ready_and_has_the_models_fields manager:test_create_copies_the_base_profile_without_caches_and_leaves_it_alone",
    ),
    Row(
        "verification",
        "each method under a timeout, with a result of its own",
        "worker:test_no_browser_in_the_profile_is_a_timeout worker:test_some_passed_and_some_failed_is_partial",
    ),
    Row(
        "verification",
        "results add up, and are the profile's status",
        "verification:test_what_all_methods_amount_to worker:test_verification_writes_down_what_it_found",
    ),
    Row(
        "clean-up",
        "a clone's directory goes, a base stays, the manager forgets it",
        "manager:test_cleanup_removes_the_directory_and_the_record worker:test_worker_1_uses_the_base_profile_itself_where_that_was_chosen",
    ),
    Row("errors", "eight exceptions, typed", "worker:test_the_eight_exceptions_are_typed"),
    Row("errors", "the base is locked by another", "manager:test_a_base_that_is_open_in_a_browser_is_refused"),
    Row(
        "errors",
        "not enough room",
        "manager:test_a_full_disk_is_an_os_error_and_leaves_nothing manager:test_no_inodes_left_is_a_full_disk_too",
    ),
    Row(
        "errors",
        "no permission to read or to write",
        "worker:test_a_base_profile_without_any_right_is_said manager:test_no_right_to_write_is_an_os_error",
    ),
    Row("errors", "the base is damaged", "manager:test_a_base_that_is_damaged_is_refused"),
    Row("errors", "verification took too long", "worker:test_no_browser_in_the_profile_is_a_timeout"),
    Row("errors", "the login check failed", "worker:test_a_login_that_stays_away_is_given_up"),
    Row(
        "errors",
        "the driver names another profile",
        "worker:test_a_driver_with_another_profile_is_a_mismatch selenium:test_a_driver_that_runs_elsewhere_is_noticed",
    ),
    Row("errors", "files are missing or damaged", "worker:test_a_clone_that_stays_damaged_is_a_failure"),
    Row("recovery", "corruption: cloned again", "worker:test_a_damaged_clone_is_made_anew"),
    Row(
        "recovery", "authentication: tried again with backoff", "worker:test_a_failed_login_is_tried_again_with_backoff"
    ),
    Row("recovery", "timeout: more time, once", "worker:test_a_login_check_that_takes_longer_is_given_more_time_once"),
    Row("recovery", "permission: what can be read", "worker:test_what_cannot_be_read_is_left_out_and_listed"),
)

NAMED = (
    Row(
        "guarantees",
        "profiles are isolated",
        "profiles:test_all_that_belongs_to_a_profile_goes profiles:test_a_new_profile_inherits_nothing",
        "but for the cache of selectors, which holds no account's data",
    ),
    Row(
        "guarantees",
        "operations are atomic",
        "profiles:test_any_failure_of_a_creation_takes_it_back operations:test_whatever_strikes_leaves_the_old_or_the_new",
    ),
    Row("guarantees", "the active profile is protected", "profiles:test_the_active_profile_is_not_deleted"),
    Row(
        "guarantees",
        "concurrency by file locks",
        "locks:test_racing_processes_are_never_inside_together profiles:test_two_who_change_metadata_both_have_their_change",
    ),
    Row(
        "guarantees",
        "corruption is detected and recovered",
        "profiles:test_damage_that_a_status_finds_is_marked recovery:test_only_the_broken_part_goes",
    ),
    Row(
        "guarantees", "nothing changes for who has one account", "profiles:test_the_active_profile_outlives_the_process"
    ),
    Row(
        "structure",
        "a directory with metadata, session, browser data, cache, lock",
        "profiles:test_a_new_profile_has_the_directory_of_the_contract locks:test_the_record_for_people",
    ),
    Row(
        "structure",
        "metadata as published, ISO times, three states",
        "profiles:test_metadata_of_the_contract schema:test_what_it_may_say schema:test_what_it_may_not_say",
    ),
    Row(
        "structure",
        "an ID is short and of safe characters",
        "profiles:test_an_id_is_held_to_its_rule",
        "underscore and hyphen are allowed, as the contract's own examples have them",
    ),
    Row(
        "components",
        "manager, registry, locks, metadata, validator with their methods",
        "profiles:test_locks_are_acquired_and_released profiles:test_the_handler_loads_and_saves",
    ),
    Row(
        "components",
        "stale locks are found and removed",
        "locks:test_a_stale_record_does_not_hold_the_lock",
        "the kernel frees the lock of a dead holder; the record beside it is for people",
    ),
    Row(
        "creation",
        "unique, whole, registered; taken back on any failure",
        "profiles:test_ids_are_unique_also_in_case profiles:test_any_failure_of_a_creation_takes_it_back",
    ),
    Row("activation", "what is not there is an error", "profiles:test_what_is_not_there_is_not_activated"),
    Row("activation", "the active one stays as it is", "profiles:test_activating_the_active_one_changes_nothing"),
    Row(
        "activation",
        "blocks while another process holds the profile",
        "profiles:test_activation_goes_on_when_the_lock_is_free profiles:test_activation_waits_for_the_lock_and_then_names_the_holder",
    ),
    Row("activation", "the one before is deactivated", "profiles:test_activation_switches"),
    Row(
        "deletion",
        "refused for one that is locked or active, unless forced",
        "profiles:test_a_profile_in_use_is_not_deleted profiles:test_the_active_profile_is_not_deleted profiles:test_force_does_not_end_its_own_process",
    ),
    Row(
        "deletion",
        "a deletion that was cut off is finished",
        "profiles:test_what_could_not_be_removed_is_removed_next_time",
    ),
    Row(
        "edge cases",
        "concurrent access waits, then fails by name",
        "profiles:test_activation_waits_for_the_lock_and_then_names_the_holder",
    ),
    Row(
        "edge cases",
        "damaged metadata: marked, not activated, recovery offered",
        "profiles:test_damaged_metadata_are_marked_and_not_activated",
    ),
    Row(
        "edge cases",
        "a creation that was cut off leaves nothing",
        "store:test_a_half_made_profile_is_none operations:test_whatever_strikes_leaves_the_old_or_the_new",
    ),
    Row(
        "edge cases",
        "a full disk leaves the last valid state",
        "profiles:test_a_full_disk_leaves_the_active_one operations:test_a_disk_that_fills_up_leaves_the_old_or_the_new",
    ),
    Row("recovery", "soft: metadata from the directory", "recovery:test_metadata_are_rebuilt_from_the_directory"),
    Row(
        "recovery", "hard: session login and browser data are reset", "recovery:test_hard_resets_login_and_browser_data"
    ),
    Row(
        "python",
        "create, activate, deactivate, delete, list, recover, by both names",
        "profiles:test_the_default_state_directory_is_that_of_the_command profiles:test_deactivation profiles:test_a_list_shows_damaged_profiles_too",
    ),
    Row("platforms", "registered without a change to the core", "profiles:test_metadata_of_the_contract"),
    Row(
        "platforms",
        "stable settings of a profile's browser",
        "settings:test_what_may_be_set context:test_each_run_has_the_same_context",
        "honest settings, kept with the profile: no disguise",
    ),
    Row("roadmap", "many accounts in parallel", instead="what orchestrator.py is for"),
    Row(
        "roadmap",
        "export and import as ZIP",
        "archive:test_a_profile_comes_back_under_another_id hostile:test_it_is_refused_and_leaves_nothing",
    ),
    Row("roadmap", "encryption at rest", instead="left to the file system: a key beside the data would protect nobody"),
    Row("roadmap", "remote management, terminal interface", instead="the command line over a shell; no open port"),
    Row("quality", "atomic writes", "durable:test_an_error_leaves_the_old_version_and_nothing_else"),
    Row("quality", "imports and boundaries are held", "imports:test_imports_follow_the_rules"),
)

CLONES = (
    Row(
        "constructor",
        "four arguments and their defaults",
        "manager:test_the_constructor_has_the_contracts_arguments_and_defaults",
    ),
    Row(
        "constructor",
        "1 to 16 profiles, else a ValueError",
        "manager:test_fewer_than_1_or_more_than_16_profiles_are_a_value_error manager:test_1_and_16_profiles_are_allowed",
    ),
    Row(
        "constructor",
        "a base that does not exist is a FileNotFoundError",
        "manager:test_a_base_profile_that_does_not_exist_is_a_file_not_found_error",
    ),
    Row(
        "constructor",
        "a base that cannot be read is a PermissionError",
        "manager:test_a_base_profile_that_cannot_be_read_is_a_permission_error",
    ),
    Row(
        "create_profile",
        "returns an absolute path",
        "manager:test_create_returns_the_absolute_path_of_a_private_directory",
    ),
    Row(
        "create_profile",
        "an invalid worker or one that has a profile is a ValueError",
        "manager:test_an_invalid_worker_id_is_a_value_error manager:test_a_worker_that_has_a_profile_gets_no_second_one",
    ),
    Row(
        "create_profile",
        "disk and permissions are an OSError",
        "manager:test_a_full_disk_is_an_os_error_and_leaves_nothing manager:test_no_right_to_write_is_an_os_error",
    ),
    Row(
        "create_profile",
        "more than allowed is a ProfileLimitError",
        "manager:test_more_than_max_profiles_are_a_profile_limit_error",
    ),
    Row(
        "create_profile",
        "copies the base, with the rights a browser needs, and remembers it",
        "manager:test_create_copies_the_base_profile_without_caches_and_leaves_it_alone manager:test_create_returns_the_absolute_path_of_a_private_directory",
    ),
    Row(
        "copy_base_profile",
        "fills a worker's profile; only where there is a base",
        "manager:test_copy_base_profile_fills_a_workers_profile_anew manager:test_copy_base_profile_only_copies_where_there_is_a_base_and_a_worker",
    ),
    Row(
        "copy_base_profile",
        "without caches, with settings and extensions",
        "manager:test_settings_and_extensions_are_preserved clone:test_a_template_loses_caches_and_traces_and_nothing_else",
    ),
    Row("cleanup_profile", "idempotent", "manager:test_cleanup_is_idempotent"),
    Row(
        "cleanup_profile",
        "locked files and permissions are coped with, tried again",
        "manager:test_cleanup_waits_for_locked_files_and_tries_again manager:test_cleanup_mends_permissions",
    ),
    Row("cleanup_profile", "logs instead of failing", "manager:test_cleanup_that_fails_is_logged_and_does_not_raise"),
    Row(
        "cleanup_all_profiles",
        "removes what it can, and counts it",
        "manager:test_cleanup_all_removes_what_can_be_and_counts_it",
    ),
    Row("get_profile_path", "the path, or None", "manager:test_the_path_is_known_while_there_is_one"),
    Row(
        "validate_profile",
        "there, readable, intact, not locked",
        "manager:test_a_profile_is_valid_when_it_is_whole_and_nobody_is_in_it manager:test_a_profile_that_is_damaged_or_incomplete_is_not_valid manager:test_a_profile_that_cannot_be_accessed_is_not_valid manager:test_a_profile_that_somebody_has_open_is_not_valid_but_for_its_own_worker",
    ),
    Row("get_profile_size", "bytes, 0 for none", "manager:test_the_size_is_that_of_all_files"),
    Row(
        "get_profile_size",
        "cached where possible",
        "manager:test_the_size_is_cached_until_something_changes_or_it_is_old",
    ),
    Row(
        "list_profiles",
        "five facts of each",
        "manager:test_the_list_has_every_profile_with_what_is_known_of_it manager:test_last_access_moves_with_the_worker_and_its_browser",
    ),
    Row(
        "creation",
        "unique directories",
        "manager:test_each_clone_has_a_directory_of_its_own_named_for_its_worker",
        "below state/ first, so that blocks can be shared and a memory file system is not filled; the system's temporary directory is the fallback",
    ),
    Row("creation", "the size is limited", "manager:test_what_is_larger_than_the_limit_is_not_copied"),
    Row(
        "clean-up",
        "at the end of the manager and of the program",
        "manager:test_a_manager_that_is_collected_cleans_up manager:test_the_end_of_a_with_block_cleans_up_also_after_an_error processes:test_the_end_of_a_program_cleans_up",
    ),
    Row(
        "limits",
        "profiles at a time, also across processes",
        "manager:test_the_limit_holds_for_all_managers_of_a_directory processes:test_limits_hold_for_all_processes",
    ),
    Row("limits", "room is looked for beforehand", "clone:test_a_full_disk_is_said_before_anything_is_made"),
    Row("limits", "sizes are watched", "manager:test_a_clone_that_outgrows_the_limit_is_noticed"),
    Row(
        "limits", "memory is watched for large copies", "manager:test_memory_is_watched_while_a_large_profile_is_copied"
    ),
    Row("errors", "three exceptions, their arguments and texts", "manager:test_the_errors_are_the_contracts"),
    Row(
        "recovery",
        "another directory after a failure",
        "manager:test_a_failure_is_tried_again_in_another_directory cloning:test_the_next_place",
    ),
    Row("recovery", "goes on when a clean-up fails", "manager:test_cleanup_all_removes_what_can_be_and_counts_it"),
    Row(
        "recovery",
        "sequential after repeated failures",
        "manager:test_after_failures_in_a_row_clones_are_made_one_after_the_other cloning:test_two_failures_in_a_row_make_it_sequential_and_two_successes_parallel_again",
    ),
    Row(
        "threads",
        "create, clean up and list at the same time",
        "manager:test_sixteen_threads_create_clean_and_list_at_once manager:test_threads_that_want_the_same_worker_get_one_profile manager:test_a_clean_up_in_the_middle_of_a_creation_waits_for_it",
    ),
    Row(
        "times",
        "create, clean up, validate, size, list within limits",
        instead="measured by `make bench`, beside others: a test on a busy machine proves nothing about time",
    ),
    Row(
        "integration",
        "versions of browsers",
        "clone:test_an_older_browser_is_refused_on_newer_data",
        "Chrome's and Edge's profiles are told apart, and a browser is refused on newer data",
    ),
    Row("integration", "downloads and security settings stay", "manager:test_settings_and_extensions_are_preserved"),
    Row(
        "integration",
        "temporary directories and rights of each system",
        "clone:test_the_temporary_directory_is_short_and_goes_with_the_workspace",
        "Linux is where this is proven; other systems degrade as the README says",
    ),
    Row("integration", "Edge's driver and Chrome's", "worker:test_the_driver_names_the_profile_of_its_browser"),
)
ENGINE = (
    Row(
        "launch configuration",
        "six fields with their ranges and defaults, and a system configuration of four groups",
        "launch:test_the_fields_are_those_that_were_asked_for launch:test_nothing_named_is_the_defaults",
        "units, ranges and names are the contract's; seconds and wider ranges hold on the command line",
    ),
    Row(
        "launch configuration",
        "a configuration is dynamic: the engine does what it says",
        "launching:test_a_launch_configuration_runs_a_fleet launch:test_what_the_engine_is_told launch:test_no_field_is_taken_and_ignored",
    ),
    Row(
        "launch configuration",
        "clean-up on failure can be turned off",
        "dispatcher:test_the_copy_of_a_job_that_failed_is_kept_where_that_is_wanted workspaces:test_what_is_put_aside_is_evidence_and_nobodys_workspace",
    ),
    Row(
        "launch configuration",
        "going on after an error can be turned off",
        "launch:test_what_the_engine_is_told",
    ),
    Row(
        "launch configuration",
        "a clean-up interval can be set",
        instead="attempts clean up as they end, and each start what was left: it is refused by name",
    ),
    Row(
        "validation",
        "input: types, ranges, sanitised text",
        "launch:test_a_number_is_taken_as_it_is_meant launch:test_a_truth_value_is_taken_as_it_is_meant launch:test_a_wrong_value_is_named",
    ),
    Row(
        "validation",
        "configuration: structure, business rules, security limits",
        "launch:test_everything_is_found_in_one_pass launch:test_what_is_no_launch_configuration launch:test_rules_between_fields launch:test_limits_of_the_system_bind_what_is_asked_for",
    ),
    Row(
        "validation",
        "profiles: integrity, resources, operational constraints",
        "launch:test_profiles_are_checked_by_themselves_and_together launch:test_the_host_has_to_have_room",
    ),
    Row(
        "validation",
        "a result has validity, sanitised data, errors and warnings with field, message, severity, code",
        "launch:test_whatever_comes_there_is_an_answer launch:test_every_code_is_explained",
    ),
    Row(
        "profile store",
        "sets, gets, updates and removes a profile",
        "store:test_what_was_written_is_read profiles:test_two_who_change_metadata_both_have_their_change profiles:test_all_that_belongs_to_a_profile_goes",
    ),
    Row(
        "profile store",
        "knows the instances of a profile",
        "updates:test_what_all_profiles_take",
        "who holds a profile is what its kernel lock says; there is no table of live objects",
    ),
    Row("profile store", "profiles by status", "updates:test_profiles_by_status"),
    Row(
        "profile store",
        "updates many, and says what became of each",
        "updates:test_each_update_is_made_or_said_why_not updates:test_updates_are_made_under_each_profiles_lock",
    ),
    Row("profile store", "cleans up", "updates:test_cleanup_removes_what_a_killed_holder_left"),
    Row("profile store", "says what it takes", "updates:test_what_all_profiles_take"),
    Row(
        "synchronisation",
        "updates trigger events",
        "updates:test_whatever_changes_a_profile_is_told notice:test_what_others_left_to_be_told_is_told",
    ),
    Row(
        "synchronisation",
        "concurrent updates: conflicts are found",
        "updates:test_of_many_who_saw_the_same_one_wins updates:test_a_revision_is_what_was_seen",
    ),
)
TABLES = {"MODEL": MODEL, "NAMED": NAMED, "CLONES": CLONES, "ENGINE": ENGINE}


def found_in(path: Path) -> dict[str, list[str]]:
    """Return the tests of a file with the names of their decorators."""
    return {
        node.name: [ast.unparse(decorator) for decorator in node.decorator_list]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("row", [row for table in TABLES.values() for row in table], ids=lambda row: row.promise[:60])
def test_a_promise_is_held(row):
    """By tests that are there and that are not skipped whatever the machine; or there is a reason why it is not made."""
    assert row.tests or row.instead
    for named in row.tests.split():
        file, _, test = named.partition(":")
        decorators = found_in(TESTS / FILES[file]).get(test)
        assert decorators is not None, f"{FILES[file]} has no {test}"
        assert not any(decorator.startswith("pytest.mark.skip(") for decorator in decorators), named


@pytest.mark.parametrize("table", TABLES)
def test_a_promise_stands_once(table):
    """Under one heading no sentence is there twice."""
    assert [
        row for row, times in Counter((row.heading, row.promise) for row in TABLES[table]).items() if times > 1
    ] == []


def test_no_file_is_named_for_nothing():
    """Every short name is used."""
    used = {named.partition(":")[0] for table in TABLES.values() for row in table for named in row.tests.split()}
    assert set(FILES) - used == set()
