"""How the pages look: one layout, one style sheet, a colour for each service."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from collections.abc import Iterable


class Brand(NamedTuple):
    """A service's face. ``menu`` is pairs of path and text."""

    name: str
    colour: str
    menu: tuple[tuple[str, str], ...]


CSS = """
*{box-sizing:border-box}
body{margin:0;font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;color:#1d2430;background:#f4f5f8}
a{color:var(--brand)}
header{background:var(--brand);color:#fff}
header div{max-width:44rem;margin:auto;padding:.8rem 1.25rem;display:flex;flex-wrap:wrap;gap:.4rem 1.25rem;align-items:center}
header strong{font-size:1.15rem;margin-right:auto}
header strong span{display:inline-grid;place-items:center;width:1.9rem;height:1.9rem;margin-right:.6rem;border-radius:.5rem;
background:#ffffff2e}
header a{color:#fff;text-decoration:none;opacity:.9}
header a:hover{text-decoration:underline}
main{max-width:44rem;margin:1.75rem auto;padding:0 1.25rem}
article{background:#fff;border:1px solid #e1e4ea;border-radius:.75rem;padding:1.5rem;box-shadow:0 1px 3px #1d24300f}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}
h2{font-size:1.1rem;margin:1.5rem 0 .5rem}
p{margin:.5rem 0 1rem}
form{display:grid;gap:.9rem;max-width:24rem;margin:1rem 0}
label{display:grid;gap:.25rem;font-weight:600;font-size:.95rem}
label small{font-weight:400;color:#667085}
input,select{font:inherit;font-weight:400;padding:.55rem .7rem;border:1px solid #c3c9d4;border-radius:.5rem;background:#fff;width:100%}
input:focus,select:focus,.button:focus,button:focus{outline:3px solid color-mix(in srgb,var(--brand) 35%,transparent);outline-offset:1px}
button,.button,input[type=submit]{font:inherit;font-weight:600;text-align:center;padding:.6rem 1.1rem;border:0;border-radius:.5rem;
background:var(--brand);color:#fff;cursor:pointer;text-decoration:none;display:inline-block;width:auto;justify-self:start}
.quiet{background:#e9ecf2;color:#1d2430}
table{border-collapse:collapse;width:100%;font-size:.95rem}
th,td{text-align:left;padding:.55rem .6rem;border-bottom:1px solid #e6e9ef;overflow-wrap:break-word;vertical-align:top}
div.table{overflow-x:auto}
td b,time{white-space:nowrap}
th{color:#667085;font-weight:600}
code,.code{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,monospace;background:#f1f3f7;border-radius:.35rem;padding:.1rem .35rem;
overflow-wrap:anywhere}
.code{display:block;padding:.8rem 1rem;font-size:1.05rem}
[role=alert],[role=status]{border-radius:.5rem;padding:.7rem 1rem;margin:.5rem 0 1rem;background:#eef4ff;border-left:4px solid #3b6fd4}
[role=alert]{background:#fff0f0;border-color:#c93434}
[role=status][data-state=in]{background:#ebf8ef;border-color:#23864a}
[role=status][data-state=out]{background:#fff6e5;border-color:#c98a14}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:1rem;padding:0;list-style:none}
.cards li{border:1px solid #e1e4ea;border-radius:.6rem;padding:1rem}
.cards b{display:block}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.35rem 1.25rem}
dt{color:#667085}dd{margin:0;overflow-wrap:anywhere}
footer{max-width:44rem;margin:1.5rem auto;padding:0 1.25rem;color:#667085;font-size:.85rem}
@media(max-width:32rem){header strong{width:100%}main{margin:1rem auto;padding:0 .75rem}article{padding:1.1rem}}
"""


def page(
    brand: Brand,
    title: str,
    *parts: str,
    status: int = 200,
    account: str | None = None,
    error: str = "",
) -> HTMLResponse:
    """Return a page.

    Args:
        brand: whose it is.
        title: heading, plain text.
        parts: HTML.
        status: HTTP status.
        account: who is signed in, plain text.
        error: what went wrong, plain text.
    """
    menu = "".join(f'<a href="{path}">{escape(text)}</a>' for path, text in brand.menu)
    alert = f'<p role="alert">{escape(error)}</p>' if error else ""
    who = f"Signed in as {escape(account)} · " if account else ""
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · {escape(brand.name)}</title><link rel="icon" href="data:,">
<style>:root{{--brand:{brand.colour}}}{CSS}</style></head>
<body><header><div><strong><span aria-hidden="true">{escape(brand.name[0])}</span>{escape(brand.name)}</strong>{menu}</div></header>
<main><article><h1>{escape(title)}</h1>{alert}{"".join(parts)}</article></main>
<footer>{who}A demo service that runs on this computer only.</footer></body></html>""",
        status_code=status,
        headers={"cache-control": "no-store"},
    )


def field(label: str, name: str, kind: str = "text", *, value: str = "", hint: str = "", extra: str = "") -> str:
    """Return a labelled input; ``extra`` is further attributes, as HTML."""
    small = f"<small>{escape(hint)}</small>" if hint else ""
    return f'<label>{escape(label)}{small}<input name="{name}" type="{kind}" value="{escape(value)}" required {extra}></label>'


def form(action: str, *fields: str, button: str, quiet: bool = False) -> str:
    """Return a form that posts to ``action``."""
    kind = ' class="quiet"' if quiet else ""
    return (
        f'<form method="post" action="{escape(action)}">{"".join(fields)}<button{kind}>{escape(button)}</button></form>'
    )


def hidden(name: str, value: str) -> str:
    """Return a field that nobody sees."""
    return f'<input type="hidden" name="{name}" value="{escape(value)}">'


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table; heads are plain text, cells are HTML."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
