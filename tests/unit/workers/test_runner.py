"""The pipeline of a run: what it does, in which order, and how each way out ends."""

from __future__ import annotations

import anyio
import msgspec
import pytest

from core.domain.failure import Code
from core.domain.messages import (
    BrowserClosed,
    Finished,
    Go,
    Launch,
    Note,
    Phase,
    Planned,
    Prepared,
    Ready,
    SecretLearnt,
    StepCommitted,
    StepProblem,
    StepStarted,
    Stop,
    Yield,
)
from core.domain.outcome import Busy, Corrupt, Done, Failed, HostFault, Interrupted, Rejected, Waiting
from core.domain.session import SessionState, reset
from core.errors import BrowserLaunchFailed, BrowserNotFound, BrowserRefused, FlowLoadError, NoSpace, StateCorrupt
from core.process.channel import decode_up, encode
from core.profiles.port import ProfileMetadata
from core.state.memory import MemoryLoginStateStore, MemorySessionStore
from core.state.port import LoginState
from tests.unit.workers.stage import PROFILE, Theatre
from workers.scripted import ScriptedControl
from workers.steps import Flow, StepFailed, needs_person
from workers.steps.execute import CHECK_TIMEOUT, PREPARE_TIMEOUT


class Accounts(msgspec.Struct):
    """Parameters with a secret inside."""

    account: dict[str, str]


async def _yes(ctx):
    return True


@pytest.fixture
def theatre() -> Theatre:
    return Theatre()


def two_steps(**options) -> tuple[Flow, list[str]]:
    """A flow of two steps that write down when they run."""
    flow, ran = Flow(**options), []

    @flow.step
    async def one(ctx):
        ran.append("one")
        ctx.outputs["first"] = 1

    @flow.step(requires="one")
    async def two(ctx):
        ran.append("two")

    return flow, ran


async def test_pipeline_in_order(theatre):
    """A run goes through the named stages, commits each step, closes the browser, then saves."""
    flow, ran = two_steps()
    outcome = await theatre.play(flow)
    assert outcome == Done()
    assert ran == ["one", "two"]
    phases = [message.name for message in theatre.control.all(Phase)]
    assert phases == ["restore", "clone", "verify", "launch", "steps", "save", "report"]
    assert [message.step for message in theatre.control.all(StepCommitted)] == ["one", "two"]
    assert theatre.control.sent[-1] == Finished(outcome=Done())
    assert theatre.workspaces.wanted_back == [PROFILE]
    sent = theatre.control.sent
    assert sent.index(BrowserClosed()) < sent.index(Phase(name="save", limit=600.0))
    assert theatre.session.status == "COMPLETED"
    assert theatre.session.completion_flags == {"one": True, "two": True}
    assert theatre.session.outputs == {"first": 1}


async def test_nothing_before_go(theatre):
    """A worker that is never told to go leaves no trace: no session, no profile, no workspace, no flow loaded."""
    flow, ran = two_steps()
    theatre.control = ScriptedControl(go=False)
    theatre.control.on_send = lambda message: theatre.control.say(None) if isinstance(message, Ready) else None
    outcome = await theatre.play(flow)
    assert isinstance(outcome, Interrupted)
    assert ran == []
    assert theatre.sessions.read(PROFILE) is None
    assert theatre.profiles.read(PROFILE) is None
    assert theatre.workspaces.files == {}
    assert [type(message) for message in theatre.control.sent] == [Ready, Finished]


async def test_held_profile_is_busy(theatre):
    """A profile that somebody else holds ends the attempt before Ready, and names the holder."""
    flow, _ = two_steps()
    with theatre.locks.hold(PROFILE, "somebody"):
        outcome = await theatre.play(flow)
    assert isinstance(outcome, Busy)
    assert "somebody" in outcome.holder
    assert theatre.control.all(Ready) == []


async def test_each_holder_gets_a_higher_number(theatre):
    """The fence rises by one per holder, above the session's and the login state's."""
    flow, _ = two_steps()
    theatre.logins.write(PROFILE, LoginState(), fence=7)
    await theatre.play(flow)
    assert theatre.control.all(Ready)[0].fence == 8
    control = theatre.again()
    await theatre.play(flow)
    assert control.all(Ready)[0].fence == 9


async def test_done_steps_are_skipped(theatre):
    """A step whose flag is true is not run again; the plan says so."""
    flow, ran = two_steps()
    session = SessionState(profile_id=PROFILE, completion_flags={"one": True})
    theatre.sessions.write(session, fence=1)
    assert await theatre.play(flow) == Done()
    assert ran == ["two"]
    assert theatre.control.all(Planned) == [Planned(done=("one",), todo=("two",), flags={"two": "two"})]


async def test_nothing_pending_opens_no_browser(theatre):
    """A finished profile is done without a browser or a workspace."""
    flow, _ = two_steps()
    await theatre.play(flow)
    theatre.again()
    assert await theatre.play(flow) == Done()
    assert len(theatre.browsers.requests) == 1
    assert len(theatre.workspaces.wanted_back) == 1


async def test_committed_but_not_saved_is_saved_by_the_next(theatre):
    """An attempt that died between its last commit and the save leaves the saving to the next one."""
    flow, ran = two_steps()
    await theatre.play(flow)
    metadata = theatre.profiles.read(PROFILE)
    theatre.profiles.write(msgspec.structs.replace(metadata, generation=metadata.generation - 1))
    theatre.again()
    assert await theatre.play(flow) == Done()
    assert ran == ["one", "two"]
    assert theatre.workspaces.wanted_back == [PROFILE, PROFILE]
    assert theatre.profiles.read(PROFILE).generation == theatre.session.login_generation


async def test_saved_data_that_is_gone_is_said(theatre):
    """A profile that was saved once starts from nothing: the run goes on with its login state, and does not keep quiet."""
    flow, _ = two_steps()

    @flow.step(always=True)
    async def look(ctx):
        (data,) = theatre.workspaces.files.values()
        data["History"] = "been here"

    await theatre.play(flow)
    assert "browser_data_missing" not in [note.name for note in theatre.control.all(Note)]
    control = theatre.again()
    await theatre.play(flow)
    assert "browser_data_missing" not in [note.name for note in control.all(Note)]
    theatre.workspaces.saved.clear()
    control = theatre.again()
    assert await theatre.play(flow) == Done()
    assert "browser_data_missing" in [note.name for note in control.all(Note)]
    assert theatre.browsers.requests[-1].restore is not None


async def test_steps_without_a_flag_run_in_every_attempt(theatre):
    """``always`` steps state no fact and are never done."""
    flow, ran = two_steps()

    @flow.step(always=True)
    async def log_in(ctx):
        ran.append("log_in")

    await theatre.play(flow)
    theatre.again()
    await theatre.play(flow)
    assert ran == ["one", "two", "log_in", "log_in"]
    assert "log_in" not in theatre.session.completion_flags


async def test_login_state_is_written_before_the_flag(theatre):
    """Never the flag before the login state: the two writes come in this order, and then the message."""
    order = []

    class Logins(MemoryLoginStateStore):
        def write(self, profile_id, state, *, fence):
            order.append("login")
            return super().write(profile_id, state, fence=fence)

    class Sessions(MemorySessionStore):
        def write(self, session, *, fence):
            order.append(f"session {sorted(session.completion_flags)}")
            return super().write(session, fence=fence)

    theatre.logins, theatre.sessions = Logins(), Sessions()
    theatre.control.on_send = lambda m: order.append("said") if isinstance(m, StepCommitted) else None
    flow = Flow()

    @flow.step
    async def one(ctx):
        order.append("body")

    await theatre.play(flow)
    assert order == ["session []", "body", "login", "session ['one']", "said", "session ['one']"]


async def test_failed_export_commits_nothing(theatre):
    """Without the login state there is no commit, though the body ran."""
    flow, ran = Flow(), []

    @flow.step
    async def one(ctx):
        ran.append("one")
        theatre.browsers.opened[0].lost.set()

    outcome = await theatre.play(flow)
    assert isinstance(outcome, Failed)
    assert ran == ["one"]
    assert theatre.session.completion_flags == {}
    assert theatre.logins.read(PROFILE) is None


async def test_postcondition_is_tried_before_the_body_only_after_an_earlier_start(theatre):
    """The first try runs the body at once; a later attempt asks the post-condition first and leaves the body out."""
    flow, events, holds = Flow(), [], []

    @flow.step
    async def order(ctx):
        events.append("body")
        holds.append(True)
        if ctx.attempt == 1:
            raise RuntimeError("died after the effect")

    @order.postcondition
    async def ordered(ctx):
        events.append("check")
        return bool(holds)

    assert isinstance(await theatre.play(flow), Failed)
    assert events == ["body"]
    control = theatre.again()
    assert await theatre.play(flow, attempt=2) == Done()
    assert events == ["body", "check"]
    assert control.all(StepCommitted)[0].body_ran is False


async def test_check_that_raises_does_not_hold_before_the_body(theatre):
    """Before the body an error means no; after the body it is the step's failure."""
    flow, events = Flow(), []

    @flow.step(retries=1)
    async def one(ctx):
        events.append("body")

    @one.postcondition
    async def check(ctx):
        events.append("check")
        raise RuntimeError("cannot tell")

    outcome = await theatre.play(flow)
    assert isinstance(outcome, Failed)
    assert events == ["body", "check", "check", "body", "check"]
    assert "cannot tell" in outcome.reason


async def test_postcondition_that_does_not_hold_is_a_failure(theatre):
    """A body that ended does not make a step done."""
    flow = Flow()

    @flow.step
    async def one(ctx): ...

    @one.postcondition
    async def check(ctx):
        return False

    outcome = await theatre.play(flow)
    assert isinstance(outcome, Failed)
    assert outcome.step == "one"
    assert theatre.session.completion_flags == {}
    assert theatre.session.status == "FAILED"


async def test_needs_person(theatre):
    """A step that needs a person ends the job as waiting for one; it is not tried again."""
    flow = Flow()

    @flow.step(retries=3)
    async def captcha(ctx):
        needs_person("solve the puzzle")

    assert await theatre.play(flow) == Waiting(step="captcha", why="solve the puzzle")
    assert len(theatre.control.all(StepStarted)) == 1
    assert theatre.session.status == "NEEDS_PERSON"


async def test_retries_within_an_attempt(theatre):
    """A step is tried as often as it says; each failed try is reported and what it set is forgotten."""
    flow, seen = Flow(), []

    @flow.step(retries=2)
    async def flaky(ctx):
        seen.append("half" in ctx.outputs)
        ctx.outputs["half"] = True
        if len(seen) < 3:
            raise StepFailed("flaky", "not yet")

    assert await theatre.play(flow) == Done()
    assert seen == [False, False, False]
    problems = theatre.control.all(StepProblem)
    assert [(problem.try_, problem.will_retry) for problem in problems] == [(1, True), (2, True)]
    assert [message.try_ for message in theatre.control.all(StepStarted)] == [1, 2, 3]


async def test_timeout_is_retried_on_a_fresh_page(theatre):
    """A step that hung goes on with a new page, led there by prepare."""
    flow, pages, prepared = Flow(), [], []

    @flow.prepare
    async def lead(ctx):
        prepared.append(ctx.page)

    @flow.step(timeout=0.05, retries=1)
    async def hang(ctx):
        pages.append(ctx.page)
        if len(pages) == 1:
            await anyio.sleep_forever()

    assert await theatre.play(flow) == Done()
    assert pages[0] is not pages[1]
    assert prepared == pages
    assert "did not end within 0.05 s" in theatre.control.all(StepProblem)[0].reason


async def test_limit_of_a_step_exceeds_its_timeout(theatre):
    """The orchestrator is told to wait longer than the step's own timeout, so that its explanation arrives first."""
    flow = Flow()

    @flow.step(timeout=100)
    async def long(ctx): ...

    @flow.step(timeout=1)
    async def short(ctx): ...

    await theatre.play(flow)
    assert [message.limit for message in theatre.control.all(StepStarted)] == [115.0, 30.0]


async def test_unmet_requirement_is_permanent_and_opens_nothing(theatre):
    """What could not be finished is refused before a browser is started."""
    flow = Flow()

    @flow.step(requires=("two_fa_enabled",))
    async def one(ctx): ...

    outcome = await theatre.play(flow)
    assert isinstance(outcome, Failed)
    assert outcome.code is Code.REQUIREMENT_UNMET
    assert "two_fa_enabled" in outcome.reason
    assert theatre.browsers.requests == []


async def test_stop_during_a_step(theatre):
    """A stop cancels the step, commits nothing more, closes the browser and keeps the workspace."""
    flow = Flow()

    @flow.step
    async def one(ctx): ...

    @flow.step
    async def endless(ctx):
        theatre.control.say(Stop(reason="enough", grace=5))
        await anyio.sleep_forever()

    assert await theatre.play(flow) == Interrupted(reason="enough")
    assert theatre.session.completion_flags == {"one": True}
    assert theatre.session.status == "PENDING"
    assert theatre.browsers.closed == 1
    assert theatre.workspaces.wanted_back == []
    assert len(theatre.workspaces.files) == 1


@pytest.mark.parametrize("browser", [True, False])
async def test_stop_wins_over_what_it_makes_fail(theatre, browser):
    """A step whose own clean-up fails because it is being stopped was interrupted: that costs the profile no retry."""
    flow = Flow(browser=browser)

    @flow.step
    async def clumsy(ctx):
        theatre.control.say(Stop(reason="enough", grace=5))
        try:
            await anyio.sleep_forever()
        finally:
            raise RuntimeError("the page is gone")

    assert await theatre.play(flow) == Interrupted(reason="enough")
    assert theatre.session.status == "PENDING"


async def test_end_of_the_orchestrator_is_a_stop(theatre):
    """End of file on the channel ends the run like a stop."""
    flow = Flow()

    @flow.step
    async def endless(ctx):
        theatre.control.say(None)
        await anyio.sleep_forever()

    assert await theatre.play(flow) == Interrupted(reason="the orchestrator is gone")


async def test_second_go_is_ignored(theatre):
    """A repeated word does not end the run."""
    flow, _ = two_steps()
    theatre.control.say(Go())
    assert await theatre.play(flow) == Done()


async def test_no_browser_and_no_step_without_a_launch(theatre):
    """Prepared, it waits: the workspace is there, nothing was started, and the word to launch lets it go on."""
    flow, done = two_steps()
    theatre.control = ScriptedControl(go=False)
    theatre.control.say(Go())
    seen = []

    def when_prepared(message):
        if isinstance(message, Prepared):
            seen.append((len(theatre.workspaces.files), len(theatre.browsers.requests), len(done)))
            theatre.control.say(Launch())

    theatre.control.on_send = when_prepared
    assert await theatre.play(flow) == Done()
    assert seen == [(1, 0, 0)]
    assert len(theatre.browsers.requests) == 1


async def test_a_stop_before_the_launch_starts_no_browser(theatre):
    """Sent away while it waits: interrupted, and nothing was done."""
    flow, done = two_steps()
    theatre.control = ScriptedControl(go=False)
    theatre.control.say(Go())
    theatre.control.on_send = lambda message: (
        theatre.control.say(Stop(reason="not today", grace=1)) if isinstance(message, Prepared) else None
    )
    assert await theatre.play(flow) == Interrupted(reason="not today")
    assert (theatre.browsers.requests, list(done)) == ([], [])


async def test_a_run_that_is_to_yield_ends_after_its_step(theatre):
    """The step under way is committed, the next is not begun; the attempt is interrupted, for the reason that was given."""
    flow = Flow()

    @flow.step
    async def one(ctx):
        theatre.control.say(Yield(reason="no room"))
        await anyio.wait_all_tasks_blocked()

    @flow.step
    async def two(ctx):
        pytest.fail("it was not to begin")

    assert await theatre.play(flow) == Interrupted(reason="no room")
    assert theatre.session.completion_flags == {"one": True}


async def test_what_is_done_already_asks_for_no_launch(theatre):
    """Nothing to do: done, without a browser and without a turn."""
    flow, _ = two_steps()
    assert await theatre.play(flow) == Done()
    theatre.control = ScriptedControl(go=False)
    theatre.control.say(Go())
    assert await theatre.play(flow, attempt=2) == Done()
    assert theatre.control.all(Prepared) == []


async def test_lost_browser_cancels_the_step(theatre):
    """A browser that dies ends the step at once, not at its timeout; the attempt failed, not for good."""
    flow = Flow()

    @flow.step(retries=5)
    async def endless(ctx):
        theatre.browsers.opened[0].lost.set()
        await anyio.sleep_forever()

    outcome = await theatre.play(flow)
    assert isinstance(outcome, Failed)
    assert outcome.step == "endless"
    assert len(theatre.control.all(StepStarted)) == 1


async def test_late_holder_is_fenced_and_changes_nothing(theatre):
    """Once a newer holder has written, this run's writes are refused and it ends as busy."""
    flow = Flow()

    @flow.step
    async def one(ctx):
        newer = SessionState(profile_id=PROFILE, outputs={"theirs": True})
        theatre.sessions.write(newer, fence=99)
        ctx.identity.email = "late@example.org"

    outcome = await theatre.play(flow)
    assert isinstance(outcome, Busy)
    assert theatre.session.outputs == {"theirs": True}
    assert theatre.session.identity.email is None


async def test_reasons_hold_no_secret(theatre):
    """What Playwright quotes of the typed text reaches neither message nor outcome; known secrets are masked anywhere."""
    flow = Flow()

    @flow.step
    async def one(ctx):
        ctx.identity.password = "correct horse"
        text = (
            'Locator.fill: Timeout\nCall log:\n  - locator.fill("another thing")\n  - saw correct horse\n' + "x" * 900
        )
        raise RuntimeError(text)

    outcome = await theatre.play(flow)
    said = b"".join(msgspec.json.encode(m) for m in theatre.control.sent if not isinstance(m, SecretLearnt))
    assert b"correct horse" not in said
    assert b"another thing" not in said
    assert b"Timeout" in said
    assert len(outcome.reason) <= 500
    assert SecretLearnt(value="correct horse") in theatre.control.sent


async def test_secrets_inside_other_values_are_masked_at_once(theatre):
    """A secret name counts however deep it stands: in parameters, notes, outputs and the identity."""
    flow = Flow(params=Accounts)

    @flow.step
    async def one(ctx):
        ctx.remember("draft", {"mail": {"password": "remembered-1"}})
        ctx.outputs["app"] = [{"token": "put-out-2"}]
        ctx.identity.shop = {"api_key": {"live": "of-identity-3"}}
        raise RuntimeError(f"{ctx.params.account} remembered-1 put-out-2 of-identity-3")

    outcome = await theatre.play(flow, params={"account": {"password": "parameter-4"}})
    assert isinstance(outcome, Failed)
    for secret in ("remembered-1", "put-out-2", "of-identity-3", "parameter-4"):
        assert secret not in outcome.reason
        assert SecretLearnt(value=secret) in theatre.control.sent


async def test_preparation_has_its_own_time(theatre):
    """The orchestrator allows what leads the page somewhere, and the check of the login, as long as they may take."""
    flow, _ = two_steps(authenticated=_yes)

    @flow.prepare
    async def lead(ctx): ...

    await theatre.play(flow)
    limits = {message.name: message.limit for message in theatre.control.all(Phase)}
    assert limits["prepare"] > PREPARE_TIMEOUT
    assert limits["authenticated"] > CHECK_TIMEOUT


async def test_lost_login_is_restored_into_a_new_copy_once(theatre):
    """Where the flow's check finds no login that the last commit had, a new copy gets the login state, and the steps go on."""
    flow, ran = two_steps(authenticated=_yes)
    await theatre.play(flow)
    theatre.workspaces.saved[PROFILE] = {"Default/Cookies": "damaged"}
    again, asked = Flow(), []

    @again.step(always=True)
    async def log_in(ctx):
        ran.append("log in")

    @again.authenticated
    async def is_logged_in(ctx):
        asked.append(1)
        return theatre.browsers.requests[-1].restore is not None

    control = theatre.again()
    assert await theatre.play(again) == Done()
    first, second = theatre.browsers.requests[1:]
    assert (first.restore, len(first.add_cookies)) == (None, 1)
    assert second.restore is not None
    assert ran == ["one", "two", "log in"]
    assert len(asked) == 2
    assert [note.name for note in control.all(Note)][-2:] == ["workspace_ready", "workspace_rebuilt"]


async def test_extensions_that_the_browser_does_not_run_are_named(theatre):
    """The profile has some, the browser is a headless shell: the event says so, and the run goes on."""
    theatre.browsers.idle_extensions = ("Marker",)
    flow, _ = two_steps()
    assert isinstance(await theatre.play(flow), Done)
    (said,) = [note.data for note in theatre.control.all(Note) if note.name == "extensions_not_run"]
    assert said["extensions"] == ["Marker"]


async def test_login_that_cannot_be_restored_is_left_to_the_steps(theatre):
    """No login state, or one that does not help: the run says so, and the steps log in. One new copy is enough."""
    flow, ran = two_steps()

    @flow.step(always=True)
    async def log_in(ctx):
        ran.append("log in")

    @flow.authenticated
    async def never(ctx):
        return False

    for launches in (1, 3):
        control = theatre.again()
        assert await theatre.play(flow) == Done()
        assert control.all(Note)[-1].name == "not_authenticated"
        assert len(theatre.browsers.requests) == launches
        theatre.workspaces.saved[PROFILE] = {"Default/Cookies": "logged out"}
    assert ran == ["one", "two", "log in", "log in"]


async def test_check_that_cannot_tell_rebuilds_nothing(theatre):
    """A site that does not answer says nothing about the login: the copy stays."""
    flow, _ = two_steps()
    await theatre.play(flow)
    again = Flow()

    @again.step(always=True)
    async def log_in(ctx): ...

    @again.authenticated
    async def broken(ctx):
        raise RuntimeError("the site is down")

    control = theatre.again()
    assert await theatre.play(again) == Done()
    assert control.all(Note)[-1].name == "authentication_unknown"
    assert len(theatre.browsers.requests) == 2


async def test_identity_and_notes_are_durable_at_once(theatre):
    """``ctx.identity.x = …`` and ``ctx.remember`` are on disk before the next line runs."""
    flow, seen = Flow(), []

    @flow.step
    async def one(ctx):
        ctx.identity.email = "a@example.org"
        ctx.identity.nickname = "al"
        ctx.remember("order", 5)
        seen.append(theatre.session)
        assert ctx.recall("order") == 5
        assert ctx.recall("nothing", "default") == "default"
        assert ctx.identity.nickname == "al"
        assert not hasattr(ctx.identity, "never_set")
        with pytest.raises(TypeError, match="must be text"):
            ctx.remember("thing", object())

    assert await theatre.play(flow) == Done()
    assert seen[0].identity.email == "a@example.org"
    assert seen[0].identity.extra == {"nickname": "al"}
    assert seen[0].remembered["one"]["order"] == 5
    assert theatre.session.remembered == {}


async def test_outputs_that_are_changed_in_place_are_staged_too(theatre):
    """What a step appends to a list of outputs is durable with its commit, and forgotten if it fails."""
    flow, seen = Flow(), []

    @flow.step
    async def one(ctx):
        ctx.outputs["orders"] = ["a"]

    @flow.step(retries=1)
    async def two(ctx):
        ctx.outputs["orders"].append("b")
        seen.append(list(ctx.outputs["orders"]))
        if len(seen) == 1:
            raise RuntimeError("again")

    assert await theatre.play(flow) == Done()
    assert seen == [["a", "b"], ["a", "b"]]
    assert theatre.session.outputs == {"orders": ["a", "b"]}


async def test_once_key_stays_until_the_commit(theatre):
    """All tries of a step, in all attempts, see one key; after a reset there is a new one."""
    flow, keys = Flow(), []

    @flow.step
    async def one(ctx):
        keys.append(ctx.once_key)
        if len(keys) < 3:
            raise RuntimeError("again")

    for attempt in (1, 2, 3):
        await theatre.play(flow, attempt=attempt)
        theatre.again()
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
    stored = theatre.sessions.read(PROFILE)
    stored.value.completion_flags.clear()
    theatre.sessions.write(stored.value, fence=stored.fence)
    await theatre.play(flow, attempt=4)
    assert keys[3] != keys[0]


async def test_rebuilt_workspace_gets_the_login_state_and_an_own_one_its_cookies(theatre):
    """Only a rebuilt copy is restored into, which wipes; the crashed attempt's own gets the cookies of the last commit."""
    flow = Flow()

    @flow.step
    async def one(ctx): ...

    @flow.step
    async def two(ctx):
        if ctx.attempt < 3:
            raise RuntimeError("again")

    await theatre.play(flow, attempt=1)
    first = theatre.browsers.requests[0]
    assert (first.restore, first.add_cookies) == (None, ())
    theatre.again()
    await theatre.play(flow, attempt=2)
    own = theatre.browsers.requests[1]
    assert own.restore is None
    assert own.add_cookies == ({"name": "n", "value": "1"},)
    theatre.workspaces.discard_profile(PROFILE)
    theatre.again()
    await theatre.play(flow, attempt=3)
    rebuilt = theatre.browsers.requests[2]
    assert rebuilt.restore is not None
    assert rebuilt.add_cookies == ()


async def test_newer_browser_data_wins_over_the_login_state(theatre):
    """After a person used the profile by hand, an old login state is not put over it."""
    theatre.profiles.write(ProfileMetadata(profile_id=PROFILE, generation=9))
    theatre.logins.write(PROFILE, LoginState(cookies=[{"name": "old", "value": "1"}]), fence=1)
    theatre.sessions.write(SessionState(profile_id=PROFILE, login_generation=8), fence=1)
    flow, _ = two_steps()
    await theatre.play(flow)
    request = theatre.browsers.requests[0]
    assert (request.restore, request.add_cookies) == (None, ())
    assert theatre.session.login_generation > 9


async def test_snapshot_closes_copies_and_relaunches(theatre):
    """A snapshot step is committed after the browser was closed and copied; the next step has a new browser."""
    flow, prepared = Flow(), []

    @flow.prepare
    async def lead(ctx):
        prepared.append(ctx.step)

    @flow.step(commit="snapshot")
    async def one(ctx): ...

    @flow.step(commit="storage")
    async def two(ctx): ...

    assert await theatre.play(flow) == Done()
    assert theatre.workspaces.wanted_back == [PROFILE, PROFILE]
    assert len(theatre.browsers.opened) == 2
    assert theatre.browsers.requests[1].restore is None
    assert prepared == ["prepare", "prepare"]
    assert theatre.browsers.exports == ["storage", "storage"]
    sent = theatre.control.sent
    committed = next(message for message in sent if isinstance(message, StepCommitted))
    assert sent.index(BrowserClosed()) < sent.index(committed)


async def test_unusable_workspace_is_rebuilt_once(theatre):
    """A browser that does not start in a copy gets one new copy; then the host is at fault."""
    flow, _ = two_steps()
    theatre.browsers.failures.append(BrowserLaunchFailed("chromium", "crashed"))
    assert await theatre.play(flow) == Done()
    assert "workspace_rebuilt" in [note.name for note in theatre.control.all(Note)]
    theatre = Theatre()
    theatre.browsers.failures.extend([BrowserLaunchFailed("chromium", "crashed")] * 2)
    assert isinstance(await theatre.play(flow), HostFault)


async def test_host_that_lets_no_browser_start_costs_no_workspace(theatre):
    """Without a display, a sandbox or a driver no copy of the data would start: a crashed attempt's own one is kept."""
    flow, _ = two_steps()

    @flow.step
    async def three(ctx):
        if ctx.attempt == 1:
            raise RuntimeError("again")

    await theatre.play(flow)
    files = dict(theatre.workspaces.files)
    theatre.browsers.failures.append(BrowserRefused("chromium", "no display"))
    control = theatre.again()
    assert isinstance(await theatre.play(flow, attempt=2), HostFault)
    assert "workspace_rebuilt" not in [note.name for note in control.all(Note)]
    assert list(theatre.workspaces.files.values()) == list(files.values())
    theatre.again()
    assert await theatre.play(flow, attempt=3) == Done()
    assert theatre.browsers.requests[-1].restore is None


async def test_flow_without_a_browser(theatre):
    """``browser=False`` skips workspace, browser and save."""
    flow, ran = two_steps(browser=False)
    assert await theatre.play(flow) == Done()
    assert ran == ["one", "two"]
    assert theatre.browsers.requests == []
    assert theatre.workspaces.files == {}
    assert theatre.logins.read(PROFILE) is None
    assert theatre.control.victim is None


async def test_page_of_a_flow_without_a_browser_explains_itself(theatre):
    """Asking for the page there names the reason."""
    flow = Flow(browser=False)

    @flow.step
    async def one(ctx):
        assert ctx.page

    outcome = await theatre.play(flow)
    assert "browser=False" in outcome.reason


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BrowserNotFound("type make setup"), HostFault),
        (NoSpace(__import__("pathlib").Path("/x"), needed=5, free=1), HostFault),
        (StateCorrupt(__import__("pathlib").Path("/x"), "torn"), Corrupt),
        (FlowLoadError("/f.py", "SyntaxError", 3), Rejected),
    ],
)
async def test_errors_become_outcomes(theatre, error, kind):
    """Each kind of trouble has its own outcome, wherever it comes up; the profile is free afterwards."""
    flow, _ = two_steps()
    theatre.browsers.failures.append(error)
    assert isinstance(await theatre.play(flow), kind)
    assert theatre.locks.holder(PROFILE) is None


async def test_wrong_parameters_are_rejected(theatre):
    """Parameters that do not fit are bad input, and the session does not stay in progress."""

    class Params(msgspec.Struct):
        amount: int

    flow, ran = two_steps(params=Params)
    outcome = await theatre.play(flow, params={"amount": "many"})
    assert isinstance(outcome, Rejected)
    assert "amount" in outcome.reason
    assert ran == []
    assert theatre.session.status == "FAILED"
    theatre.again()
    assert await theatre.play(flow, params={"amount": "5"}) == Done()


async def test_from_step(theatre):
    """By hand a run may start at a step, done or not; what it leaves out stays to be done."""
    flow, ran = two_steps()
    await theatre.play(flow)
    theatre.again()
    assert await theatre.play(flow, from_step="two") == Done()
    assert ran == ["one", "two", "two"]
    theatre.again()
    assert isinstance(await theatre.play(flow, from_step="three"), Rejected)


async def test_secret_parameters_are_masked(theatre):
    """A parameter with a secret's name is masked from the start."""

    class Params(msgspec.Struct):
        api_key: str = ""

    flow, _ = two_steps(params=Params)
    await theatre.play(flow, params={"api_key": "key-of-somebody"})
    assert SecretLearnt(value="key-of-somebody") in theatre.control.sent


async def test_a_flow_that_calls_exit_has_failed_its_step(theatre):
    """``sys.exit`` in a step is a failure of that step, not a crash of its worker."""
    flow = Flow()

    @flow.step
    async def leave(ctx):
        raise SystemExit(3)

    outcome = await theatre.play(flow)
    assert isinstance(outcome, Failed)
    assert outcome.reason.endswith(": the flow called sys.exit(3)")


async def test_a_flag_that_the_flow_does_not_know_is_kept(theatre):
    """It is another flow's, or that of a step that is no more: nobody touches it."""
    flow, ran = two_steps()
    theatre.sessions.write(SessionState(profile_id=PROFILE, completion_flags={"old": True, "never": False}), fence=1)
    assert await theatre.play(flow) == Done()
    assert ran == ["one", "two"]
    assert theatre.session.completion_flags == {"old": True, "never": False, "one": True, "two": True}


@pytest.mark.parametrize(("keeps", "runs"), [(None, ["renamed"]), ("one", [])])
async def test_a_renamed_step_is_a_new_one_unless_it_keeps_its_flag(theatre, keeps, runs):
    """What counts is the fact: under a new name it is unknown, under ``flag=`` with the old one it holds."""
    flow, _ = two_steps()
    assert await theatre.play(flow) == Done()
    ran: list[str] = []
    changed = Flow()

    @changed.step(flag=keeps)
    async def renamed(ctx):
        ran.append("renamed")

    theatre.again()
    assert await theatre.play(changed) == Done()
    assert ran == runs
    assert {"one", "two"} <= set(theatre.session.completion_flags)


async def test_notes_of_a_removed_step_stay_until_the_session_is_reset(theatre):
    """A renamed step does not read them, a commit of another step does not drop them, a reset does."""
    old, new = Flow(), Flow()

    @old.step
    async def before(ctx):
        ctx.remember("order", 7)
        raise RuntimeError("cut off")

    @new.step
    async def after(ctx):
        ctx.outputs["read"] = ctx.recall("order")

    await theatre.play(old)
    theatre.again()
    assert await theatre.play(new) == Done()
    assert theatre.session.outputs == {"read": None}
    assert theatre.session.remembered["before"]["order"] == 7
    assert reset(theatre.session).remembered == {}


LONE = "the page said \ud83d"


async def test_lone_surrogate_in_an_error_is_told(theatre):
    """An error's text that UTF-8 has no form for is a plain failure with the surrogate spelled out."""
    flow = Flow(browser=False)

    @flow.step
    async def read(ctx):
        ctx.progress(LONE)
        raise RuntimeError(LONE)

    outcome = await theatre.play(flow)
    assert isinstance(outcome, Failed)
    assert outcome.reason.endswith("RuntimeError: the page said \\ud83d")
    for message in theatre.control.sent:
        decode_up(encode(message))


@pytest.mark.parametrize("value", ["half \ud83d", object()])
async def test_output_that_cannot_be_kept_fails_its_step(theatre, value):
    """What is appended to an output is looked at before the commit: the step fails and names the output."""
    flow = Flow(browser=False)

    @flow.step
    async def collect(ctx):
        ctx.outputs["found"] = []
        ctx.outputs["found"].append(value)

    outcome = await theatre.play(flow)
    assert isinstance(outcome, Failed)
    assert outcome.step == "collect"
    assert "output 'found' must be text" in outcome.reason
    assert theatre.session.completion_flags == {}


async def test_start_of_a_step_is_said_before_its_body_runs(theatre):
    """What a body may take down with it is on its way before: a death is blamed on the step it happened in."""

    class Counting(ScriptedControl):
        drained = 0

        async def drain(self, seconds):
            self.drained = len(self.sent)

    theatre.control = Counting()
    flow, seen = Flow(browser=False), []

    @flow.step
    async def deadly(ctx):
        seen.extend(theatre.control.sent[: theatre.control.drained])

    assert await theatre.play(flow) == Done()
    assert "deadly" in [message.step for message in seen if isinstance(message, StepStarted)]
