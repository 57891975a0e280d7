"""The demo flow against the demo site, in a real browser, step by step and cut off at bad moments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import pytest
from playwright.async_api import async_playwright

from examples.demo import ledger
from workers.steps.load import load
from workers.steps.locate import on_page

CHECKOUT = Path(__file__).resolve().parents[2]
FLOW = CHECKOUT / "examples" / "demo" / "flow.py"

pytestmark = pytest.mark.browser


class Profile:
    """What outlives an attempt: what a session and a login state hold."""

    def __init__(self, profile_id: str) -> None:
        self.profile_id = profile_id
        self.identity = SimpleNamespace(email=None, password=None, two_fa_secret=None)
        self.flags: set[str] = set()
        self.outputs: dict[str, Any] = {}
        self.remembered: dict[str, dict[str, Any]] = {}
        self.login: Any = None
        self.attempts = 0


class Ctx:
    """What a step sees, over a profile and a page; the candidates are tried in order, without a cache."""

    def __init__(self, profile: Profile, params: Any, page: Any) -> None:
        self.profile_id = profile.profile_id
        self.attempt = profile.attempts
        self.identity = profile.identity
        self.outputs = profile.outputs
        self.params = params
        self.page = page
        self.context = page.context
        self.notes: list[str] = []
        self._notes_of_step: dict[str, Any] = {}

    def enter(self, remembered: dict[str, Any]) -> None:
        self._notes_of_step = remembered

    def remember(self, name: str, value: Any) -> None:
        self._notes_of_step[name] = value

    def recall(self, name: str, default: Any = None) -> Any:
        return self._notes_of_step.get(name, default)

    @property
    def once_key(self) -> str:
        return self._notes_of_step.setdefault("once", uuid.uuid4().hex)

    def progress(self, note: str = "") -> None:
        self.notes.append(note)

    async def locate(self, label: str, *candidates: Any) -> Any:
        found = on_page(self.page, candidates[0]).first
        for candidate in candidates[1:]:
            found = found.or_(on_page(self.page, candidate)).first
        await found.wait_for()
        return found


class CutOffError(Exception):
    """The attempt ended here, as by a kill: nothing of it is committed."""


@pytest.fixture
def site(tmp_path):
    """Serve the site; gives its port."""
    command = [sys.executable, "-m", "examples.demo", "--with-parent", "--seed", "5", "--state-dir", str(tmp_path)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("ready ")
        yield int((tmp_path / "demo" / "port").read_text())
        process.stdin.close()


@pytest.fixture
async def browser(browser_executable):
    """A browser; each attempt has a context of its own in it."""
    async with async_playwright() as playwright:
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        yield await playwright.chromium.launch(executable_path=browser_executable, chromium_sandbox=not root)


async def attempt(browser: Any, profile: Profile, params: dict[str, Any], *, cut_off: str | None = None) -> Ctx:
    """Run the pending steps with the profile's login state; ``cut_off`` names the step that runs and is not committed."""
    flow = load(str(FLOW))
    profile.attempts += 1
    context = await browser.new_context(storage_state=profile.login)
    try:
        context.set_default_timeout(10_000)
        ctx = Ctx(profile, flow.convert(params, strict=True), await context.new_page())
        await flow.on_prepare(ctx)
        for step in flow.steps:
            if step.spec.flag in profile.flags:
                continue
            assert set(step.spec.requires) <= profile.flags
            await run(profile, ctx, step)
            if step.name == cut_off:
                raise CutOffError
            if step.spec.flag is not None:
                profile.flags.add(step.spec.flag)
            profile.login = await context.storage_state()
            del profile.remembered[step.name]
        return ctx
    finally:
        await context.close()


async def run(profile: Profile, ctx: Ctx, step: Any) -> None:
    """Run a step as the runner does: post-condition first where it may have run, then up to ``retries`` further tries."""
    for left in reversed(range(step.spec.retries + 1)):
        again = step.name in profile.remembered
        ctx.enter(profile.remembered.setdefault(step.name, {}))
        try:
            if again and await holds(step, ctx):
                return
            await step.body(ctx)
            assert await step.check(ctx)
        except Exception:
            if not left:
                raise
        else:
            return


async def holds(step: Any, ctx: Ctx) -> bool:
    """Whether the post-condition holds before the body; one that cannot answer says no, and the body must cope."""
    try:
        return await step.check(ctx)
    except Exception:  # noqa: BLE001 - whatever it is
        return False


def entries(tmp_path: Path) -> list[ledger.Entry]:
    return ledger.read(tmp_path / "demo" / "ledger.jsonl")


async def test_flow_has_each_effect_once(site, browser, tmp_path):
    """A run from nothing makes all five effects, once each, and brings out key and order number."""
    profile = Profile("k18imh7u")
    ctx = await attempt(browser, profile, {"port": site, "amount": 2})
    assert ledger.not_once(entries(tmp_path), ["k18imh7u"]) == []
    assert {entry.attempt for entry in entries(tmp_path)} == {1}
    assert profile.outputs["api_key"].startswith("wb_")
    assert profile.outputs["order_id"].startswith("CS-")
    assert "still logged in" in ctx.notes


async def test_second_attempt_is_still_logged_in(site, browser, tmp_path):
    """A finished profile that runs again has no further effect and is let in by cookie and localStorage alone."""
    profile = Profile("again1")
    await attempt(browser, profile, {"port": site})
    ctx = await attempt(browser, profile, {"port": site})
    assert ctx.notes == ["still logged in"]
    assert ledger.not_once(entries(tmp_path), ["again1"]) == []


async def test_cut_off_before_commit_has_no_second_effect(site, browser, tmp_path):
    """A step that did its work and was killed before its commit finds that out in the next attempt, without its login."""
    profile = Profile("cut1")
    for step in ("create_mail", "join_shop", "register_developer", "enable_two_step", "place_order"):
        with pytest.raises(CutOffError):
            await attempt(browser, profile, {"port": site}, cut_off=step)
    await attempt(browser, profile, {"port": site})
    assert ledger.not_once(entries(tmp_path), ["cut1"]) == []
    # each attempt went on where the last one was cut off
    assert [entry.attempt for entry in entries(tmp_path)] == [1, 2, 3, 4, 5]


async def test_committed_step_that_runs_again_shows(site, browser, tmp_path):
    """Were a committed step run again, the ledger would tell: for each of the five effects."""
    profile = Profile("twice")
    await attempt(browser, profile, {"port": site})
    profile.flags.clear()
    await attempt(browser, profile, {"port": site})
    assert len(entries(tmp_path)) == 2 * len(ledger.EFFECTS)
    assert len(ledger.repeated(entries(tmp_path))) == len(ledger.EFFECTS)


async def test_trouble_leads_to_no_second_effect(site, browser, tmp_path):
    """With errors and broken connections, before and after the work, the retries end with each effect once."""
    profile = Profile("trouble")
    params = {"port": site, "slow": 5, "fail": 0.04, "drop": 0.04}
    for _ in range(12):
        try:
            await attempt(browser, profile, params)
        except Exception as exc:  # noqa: BLE001 - any end of an attempt will do; the next one goes on
            last = exc
        else:
            break
    else:
        raise AssertionError("it never got through") from last
    assert ledger.not_once(entries(tmp_path), ["trouble"]) == []


def test_the_command_does_it_and_a_second_run_is_still_logged_in(site, tmp_path):
    """``run.py`` by hand, twice: each effect once, no second sign-in, and no secret in the log."""
    command = [sys.executable, "run.py", "byhand", "--flow", str(FLOW), "--param", f"port={site}"]
    places = ["--state-dir", str(tmp_path), "--log-dir", str(tmp_path / "logs")]
    said, logins = "", []
    for _ in range(2):
        done = subprocess.run(
            [*command, *places], cwd=CHECKOUT, capture_output=True, text=True, timeout=100, check=False
        )
        said += done.stdout + done.stderr
        assert done.returncode == 0, said
        with urlopen(f"http://127.0.0.1:{site}/_status") as status:
            logins.append(json.load(status)["logins"]["byhand"])
    assert logins[0] == logins[1]
    assert ledger.not_once(entries(tmp_path), ["byhand"]) == []
    session = json.loads((tmp_path / "sessions" / "byhand.json").read_text())["payload"]
    identity = session["identity"]
    said += (tmp_path / "logs" / "byhand.log").read_text()
    for secret in (identity["password"], identity["two_fa_secret"], session["outputs"]["api_key"]):
        assert secret
        assert secret not in said
