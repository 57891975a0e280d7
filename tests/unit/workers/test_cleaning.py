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
    ],
)
def test_fields_and_scripts_are_emptied(document):
    """Whatever stands in a field goes, also where a tag or an element never ends; what is around it stays."""
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


def test_hostile_pages_cost_no_time():
    """Cleaning is linear: what never closes, repeated, is done at once."""
    began = time.process_time()
    for piece in ('<input "', "<script>", "<textarea>", "a://b", "?a=", "eyJaaaaaaaa.", "<script <", '<input a="'):
        without_tokens(without_values(piece * 40_000))
    assert time.process_time() - began < 5
