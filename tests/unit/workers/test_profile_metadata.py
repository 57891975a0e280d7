"""What a run writes into its profile's metadata: that all is well, or what went wrong and where."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from core.domain.messages import Hello, Stop, WorkerSettings
from core.domain.model import JobSpec
from core.domain.outcome import Corrupt, Done, Failed, Interrupted, Waiting
from core.errors import StateCorrupt
from core.profiles.port import ProfileMetadata
from core.profiles.store import fresh
from core.state.port import LoginState
from tests.unit.workers.stage import PROFILE, STAMP, Theatre
from workers.runner import run
from workers.steps import Flow, needs_person

EXPIRED = LoginState(cookies=[{"name": "sid", "value": "v", "expires": 1.0}])


@pytest.fixture
def theatre() -> Theatre:
    return Theatre()


def flow_of(body, *, authenticated=None) -> Flow:
    flow = Flow()
    flow.step(flag="done")(body)
    if authenticated is not None:
        flow.authenticated(authenticated)
    return flow


async def nothing(ctx): ...


async def test_a_run_that_goes_well_says_so(theatre):
    """Times, browser and process are noted, an earlier error is forgotten, what others set stays."""
    metadata = fresh(PROFILE, 0)
    metadata.last_error, metadata.error_phase, metadata.tags = "it went wrong", "steps", ("kept",)
    theatre.profiles.write(metadata)
    theatre.clock.advance(3600)
    assert await theatre.play(flow_of(nothing)) == Done()
    found = theatre.profiles.read(PROFILE)
    assert (found.last_error, found.error_phase, found.tags, found.status) == (None, None, ("kept",), "inactive")
    assert found.last_used == found.last_activity != metadata.last_used
    assert (found.browser, found.browser_version) == ("Scripted", "1.0")
    assert found.lock_pid is not None


async def test_what_others_set_meanwhile_stays(theatre):
    """A tag that is set while the run is under way, and its being active, are not lost when it saves."""

    async def body(ctx):
        theatre.profiles.update(PROFILE, lambda metadata: setattr(metadata, "tags", ("meanwhile",)))
        theatre.profiles.update(PROFILE, lambda metadata: setattr(metadata, "status", "active"))

    assert await theatre.play(flow_of(body)) == Done()
    found = theatre.profiles.read(PROFILE)
    assert (found.tags, found.status) == (("meanwhile",), "active")


async def test_a_failure_is_noted_with_its_phase(theatre):
    """The step, and why; no secret is in it."""

    async def body(ctx):
        raise RuntimeError("no button, and pw-123 typed")

    outcome = await theatre.play(flow_of(body), params={})
    assert isinstance(outcome, Failed)
    found = theatre.profiles.read(PROFILE)
    assert found.error_phase == "body"
    assert "no button" in found.last_error
    assert found.status == "inactive"
    assert found.last_activity


async def test_a_person_who_is_needed_is_noted(theatre):
    """It is what the profile waits for."""

    async def body(ctx):
        needs_person("a code")

    assert isinstance(await theatre.play(flow_of(body)), Waiting)
    assert "a code" in theatre.profiles.read(PROFILE).last_error


async def test_an_interruption_is_no_failure(theatre):
    """Nobody is to blame: nothing is noted."""

    async def body(ctx):
        theatre.control.say(Stop(reason="enough", grace=1))
        await anyio.sleep_forever()

    assert isinstance(await theatre.play(flow_of(body)), Interrupted)
    assert theatre.profiles.read(PROFILE).last_error is None


async def test_damaged_data_marks_the_profile_and_a_run_that_gets_along_repairs_it(theatre):
    """It is shown as corrupted from then on; once a run finds its data whole, it is not any more."""
    theatre.profiles.write(fresh(PROFILE, 0))
    theatre.browsers.failures.append(StateCorrupt(Path("/x"), "torn"))
    assert isinstance(await theatre.play(flow_of(nothing)), Corrupt)
    found = theatre.profiles.read(PROFILE)
    assert found.status == "corrupted"
    assert "torn" in found.last_error
    theatre.again()
    assert await theatre.play(flow_of(nothing), attempt=2) == Done()
    assert theatre.profiles.read(PROFILE).status == "inactive"


@pytest.mark.parametrize(
    ("before", "answer", "fails", "after"),
    [
        ("unknown", True, False, "logged_in"),
        ("logged_out", True, True, "logged_in"),
        ("unknown", False, True, "logged_out"),
        ("logged_in", False, True, "expired"),
        ("logged_in", False, False, "unknown"),
    ],
)
async def test_the_login_as_the_flow_found_it(theatre, before, answer, fails, after):
    """Its check knows: logged in, logged out, or not any more; a step that came after it may have logged in."""
    metadata = fresh(PROFILE, 0)
    metadata.login_state = before
    theatre.profiles.write(metadata)

    async def body(ctx):
        if fails:
            raise RuntimeError("no")

    async def check(ctx):
        return answer

    await theatre.play(flow_of(body, authenticated=check))
    assert theatre.profiles.read(PROFILE).login_state == after


async def test_cookies_that_have_all_expired_are_a_login_no_more(theatre):
    """Where no check of a flow says something else, the platform judges by the login state."""
    metadata = fresh(PROFILE, 0)
    metadata.login_state = "logged_in"
    theatre.profiles.write(metadata)
    theatre.browsers.jar = EXPIRED.cookies
    assert await theatre.play(flow_of(nothing)) == Done()
    assert theatre.profiles.read(PROFILE).login_state == "expired"


async def test_the_empty_login_of_a_new_profile_is_none(theatre):
    """It is neither restored nor missed."""
    theatre.profiles.write(ProfileMetadata(profile_id=PROFILE))
    theatre.logins.write(PROFILE, LoginState(), fence=0)

    async def no(ctx):
        return False

    assert await theatre.play(flow_of(nothing, authenticated=no)) == Done()
    assert [request.restore for request in theatre.browsers.requests] == [None]


async def test_the_template_that_a_profile_began_with_is_noted(theatre):
    """So that it can be compared with it."""
    job = JobSpec(id="j", profile_id=PROFILE, flow="/f.py", template="/templates/base")
    theatre.workspaces.templates[Path("/templates/base")] = {"Default/Preferences": "{}"}
    hello = Hello(job=job, attempt=1, nonce="n", settings=WorkerSettings(state_dir="/memory", log_dir="/memory/logs"))
    assert await run(hello, theatre._ports(lambda _: flow_of(nothing)), STAMP) == Done()
    assert theatre.profiles.read(PROFILE).template == "/templates/base"
