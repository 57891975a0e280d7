"""What is taken out of pages and messages although nobody said that it is secret."""

from __future__ import annotations

import time

import pytest

from workers.steps.cleaning import without_tokens, without_values


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET https://user:hunter22@shop.example/x", "hunter22"),
        ("http://shop.example/in?code=493817&page=2", "493817"),
        ('<a href="/reset?x=1&amp;token=abcdef">', "abcdef"),
        ("https://shop.example/cb#access_token=zyxwvu", "zyxwvu"),
        ("Authorization: Bearer abc.def-123456", "abc.def-123456"),
        ("state eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.sig-nature_x", "eyJzdWIi"),
        ("sid 9f86d081884c7d659a2feaa0c55ad015", "9f86d081884c7d65"),
    ],
)
def test_what_looks_like_a_credential_goes(text, secret):
    """Credentials in URLs, values in query strings, bearer tokens, JWTs, long random words."""
    assert secret not in without_tokens(text)


def test_what_tells_nothing_stays():
    """Host, path, names of parameters, short values and prose are what a person looks for."""
    text = "GET https://shop.example:8443/cart/items?page=2 404: an-ordinary-name_of_a_class for everybody-to-see"
    assert without_tokens(text) == text


@pytest.mark.parametrize(
    "document",
    [
        '<input type="password" value="s3cret">',
        '<input value="s3cret" id="code">',
        '<INPUT TYPE="text" VALUE="s3cret">',
        '<input placeholder="a > b" value="s3cret">',
        '<input type="hidden" name="csrf" value="s3cret">',
        "<textarea>s3cret</textarea>",
        '<meta name="csrf-token" content="s3cret">',
        "<script>window.state = {token: 's3cret'}</script>",
        '<script type="application/json">{"a": "</p>s3cret"}</script>',
        '<input value="s3cret',
        "<textarea>s3cret",
        '<iframe srcdoc="<input value=&quot;s3cret&quot;>"></iframe>',
        '<iframe id="x" SRCDOC="&lt;input value=&quot;s3cret&quot;&gt;"></iframe>',
        # fields that are chosen, and typed into without being fields
        '<select><option value="s3cret">A card</option></select>',
        '<input type="radio" name="card" value="s3cret">',
        '<input type="checkbox" value="s3cret">',
        '<datalist><option value="s3cret"></option></datalist>',
        '<button value="s3cret">Pay</button>',
        '<li value="s3cret">one</li>',
        '<div contenteditable="true">s3cret <div>s3cret</div><b>s3cret</b></div>',
        '<div contenteditable="" class="x"><div><p>a</p></div>s3cret</div>',
        '<p CONTENTEDITABLE="plaintext-only">s3cret<script>"</p>s3cret"</script><!-- </p>s3cret --></p>',
        '<div contenteditable="true">s3cret',
        # what a page notes for its scripts
        '<div data-token="s3cret">a</div>',
        '<div data-user-id="s3cret" id="x">a</div>',
        '<user-card token="s3cret"></user-card>',
        '<div x-data="{\'token\': \'s3cret\'}" @click="pay(\'s3cret\')" :key="s3cret" wire:snapshot="s3cret">a</div>',
        '<a href="#" onclick="pay(\'s3cret\')">a</a>',
        '<script src="/a.js" data-key="s3cret" nonce="s3cret"></script>',
        '<span itemprop="token" content="s3cret">a</span>',
        '<meta property="og:token" content="s3cret">',
        '<meta content="s3cret">',
        '<svg data-x="s3cret"><path d="M0"></path></svg>',
        '<p ""="" data-x="s3cret" \'y\'="s3cret">a</p>',
        # comments, and what is no text of the page
        "<!-- s3cret -->",
        "<!-- <p>> s3cret --><p>a</p>",
        "<!--s3cret",
        "<![CDATA[ s3cret > ]]>",
        "<?x s3cret?>",
        "<noscript><img src='https://t.example/s3cret'><input value=s3cret></noscript>",
        "<iframe><p>s3cret</p></iframe>",
        "<xmp><input value=s3cret></xmp>",
        # data and scripts as addresses
        '<img src="data:image/png;base64,s3cret">',
        '<a href="DATA:text/html,hello s3cret &quot;world&quot; s3cret">a</a>',
        '<a href=" da\tta:text/html,s3cret">a</a>',
        "<a href=\"java\nscript:pay('s3cret')\">a</a>",
        '<img srcset="data:image/png;base64,s3cret 1x, b.png 2x">',
        "<p style=\"background: url(&quot;data:image/svg+xml,<svg id='s3cret'>&quot;)\">a</p>",
        "<style>p { background: url('data:text/plain,s3cret') }</style>",
        '<object data="data:text/plain,s3cret"></object>',
        # tags that no browser wrote
        "<input value=s3cret>",
        "<input value='a > s3cret'>",
        "<div data-x=s3cret class='y'>a</div>",
        '<script type=x data-x="s3cret>s3cret</script>',
    ],
)
def test_what_a_page_does_not_show_is_taken_out(document):
    """Whatever stands in a field, a script, a comment or the page's own attributes, also where it never ends."""
    cleaned = without_values(f"<p>before</p>{document}<p>after</p>")
    assert "s3cret" not in cleaned
    assert "before" in cleaned


def test_the_page_around_stays():
    """Text, structure, buttons and harmless meta elements are what the evidence is for."""
    document = (
        '<meta name="viewport" content="wide"><h1>Sorry</h1><input type="submit" value="Pay"><input class="x" value="1">'
        '<textarea rows="2"></textarea><script src="/a.js"></script><p>end</p>'
    )
    assert without_values(document) == document.replace('value="1"', 'value="…"')


def test_what_flows_find_elements_by_stays():
    """Ids, classes, roles, labels, addresses, test ids and styles: what the evidence is looked at for."""
    document = (
        '<!DOCTYPE html><html lang="de"><style>p { color: red }</style><!--…--><p id="a" class="b c" role="alert" title="t"'
        ' aria-label="l" data-testid="d" data-state="in" style="color: red">text &amp; more</p><a href="/cart?page=2">x</a>'
        '<label for="e">E-mail</label><input id="e" name="email" type="email" placeholder="you@" required="" value="">'
        '<svg viewBox="0 0 1 1"><path d="M0 0"></path></svg><img src="/a.png" alt="b"><br></html>'
    )
    assert without_values(document) == document


def test_what_is_typed_into_is_left_out_and_the_page_goes_on():
    """Elements of the same name inside do not end it."""
    document = '<p>a</p><div contenteditable="true"><div>x</div><br>y</div><div contenteditable="false">b</div>'
    assert without_values(document) == (
        '<p>a</p><div contenteditable="true">…</div><div contenteditable="false">b</div>'
    )


def test_hostile_pages_cost_no_time():
    """Cleaning is linear: what never closes, repeated, is done at once."""
    began = time.process_time()
    for piece in (
        '<input "', "<script>", "<textarea>", "a://b", "?a=", "eyJaaaaaaaa.", "<script <", '<input a="', "<!--", "<p '",
        '<p a="> ', "<p ' b='> \"", "<div contenteditable>", '<div contenteditable="">', "</p", "<?", "<p a a a",
    ):  # fmt: skip
        without_tokens(without_values(piece * 40_000))
        without_tokens(without_values(piece * 40_000 + '">'))
    assert time.process_time() - began < 10
