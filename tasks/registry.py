"""The jobs that tasks can run, by name. Apps register theirs from `jobs.py`, loaded at start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tasks.retries import Backoff

if TYPE_CHECKING:
    from pathlib import Path

    from accounts.models import User
    from tasks.models import Task
    from tasks.uploads.inputs import Input


class Context(Protocol):
    """What a running attempt may do. Everything goes to its minder, which owns the row.

    The attempt leads a process group of its own. To cancel it, the group gets SIGTERM, which raises
    CancelledError in the main thread, and SIGKILL a second later (sooner where nothing was raised:
    a job that is deaf to SIGTERM, or busy in C code). Programs that the job starts in that group
    are killed with it, however it ends; one that must leave the group (a server that
    wants a session of its own) has to be recorded with `opened`.
    """

    task_id: str
    attempt: int
    args: Mapping[str, Any]

    def progress(self, done: int, total: int | None = None, *, unit: str = "bytes") -> None:
        """Say how far the work is. Cheap: call it per block, it is thinned to a few a second."""

    def message(self, text: str) -> None:
        """Replace the one line that says what is going on now."""

    def log(self, text: str, *, level: str = "info") -> None:
        """Append a line to the task's history."""

    def opened(self, kind: str, **ids: str) -> None:
        """Record something opened outside (a multipart upload) before it is used.

        Returns once the minder has stored it, so that a killed attempt can be undone.
        """

    def closed(self, kind: str, **ids: str) -> None:
        """Forget what `opened` recorded: it was completed or undone."""

    def confirm(self) -> None:
        """Ask the row whether this attempt still owns the task; raises FencedError if not."""

    def input(self) -> AbstractContextManager[Input]:
        """The file that the task was given (see `Intake`): `with context.input() as given:`."""

    def artifact(self, name: str, content_type: str = "") -> AbstractContextManager[Path]:
        """A file to be written as the task's result: `with context.artifact("a.csv") as path:`.

        It can be fetched once the attempt has succeeded; of one that fails nothing stays. Without
        a media type its content tells.
        """


Run = Callable[[Context], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What files a job takes. Only a job with an intake can be asked for by `/task/request`."""

    types: tuple[str, ...] = ()
    """Media types as seen in the content; `image/*` takes all images, none given takes all."""
    max_bytes: int | None = None
    """Less than the service's own limit, where a job wants that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A kind of work. `run` runs in a child process; the callbacks run in its minder or reaper."""

    name: str
    run: Run
    title: str
    undo: Callable[[Mapping[str, str]], None] | None = None
    """Undo one thing recorded by `Context.opened`; must be idempotent."""
    isolated: bool = True
    """Whether each attempt gets a process of its own. False is for short work that leaves nothing
    behind: its attempts share a process that is kept warm, one after another, with the same
    promises. What one leaves there all the same costs that process its place (`tasks.traces`)."""
    ended: Callable[[Task], None] | None = None
    """Called after the task reached an ended state, by whoever moved it; must be idempotent."""
    max_attempts: int = 3
    backoff: Backoff = field(default_factory=Backoff)
    """How long a task rests between its tries, where it was pushed without a policy of its own."""
    deadline_seconds: int | None = None
    """Longest an attempt may take."""
    stall_seconds: int | None = None
    """Longest an attempt may go without a word."""
    total_seconds: int | None = None
    """From when it may first start to the end of it, tries and pauses included."""
    memory_bytes: int | None = None
    """Most that its process, and each that it starts, may take beyond what the process began with;
    whoever takes more fails with MemoryError (in C code, at worst dies), and the task for good.
    Only for an isolated job: a process that others share can't be limited for one."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """JSON schema of what a caller may pass."""
    check: Callable[[User, Mapping[str, Any]], None] | None = None
    """Whether that user may ask for it with those options, where the schema can't say: raises
    `tasks.uploads.refusals.UploadError`. The job has to ask once more when it runs."""
    intake: Intake | None = None
    """Whether it works on an uploaded file, and which."""


_jobs: dict[str, Job] = {}
Ended = Callable[["Task"], None]
_followers: list[Ended] = []


def register(job: Job) -> Job:
    """Add a job; a name taken by another job is a mistake told at start."""
    if job.memory_bytes is not None and not job.isolated:
        raise ValueError(f"The job {job.name!r} can't limit the memory of a shared process.")
    if _jobs.get(job.name, job) != job:
        raise ValueError(f"The job name {job.name!r} is taken twice.")
    _jobs[job.name] = job
    return job


def get(name: str) -> Job:
    """The job of that name; KeyError with the known names where there is none."""
    try:
        return _jobs[name]
    except KeyError:
        known = ", ".join(sorted(_jobs)) or "none"
        raise KeyError(f"No job is called {name!r}; known jobs: {known}.") from None


def names() -> list[str]:
    return sorted(_jobs)


def names_with_intake() -> list[str]:
    """Those that work on uploaded files."""
    return [name for name in names() if _jobs[name].intake is not None]


def follows(call: Ended) -> Ended:
    """Have it called after the end of each task on a file, as `Job.ended` is; idempotent too."""
    if call not in _followers:
        _followers.append(call)
    return call


def after(job: Job) -> list[Ended]:
    """What is called after a task of this job has ended."""
    own = [job.ended] if job.ended is not None else []
    return own + (_followers if job.intake is not None else [])
