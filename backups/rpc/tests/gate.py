"""A gate on the way to a server, which a test shuts and opens."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Lock, Thread


class Gate:
    """Passes bytes on both ways. Shut, it breaks what is open and closes what comes; hung, it takes
    connections and bytes and passes none on."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._lock = Lock()
        self._is_shut = self._hangs = False

    def __enter__(self) -> Gate:
        Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()
        self._listener.close()

    def shut(self) -> None:
        with self._lock:
            self._is_shut, each = True, self._open
            self._open = []
        for connection in each:
            _close(connection)

    def hang(self) -> None:
        self._hangs = True

    def open(self) -> None:
        """Anew: what hung is broken."""
        self.shut()
        self._is_shut = self._hangs = False

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                self._meet(self._listener.accept()[0])

    def _meet(self, near: socket.socket) -> None:
        with self._lock:
            if self._is_shut:
                _close(near)
                return
            far = socket.create_connection(self._target)
            self._open += [near, far]
        for source, sink in ((near, far), (far, near)):
            Thread(target=self._carry, args=[source, sink], daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if not self._hangs:
                    sink.sendall(data)
        _close(source)
        _close(sink)


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
