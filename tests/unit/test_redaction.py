"""What the redactor masks, and what it leaves alone."""

from __future__ import annotations

import base64
import html
import json
import threading
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.redaction import MASK, Redactor, mask_page, mask_url, proxy_password

AWKWARD = """p"a's<s>&w ö/r\\d+%=?"""


@pytest.mark.parametrize(
    "form",
    [
        AWKWARD,
        json.dumps(AWKWARD),
        json.dumps(AWKWARD, ensure_ascii=False),
        json.dumps(json.dumps(AWKWARD)),
        quote(AWKWARD),
        quote(AWKWARD, safe=""),
        quote(AWKWARD, safe="").lower().replace("%c3%b6", "%c3%b6"),
        quote_plus(AWKWARD),
        html.escape(AWKWARD),
        html.escape(AWKWARD, quote=False),
        repr(AWKWARD),
        repr(AWKWARD.encode()),
        ascii(AWKWARD),
    ],
)
def test_masks_every_form(form):
    """A value disappears in each form that an encoder gives it, in text and in bytes."""
    redactor = Redactor([AWKWARD])
    assert redactor.text(f"before {form} after") == f"before {form.replace(_inside(form), MASK)} after"
    assert redactor.bytes(f"before {form} after".encode()).decode() == redactor.text(f"before {form} after")


def _inside(form: str) -> str:
    """What of the form is the value: without the quotes that an encoder puts around it."""
    for start, end in (('"\\"', '\\""'), ("b'", "'"), ('"', '"'), ("'", "'")):
        if form.startswith(start) and form.endswith(end) and form != AWKWARD:
            return form[len(start) : -len(end)]
    return form


@given(
    value=st.text(min_size=4, max_size=30),
    before=st.binary(max_size=7),
    after=st.binary(max_size=7),
    url_safe=st.booleans(),
)
def test_masks_base64_at_every_alignment(value, before, after, url_safe):
    """Wherever a value begins in base64 data, what remains is too little to tell it."""
    secret = value.encode("utf-8", "surrogatepass")
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    clean = Redactor([value]).text(encode(before + secret + after).decode())
    assert MASK in clean
    if set(before + after).isdisjoint(secret):
        assert encode(secret).decode()[: len(secret)] not in clean


@given(values=st.lists(st.text(min_size=4, max_size=12), min_size=1, max_size=5), text=st.text(max_size=40))
def test_no_value_survives(values, text):
    """Whatever the values and the text around them, no value stands in what comes out."""
    full = text.join(["", *values, ""])
    clean = Redactor(values).text(full)
    assert not any(value in clean.replace(MASK, "\0") for value in values)


def test_longest_first():
    """Of two values, one of which begins with the other, the longer one is masked whole."""
    assert Redactor(["pass", "password1"]).text("password1 pass") == f"{MASK} {MASK}"


def test_short_values_are_left_alone():
    """A value of three characters masks nothing, one of four does."""
    assert Redactor(["abc"]).text("abc") == "abc"
    assert Redactor(["abcd"]).text("abcd") == MASK


def test_lines_of_a_value():
    """A value of several lines is masked line by line, because logs are."""
    redactor = Redactor(["first-line\r\nsecond-line"])
    assert redactor.bytes(b"x first-line\n") == f"x {MASK}\n".encode()
    assert redactor.text("second-line") == MASK


def test_add_and_representation():
    """A value that is added later counts from then on; the object itself never shows it."""
    redactor = Redactor()
    assert redactor.text("hunter22") == "hunter22"
    redactor.add("hunter22")
    assert redactor.text("hunter22") == MASK
    assert "hunter22" not in repr(redactor)


def test_undecodable_bytes_pass():
    """Bytes that are not UTF-8 pass unchanged, and the value between them is masked."""
    assert Redactor(["hunter22"]).bytes(b"\xff\xfehunter22\xff") == b"\xff\xfe" + MASK.encode() + b"\xff"


def test_threads_may_add_while_others_mask():
    """Values added by many threads at once are all masked in the end, and nobody sees a half-built pattern."""
    redactor = Redactor()
    values = [f"secret-{number:03}" for number in range(40)]
    start = threading.Barrier(4)

    def add(some):
        start.wait()
        for value in some:
            redactor.add(value)
            assert redactor.text(value) == MASK

    threads = [threading.Thread(target=add, args=(values[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert redactor.text(" ".join(values)) == " ".join([MASK] * 40)


@pytest.mark.parametrize(
    ("url", "password", "masked"),
    [
        ("http://u:p%40ss@h:1", "p@ss", f"http://u:{MASK}@h:1"),
        ("socks5://u:a@b/c@h:3", "a@b/c", f"socks5://u:{MASK}@h:3"),
        ("u:word@h:1", "word", f"u:{MASK}@h:1"),
        ("http://h:80", None, "http://h:80"),
        ("http://u@h", None, "http://u@h"),
        ("http://[::1]:80", None, "http://[::1]:80"),
        ("http://:word@h", "word", f"http://:{MASK}@h"),
        ("", None, ""),
    ],
)
def test_proxy_urls(url, password, masked):
    """A proxy's password is found, decoded, in URLs as people write them, and masked when the URL is shown."""
    assert proxy_password(url) == password
    assert mask_url(url) == masked


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://me:pw@example.org/@home?x=a:b@c", f"https://me:{MASK}@example.org/@home?x=a:b@c"),
        ("https://me:p:w@example.org/", f"https://me:{MASK}@example.org/"),
        ("https://me@example.org/", "https://me@example.org/"),
        ("https://example.org/@home:8", "https://example.org/@home:8"),
        ("about:blank", "about:blank"),
        ("https://[me:pw@h/", MASK),
    ],
)
def test_the_address_of_a_page(url, masked):
    """Only its password is masked: where it leads stays readable."""
    assert mask_page(url) == masked
