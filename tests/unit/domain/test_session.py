"""The session of a profile: what is done, what is to do, what is secret."""

from __future__ import annotations

import msgspec
import pytest

from core.domain.session import (
    Identity,
    SessionState,
    StepSpec,
    is_done,
    is_secret,
    pending,
    reset,
    secrets_of,
    unmet,
    without_secrets,
)

LOG_IN = StepSpec(name="log in")
MAIL = StepSpec(name="mail", flag="mail_created")
ORDER = StepSpec(name="order", flag="order_placed", requires=("mail_created", "two_fa_enabled"))


def session(**flags: bool) -> SessionState:
    return SessionState(profile_id="p", completion_flags=flags)


def test_a_step_is_done_when_its_flag_is_true():
    """A flag that is false or missing is not; a step without one never is."""
    assert is_done(session(mail_created=True), MAIL)
    assert not is_done(session(mail_created=False), MAIL)
    assert not is_done(session(), MAIL)
    assert not is_done(session(mail_created=True), LOG_IN)


def test_pending_steps_keep_the_flows_order():
    """What is committed is left out; what always runs stays."""
    assert pending(session(mail_created=True), [LOG_IN, MAIL, ORDER]) == [LOG_IN, ORDER]


def test_unmet_requirements_are_named():
    """Each flag that must hold and does not."""
    assert unmet(session(mail_created=True, two_fa_enabled=False), ORDER) == ["two_fa_enabled"]
    assert unmet(session(mail_created=True, two_fa_enabled=True), ORDER) == []


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("password", True),
        ("mail_password", True),
        ("PASSWORD", True),
        ("two_fa_secret", True),
        ("api_key", True),
        ("apiKey", True),
        ("shopPassword", True),
        ("access-token", True),
        ("passwordless", False),
        ("email", False),
        ("keypassword", False),
    ],
)
def test_secret_names(name, secret):
    """Whole, or as the last words of a name, in any case and however its words are joined."""
    assert is_secret(name) is secret


def test_secrets_are_found_wherever_they_are_kept():
    """In the identity, its extras, outputs and what steps remembered; empty ones are no secrets."""
    state = SessionState(
        profile_id="p",
        identity=Identity(
            email="a@b", password="pw1", two_fa_secret="", extra={"recovery_codes": ["r1", "r2"], "city": "Ulm"}
        ),
        outputs={"api_key": "k1", "dev_token": 12345, "order": "77"},
        remembered={"order": {"card_secret": ("s1", None), "amount": 3}},
    )
    assert sorted(secrets_of(state)) == ["12345", "k1", "pw1", "r1", "r2", "s1"]


def test_a_secret_of_one_place_does_not_hide_that_of_another():
    """The same name in the identity, its extras, the outputs and a step's notes: all values count."""
    state = SessionState(
        profile_id="p",
        identity=Identity(password="pw1", extra={"password": "pw2"}),
        outputs={"password": "pw3"},
        remembered={"a": {"password": "pw4"}, "b": {"password": "pw5"}},
    )
    assert sorted(secrets_of(state)) == ["pw1", "pw2", "pw3", "pw4", "pw5"]


def test_secrets_inside_nested_values_are_found():
    """A dictionary under a name of its own may hold a secret, and a secret name may hold a dictionary."""
    state = SessionState(
        profile_id="p",
        outputs={"shop": {"password": "pw1", "name": "x"}, "accounts": [{"api_key": "k1"}], "secret": {"a": "s1"}},
    )
    assert sorted(secrets_of(state)) == ["k1", "pw1", "s1"]


def test_reset_of_one_flag_leaves_the_rest():
    """The one step runs again."""
    state = SessionState(profile_id="p", status="COMPLETED", completion_flags={"a": True, "b": True})
    cleared = reset(state, "a")
    assert (cleared.completion_flags, cleared.status) == ({"b": True}, "PENDING")
    assert state.completion_flags == {"a": True, "b": True}


def test_reset_of_all_forgets_what_was_remembered_and_keeps_the_account():
    """The identity and the outputs are the account's, not the progress's."""
    state = SessionState(
        profile_id="p",
        status="FAILED",
        completion_flags={"a": True},
        identity=Identity(email="a@b"),
        outputs={"x": 1},
        remembered={"a": {"k": 1}},
    )
    cleared = reset(state)
    assert msgspec.structs.asdict(cleared) == {
        **msgspec.structs.asdict(state),
        "status": "PENDING",
        "completion_flags": {},
        "remembered": {},
    }


def test_a_session_survives_its_file_format():
    """What is written is what is read."""
    state = SessionState(profile_id="p", identity=Identity(password="x", extra={"n": [1, {"k": None}]}))
    assert msgspec.json.decode(msgspec.json.encode(state), type=SessionState) == state


def test_without_secrets_nothing_secret_is_left():
    """What has a secret's name, holds one, or shows its value is gone and named; the rest, and the original, are as they were."""
    whole = SessionState(
        profile_id="p",
        completion_flags={"mail_created": True},
        login_generation=3,
        identity=Identity(
            email="a@example.org",
            password="hunter22",
            extra={"mail": {"api_key": "k-123456", "user": "anna"}, "backup": [{"token": "t-1"}], "town": "Bern"},
        ),
        outputs={
            "order": 17,
            "note": ["typed hunter22"],
            "hunter22": 1,
            "who": [{"hunter22": ["x"]}],
            "by": [{"hour": ["hunter22"]}],
            "seen": [{"at": [9, "Bern"]}],
            "done": True,
        },
        remembered={"shop": {"cart": ["c", 7], "secret": "zz"}},
    )
    before = msgspec.json.encode(whole)
    clean, missing = without_secrets(whole, lambda text: "hunter22" in text)
    assert msgspec.json.encode(whole) == before
    assert missing == [
        "identity.password", "identity.extra.mail.api_key", "identity.extra.backup", "outputs.note",
        "outputs.(a name that is secret)", "outputs.who", "outputs.by", "remembered.shop.secret",
    ]  # fmt: skip
    assert clean == SessionState(
        profile_id="p",
        completion_flags={"mail_created": True},
        login_generation=3,
        identity=Identity(email="a@example.org", extra={"mail": {"user": "anna"}, "town": "Bern"}),
        outputs={"order": 17, "seen": [{"at": [9, "Bern"]}], "done": True},
        remembered={"shop": {"cart": ["c", 7]}},
    )
