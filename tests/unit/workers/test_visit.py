"""A person's visit: what is kept of it, in which order, and how each way out ends."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from core.domain.messages import BrowserClosed, BrowserStarted, Note, Phase, Stop
from core.domain.outcome import Busy, Corrupt, Done, Failed, HostFault, Interrupted
from core.domain.session import SessionState
from core.errors import BrowserLaunchFailed, BrowserLost, BrowserNotFound, DurableWriteFailed
from core.profiles.port import ProfileMetadata, Viewport
from core.state.port import LoginState
from tests.unit.workers.stage import PROFILE, Browser, Theatre

LASTING = {"name": "sid", "value": "1", "domain": ".shop.example", "path": "/", "expires": 4e9}
PASSING = {"name": "tab", "value": "2", "domain": "shop.example", "path": "/", "expires": -1}


@pytest.fixture
def theatre(monkeypatch) -> Theatre:
    monkeypatch.setattr("workers.login_watch._INTERVAL", 0.001)
    theatre = Theatre()
    theatre.browsers.jar = [LASTING, PASSING]
    return theatre


class Visited:
    """A visit under way."""

    def __init__(self, theatre: Theatre) -> None:
        self.theatre = theatre
        self.outcome = None

    @property
    def browser(self):
        return self.theatre.browsers.opened[0]

    async def until(self, happened) -> None:
        """Wait until something holds."""
        with anyio.fail_after(10):
            while not happened():
                await anyio.sleep(0.001)

    def close_window(self) -> None:
        """Close the last window: Chromium lets go of its cookies before it is gone."""
        self.browser.context.jar = []
        self.browser.pages.clear()
        self.browser.lost.set()

    def said(self, name: str) -> list[dict]:
        return [note.data for note in self.theatre.control.all(Note) if note.name == name]


@asynccontextmanager
async def visiting(theatre: Theatre, **wanted):
    """Let a person in; the visit has ended when the scope is left."""
    visited = Visited(theatre)

    async def run() -> None:
        visited.outcome = await theatre.visit(**wanted)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await visited.until(lambda: visited.said("shown") or visited.outcome)
            yield visited


def page_of(url: str, parent: object = None):
    """A request for a page, as Playwright tells of it."""
    frame = type("Frame", (), {"parent_frame": parent})
    return type("Request", (), {"url": url, "frame": frame, "is_navigation_request": lambda _: True})()


def answer_of(kind: str):
    """An answer of a site, as Playwright tells of it."""
    return type("Response", (), {"request": type("Request", (), {"resource_type": kind})()})()


async def test_what_a_person_did_is_kept_when_they_close_the_window(theatre):
    """The login state is whole before the browser data is saved; then both are of one age."""
    order = []
    write, save_back = theatre.logins.write, theatre.workspaces.save_back
    theatre.logins.write = lambda *args, **more: (order.append("login"), write(*args, **more))[1]
    theatre.workspaces.save_back = lambda workspace: (order.append("data"), save_back(workspace))[1]
    async with visiting(theatre, url="https://shop.example/login") as visited:
        await visited.until(lambda: visited.browser.pages[0].url == "https://shop.example/login")
        visited.browser.context.tell("request", page_of("https://shop.example/login"))
        visited.browser.context.tell("request", page_of("https://ads.example/", parent=object()))
        visited.browser.context.tell("request", page_of("about:blank"))
        await visited.until(lambda: "login" in order)
        visited.close_window()
    assert visited.outcome == Done()
    assert order[-2:] == ["login", "data"]
    shown, quiet = theatre.browsers.requests
    assert (shown.headed, shown.executable) == (True, None)
    # what lasts is on disk, and newer there than in any export
    assert (quiet.headed, quiet.executable, quiet.restore, quiet.extensions) == (False, "scripted", None, False)
    assert quiet.add_cookies == (PASSING,)
    assert theatre.browsers.opened[1].stood_at == ["https://shop.example"]
    assert theatre.browsers.exports[-1] == "storage"
    assert theatre.workspaces.wanted_back == [PROFILE]
    assert theatre.logins.read(PROFILE).value.level == "storage"
    metadata = theatre.profiles.read(PROFILE)
    assert metadata.generation == theatre.session.login_generation == 1
    assert (metadata.browser, metadata.browser_version) == ("Scripted", "1.0")
    phases = [phase.name for phase in theatre.control.all(Phase)]
    assert phases == ["restore", "clone", "launch", "visit", "save", "report"]
    assert len(theatre.control.all(BrowserStarted)) == len(theatre.control.all(BrowserClosed)) == 1


async def test_a_stop_is_a_wish_to_end_well(theatre):
    """A last look at the cookies, a clean close, and everything is kept."""
    async with visiting(theatre) as visited:
        theatre.control.say(Stop(reason="stopped by hand", grace=1))
    assert visited.outcome == Done()
    assert theatre.browsers.requests[1].add_cookies == (PASSING,)
    assert theatre.workspaces.wanted_back == [PROFILE]


@pytest.mark.parametrize("save", [True, False])
async def test_a_stop_before_the_browser_begins_nothing(theatre, save):
    """While the data is copied nobody has done anything yet."""
    theatre.control.on_send = lambda message: (
        theatre.control.say(Stop(reason="stopped by hand", grace=1)) if isinstance(message, Phase) else None
    )
    name = "acquire" if save else "throwaway"
    make = getattr(theatre.workspaces, name)

    def slowly(*args, **more):
        anyio.from_thread.run(anyio.sleep, 0.05)
        return make(*args, **more)

    setattr(theatre.workspaces, name, slowly)
    assert await theatre.visit(save=save) == Interrupted(reason="stopped by hand")
    assert theatre.browsers.requests == []
    # a copy that may be a crashed attempt's own is left to whoever comes next
    assert len(theatre.workspaces.files) == save


async def test_a_browser_that_was_killed_is_not_saved(theatre):
    """What was seen of its cookies is durable, its data waits for whoever comes next; the session's status is as it was."""
    theatre.sessions.write(SessionState(profile_id=PROFILE, status="NEEDS_PERSON"), fence=1)
    theatre.browsers.at_close.append(BrowserLost("the browser did not close in order: it crashed, or was killed"))
    async with visiting(theatre) as visited:
        await visited.until(lambda: theatre.logins.read(PROFILE) is not None)
        visited.close_window()
    assert isinstance(visited.outcome, Failed)
    assert visited.outcome.step == "visit"
    assert "killed; nothing was saved: the next run" in visited.outcome.reason
    assert theatre.workspaces.wanted_back == []
    assert theatre.logins.read(PROFILE).value.cookies == [LASTING, PASSING]
    assert (theatre.session.status, theatre.session.login_generation) == ("NEEDS_PERSON", 1)
    metadata = theatre.profiles.read(PROFILE)
    assert (metadata.generation, metadata.error_phase, metadata.browser) == (0, "visit", None)
    assert metadata.last_error == visited.outcome.reason

    theatre.again()
    async with visiting(theatre) as after:
        assert after.said("last_time") == [{"phase": "visit", "reason": metadata.last_error}]
        assert after.said("workspace_ready")[0]["source"] == "crashed"
        assert theatre.browsers.requests[-1].add_cookies == (LASTING, PASSING)
        after.theatre.browsers.opened[-1].lost.set()
    assert after.outcome == Done()
    metadata = theatre.profiles.read(PROFILE)
    assert metadata.generation == theatre.session.login_generation == 2
    assert (metadata.last_error, metadata.error_phase) == (None, None)


async def test_cookies_of_a_browser_that_closes_are_not_believed(theatre):
    """Without a page it has let go of them: that is no logout."""
    async with visiting(theatre) as visited:
        await visited.until(lambda: theatre.logins.read(PROFILE) is not None)
        visited.browser.pages.clear()
        visited.browser.context.jar = [LASTING]
        before = len(theatre.browsers.exports)
        await visited.until(lambda: len(theatre.browsers.exports) > before + 2)
        visited.close_window()
    assert theatre.browsers.requests[1].add_cookies == (PASSING,)


async def test_a_login_right_before_the_window_is_closed_is_seen(theatre, monkeypatch):
    """A site's answer is enough to look, a picture is not; a longer look that began before does not bring back old cookies."""
    monkeypatch.setattr("workers.login_watch._INTERVAL", 60)
    monkeypatch.setattr("workers.login_watch._PAUSE", 0.001)
    theatre.browsers.jar = [LASTING]
    begun, may_end, asked = anyio.Event(), anyio.Event(), []
    export, cookies = Browser.export, Browser.cookies

    async def slowly(browser, level, previous, now):
        seen = await export(browser, level, previous, now)
        if level == "cookies":
            begun.set()
            await may_end.wait()
        return seen

    async def counted(browser):
        asked.append(1)
        return await cookies(browser)

    monkeypatch.setattr(Browser, "export", slowly)
    monkeypatch.setattr(Browser, "cookies", counted)
    async with visiting(theatre) as visited:
        browser = visited.browser
        await begun.wait()
        browser.context.jar = [LASTING, PASSING]
        browser.context.tell("response", answer_of("image"))
        await anyio.wait_all_tasks_blocked()
        assert asked == []
        browser.context.tell("response", answer_of("document"))
        await visited.until(lambda: asked)
        may_end.set()
        await visited.until(lambda: theatre.logins.read(PROFILE) is not None)
        visited.close_window()
    assert theatre.browsers.requests[1].add_cookies == (PASSING,)


async def test_a_login_state_that_cannot_be_completed_says_what_it_lacks(theatre):
    """No second browser: what was seen is kept, and the sites that were not asked are named."""
    async with visiting(theatre) as visited:
        visited.browser.context.tell("request", page_of("https://shop.example/"))
        await visited.until(lambda: theatre.logins.read(PROFILE) is not None)
        theatre.browsers.failures.append(BrowserLaunchFailed("scripted", "no memory"))
        visited.close_window()
    assert visited.outcome == Done()
    assert visited.said("login_state_incomplete") == [{"reason": "scripted did not start: no memory"}]
    login = theatre.logins.read(PROFILE).value
    assert (login.cookies, login.unexportable) == ([LASTING, PASSING], ("https://shop.example (not examined)",))


async def test_a_site_that_cannot_be_asked_is_named_and_others_keep_what_they_lacked(theatre):
    """What an earlier export could not carry is forgotten only for sites that were asked again."""
    earlier = LoginState(unexportable=("https://bank.example keys/1", "https://shop.example keys/1"))
    theatre.logins.write(PROFILE, earlier, fence=1)
    async with visiting(theatre) as visited:
        for url in ("https://shop.example/", "https://unreachable.example/", "https://shop.example/cart"):
            visited.browser.context.tell("request", page_of(url))
        visited.close_window()
    assert theatre.browsers.opened[1].stood_at == ["https://unreachable.example", "https://shop.example"]
    expected = ("https://bank.example keys/1", "https://unreachable.example (not examined)")
    # the scripted pages name nothing themselves, so what shop.example lacked was looked for and not found
    assert theatre.logins.read(PROFILE).value.unexportable == expected


async def test_a_full_disk_on_the_way_is_said_and_tried_again_at_the_end(theatre):
    """The visit goes on; the login state is in memory."""
    write = theatre.logins.write
    refused = []

    def full(*args, **more):
        if not refused:
            refused.append(1)
            _full()
        return write(*args, **more)

    theatre.logins.write = full
    async with visiting(theatre) as visited:
        await visited.until(lambda: visited.said("login_state_not_kept"))
        visited.close_window()
    assert visited.outcome == Done()
    assert theatre.logins.read(PROFILE) is not None


async def test_a_newer_holders_login_state_is_left_alone(theatre):
    """Somebody wrote past the lock: this visit says so, and saves nothing over it."""
    async with visiting(theatre) as visited:
        await visited.until(lambda: theatre.logins.read(PROFILE) is not None)
        theatre.logins.write(PROFILE, LoginState(cookies=[LASTING]), fence=99)
        visited.browser.context.jar = [PASSING]
        theatre.clock.advance(60)
        await visited.until(lambda: visited.said("login_state_not_kept"))
        visited.close_window()
    assert isinstance(visited.outcome, Busy)
    assert theatre.logins.read(PROFILE).value.cookies == [LASTING]
    assert theatre.workspaces.wanted_back == []


async def test_a_browser_that_does_not_answer_is_said_once(theatre):
    """It may be suspended; the next look may be luckier."""
    theatre.browsers.unanswered.extend([BrowserLost("the cookies: no answer")] * 3)
    async with visiting(theatre) as visited:
        await visited.until(lambda: theatre.logins.read(PROFILE) is not None)
        visited.close_window()
    assert visited.outcome == Done()
    assert visited.said("login_state_not_seen") == [{"reason": "the cookies: no answer"}]


async def test_without_save_nothing_is_written(theatre):
    """No profile, no session, no login state, no workspace; an earlier attempt's own data stays."""
    theatre.browsers.idle_extensions = ("Marker",)
    async with visiting(theatre, save=False) as visited:
        visited.close_window()
    assert visited.outcome == Done()
    assert visited.said("not_saved") == [{}]
    assert visited.said("extensions_not_run")
    assert [store.read(PROFILE) for store in (theatre.profiles, theatre.sessions, theatre.logins)] == [None] * 3
    assert (theatre.workspaces.wanted_back, theatre.workspaces.files) == ([], {})
    assert len(theatre.browsers.requests) == 1


async def test_what_was_known_of_the_login_counts_until_it_changes(theatre):
    """A visit that changes nothing leaves it; one that does leaves it to the next run's check."""
    known = LoginState(cookies=[LASTING, PASSING])
    theatre.logins.write(PROFILE, known, fence=1)
    theatre.profiles.write(ProfileMetadata(profile_id=PROFILE, login_state="logged_in"))
    for jar, expected in (([LASTING, PASSING], "logged_in"), ([LASTING], "unknown")):
        theatre.again()
        theatre.browsers.jar = jar
        before = len(theatre.browsers.exports)
        async with visiting(theatre) as visited:
            await visited.until(lambda before=before: len(theatre.browsers.exports) > before + 1)
            theatre.browsers.opened[-1].lost.set()
        assert visited.outcome == Done()
        assert theatre.profiles.read(PROFILE).login_state == expected


async def test_a_failure_that_cannot_be_noted_is_said_all_the_same(theatre):
    """A full disk beside a killed browser: the outcome names the browser."""
    theatre.browsers.at_close.append(BrowserLost("it crashed, or was killed"))
    async with visiting(theatre) as visited:
        theatre.profiles.update = _full
        visited.close_window()
    assert visited.outcome.reason.startswith("it crashed, or was killed")


def _full(*_args, **_more):
    raise DurableWriteFailed(Path("metadata.json"), 28, "No space left on device")


async def test_data_in_which_no_browser_starts_is_copied_anew_once(theatre):
    """The second copy is opened; what the host lacks is not tried twice."""
    theatre.browsers.failures.append(BrowserLaunchFailed("scripted", "bad data"))
    async with visiting(theatre) as visited:
        visited.close_window()
    assert visited.outcome == Done()
    assert visited.said("workspace_rebuilt") == [{"reason": "scripted did not start: bad data"}]
    theatre.browsers.failures.append(BrowserNotFound("no browser works here"))
    theatre.again()
    assert isinstance(await theatre.visit(), HostFault)


async def test_the_profiles_settings_count(theatre):
    """Where and how it begins is the profile's; the proxy's password and what headers say are secrets from the start."""
    metadata = ProfileMetadata(
        profile_id=PROFILE, locale="de-DE", timezone="Europe/Berlin", proxy="http://u:pa55word@h:1", device="mobile",
        device_descriptor="Pixel 5", viewport=Viewport(640, 360), color_scheme="dark",
        extra_headers={"Authorization": "Bearer desk"}, start_url="https://shop.example/start",
    )  # fmt: skip
    theatre.profiles.write(metadata)
    async with visiting(theatre) as visited:
        await visited.until(lambda: visited.browser.pages[0].url == "https://shop.example/start")
        visited.close_window()
    request = theatre.browsers.requests[0]
    assert (request.locale, request.timezone, request.device) == ("de-DE", "Europe/Berlin", "mobile")
    assert request.proxy == "http://u:pa55word@h:1"
    assert (request.device_descriptor, request.viewport, request.color_scheme) == ("Pixel 5", (640, 360), "dark")
    assert request.extra_headers == {"Authorization": "Bearer desk"}
    assert theatre.redactor.text("pa55word, Bearer desk") == "[redacted], [redacted]"


async def test_an_empty_login_state_is_not_put_into_a_templates_data(theatre):
    """A new profile has one; the template's own logins stay."""
    template = Path("/templates/base")
    theatre.workspaces.templates[template] = {"Default/Cookies": "logged in"}
    theatre.logins.write(PROFILE, LoginState(), fence=0)
    async with visiting(theatre, template=template) as visited:
        visited.close_window()
    assert (theatre.browsers.requests[0].restore, theatre.browsers.requests[0].add_cookies) == (None, ())
    assert visited.said("login_state_put_back") == []


async def test_a_start_page_that_does_not_load_is_said(theatre):
    """The browser stays open: the person can type another address."""
    async with visiting(theatre, url="https://unreachable.example/") as visited:
        await visited.until(lambda: visited.said("start_page_failed"))
        visited.close_window()
    assert visited.outcome == Done()


async def test_downloads_are_kept_or_it_is_said(theatre, tmp_path):
    """Under their own name, in the profile's directory; one that breaks off is named."""

    class Download:
        suggested_filename = "receipt.txt"

        def __init__(self, content: bytes | None) -> None:
            self._content = content

        async def save_as(self, path) -> None:
            if self._content is None:
                raise OSError("cancelled")
            await anyio.Path(path).write_bytes(self._content)

    async with visiting(theatre, state_dir=tmp_path) as visited:
        for content in (b"paid", None):
            visited.browser.context.tell("download", Download(content))
        await visited.until(lambda: visited.said("download_kept") and visited.said("download_not_kept"))
        visited.close_window()
    kept = tmp_path / "downloads" / PROFILE / "receipt.txt"
    assert kept.read_bytes() == b"paid"
    assert visited.said("download_kept") == [{"file": str(kept)}]
    assert [path.name for path in kept.parent.iterdir()] == ["receipt.txt"]


async def test_the_lock_says_who_holds_it(theatre):
    """Whoever wants the profile meanwhile reads what is going on."""
    async with visiting(theatre) as visited:
        assert theatre.locks.holder(PROFILE).what == "ostler profile open"
        other = Theatre()
        other.locks = theatre.locks
        assert "ostler profile open" in (await other.visit()).holder
        visited.close_window()
    assert not isinstance(visited.outcome, Busy)


async def test_data_that_does_not_verify_afterwards_is_not_saved(theatre):
    """The profile has its old data, and the login state goes on."""
    async with visiting(theatre) as visited:
        theatre.workspaces.corrupt.add(theatre.browsers.requests[0].user_data_dir)
        visited.close_window()
    assert isinstance(visited.outcome, Corrupt)
    assert theatre.workspaces.wanted_back == []
    assert theatre.logins.read(PROFILE) is not None
