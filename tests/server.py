"""A server of queues on 127.0.0.1 that does what a test asks of it, and notes what it was asked."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl


class QueueServer:
    """``answers`` holds, by path, a text or a function of the handler; ``asked`` the path and headers of each request. What is
    posted is put into ``posted``, and answered by a function, or by the statuses that ``answers`` has, the last again and again.

    With a ``context`` it speaks TLS.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.posted: list[tuple[str, dict[str, str], bytes]] = []
        self.sent: list[int] = []
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, dict(self.headers)))
                answer = outer.answers.get(self.path.partition("?")[0])
                if callable(answer):
                    answer(self)
                elif answer is None:
                    self.send_error(404)
                elif self.headers.get("If-None-Match") == outer.etag(answer):
                    self.send_response(304)
                    self.end_headers()
                else:
                    self.send_response(200)
                    self.send_header("ETag", outer.etag(answer))
                    self.send_header("Content-Length", str(len(answer.encode())))
                    self.end_headers()
                    self.wfile.write(answer.encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.posted.append((self.path, dict(self.headers), body))
                answer = outer.answers.get(self.path, [204])
                if callable(answer):
                    answer(self)
                    return
                self.send_response(answer.pop(0) if len(answer) > 1 else answer[0])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def send_response(self, code: int, message: str | None = None) -> None:
                outer.sent.append(code)
                super().send_response(code, message)

            def log_message(self, *args: Any) -> None:
                """Tests look at ``asked``."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "http" if context is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @staticmethod
    def etag(answer: str) -> str:
        return f'"{hash(answer)}"'

    def url(self, path: str = "/queue.json", host: str = "127.0.0.1") -> str:
        return f"{self._scheme}://{host}:{self._server.server_port}{path}"

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def redirect(to: str, code: int = 302) -> Any:
    """Return an answer that leads elsewhere."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Location", to)
        handler.end_headers()

    return answer
