"""A wire to a Postgres server that can be cut at the moment of a COMMIT."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Wire"]


class Wire:
    """Passes bytes on between clients and a server; ``cut`` decides what happens to the next COMMIT.

    Parameters
    ----------
    port
        Where the server listens on the loopback interface.
    """

    def __init__(self, port: int) -> None:
        self._target, self._open = port, list[socket.socket]()
        self._mute = set[socket.socket]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut = ""
        """``request``: the next COMMIT does not arrive; ``reply``: it arrives, and its reply does not."""
        self.down = False
        """Whether new connections are turned away."""
        self.on_cut: Callable[[], object] = lambda: None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.down = True
        for end in [self._listener, *self._open]:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.down:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                for source, sink, request in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass_on, args=(source, sink, request), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, request: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if request and self.cut and b"COMMIT" in data:
                    kind, self.cut = self.cut, ""
                    if kind == "reply":
                        self._lose_the_reply(sink, data)
                    self.on_cut()
                    break
                if source not in self._mute:
                    sink.sendall(data)
        if source in self._mute:
            return  # the thread that lost the reply ends both, once it has told of the cut
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _lose_the_reply(self, server: socket.socket, data: bytes) -> None:
        """Let the server commit; it ends the session afterwards, which tells that it is done."""
        self._mute.add(server)  # the thread that passes replies on may read this one
        server.sendall(data)
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)
            while server.recv(65_536):
                pass
