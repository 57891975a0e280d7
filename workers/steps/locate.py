"""Finding an element by any of several selectors, the one that worked last time first.

A selector is learnt only after the step's post-condition held (``Locator.confirm``): one that finds the wrong button would
otherwise be remembered. A cached selector is asked alone for a moment, then together with the candidates; one that does not
find what they find is demoted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import msgspec

from core.errors import LocateFailed
from core.state.port import Selector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.clock import Clock
    from core.state.port import SelectorCache

HEAD_START = 0.3
"""Seconds in which only the cached selector is asked: candidates may be vaguer than the one that worked."""
TIMEOUT = 10.0
_POLL = 0.1


def by_role(role: str, name: str | None = None, *, exact: bool = False) -> Selector:
    """Find by ARIA role and accessible name, as ``by_role("button", name="Pay")``."""
    return Selector(kind="role", value=role, name=name, exact=exact)


def by_label(text: str, *, exact: bool = False) -> Selector:
    """Find a form control by the text of its label."""
    return Selector(kind="label", value=text, exact=exact)


def by_test_id(test_id: str) -> Selector:
    """Find by ``data-testid``."""
    return Selector(kind="test_id", value=test_id)


def by_text(text: str, *, exact: bool = False) -> Selector:
    """Find by visible text."""
    return Selector(kind="text", value=text, exact=exact)


def by_placeholder(text: str, *, exact: bool = False) -> Selector:
    """Find a form control by its placeholder."""
    return Selector(kind="placeholder", value=text, exact=exact)


def css(selector: str) -> Selector:
    """Find by CSS; a plain string means the same."""
    return Selector(kind="css", value=selector)


def xpath(expression: str) -> Selector:
    """Find by XPath."""
    return Selector(kind="xpath", value=expression)


class Locator:
    """Locates for one step: reads the shared cache, and keeps what it learnt until the step is confirmed."""

    def __init__(self, cache: SelectorCache, flow: str, profile_id: str, clock: Clock) -> None:
        self._cache = cache
        self._flow = flow
        self._profile_id = profile_id
        self._clock = clock
        self._found: dict[tuple[str, str], Selector] = {}

    async def locate(
        self,
        page: Any,
        label: str,
        candidates: Sequence[Selector | str],
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - the author's own
    ) -> Any:
        """Return Playwright's ``Locator`` of the first visible match.

        Args:
            page: where to look.
            label: what the element is, for the cache and for messages.
            candidates: selectors, the preferred one first; a string is CSS.
            timeout: seconds, over all candidates.

        Raises:
            LocateFailed: no candidate is visible in time.
        """
        origin = origin_of(page.url)
        wanted = [css(candidate) if isinstance(candidate, str) else candidate for candidate in candidates]
        cached = self._cache.get(origin, self._flow, label)
        found: tuple[Selector, Any] | None = None
        with anyio.move_on_after(timeout):
            if cached is None:
                found = await _first_visible(page, wanted)
            else:
                with anyio.move_on_after(min(HEAD_START, timeout / 2)):
                    found = await _first_visible(page, [cached])
                found = found or await _first_visible(page, [cached, *wanted])
        if cached is not None and (found is None or found[0] != cached):
            self._cache.demote(origin, self._flow, label, cached, now=self._clock.now())
        if found is None:
            raise LocateFailed(label, [text_of(selector) for selector in wanted])
        return self._note(origin, label, found)

    def confirm(self) -> None:
        """Learn what was found: the step's post-condition held."""
        for (origin, label), selector in self._found.items():
            self._cache.learn(origin, self._flow, label, selector, profile_id=self._profile_id, now=self._clock.now())
        self._found.clear()

    def forget(self) -> None:
        """Learn nothing: the try failed."""
        self._found.clear()

    def _note(self, origin: str, label: str, found: tuple[Selector, Any]) -> Any:
        self._found[origin, label] = found[0]
        return found[1]


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL; the scheme alone where there is no host (``about:``)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else f"{parts.scheme}:"


def text_of(selector: Selector) -> str:
    """Return the selector as a person would write it."""
    fields = msgspec.structs.asdict(selector)
    name = f", name={fields['name']!r}" if fields["name"] is not None else ""
    return f"{selector.kind}({selector.value!r}{name})"


def on_page(page: Any, selector: Selector) -> Any:  # noqa: PLR0911 - one per kind
    """Return Playwright's ``Locator`` for a selector."""
    match selector.kind:
        case "role":
            return page.get_by_role(selector.value, name=selector.name, exact=selector.exact)
        case "label":
            return page.get_by_label(selector.value, exact=selector.exact)
        case "test_id":
            return page.get_by_test_id(selector.value)
        case "text":
            return page.get_by_text(selector.value, exact=selector.exact)
        case "placeholder":
            return page.get_by_placeholder(selector.value, exact=selector.exact)
        case "css":
            return page.locator(f"css={selector.value}")
        case "xpath":
            return page.locator(f"xpath={selector.value}")


async def _first_visible(page: Any, selectors: Sequence[Selector]) -> tuple[Selector, Any]:
    """Ask for all of them in turn, again and again: a later candidate must not wait for an earlier one's timeout."""
    while True:
        for selector in dict.fromkeys(selectors):
            match = on_page(page, selector).first
            if await match.is_visible():
                return selector, match
        await anyio.sleep(_POLL)
