"""Programs that the pipeline starts: none outlives its starter, none survives being left."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

Pipe = int | IO[bytes] | None


def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: Pipe = subprocess.DEVNULL,
    stdout: Pipe = subprocess.DEVNULL,
    stderr: Pipe = subprocess.DEVNULL,
    death_signal: int = signal.SIGTERM,
    account: tuple[int, int] | None = None,
    cwd: Path | None = None,
    own_session: bool = False,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program that gets `death_signal` when the thread that started it ends.

    `account` is a user and group id to run as (only root may name another than its own).
    """
    uid, gid = account or (None, None)
    # No thread of ours can hold a lock that the hook needs: it makes two system calls.
    return subprocess.Popen(
        list(command),
        env=dict(env),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        bufsize=0,
        user=uid,
        group=gid,
        extra_groups=[] if account else None,
        umask=0o077,
        start_new_session=own_session,
        pass_fds=pass_fds,
        preexec_fn=_die_with_parent(death_signal),  # noqa: PLW1509
    )


def _die_with_parent(death_signal: int) -> Callable[[], None]:
    """A hook for the forked child. It runs after the change of user, which would undo it."""
    parent = os.getpid()

    def hook() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the request was made
            os._exit(1)

    return hook


def stop(process: subprocess.Popen[bytes], *, grace: float, first: int = signal.SIGTERM) -> int:
    """Ask with `first`, kill after `grace` seconds, reap. Returns the exit status."""
    if process.poll() is None:
        process.send_signal(first)
        try:
            return process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def wait(process: subprocess.Popen[bytes], *, seconds: float) -> int | None:
    """The exit status, or None when it still runs after that time."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def widen(pipe: int) -> None:
    """A pipe of 1 MiB saves most of the switches between writer and reader."""
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
    except PermissionError:  # this user has enough wide pipes
        return


def clean_environment() -> dict[str, str]:
    """What a child may inherit: nothing that a client program reads, messages in English.

    HOME stays, since clients look there for root certificates.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", **kept, "LC_ALL": "C", "TZ": "UTC"}
