"""The mixed work of the chaos suite. Each job writes what it does to a ledger outside, line by
line: task, attempt, process, what, when. Who comes first in the ledger was first."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from pathlib import Path

from tasks.errors import JobError, PermanentError
from tasks.registry import Job, register


def note(context, what: str) -> None:
    line = f"{context.task_id} {context.attempt} {os.getpid()} {what} {time.monotonic():.3f}\n"
    descriptor = os.open(context.args["ledger"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def live(context, seconds: float) -> None:
    """Sleep, and show outside all the while that this attempt is alive."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        note(context, "tick")
        context.progress(int((seconds - left) * 1000), int(seconds * 1000), unit="ms")
        time.sleep(min(left, 0.05))


def seconds_of(context) -> float:
    return float(context.args.get("seconds", 0.4))


def quick(context):
    note(context, "begin")
    return {"attempt": context.attempt}


def nap(context):
    note(context, "begin")
    live(context, seconds_of(context))
    note(context, "end")
    return {"attempt": context.attempt}


def shared(context):
    """Short work in a process that many attempts use, one after another."""
    note(context, "begin")
    live(context, 0.1)
    note(context, "end")
    return {"attempt": context.attempt}


def compute(context):
    """C code that holds Python's lock from its beginning to its end."""
    note(context, "begin")
    hashlib.pbkdf2_hmac("sha256", b"chaos", b"salt", int(context.args.get("rounds", 60_000)))
    note(context, "end")
    return {"attempt": context.attempt}


def programs(context):
    """Leaves a program behind that ignores SIGTERM: its minder has to kill it."""
    note(context, "begin")
    subprocess.Popen(["sh", "-c", "trap '' TERM HUP INT; sleep 600"])
    live(context, seconds_of(context))
    note(context, "end")
    return {"attempt": context.attempt}


def lend(context):
    """Opens something outside; whoever dies with it open has it undone by others."""
    note(context, "begin")
    path = Path(context.args["folder"]) / f"{context.task_id}-{context.attempt}"
    context.opened("file", path=str(path))
    path.touch()
    live(context, seconds_of(context))
    path.unlink()
    context.closed("file", path=str(path))
    note(context, "end")
    return {"attempt": context.attempt}


def give_back(thing) -> None:
    Path(thing["path"]).unlink(missing_ok=True)


def flaky(context):
    """Fails the first time."""
    note(context, "begin")
    live(context, 0.1)
    note(context, "end")
    if context.attempt == 1:
        raise JobError("It went wrong.", remedy="Try again.")
    return {"attempt": context.attempt}


def doomed(context):
    note(context, "begin")
    raise PermanentError("It can't be done.", remedy="Don't try again.")


def keyed(context):
    """One effect for a task, however many attempts: its key is the task's, and it asks first."""
    note(context, "begin")
    live(context, seconds_of(context))
    context.confirm()
    path = Path(context.args["folder"]) / f"effect-{context.task_id}"
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        note(context, "known")
    else:
        note(context, "effect")
    return {"attempt": context.attempt}


def waits(context):
    """For cancelling: waits in Python, or in a program, or deaf to SIGTERM."""
    import signal

    if context.args["how"] == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(context, "begin")
    match context.args["how"]:
        case "computing":
            hashlib.pbkdf2_hmac("sha256", b"chaos", b"salt", 2_000_000_000)
        case "program":
            subprocess.run(["sleep", "600"], check=True)
        case "deaf program":
            subprocess.run(["sh", "-c", "trap '' TERM; sleep 600 & wait; sleep 600"], check=True)
        case _:
            while True:
                time.sleep(0.05)


for run in (quick, nap, shared, compute, programs, flaky, doomed, keyed, waits):
    title = f"Chaos: {run.__name__}"
    register(
        Job(name=f"chaos-{run.__name__}", run=run, title=title, isolated=run is not shared),
    )
register(Job(name="chaos-turns", run=nap, title="Chaos: turns"))  # pushed with a key
register(
    Job(name="chaos-lend", run=lend, title="Chaos: lend", undo=give_back),
)
