"""Takes out of pages and messages what may be secret though nobody said so: typed values, scripts, comments, what a page notes
in its attributes for its scripts, data and tokens in URLs.

Works on a serialised document, as ``page.content()`` returns it: there attributes stand in double quotes, which are escaped
inside. Known secrets are the redactor's; it comes first, on the whole text.
"""

from __future__ import annotations

import re

from core.redaction import LEAST, MASK

_GONE = "…"
_MARKUP = re.compile(r"<(?:!--|!\[CDATA\[|[!?]|/?[a-z])", re.IGNORECASE)
_ASIDE = {"<!--": "-->", "<![cdata[": "]]>", "<?": ">", "<!": ">"}
"""How what is no element begins and ends; of these only the document's type stays."""
_END = re.compile(r"</([a-z][^\s/>]*)[^>]*>", re.IGNORECASE)
_START = re.compile(r'<([a-z][^\s/>]*+)((?:\s++[^\s/>][^\s/>=]*+(?:="[^"]*+")?+)*+)\s*+/?+>', re.IGNORECASE)
_ATTRIBUTE = re.compile(r'([^\s/>][^\s/>=]*+)="([^"]*+)"')
_ODD = re.compile(r"""<([a-z][\w:-]*+)(?:[^"'>]++|"[^"]*+"|'[^']*+')*+>""", re.IGNORECASE)
"""A tag that no browser wrote."""

_OPAQUE = ("script", "style", "textarea", "noscript", "iframe", "noembed", "noframes", "xmp", "plaintext")
"""Elements in which there are no tags: what looks like one is not known for what it is."""
_CLOSING = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _OPAQUE}
_EDITABLE = frozenset({"", "true", "plaintext-only"})
_EMPTY = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
"""Elements that have no end."""

_KEPT_NAMES = """
    abbr accept accept-charset accesskey action align allow alt as async autocapitalize autocomplete autofocus autoplay
    background bgcolor border cellpadding cellspacing charset checked cite class color cols colspan contenteditable controls
    coords crossorigin data datetime decoding default defer dir dirname disabled download draggable enctype enterkeyhint for
    form formaction formenctype formmethod formnovalidate formtarget headers height hidden high href hreflang http-equiv id
    imagesizes imagesrcset inert inputmode is ismap itemprop itemscope itemtype kind label lang list loading loop low max
    maxlength media method min minlength multiple muted name nomodule novalidate open optimum part pattern ping placeholder
    playsinline popover popovertarget poster preload property readonly referrerpolicy rel required reversed role rows rowspan
    sandbox scope selected shape size sizes slot span spellcheck src srclang srcset start step style tabindex target title
    translate type usemap valign width wrap
    clip-path clip-rule clippathunits cx cy d dx dy fill fill-opacity fill-rule font-family font-size fx fy gradienttransform
    gradientunits markerheight markerwidth offset opacity orient patternunits points preserveaspectratio r refx refy rx ry
    stop-color stop-opacity stroke stroke-dasharray stroke-linecap stroke-linejoin stroke-opacity stroke-width text-anchor
    transform version viewbox x x1 x2 xlink:href xml:lang xml:space xmlns xmlns:xlink y y1 y2
    data-cy data-qa data-state data-test data-test-id data-testid
"""
"""Attributes to which HTML and SVG give a meaning, and those that flows find elements by. All others are the page's own notes."""
_KEPT = frozenset(_KEPT_NAMES.split())
_ADDRESS_NAMES = "action background cite data formaction href imagesrcset ping poster src srcset style xlink:href"
_ADDRESSES = frozenset(_ADDRESS_NAMES.split())
_SCRIPTS = ("javascript:", "vbscript:")
_BLANKS = re.compile(r"[\x00-\x20]+")
_EMBEDDED = re.compile(r"\bdata:(?:[\w.+-]+/[\w.+-]+)?", re.IGNORECASE)
_DESCRIBED = frozenset(
    {
        "application-name",
        "color-scheme",
        "content-type",
        "description",
        "generator",
        "robots",
        "theme-color",
        "viewport",
    }
)
"""Names of meta elements whose content tells nothing about who looks at the page."""
_LABELLED = frozenset({"button", "reset", "submit"})
"""Fields whose value is what is written on them."""

_USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^\s/?#@\"'<>]{1,500}@", re.IGNORECASE)
_QUERY = re.compile(rf"([?&#;][\w.\[\]%~-]{{1,100}}=)[^\s&#\"'<>`\\)]{{{LEAST},}}")
_JWT = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?")
_BEARER = re.compile(r"\b(Bearer|Basic|Token)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
_LONG = re.compile(r"(?<![\w-])[\w-]{32,}(?![\w-])", re.ASCII)


def without_tokens(text: str) -> str:
    """Return the text without credentials in URLs, values in query strings, and what looks like a token."""
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    text = _QUERY.sub(rf"\1{MASK}", text)
    text = _JWT.sub(MASK, text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    return _LONG.sub(lambda match: MASK if _looks_random(match[0]) else match[0], text)


def without_values(document: str) -> str:
    """Return the document with its text and structure, and without what stands in fields, scripts, comments and the page's own
    attributes. What cannot be read to its end is cut off.
    """
    return _Reader(document).read()


class _Reader:
    """Goes once through a document. Nothing is kept of what is inside an element that somebody types into."""

    def __init__(self, document: str) -> None:
        self._document = document
        self._at = 0
        self._kept: list[str] = []
        self._typed_into = ""
        self._open = 0
        """Elements of that name that are open."""

    def read(self) -> str:
        """Return what stays."""
        while (found := _MARKUP.search(self._document, self._at)) is not None:
            self._keep(self._document[self._at : found.start()])
            self._at = found.start()
            mark = found[0].lower()
            element = self._end if mark[1] == "/" else self._start
            if not (self._aside(mark) if mark in _ASIDE else element()):
                return "".join(self._kept)
        self._keep(self._document[self._at :])
        return "".join(self._kept)

    def _keep(self, text: str) -> None:
        if not self._open:
            self._kept.append(text)

    def _aside(self, mark: str) -> bool:
        closing = _ASIDE[mark]
        end = self._document.find(closing, self._at + len(mark))
        if end < 0:
            return False
        text = self._document[self._at : end + len(closing)]
        self._at += len(text)
        self._keep(text if mark == "<!" else f"{mark}{_GONE}{closing}")
        return True

    def _end(self) -> bool:
        found = _END.match(self._document, self._at)
        if found is None:
            return False
        self._at = found.end()
        self._open -= self._open > 0 and found[1].lower() == self._typed_into
        self._keep(f"</{found[1]}>")
        return True

    def _start(self) -> bool:
        found = _START.match(self._document, self._at)
        if found is None:
            return self._odd_start()
        self._at = found.end()
        name = found[1].lower()
        attributes = {key.lower(): value for key, value in _ATTRIBUTE.findall(found[2])}
        self._keep(_emptied(found[0], name, attributes))
        if name in _CLOSING:
            return self._opaque(name)
        if self._open:
            self._open += name == self._typed_into
        elif attributes.get("contenteditable", "false").lower() in _EDITABLE and name not in _EMPTY:
            self._keep(_GONE)
            self._typed_into, self._open = name, 1
        return True

    def _odd_start(self) -> bool:
        """Leave out a tag that no browser wrote."""
        found = _ODD.match(self._document, self._at)
        if found is None:
            return False
        self._at = found.end()
        self._keep(f"<{found[1]}>")
        return self._opaque(found[1].lower()) if found[1].lower() in _CLOSING else True

    def _opaque(self, name: str) -> bool:
        close = _CLOSING[name].search(self._document, self._at)
        if close is None:
            return False
        self._keep(_content(name, self._document[self._at : close.start()]))
        self._at = close.start()
        return True


def _content(name: str, text: str) -> str:
    """Return what stays of an element that is no markup inside."""
    harmless = not text or (name == "style" and _EMBEDDED.search(text) is None)
    return text if harmless else _GONE


def _emptied(tag: str, element: str, attributes: dict[str, str]) -> str:
    """Return a tag with only those values that tell nothing about who looks at the page."""

    def clean(found: re.Match[str]) -> str:
        name, value = found[1].lower(), found[2]
        if not value or name.startswith("aria-") or _is_shown(element, name, attributes):
            kept = value
        elif name not in _KEPT:
            kept = _GONE
        else:
            kept = _address(value) if name in _ADDRESSES else value
        return f'{found[1]}="{kept}"'

    return _ATTRIBUTE.sub(clean, tag)


def _is_shown(element: str, name: str, attributes: dict[str, str]) -> bool:
    """Whether this is what is written on a button, or what a page says of itself."""
    if element == "meta":
        about = attributes.get("name") or attributes.get("http-equiv", "")
        return name == "content" and about.lower() in _DESCRIBED
    return element == "input" and name == "value" and attributes.get("type", "").lower() in _LABELLED


def _address(value: str) -> str:
    """Return a URL, or styles, without the data or the script that they may be."""
    plain = _BLANKS.sub("", value).lower()
    if plain.startswith(_SCRIPTS):
        return f"{plain.partition(':')[0]}:{_GONE}"
    if (found := _EMBEDDED.search(value)) is not None:
        return f"{value[: found.end()]},{_GONE}"
    return _GONE if plain.startswith("data:") else value


def _looks_random(word: str) -> bool:
    return any(char.isdigit() for char in word) and any(char.isalpha() for char in word)
