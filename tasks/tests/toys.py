"""Toy jobs for tests of the engine: each behaves in one way that real jobs may, well or badly."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tasks.errors import JobError, PermanentError
from tasks.models import Chore, Task
from tasks.periodic import periodic
from tasks.registry import Intake, Job, register
from tasks.retries import Backoff


def note(context, what: str) -> None:
    """Add a line to the ledger outside, if the test keeps one: task, attempt, pid, what, when."""
    if "ledger" in context.args:
        line = f"{context.task_id} {context.attempt} {os.getpid()} {what} {time.time()}\n"
        descriptor = os.open(context.args["ledger"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, line.encode())
        os.close(descriptor)


def nothing(context):
    note(context, "did")
    return {"attempt": context.attempt, "started": time.time()}


def sleep(context):
    """Works for `seconds`, in Python, reporting all the while."""
    note(context, "begin")
    begun = time.monotonic()
    seconds = context.args.get("seconds", 60)
    while (passed := time.monotonic() - begun) < seconds:
        context.progress(int(passed * 1000), int(seconds * 1000), unit="ms")
        time.sleep(0.01)
    context.progress(int(seconds * 1000), int(seconds * 1000), unit="ms")
    note(context, "end")
    return {"slept": seconds}


def tick(context):
    """Shows outside, every few milliseconds, that it is alive."""
    note(context, "begin")
    begun = time.monotonic()
    while time.monotonic() - begun < context.args.get("seconds", 60):
        note(context, "tick")
        time.sleep(0.01)
    note(context, "end")


def hang(context):
    """Waits in one system call and reports nothing."""
    note(context, "begin")
    time.sleep(context.args.get("seconds", 60))


def compute(context):
    """C code that never lets Python have a look at signals."""
    note(context, "begin")
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 400_000_000)


def dawdle(context):
    """Leaves behind something that never lets its process end."""

    class Clogged(io.StringIO):
        def flush(self):
            time.sleep(context.args["seconds"])

    sys.stdout = Clogged()
    return {"done": True}


def stubborn(context):
    """Ignores SIGTERM, in every way it can."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(context, "begin")
    while True:
        time.sleep(0.1)


def tidy(context):
    """Cleans up for a while when it is told to stop."""
    note(context, "begin")
    try:
        time.sleep(60)
    finally:
        time.sleep(context.args["seconds"])
        note(context, "tidied")


def spawn(context):
    """A program of its own group's, a deaf one, and one that leaves the group."""
    for preface in ("", "trap '' TERM; ", "exec setsid "):
        subprocess.Popen(["sh", "-c", f"{preface}sleep {context.args['mark']}"])
    note(context, "begin")
    if context.args.get("leave"):
        return
    time.sleep(60)
    return


def spawn_here(context):
    """A program in the job's own group, however deaf."""
    subprocess.Popen(["sh", "-c", f"trap '' TERM HUP; sleep {context.args['mark']}"])
    note(context, "begin")
    time.sleep(60)


def swallow(context):
    """Takes ever more memory."""
    kept = []
    while len(kept) < 512:
        kept.append(bytearray(1 << 20))
        context.progress(len(kept), unit="MiB")


def die(context):
    """Dies as told, in its first attempts."""
    note(context, "begin")
    if context.attempt > context.args.get("times", 99):
        return {"attempt": context.attempt}
    return die_now(context)


def die_now(context):
    match context.args["how"]:
        case "exit":
            os._exit(3)
        case "sysexit":
            sys.exit(4)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "memory":
            raise MemoryError
        case "secret":
            raise RuntimeError("the password is " + "".join(("hunter", "2")))
        case "unserialisable":
            return {"what": object()}
        case "list":
            return [1, 2]
        case "nan":
            return {"what": float("nan")}
        case "large":
            return {"what": "x" * 5_000_000}
        case "fail":
            raise JobError("It went wrong.", remedy="Try something else.")
        case "later":
            raise JobError("Come back later.", retry_after=context.args["after"])
        case "permanent":
            raise PermanentError("No such thing.", remedy="Make one.")
        case "garbage":
            os.write(context._end.fileno(), b"\xff not json")
    time.sleep(60)
    return None


def odd(context):
    """Odd and huge reports, and a large result."""
    context.message("nul \0 and half a pair \ud800 " + "x" * 100_000)
    context.log("nul \0 " + "y" * 100_000, level="x" * 1000)
    context.progress(-5, 2**80)
    context.progress(2**70, None, unit="z" * 100)
    return {"text": "nul \0", "large": "x" * 1_000_000}


def chatter(context):
    for number in range(context.args.get("lines", 5000)):
        context.log(f"line {number}")


def open_things(context):
    """Opens two things, closes one, and goes on as told."""
    folder = Path(context.args["folder"])
    for name in ("kept", "left"):
        path = folder / f"{name}-{context.attempt}"
        context.opened("file", path=str(path))
        path.touch()
        note(context, f"opened-{name}")
    context.closed("file", path=str(folder / f"kept-{context.attempt}"))
    note(context, "begin")
    if context.attempt > context.args.get("times", 99):
        context.closed("file", path=str(folder / f"left-{context.attempt}"))
        return
    while not context.args.get("crash"):
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)


def remove_file(thing) -> None:
    if (Path(thing["path"]).parent / "undo-fails").exists():
        raise OSError("not now")
    Path(thing["path"]).unlink(missing_ok=True)


def confirm(context):
    """Waits for the test's word, then asks whether the task is still its own."""
    word = Path(context.args["word"])
    note(context, "begin")
    while not word.exists():
        time.sleep(0.02)
    context.confirm()
    note(context, "confirmed")


def tell_end(task: Task) -> None:
    """Writes the end down outside, unless the test wants it to fail."""
    if "told" in task.args:
        told = Path(task.args["told"])
        if (told.parent / "callback-fails").exists():
            raise OSError("not now")
        with told.open("a") as file:
            file.write(f"{task.pk} {task.status} {task.attempt}\n")


def reverse(context):
    """Brings the file back to front, in as many copies as asked for."""
    with context.input() as given:
        content = given.path.read_bytes()
    for number in range(context.args.get("options", {}).get("copies", 1)):
        with context.artifact(f"copy-{number}-{given.filename or 'file'}") as path:
            path.write_bytes(content[::-1])
            note(context, "written")
            if context.attempt <= context.args.get("options", {}).get("fail", 0):
                raise JobError("It went wrong.")
    return {"size": given.size}


_threads: list[threading.Thread] = []


def litter(context):
    """Changes, for good, what its process shares with the next job."""
    note(context, "begin")
    match context.args["what"]:
        case "working directory":
            os.chdir("/")
        case "umask":
            os.umask(0o027)
        case "environment":
            os.environ["LITTER"] = "left"
        case "signal handlers":
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        case "timer":
            signal.setitimer(signal.ITIMER_REAL, 600)
        case "streams":
            sys.stdout = io.StringIO()
        case "threads":
            _threads.append(threading.Thread(target=time.sleep, args=(600,), daemon=True))
            _threads[-1].start()
        case "processes":
            subprocess.Popen(["sleep", context.args["mark"]])


def look_around(context):
    """Tells the process and what it finds there."""
    return {"pid": os.getpid(), "directory": os.getcwd(), "litter": os.environ.get("LITTER")}


def run_program(context):
    """Starts a program and waits for it, as is right."""
    subprocess.run(["true"], check=True)
    return {"pid": os.getpid()}


def count_tasks(context):
    """Asks the database."""
    return {"pid": os.getpid(), "tasks": Task.objects.count()}


QUICK = Backoff(first=0.1, most=0.2, jitter=0.2)

for run in (
    nothing,
    sleep,
    tick,
    hang,
    compute,
    dawdle,
    stubborn,
    tidy,
    spawn,
    spawn_here,
    die,
    odd,
    chatter,
    confirm,
):
    name = f"toy-{run.__name__.replace('_', '-')}"
    register(Job(name=name, run=run, title=f"Toy: {run.__name__}", backoff=QUICK, ended=tell_end))
register(
    Job(
        name="toy-file",
        run=reverse,
        title="Toy: file",
        intake=Intake(),
        options={
            "properties": {
                "copies": {"type": "integer", "maximum": 9},
                "fail": {"type": "integer"},
            }
        },
    )
)
register(
    Job(
        name="toy-text",
        run=nothing,
        title="Toy: text",
        intake=Intake(types=("text/*",), max_bytes=5_000_000),
    )
)
for name, isolated in (("toy-plain", True), ("toy-plain-shared", False)):  # nobody is told
    register(Job(name=name, run=nothing, title="Toy: plain", isolated=isolated))
register(Job(name="toy-swallow", run=swallow, title="Toy: swallow", memory_bytes=128 << 20))
for name, isolated in (("toy-open", True), ("toy-open-shared", False)):
    register(
        Job(
            name=name,
            run=open_things,
            title="Toy: open things",
            backoff=QUICK,
            undo=remove_file,
            ended=tell_end,
            isolated=isolated,
        )
    )
for run in (
    nothing,
    sleep,
    hang,
    compute,
    stubborn,
    tidy,
    spawn,
    die,
    confirm,
    odd,
    litter,
    look_around,
    run_program,
    count_tasks,
):
    name = f"toy-{run.__name__.replace('_', '-')}-shared"
    register(Job(name=name, run=run, title="Toy", backoff=QUICK, ended=tell_end, isolated=False))


def leave_mark() -> None:
    """Fails the first time, then leaves a mark each time."""
    path = Path(os.environ["TOY_PERIODIC"])
    first = not path.exists()
    with path.open("a") as file:
        file.write("x")
    if first:
        raise OSError("not now")


def note_moment() -> None:
    """Notes which moment it was called for, and by whom."""
    row = Chore.objects.get(name="tasks.tests.toys.note_moment")
    moment = row.due_at.timestamp() - 0.5
    with Path(os.environ["TOY_MOMENTS"]).open("a") as file:
        file.write(f"{moment:.3f} {row.by}\n")


if "TOY_PERIODIC" in os.environ:  # in the daemon of a test that wants it
    periodic(every=0.1)(leave_mark)
if "TOY_MOMENTS" in os.environ:
    periodic(every=0.5)(note_moment)
