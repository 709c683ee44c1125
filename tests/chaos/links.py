"""How the second machine reaches the first: over a cable of its own where the kernel lets us have
one, in namespaces of network, processes and host name; else over a proxy on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 10.0


class ProxyLink:
    """A proxy on loopback. Cut, it is silent: it takes connections and bytes, and answers none."""

    kind = "a proxy"
    prefix: tuple[str, ...] = ()
    """What a command of the other machine begins with."""
    host = "127.0.0.1"

    def __init__(self, targets: Mapping[str, str]) -> None:
        """`targets`: what is to be reached, by name."""
        self.ports = {name: _free_port(self.host) for name in targets}
        words = [f"{self.host}:{self.ports[name]}={target}" for name, target in targets.items()]
        self._proxy = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.proxy", *words], cwd=ROOT
        )
        for port in self.ports.values():
            _wait_for(self.host, port)

    def __enter__(self) -> ProxyLink:
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.kill()
        self._proxy.wait(5)

    def cut(self) -> None:
        self._proxy.send_signal(signal.SIGSTOP)

    def mend(self) -> None:
        self._proxy.send_signal(signal.SIGCONT)


class CableLink(ProxyLink):
    """A pair of virtual network cards, one of them in a namespace. Cut, packets get lost."""

    kind = "a network namespace"

    def __init__(self, targets: Mapping[str, str]) -> None:
        mark = uuid.uuid4().hex[:6]
        third = 1 + uuid.uuid4().int % 250
        self.name, self._near, far = f"chaos-{mark}", f"chn{mark}", f"chf{mark}"
        self.host, there = f"10.213.{third}.1", f"10.213.{third}.2"
        try:
            _ip("netns", "add", self.name)
            _ip("link", "add", self._near, "type", "veth", "peer", "name", far)
            _ip("link", "set", far, "netns", self.name)
            _ip("addr", "add", f"{self.host}/30", "dev", self._near)
            _ip("link", "set", self._near, "up")
            _ip("-n", self.name, "addr", "add", f"{there}/30", "dev", far)
            _ip("-n", self.name, "link", "set", far, "up")
            _ip("-n", self.name, "link", "set", "lo", "up")
            super().__init__(targets)
        except BaseException:
            self._remove()
            raise
        alone = ("unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
        named = ("sh", "-c", 'hostname "$0"; exec "$@"', self.name)
        self.prefix = ("ip", "netns", "exec", self.name, *alone, *named)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._remove()

    def _remove(self) -> None:
        for words in (("link", "del", self._near), ("netns", "del", self.name)):
            with suppress(subprocess.CalledProcessError):
                _ip(*words)

    def cut(self) -> None:
        _ip("link", "set", self._near, "down")

    def mend(self) -> None:
        _ip("link", "set", self._near, "up")


def best_link(targets: Mapping[str, str]) -> ProxyLink:
    """A cable where this machine allows it."""
    if os.geteuid() == 0 and all(map(shutil.which, ("ip", "unshare", "hostname"))):
        with suppress(subprocess.CalledProcessError, AssertionError):
            link = CableLink(targets)
            works = subprocess.run([*link.prefix, "true"], stderr=subprocess.DEVNULL)
            if works.returncode == 0:
                return link
            link.__exit__()
    return ProxyLink(targets)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, stderr=subprocess.DEVNULL)


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as listening:
        return listening.getsockname()[1]


def _wait_for(host: str, port: int) -> None:
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        with suppress(OSError), socket.create_connection((host, port), 1):
            return
        time.sleep(0.05)
    raise AssertionError("The link between the machines does not answer.")
