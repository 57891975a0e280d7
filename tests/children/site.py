"""A web site for tests that need a login: ``/login`` sets cookies and localStorage, ``/whoami`` says who asks, ``/receipt``
downloads a file, ``/me`` sends strangers to ``/``, ``/app`` has a service worker that answers everything.
"""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGIN = b"<!doctype html><p>in</p><script>localStorage.setItem('token', 'stored')</script>"
_RECEIPT = (
    b"<!doctype html><a href='data:text/plain,paid' download=receipt.txt></a><script>document.links[0].click()</script>"
)
_APP = b"""<!doctype html><script>
navigator.serviceWorker.register('/worker.js').then(() => navigator.serviceWorker.ready)
  .then(() => { localStorage.setItem('token', 'stored'); document.title = 'ready'; });
</script>"""
_WORKER = b"""
self.addEventListener('activate', event => event.waitUntil(self.clients.claim()));
self.addEventListener('fetch', event => event.respondWith(
  new Response("<!doctype html><p>by the worker</p>", { headers: { 'Content-Type': 'text/html' } })));
"""
_PAGES = {"/login": _LOGIN, "/receipt": _RECEIPT, "/app": _APP, "/worker.js": _WORKER}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/me" and "sid=" not in self.headers.get("Cookie", ""):
            self.send_response(302)
            self.send_header("Location", "/")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        who = f"<!doctype html><p id=who>{self.headers.get('Cookie', 'nobody')}</p>".encode()
        body = _PAGES.get(self.path, who)
        self.send_response(200)
        if self.path == "/login":
            self.send_header("Set-Cookie", "sid=persistent; Max-Age=86400; Path=/")
            self.send_header("Set-Cookie", "tab=session; Path=/")
        self.send_header("Content-Type", "text/javascript" if self.path.endswith(".js") else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Serve on a free port of this host; give the origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
