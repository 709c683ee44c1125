"""A proxy in front of the web process whose connections break while a file is being sent."""

from __future__ import annotations

import random
import socket
import struct
import threading
from contextlib import suppress

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that closes with RST: the other end sees "connection reset", not an orderly end."""


class CuttingProxy:
    """Passes bytes on both ways, and breaks a connection after `low` to `high` bytes from a client,
    `cuts` times in all; then it lets everything through. It waits `slow` seconds at each block."""

    def __init__(
        self, port: int, *, cuts: int, low: int = 1 << 20, high: int = 8 << 20, slow: float = 0
    ) -> None:
        self._target = ("127.0.0.1", port)
        self._left, self._span, self.slow = cuts, (low, high), slow
        self._rolls = random.Random(cuts)
        self._turn = threading.Lock()
        self.cuts = self.received = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()

    def __enter__(self) -> CuttingProxy:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nobody can be reached any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            self._break(each)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=[client], daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target)
        except OSError:
            self._break(client)
            return
        self._open |= {client, server}
        back = threading.Thread(target=self._back, args=[client, server], daemon=True)
        back.start()
        self._forward(client, server)
        back.join(30)
        self._open -= {client, server}
        client.close()
        server.close()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        allowed = self._rolls.randint(*self._span)
        passed = 0
        with suppress(OSError):
            while data := client.recv(1 << 17):
                server.sendall(data)
                passed += len(data)
                self.received += len(data)
                if self.slow and len(data) > 4096:
                    threading.Event().wait(self.slow)
                if passed >= allowed and self._may_cut():
                    self._break(client)
                    self._break(server)
                    return
        self._end(server)

    def _back(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 17):
                client.sendall(data)
        self._end(client)

    def _may_cut(self) -> bool:
        with self._turn:
            if not self._left:
                return False
            self._left -= 1
            self.cuts += 1
            return True

    @staticmethod
    def _end(wire: socket.socket) -> None:
        with suppress(OSError):
            wire.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _break(wire: socket.socket) -> None:
        with suppress(OSError):
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            # Another thread may be waiting in it: only a shutdown wakes that one.
            wire.shutdown(socket.SHUT_RDWR)
        wire.close()
