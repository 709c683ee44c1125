"""A writer in a process of its own: killed in the middle, or measured. Its order comes by stdin,
since it holds a secret; what it does it tells in lines of JSON."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MIB = 1 << 20
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def main() -> None:
    from django.conf import settings

    settings.configure()
    order = json.load(sys.stdin)
    acts = {"stall": stall, "measure": measure, "fail": fail}
    acts[order["act"]](order)


def tell(**what) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 (this is what it is for)


def open_store(order):
    from backups.storages import open_store

    store = open_store(order["kind"], order["options"], order.get("secret", ""))
    store._nameless = order.get("nameless", True)
    return store


def stall(order) -> None:
    """Write some MiB and wait there to be killed."""
    store = open_store(order)

    def stream() -> Iterator[bytes]:
        for _ in range(order["mib"]):
            yield os.urandom(MIB)
        tell(written=order["mib"])
        time.sleep(120)

    store.write(order["key"], stream(), opened=lambda ids: tell(opened=ids))


def measure(order) -> None:
    """Write and read an object; tell by how much memory grew at most."""
    store = open_store(order)
    store.check()
    made = [os.urandom(MIB) for _ in range(8)]
    before = peak_memory()
    store.write(order["key"], (made[number % 8] for number in range(order["mib"])))
    wrote = peak_memory()
    with store.read(order["key"]) as stream:
        size = sum(len(block) for block in stream)
    tell(
        measured={"size": size, "writing": wrote - before, "reading": peak_memory() - before},
    )


def fail(order) -> None:
    """Write into a folder that refuses; tell what was said and what is left."""
    from backups.pipeline.errors import StorageError

    folder = order["options"]["folder"]
    store = open_store(order)
    hindered = hinder(folder, order)
    said = {"sentence": "", "remedy": "", "permanent": False}
    try:
        store.write("shop/a", (bytes(MIB) for _ in range(order["mib"])))
    except StorageError as error:
        said = {name: getattr(error, name) for name in said}
    tell(failed=said | {"left": os.listdir(folder), "hindered": hindered})


def hinder(folder: str, order) -> str:
    """Make the folder full, read-only or another user's, if that can be done here."""
    if "mount" in order and mount(folder, *order["mount"]):
        return "mounted"
    if "file_mib" in order:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_mib"] * MIB,) * 2)
    if "user" in order and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(order["user"])
        os.setuid(order["user"])
    return "limited"


def mount(folder: str, flags: int, options: str) -> bool:
    """A file system in memory over the folder, seen by this process only; whether it may."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWNS if user == 0 else CLONE_NEWNS | CLONE_NEWUSER):
        return False
    if user:
        try:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        except OSError:
            return False
    libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    return not libc.mount(b"none", folder.encode(), b"tmpfs", flags, options.encode())


def peak_memory() -> int:
    """The most that this process had in memory so far, in bytes."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
