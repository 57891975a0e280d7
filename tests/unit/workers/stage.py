"""What the tests of a run start from: memory stores, a browser that does as it is told, a channel without another side."""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from core.clock import ManualClock
from core.domain.messages import Hello, Visit, WorkerSettings
from core.domain.model import JobSpec, ProcessStamp
from core.errors import BrowserLost
from core.profiles.memory import MemoryProfileLocks, MemoryProfileStore
from core.redaction import Redactor
from core.state.memory import MemoryLoginStateStore, MemorySelectorCache, MemorySessionStore
from core.state.port import LoginState
from core.workspaces.memory import MemoryWorkspaces
from workers.record import Stores
from workers.runner import Ports, run
from workers.scripted import MemoryArtifacts, ScriptedControl
from workers.visit import visit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from core.browser.port import BrowserRequest
    from core.domain.outcome import Outcome
    from workers.steps import Flow

STAMP = ProcessStamp(host="here", pid=42, started=1.0)
PROFILE = "p1"


class Match:
    """What a locator of the scripted page is."""

    def __init__(self, page: Page, selector: str) -> None:
        self._page = page
        self.selector = selector

    @property
    def first(self) -> Match:
        return self

    async def is_visible(self) -> bool:
        await anyio.lowlevel.checkpoint()
        self._page.asked.append(self.selector)
        return self.selector in self._page.visible


class Page:
    """A page that shows the selectors it is given."""

    def __init__(self, url: str = "https://shop.example/cart?x=1", context: Any = None) -> None:
        self.context = context
        self.html = "<html></html>"
        self.url = url
        self.visible: set[str] = set()
        self.asked: list[str] = []
        self.paused = 0
        self.listeners: dict[str, list[Any]] = {}

    def on(self, event: str, listener: Any) -> None:
        self.listeners.setdefault(event, []).append(listener)

    def tell(self, event: str) -> None:
        for listener in self.listeners[event]:
            listener(self)

    def is_closed(self) -> bool:
        return False

    async def goto(self, url: str) -> None:
        if "unreachable" in url:
            raise OSError("net::ERR_NAME_NOT_RESOLVED")
        self.url = url

    async def pause(self) -> None:
        self.paused += 1

    async def content(self) -> str:
        return self.html

    async def screenshot(self, **_options: object) -> bytes:
        return b"\x89PNG"

    def locator(self, selector: str) -> Match:
        return Match(self, selector)

    def get_by_role(self, role: str, *, name: str | None, exact: bool) -> Match:
        return Match(self, f"role:{role}:{name}")

    def get_by_text(self, text: str, *, exact: bool) -> Match:
        return Match(self, f"text:{text}")


class Tracing:
    """Playwright's tracing: notes where it is to write."""

    def __init__(self) -> None:
        self.running = False
        self.saved: Path | None = None

    async def start(self, **_options: object) -> None:
        self.running = True

    async def stop(self, *, path: Path) -> None:
        self.running = False
        self.saved = path


class BrowserContext:
    """A context that tells listeners what the test says."""

    def __init__(self) -> None:
        self.tracing = Tracing()
        self.pages: list[Page] = []
        self.jar: list[dict[str, Any]] = []
        self._listeners: dict[str, list[Any]] = {}

    def on(self, event: str, listener: Any) -> None:
        self._listeners.setdefault(event, []).append(listener)

    def remove_listener(self, event: str, listener: Any) -> None:
        self._listeners[event].remove(listener)

    def tell(self, event: str, what: Any) -> None:
        for listener in self._listeners[event]:
            listener(what)

    async def cookies(self) -> list[dict[str, Any]]:
        return self.jar


class Browser:
    """An open browser of the script."""

    name = "Scripted"
    executable = "scripted"
    pid = None

    def __init__(self, script: Browsers) -> None:
        self._script = script
        self.version = script.version
        self.context: Any = BrowserContext()
        self.context.jar = list(script.jar)
        self.lost = anyio.Event()
        self.driver_died = False
        self.pages = self.context.pages
        self.pages.append(Page(context=self.context))
        self.idle_extensions = script.idle_extensions

    async def page(self) -> Page:
        return self.pages[-1]

    async def fresh_page(self) -> Page:
        self.pages.append(Page(context=self.context))
        self.context.tell("page", self.pages[-1])
        return self.pages[-1]

    async def cookies(self) -> list[dict[str, Any]]:
        if self.lost.is_set():
            raise BrowserLost("gone")
        return list(self.context.jar)

    async def export(self, level: str, previous: LoginState | None, now: float) -> LoginState:
        if self.lost.is_set():
            raise BrowserLost("gone")
        self._script.exports.append(level)
        if self._script.unanswered:
            raise self._script.unanswered.popleft()
        cookies = [{"name": "n", "value": str(len(self._script.exports))}]
        if self.context.jar:
            cookies = list(self.context.jar)
        lacking = previous.unexportable if previous is not None and level == "cookies" else ()
        return LoginState(cookies=cookies, level=level, exported_at=now, unexportable=lacking)

    async def stand_at(self, origins: Sequence[str], _seconds: float) -> list[str]:
        self.stood_at = list(origins)
        return [origin for origin in origins if "unreachable" in origin]


class Browsers:
    """A provider: keeps what it was asked for; fails to open as often as it is told."""

    def __init__(self, version: str = "1.0") -> None:
        self.version = version
        self.requests: list[BrowserRequest] = []
        self.opened: list[Browser] = []
        self.exports: list[str] = []
        self.jar: list[dict[str, Any]] = []
        self.idle_extensions: tuple[str, ...] = ()
        self.closed = 0
        self.failures: deque[Exception] = deque()
        self.at_close: deque[Exception] = deque()
        self.unanswered: deque[Exception] = deque()

    @asynccontextmanager
    async def open(self, request: BrowserRequest) -> AsyncIterator[Browser]:
        self.requests.append(request)
        if self.failures:
            raise self.failures.popleft()
        browser = Browser(self)
        self.opened.append(browser)
        try:
            yield browser
        finally:
            self.closed += 1
        if self.at_close:
            raise self.at_close.popleft()


def _hello(job: JobSpec, attempt: int, **settings: Any) -> Hello:
    settings = {"state_dir": "/memory", "log_dir": "/memory/logs", **settings}
    return Hello(job=job, attempt=attempt, nonce="nonce", settings=WorkerSettings(**settings))


def _no_flow(path: str) -> Flow:
    raise AssertionError(f"a visit loads no flow, and this one asked for {path!r}")


class Theatre:
    """All that an attempt acts through; several attempts may run in it, one after the other."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.locks = MemoryProfileLocks(self.clock)
        self.profiles = MemoryProfileStore()
        self.sessions = MemorySessionStore()
        self.logins = MemoryLoginStateStore()
        self.selectors = MemorySelectorCache()
        self.workspaces = MemoryWorkspaces()
        self.browsers = Browsers()
        self.redactor = Redactor()
        self.control = ScriptedControl()
        self.artifacts = MemoryArtifacts()
        self.oom_kills: int | None = 0

    async def play(
        self, flow: Flow, *, attempt: int = 1, params: dict[str, Any] | None = None, **settings: Any
    ) -> Outcome:
        """Run one attempt of a flow."""
        flow.name = flow.name or "test"
        job = JobSpec(id="j1", profile_id=PROFILE, flow="/flows/test.py", params=params or {})
        return await run(_hello(job, attempt, **settings), self._ports(lambda _: flow), STAMP)

    async def visit(self, *, template: Path | None = None, state_dir: Path = Path("/memory"), **wanted: Any) -> Outcome:
        """Let a person use the profile; no flow is loaded."""
        job = JobSpec(id=PROFILE, profile_id=PROFILE, flow="", template=str(template) if template else None)
        hello = _hello(job, 1, state_dir=str(state_dir), headed=True, visit=Visit(**wanted))
        return await visit(hello, self._ports(_no_flow), STAMP)

    def _ports(self, load_flow: Callable[[str], Flow]) -> Ports:
        return Ports(
            locks=self.locks,
            profiles=self.profiles,
            stores=Stores(self.sessions, self.logins),
            selectors=self.selectors,
            workspaces=self.workspaces,
            browsers=self.browsers,
            artifacts=self.artifacts,
            control=self.control,
            clock=self.clock,
            redactor=self.redactor,
            standing_fence=lambda _: 0,
            load_flow=load_flow,
            oom_kills=lambda: self.oom_kills,
        )

    def again(self) -> ScriptedControl:
        """A new worker's channel."""
        self.control = ScriptedControl()
        return self.control

    @property
    def session(self) -> Any:
        stored = self.sessions.read(PROFILE)
        assert stored is not None
        return stored.value
