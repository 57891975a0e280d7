"""The demo site as a process of its own: its pages over HTTP, its ledger, its trouble, its life."""

from __future__ import annotations

import http.client
import http.cookies
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pyotp
import pytest

from examples.demo import ledger
from examples.demo.identity import SAMPLE_EMAIL, SAMPLE_PASSWORD, SAMPLE_TOTP

CHECKOUT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse"
ADDRESS = "kay.1@mail.localhost"
DEADLINE = 20


class Served:
    """A site that runs, and how to end it."""

    def __init__(self, state: Path, *options: str, stdin: int = subprocess.PIPE) -> None:
        command = [sys.executable, "-m", "examples.demo", "--with-parent", "--state-dir", str(state), *options]
        self.process = subprocess.Popen(
            command, cwd=CHECKOUT, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.state = state
        self.ready = self.process.stdout.readline()
        found = re.match(r"ready http://127\.0\.0\.1:(\d+) ", self.ready)
        assert found, self.ready + self.process.stderr.read()
        self.port = int(found[1])

    def entries(self) -> list[ledger.Entry]:
        return ledger.read(self.state / "demo" / "ledger.jsonl")

    def effects(self) -> list[str]:
        return [entry.effect for entry in self.entries()]

    def status(self) -> dict:
        return json.loads(Visitor(self, "checker").ask("127.0.0.1", "/_status")[1])

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(DEADLINE)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


class Visitor:
    """A browser without a screen: keeps cookies by host, follows redirects."""

    def __init__(self, site: Served, profile_id: str, attempt: int = 1) -> None:
        self.site = site
        self.headers = {"X-Demo-Profile": profile_id, "X-Demo-Attempt": str(attempt)}
        self.cookies: dict[str, dict[str, str]] = {}

    def ask(self, host: str, path: str, data: dict | bytes | None = None, **headers: str) -> tuple[int, str]:
        jar = self.cookies.setdefault(host, {})
        sent = {"Host": f"{host}:{self.site.port}", **self.headers, **headers}
        if jar:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        body = data if isinstance(data, bytes) or data is None else urlencode(data).encode()
        if isinstance(data, dict):
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=DEADLINE)
        try:
            connection.request("GET" if body is None else "POST", path, body, sent)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        for line in response.headers.get_all("Set-Cookie", []):
            for name, morsel in http.cookies.SimpleCookie(line).items():
                jar[name] = morsel.value
        if response.status == 303:
            return self.ask(host, response.headers["Location"], **headers)
        return response.status, text

    def get(self, service: str, path: str) -> str:
        return self.ask(f"{service}.localhost", path)[1]

    def post(self, service: str, path: str, **data: str) -> tuple[int, str]:
        return self.ask(f"{service}.localhost", path, data)

    def open_mailbox(self, address: str = ADDRESS) -> None:
        status, text = self.post("mail", "/signup", address=address, password=PASSWORD)
        assert (status, shown(text, "mailbox")) == (200, address)

    def join_shop(self, address: str = ADDRESS) -> str:
        self.post("shop", "/join", email=address)
        mail = re.search(r'href="(/inbox/\d+)">Your code', self.get("mail", "/inbox"))
        code = re.search(r"\d{6}", shown(self.get("mail", mail[1]), "mail-body"))
        status, text = self.post("shop", "/confirm", email=address, code=code[0], password=PASSWORD)
        assert (status, shown(text, "member")) == (200, address)
        return code[0]


def shown(text: str, test_id: str) -> str:
    found = re.search(rf"data-testid=['\"]{test_id}['\"][^>]*>([^<]*)<", text)
    return unescape(found[1]) if found else ""


@pytest.fixture
def serve(tmp_path):
    """Start sites, and end them with the test."""
    sites: list[Served] = []

    def start(*options: str, state: Path = tmp_path, **how) -> Served:
        sites.append(Served(state, *options, **how))
        return sites[-1]

    yield start
    for site in sites:
        site.end()


def test_each_effect_is_in_the_ledger(serve):
    """The five effects each leave one line with profile, attempt and time, in the order they happened."""
    site = serve()
    kay = Visitor(site, "kay", attempt=3)
    kay.open_mailbox()
    kay.join_shop()
    _, text = kay.post("dev", "/register", name="Kay", email=ADDRESS, password=PASSWORD, form="f1")
    key = shown(text, "api-key")
    kay.post("id", "/join", email=ADDRESS, password=PASSWORD)
    secret = shown(kay.post("id", "/security")[1], "totp-secret")
    status, welcome = kay.post("id", "/security/code", code=pyotp.TOTP(secret).now())
    assert status == 200
    kay.post("shop", "/order", product="tea", amount="2", reference="r1")
    assert site.effects() == list(ledger.EFFECTS)
    assert {(entry.profile_id, entry.attempt) for entry in site.entries()} == {("kay", 3)}
    assert [entry.seq for entry in site.entries()] == [1, 2, 3, 4, 5]
    assert ledger.not_once(site.entries(), ["kay"]) == []

    assert kay.ask("dev.localhost", "/v1/me", Authorization=f"Bearer {key}")[0] == 200
    assert kay.ask("dev.localhost", "/v1/me", Authorization="Bearer wb_other")[0] == 401
    assert key not in kay.get("dev", "/keys")

    token = re.search(r"setItem\('device_token', '([^']+)'\)", welcome)[1]
    both = json.loads(kay.ask("id.localhost", "/api/me", **{"X-Device-Token": token})[1])
    cookie_only = json.loads(kay.get("id", "/api/me"))
    token_only = json.loads(Visitor(site, "eve").ask("id.localhost", "/api/me", **{"X-Device-Token": token})[1])
    assert (both["logged_in"], cookie_only["missing"], token_only["missing"]) == (True, ["device token"], ["cookie"])
    assert kay.ask("id.localhost", "/whoami")[0] == 200
    assert Visitor(site, "eve").ask("id.localhost", "/whoami")[0] == 401


def test_same_reference_is_the_same_order(serve):
    """An order is made once per reference; another reference is another order, and both show."""
    site = serve()
    kay = Visitor(site, "kay")
    kay.open_mailbox()
    kay.join_shop()
    numbers = [
        shown(kay.post("shop", "/order", product="tea", amount="1", reference=reference)[1], "order-id")
        for reference in ("r1", "r1", "r2")
    ]
    assert numbers[0] == numbers[1] != numbers[2]
    assert site.effects().count("order_placed") == 2
    assert ledger.repeated(site.entries()) == ["kay: order_placed happened 2 times"]


def test_wrong_input_has_no_effect(serve):
    """A taken address, a wrong code, a wrong second step, a form sent twice: refused, and not in the ledger."""
    site = serve()
    kay = Visitor(site, "kay")
    kay.open_mailbox()
    assert kay.post("mail", "/signup", address=ADDRESS, password=PASSWORD)[0] == 409
    assert kay.post("mail", "/login", address=ADDRESS, password="wrong wrong")[0] == 401
    assert kay.post("shop", "/join", email="nobody@mail.localhost")[0] == 422
    kay.post("shop", "/join", email=ADDRESS)
    assert kay.post("shop", "/confirm", email=ADDRESS, code="x", password=PASSWORD)[0] == 422
    used = kay.join_shop()
    assert kay.post("shop", "/confirm", email=ADDRESS, code=used, password=PASSWORD)[0] == 409
    assert kay.post("shop", "/order", product="tea", amount="0", reference="r")[0] == 422
    for expected in (200, 409):
        status, _ = kay.post("dev", "/register", name="Kay", email=ADDRESS, password=PASSWORD, form="same")
        assert status == expected
    kay.post("id", "/join", email=ADDRESS, password=PASSWORD)
    kay.post("id", "/security")
    assert kay.post("id", "/security/code", code="abc")[0] == 422
    assert site.effects() == ["mail_created", "shop_signup", "dev_registration"]


def test_order_form_changes(serve):
    """The order button is written in three ways: by request, by switch, and by profile."""
    site = serve("--variant", "1")
    kay = Visitor(site, "kay")
    kay.open_mailbox()
    kay.join_shop()
    marks = ('id="buy"', 'id="submit-order"', 'role="button"')
    for number, mark in enumerate(marks):
        assert [other in kay.get("shop", f"/order?variant={number}") for other in marks] == [
            other == mark for other in marks
        ]
    assert marks[1] in kay.get("shop", "/order")
    kay.ask("127.0.0.1", "/_chaos", b'{"variant": null}')
    seen = set()
    for number in range(12):
        kay.headers["X-Demo-Profile"] = f"p{number}"
        seen |= {mark for mark in marks if mark in kay.get("shop", "/order")}
    assert seen == set(marks)


def test_trouble_strikes_before_and_after_the_work(serve):
    """Errors and broken connections hide both what happened and what did not; switched off, all is well."""
    site = serve("--seed", "1")
    kay = Visitor(site, "kay")
    for kind in ("fail", "drop"):
        assert kay.ask("127.0.0.1", "/_chaos", json.dumps({kind: 1}).encode())[0] == 200
        before = len(site.entries())
        for number in range(20):
            data = {"address": f"{kind}{number}@mail.localhost", "password": PASSWORD}
            if kind == "drop":
                with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
                    kay.post("mail", "/signup", **data)
            else:
                assert kay.post("mail", "/signup", **data)[0] == 500
        assert 0 < len(site.entries()) - before < 20
        kay.ask("127.0.0.1", "/_chaos", json.dumps({kind: 0}).encode())
    kay.open_mailbox()
    assert kay.ask("127.0.0.1", "/_chaos", b'{"fail": 2}')[0] == 422
    assert kay.ask("127.0.0.1", "/_chaos", b'{"fial": 1}')[0] == 422
    assert site.status()["chaos"] == {"slow": 0, "fail": 0, "drop": 0, "variant": None}
    assert kay.ask("mail.localhost", "/signup", **{"X-Demo-Fail": "1"})[0] == 500


def test_who_hangs_up_while_it_is_slow_has_ordered_nothing(serve):
    """A request whose sender dies before the work begins has no effect, however late the site gets to it."""
    site = serve("--slow", "1500")
    body = urlencode({"address": "gone@mail.localhost", "password": PASSWORD}).encode()
    head = (
        f"POST /signup HTTP/1.1\r\nHost: mail.localhost\r\nX-Demo-Profile: gone\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        connection.sendall(head.encode() + body)
    stays = Visitor(site, "stays")
    stays.open_mailbox("stays@mail.localhost")  # takes two slow requests: the first one's time is over by then
    assert [entry.profile_id for entry in site.entries()] == ["stays"]


def test_killed_and_restarted_it_keeps_everything(serve, tmp_path):
    """After kill -9: the same port, accounts and logins; a torn or missing ledger line is made up for; modes are private."""
    site = serve()
    kay = Visitor(site, "kay")
    kay.open_mailbox()
    kay.join_shop()
    site.process.send_signal(signal.SIGKILL)
    site.process.wait()
    path = tmp_path / "demo" / "ledger.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    again = serve()
    assert again.port == site.port
    assert path.read_bytes() == whole
    kay.site = again
    assert shown(kay.get("shop", "/account"), "member") == ADDRESS
    assert again.effects() == ["mail_created", "shop_signup"]
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_taken_port_is_left_and_said(serve, tmp_path):
    """The kept port belongs to somebody else now: a new one is chosen, kept and said; one that was asked for is an error."""
    first = serve()
    first.end()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", first.port))
        other.listen()
        moved = serve()
        assert moved.port != first.port
        assert int((tmp_path / "demo" / "port").read_text()) == moved.port
        assert f"port {first.port} is taken by another program" in moved.process.stderr.readline()
        moved.end()
        asked = [sys.executable, "-m", "examples.demo", "--state-dir", str(tmp_path), "--port", str(first.port)]
        refused = subprocess.run(asked, cwd=CHECKOUT, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert refused.returncode == 2
    assert "is taken" in refused.stderr
    assert refused.stdout == ""


def test_one_site_per_state_directory(serve, tmp_path):
    """A second site says who serves; one that was started for a parent points at the first and ends with its parent."""
    site = serve()
    alone = [sys.executable, "-m", "examples.demo", "--state-dir", str(tmp_path)]
    second = subprocess.run(alone, cwd=CHECKOUT, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert second.returncode == 5
    assert f"already served by another process at http://127.0.0.1:{site.port}" in second.stderr
    beside = serve()
    assert beside.ready == site.ready
    beside.end()
    assert beside.process.returncode == 0
    assert site.status()["pid"] == site.process.pid


@pytest.mark.parametrize("how", ["stdin", "pid"])
def test_it_ends_with_its_parent(serve, tmp_path, how):
    """The parent dies by kill -9: the site is gone soon after; an interrupt from the terminal alone does not end it."""
    watch = "--with-parent" if how == "stdin" else "--parent-pid={}"
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, subprocess, sys; subprocess.Popen([a.format(os.getpid()) for a in sys.argv[1:]], stdin=subprocess.PIPE).wait()",
            *(sys.executable, "-m", "examples.demo", "--state-dir", str(tmp_path), watch),
        ],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        port = int(re.search(r":(\d+) ", parent.stdout.readline())[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        connection.request("GET", "/_status")
        pid = json.loads(connection.getresponse().read())["pid"]
        connection.close()
        os.kill(pid, signal.SIGINT)
        connection.request("GET", "/_status")
        assert connection.getresponse().status == 200
        connection.close()
        parent.kill()
        assert parent.stdout.read() == ""  # the end of file comes when the site, which shares the pipe, is gone


def test_ledger_is_checked_from_the_command_line(tmp_path):
    """``--check-ledger`` says what is missing or twice, exits 1 then and 0 when all is well."""
    path = tmp_path / "ledger.jsonl"
    queue = tmp_path / "queue.json"
    queue.write_text(json.dumps({"jobs": ["a", {"profile_id": "b"}]}))

    def check(*given: tuple[str, str]) -> tuple[int, str]:
        lines = [ledger.Entry(n, profile, effect, 1, 0.0)._asdict() for n, (profile, effect) in enumerate(given, 1)]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        command = [sys.executable, "-m", "examples.demo", "--check-ledger", str(path), "--queue", str(queue)]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=DEADLINE, check=False)
        return done.returncode, done.stdout

    everything = [(profile, effect) for profile in "ab" for effect in ledger.EFFECTS]
    assert check(*everything) == (0, "ledger: 2 profiles, 10 effects, each exactly once per profile\n")
    code, said = check(*everything[1:], everything[-1])
    assert code == 1
    assert "a: mail_created happened 0 times\nb: order_placed happened 2 times\n" in said


def test_peak_overlap(tmp_path):
    """Spans that touch do not overlap; a browser without an end lives on; an attempt's end ends its browser."""
    assert ledger.peak_overlap([(0, 2), (1, 3), (2, 4), (5, 6)]) == 2
    assert ledger.peak_overlap([]) == 0
    events = [
        {"type": "browser_launched", "at": 1.0, "job": "a", "attempt": 1},
        {"type": "browser_launched", "at": 2.0, "job": "b", "attempt": 1},
        {"type": "browser_closed", "at": 3.0, "job": "a", "attempt": 1},
        {"type": "attempt_ended", "at": 4.0, "job": "a", "attempt": 1},
        {"type": "run_ended", "at": 9.0},
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert ledger.browser_spans(path) == [(1.0, 3.0), (2.0, 9.0)]


def test_prices_are_shown_and_given_as_a_file(serve):
    """The page and the CSV say the same, to anybody."""
    site = serve()
    visitor = Visitor(site, "p1")
    status, text = visitor.ask("shop.localhost", "/prices.csv")
    rows = [line.rpartition(",")[2] for line in text.splitlines()]
    assert (status, rows[0]) == (200, "price")
    page = visitor.get("shop", "/prices")
    assert [shown(page, f"price-{name}") for name in ("tea", "coffee", "cocoa")] == [f"{price} €" for price in rows[1:]]


def test_an_account_is_there_from_the_start(serve):
    """Password and authenticator of the sample account work, and a second start of the site leaves it as it is."""
    first = serve()
    first.end()
    visitor = Visitor(serve(), "p1")
    status, text = visitor.post("id", "/login", email=SAMPLE_EMAIL, password=SAMPLE_PASSWORD)
    assert status == 200 and "One more step" in text
    assert "Welcome" in visitor.post("id", "/login/code", code=pyotp.TOTP(SAMPLE_TOTP).now())[1]
