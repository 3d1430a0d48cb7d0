"""A real S3 process on the loopback, and a proxy in front of it that does what object stores and networks do."""

from __future__ import annotations

import http.client
import http.server
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.remote.process import ServerProcess, free_port

SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
INTERNAL = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>We erred.</Message></Error>"


DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
EXPIRED = (
    b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
)


class S3Process(ServerProcess):
    """moto's server in a process of its own."""

    def __init__(self) -> None:
        port = free_port()
        super().__init__([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port)


@dataclass
class Rule:
    """What happens to requests that match, the next ``times`` of them."""

    action: str
    """before, after, dropped, slow, truncated, throttled, denied, expired, unconditional, stale"""
    method: str = ".*"
    path: str = ".*"
    times: int = 1
    seen: int = field(default=0)
    skipped: int = 0
    """How many requests that match pass before."""

    def hits(self, method: str, path: str) -> bool:
        if self.seen >= self.times or not re.fullmatch(self.method, method) or not re.search(self.path, path):
            return False
        if self.skipped:
            self.skipped -= 1
            return False
        self.seen += 1
        return True


class Proxy:
    """Passes requests on to a store, except for what its rules say."""

    def __init__(self, port: int) -> None:
        self.rules: list[Rule] = []
        self.log: list[tuple[str, str]] = []
        self.at_once = self.most_at_once = self.received = self.sent = 0
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, port))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def rule(self, action: str, **given: object) -> Rule:
        self.rules.append(made := Rule(action, **given))  # type: ignore[arg-type]
        return made

    def count(self, method: str, path: str) -> int:
        return sum(m == method and re.search(path, p) is not None for m, p in self.log)

    def forget(self) -> None:
        for kept in (self.rules, self.log):
            kept.clear()
        self.at_once = self.most_at_once = self.received = self.sent = 0

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(proxy: Proxy, port: int) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def _any(self) -> None:
            proxy.at_once += 1
            proxy.most_at_once = max(proxy.most_at_once, proxy.at_once)
            try:
                self._answered()
            finally:
                proxy.at_once -= 1

        def _answered(self) -> None:
            body = self._body()
            proxy.log.append((self.command, self.path))
            proxy.sent += len(body)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("transfer-encoding", "expect")}
            if body:
                headers["Content-Length"] = str(len(body))
            rule = next((r for r in proxy.rules if r.hits(self.command, self.path)), None)
            action = rule.action if rule else ""
            if action == "before":
                return self._answer(500, {}, INTERNAL)
            if action == "throttled":
                return self._answer(503, {"Content-Type": "application/xml"}, SLOW_DOWN)
            if action in ("denied", "expired"):
                status, told = (403, DENIED) if action == "denied" else (400, EXPIRED)
                return self._answer(status, {"Content-Type": "application/xml"}, told)
            if action == "slow":
                time.sleep(0.5)
            if action == "unconditional":
                headers = {k: v for k, v in headers.items() if k.lower() not in ("if-none-match", "if-match")}
            status, found, content = self._forward(headers, body)
            if action == "stale":  # the newest object is not listed yet
                content = re.sub(rb"(.*)<Contents>.*?</Contents>", rb"\1", content, count=1, flags=re.DOTALL)
            if action == "after":
                return self._answer(500, {}, INTERNAL)
            if action == "dropped":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return None
            return self._answer(status, found, content, cut=action == "truncated")

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _any  # noqa: N815 - names of the base class

        def _body(self) -> bytes:
            if self.headers.get("Expect", "").lower() == "100-continue":
                pass  # the base class has answered it
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _forward(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.request(self.command, self.path, body or None, headers)
                reply = connection.getresponse()
                kept = {k: v for k, v in reply.getheaders() if k.lower() not in ("transfer-encoding", "connection")}
                return reply.status, kept, reply.read()
            finally:
                connection.close()

        def _answer(self, status: int, headers: dict[str, str], content: bytes, *, cut: bool = False) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() != "content-length" or self.command == "HEAD":
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(content)))
            elif "content-length" not in {name.lower() for name in headers}:
                self.send_header("Content-Length", "0")
            self.end_headers()
            if self.command == "HEAD":
                return
            proxy.received += len(content)
            self.wfile.write(content[: len(content) // 2] if cut else content)
            if cut:
                self.wfile.flush()
                self.close_connection = True

    return Handler


Make = Callable[[], str]
