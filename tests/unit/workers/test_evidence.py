"""What a failing step leaves, what a browser asked for, and what an author keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from core.domain.messages import Kept, Network, StepProblem
from core.domain.outcome import Done, Failed
from core.profiles.port import ProfileMetadata
from tests.unit.workers.stage import Theatre
from workers.steps import Flow, StepFailed, needs_person
from workers.steps import evidence as evidence_module
from workers.steps import network as network_module
from workers.steps.network import host_of


@dataclass
class Request:
    """A request that came to its end."""

    url: str
    status: int | None = 200
    method: str = "GET"
    failure: str | None = None
    sizes_: dict[str, int] = field(
        default_factory=lambda: {
            "requestHeadersSize": 10, "requestBodySize": 0, "responseHeadersSize": 100, "responseBodySize": 1000
        }
    )  # fmt: skip

    @property
    def existing_response(self) -> Any:
        return None if self.status is None else SimpleNamespace(status=self.status, status_text="Not Found")

    async def sizes(self) -> dict[str, int]:
        return self.sizes_


@pytest.fixture
def theatre() -> Theatre:
    return Theatre()


def texts(theatre: Theatre) -> dict[str, str]:
    return {path: data.decode() for path, data in theatre.artifacts.files.items()}


async def test_a_failing_step_leaves_page_console_and_requests(theatre):
    """All three, named after step and kind of error, announced after the failure, and nothing that cannot be cleaned."""
    flow = Flow()

    @flow.step
    async def pay(ctx):
        ctx.page.html = "<h1>Sorry</h1>"
        ctx.context.tell("console", SimpleNamespace(type="error", text="it broke"))
        ctx.context.tell("weberror", SimpleNamespace(error=ValueError("uncaught thing")))
        ctx.context.tell("requestfinished", Request("https://shop.example/api?code=123456", status=404))
        ctx.context.tell("requestfailed", Request("https://u:pw@gone.example/", status=None, failure="net::ERR"))
        raise ValueError("no")

    assert isinstance(await theatre.play(flow), Failed)
    found = texts(theatre)
    assert set(found) == {f"artifacts/p1/1/pay-ValueError.{end}" for end in ("html", "console.txt", "requests.txt")}
    assert "<h1>Sorry</h1>" in found["artifacts/p1/1/pay-ValueError.html"]
    assert found["artifacts/p1/1/pay-ValueError.console.txt"] == "error: it broke\nuncaught: uncaught thing\n"
    assert found["artifacts/p1/1/pay-ValueError.requests.txt"].splitlines() == [
        "404 Not Found: GET https://shop.example/api?code=[redacted]",
        "net::ERR: GET https://[redacted]@gone.example/",
    ]
    [kept] = theatre.control.all(Kept)
    assert (kept.step, kept.why, kept.sensitive) == ("pay", "ValueError", False)
    assert set(kept.files) == set(found)
    kinds = [type(message) for message in theatre.control.sent]
    assert kinds.index(StepProblem) < kinds.index(Kept)


async def test_the_same_failure_leaves_it_once_in_a_job(theatre):
    """Neither a retry of the step nor the next attempt repeats it; another kind of failure is another matter."""
    flow = Flow()
    errors = iter([ValueError(), ValueError(), KeyError(), ValueError(), ValueError(), ValueError()])

    @flow.step(retries=2)
    async def pay(ctx):
        raise next(errors)

    await theatre.play(flow)
    first = sorted(theatre.artifacts.files)
    assert first == ["artifacts/p1/1/pay-KeyError.html", "artifacts/p1/1/pay-ValueError.html"]
    theatre.again()
    await theatre.play(flow, attempt=2)
    assert sorted(theatre.artifacts.files) == first


async def test_evidence_holds_no_secret(theatre):
    """What the redactor knows, what makes up the login, and what stands in fields, wherever it turns up."""
    flow = Flow()

    @flow.step
    async def pay(ctx):
        ctx.identity.password = "hunter-22-secret"
        ctx.context.jar = [{"name": "sid", "value": "cookie-value-1"}]
        ctx.page.html = (
            '<p>hunter-22-secret cookie-value-1</p><input value="typed-code"><script>var a="state-secret"</script>'
        )
        ctx.context.tell("console", SimpleNamespace(type="log", text="hunter-22-secret cookie-value-1"))
        ctx.context.tell("requestfailed", Request("https://x.example/?p=hunter-22-secret", failure="net::ERR"))
        raise StepFailed("pay", "no")

    await theatre.play(flow)
    everything = "".join(texts(theatre).values())
    assert len(theatre.artifacts.files) == 3
    assert [word for word in ("hunter", "cookie-value", "typed-code", "state-secret") if word in everything] == []


async def test_a_screenshot_is_taken_only_where_asked_for(theatre):
    """It cannot be cleaned: its name and its announcement say so."""
    flow = Flow()

    @flow.step
    async def pay(ctx):
        raise ValueError

    await theatre.play(flow, screenshots="on-failure")
    assert "artifacts/p1/1/SENSITIVE-pay-ValueError.png" in theatre.artifacts.files
    assert theatre.control.all(Kept)[0].sensitive


async def test_a_frozen_page_does_not_hold_up_the_end(theatre, monkeypatch):
    """What a page does not answer in time is left out; console and requests are kept all the same."""
    monkeypatch.setattr(evidence_module, "LIMIT", 0.05)
    flow = Flow()

    @flow.step
    async def pay(ctx):
        ctx.page.content = anyio.sleep_forever
        ctx.context.tell("console", SimpleNamespace(type="log", text="last words"))
        raise ValueError

    with anyio.fail_after(5):
        assert isinstance(await theatre.play(flow), Failed)
    assert list(theatre.artifacts.files) == ["artifacts/p1/1/pay-ValueError.console.txt"]


async def test_a_full_disk_does_not_change_the_outcome(theatre):
    """Evidence that cannot be kept is a line in the log."""
    flow = Flow()

    def refuse(*_):
        raise evidence_module.OstlerError("no room")

    theatre.artifacts.keep = refuse

    @flow.step
    async def pay(ctx):
        raise ValueError("the reason")

    outcome = await theatre.play(flow)
    assert isinstance(outcome, Failed)
    assert "the reason" in outcome.reason
    assert theatre.control.all(Kept) == []


async def test_a_lost_browser_leaves_what_was_heard(theatre):
    """There is no page to look at, but its last words are there."""
    flow = Flow()

    @flow.step
    async def pay(ctx):
        ctx.context.tell("console", SimpleNamespace(type="log", text="last words"))
        theatre.browsers.opened[0].lost.set()
        await anyio.sleep_forever()

    await theatre.play(flow)
    assert list(theatre.artifacts.files) == ["artifacts/p1/1/pay-BrowserLost.console.txt"]


async def test_a_failing_prepare_leaves_evidence_too(theatre):
    """It is where a site that is down shows itself."""
    flow = Flow()

    @flow.prepare
    async def there(ctx):
        raise ValueError

    @flow.step
    async def pay(ctx): ...

    await theatre.play(flow)
    assert list(theatre.artifacts.files) == ["artifacts/p1/1/prepare-ValueError.html"]


@pytest.mark.parametrize(
    ("when", "ending", "kept"),
    [
        ("off", "fails", False),
        ("on-failure", "fails", True),
        ("on-failure", "done", False),
        ("on-failure", "person", False),
        ("always", "done", True),
    ],
)
async def test_traces_are_kept_when_asked_for(theatre, when, ending, kept):
    """Off by default; said to be sensitive; a hand-off is no failure."""
    flow = Flow()
    running = []

    @flow.step
    async def pay(ctx):
        running.append(ctx.context.tracing.running)
        if ending == "fails":
            raise ValueError
        if ending == "person":
            needs_person("a code")

    theatre.artifacts.take_in = lambda of, name, file: theatre.artifacts.keep(of, name, bytes(file))
    await theatre.play(flow, trace=when)
    assert running == [when != "off"]
    assert ("artifacts/p1/1/SENSITIVE-trace.zip" in theatre.artifacts.files) is kept
    assert [message.sensitive for message in theatre.control.all(Kept) if message.why == "trace"] == [True] * kept


async def test_requests_are_counted_by_host(theatre):
    """Requests, failures and bytes; no credentials; what goes over no network does not count."""
    flow = Flow()

    @flow.step
    async def look(ctx):
        for request in (
            Request("https://a.example/1"),
            Request("https://u:pw@a.example/2", status=500),
            Request("http://b.example:8080/"),
            Request("data:text/html,x"),
            Request("blob:https://a.example/1"),
        ):
            ctx.context.tell("requestfinished", request)
        ctx.context.tell("requestfailed", Request("http://b.example:8080/x", status=None, failure="net::ERR"))

    assert await theatre.play(flow) == Done()
    [used] = theatre.control.all(Network)
    assert (used.requests, used.failures, used.received, used.sent, used.unmeasured) == (4, 2, 3300, 30, 0)
    assert [(host.host, host.requests, host.failures, host.received) for host in used.hosts] == [
        ("a.example", 2, 1, 2200),
        ("b.example:8080", 2, 1, 1100),
    ]
    assert used.proxy is None


async def test_the_proxy_is_named_without_its_password(theatre):
    """Host and port of what everything went through."""
    theatre.profiles.write(ProfileMetadata(profile_id="p1", proxy="http://user:pass-word@proxy.example:3128"))
    flow = Flow()

    @flow.step
    async def look(ctx):
        ctx.context.tell("requestfailed", Request("https://a.example/", status=None))

    await theatre.play(flow)
    assert theatre.control.all(Network)[0].proxy == "proxy.example:3128"


async def test_many_hosts_are_cut_and_sizes_that_never_come_are_said(theatre, monkeypatch):
    """The busiest twenty are named, totals count all, and nobody waits for an answer for ever."""
    monkeypatch.setattr("workers.browse._SIZES_LIMIT", 0.05)
    monkeypatch.setattr(network_module, "MOST_ASKED", 5)
    flow = Flow()

    @flow.step
    async def look(ctx):
        for number in range(30):
            request = Request(f"https://h{number:02}.example/")
            request.sizes = anyio.sleep_forever
            ctx.context.tell("requestfinished", request)

    with anyio.fail_after(5):
        await theatre.play(flow)
    [used] = theatre.control.all(Network)
    assert (used.requests, len(used.hosts), used.more_hosts, used.unmeasured) == (30, 20, 10, 30)


async def test_an_interrupted_attempt_says_what_it_asked_for(theatre):
    """The account is sent however the attempt ends; sizes that were not waited for are said."""
    flow = Flow()

    @flow.step
    async def look(ctx):
        ctx.context.tell("requestfailed", Request("https://a.example/", status=None))
        theatre.control.say(None)
        await anyio.sleep_forever()

    await theatre.play(flow)
    assert theatre.control.all(Network)[0].requests == 1


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://u:p@proxy.example:3128", "proxy.example:3128"),
        ("proxy.example:3128", "proxy.example:3128"),
        ("socks5://[::1]:1080", "[::1]:1080"),
        ("https://a.example:443/x", "a.example"),
        ("about:blank", None),
        ("http://[", None),
    ],
)
def test_hosts_without_credentials(url, host):
    """Host and port, of pages and of proxies."""
    assert host_of(url) == host


async def test_an_author_keeps_artifacts(theatre):
    """Text is redacted, bytes that are no text are kept as they are and said to be sensitive, names are made safe."""
    flow = Flow(browser=False)

    @flow.step
    async def keep(ctx):
        ctx.identity.password = "hunter-22-secret"
        ctx.outputs["at"] = str(await ctx.artifact("../cart.txt", "a hunter-22-secret"))
        await ctx.artifact("cart.json", b'"hunter-22-secret"')
        await ctx.artifact("picture.png", b"\x89PNG\xff")

    assert await theatre.play(flow) == Done()
    assert theatre.artifacts.files == {
        "artifacts/p1/1/_cart.txt": b"a [redacted]",
        "artifacts/p1/1/cart.json": b'"[redacted]"',
        "artifacts/p1/1/picture.png": b"\x89PNG\xff",
    }
    assert [kept.sensitive for kept in theatre.control.all(Kept)] == [False, False, True]
    assert theatre.session.outputs["at"] == "/memory/artifacts/p1/1/_cart.txt"
