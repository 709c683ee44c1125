"""upload, result, jobs: files that are sent to be worked on, over HTTP to the web process."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from backdrop_site.cli import results, screen
from backdrop_site.cli.daemon import Daemon
from backdrop_site.cli.errors import FAILED, INTERRUPTED, CommandError
from backdrop_site.cli.group import command
from backdrop_site.cli.memory import Memory
from backdrop_site.cli.screen import put_json, put_table, size
from backdrop_site.cli.sending import GoneError, Sending
from backdrop_site.cli.web import DEFAULT, Web
from backups.rpc import backup_pb2 as pb

Function = TypeVar("Function", bound=Callable[..., Any])
OUTPUT = click.Path(path_type=Path)


def at_url(function: Function) -> Function:
    return click.option(
        "--url",
        envvar="BACKDROP_URL",
        help=f"Where the web process is (BACKDROP_URL); {DEFAULT} for a daemon on this machine.",
    )(function)


@command("upload", epilog="Example: backdrop upload orders.csv --job profile --wait")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--job", default="inspect", show_default=True, help="What to do: backdrop jobs.")
@click.option("--option", "-o", "chosen", multiple=True, metavar="NAME=VALUE", help="For the job.")
@click.option("--wait", is_flag=True, help="Wait for the end, and show the result.")
@click.option("--output", type=OUTPUT, help="Wait, and save the result there.")
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a lost connection is tried again.",
)
@at_url
def upload(
    daemon: Daemon,
    as_json: bool,
    file: Path,
    job: str,
    chosen: tuple[str, ...],
    wait: bool,
    output: Path | None,
    patience: float,
    url: str | None,
) -> None:
    """Send FILE to be worked on.

    Where the connection breaks, or the command itself is stopped, the same command goes on where it
    stopped.
    """
    web = Web.beside(daemon, url)
    order = _Order(web, file, job, chosen)
    with order.memory.alone():
        try:
            task_id = _sent(order, patience, as_json=as_json)
            if not (wait or output):
                order.memory.forget()
                _tell_sent(order, task_id, as_json=as_json)
                return
            last = screen.show(results.follow(web, task_id), json_lines=None if as_json else False)
        except KeyboardInterrupt:
            raise order.interrupted() from None
        order.memory.forget()
    _deliver(web, last, output, None, as_json=as_json)


@command("result", epilog="Example: backdrop result 7b0c… --output profile.json")
@click.argument("id", type=click.UUID)
@click.option("--output", type=OUTPUT, help="Save it there: a file, or a folder for several.")
@click.option("--artifact", metavar="NAME", help="Just this file, where there are several.")
@click.option("--wait", is_flag=True, help="Wait for the end first.")
@at_url
def result(
    daemon: Daemon,
    as_json: bool,
    id: uuid.UUID,
    output: Path | None,
    artifact: str | None,
    wait: bool,
    url: str | None,
) -> None:
    """What the task ID has brought."""
    web = Web.beside(daemon, url)
    if wait:
        last = screen.show(results.follow(web, str(id)), json_lines=None if as_json else False)
    else:
        last = results.update_of(results.status_of(web, str(id)))
    if artifact and output is None:
        output = Path.cwd()
    _deliver(web, last, output, artifact, as_json=as_json)


@command("jobs")
@at_url
def jobs(daemon: Daemon, as_json: bool, url: str | None) -> None:
    """What can be done with a file, and the options of each."""
    found = Web.beside(daemon, url).ask("GET", "/api/jobs/").json
    if as_json:
        put_json(found)
        return
    rows = [[one["name"], one["title"], _taken_by(one), _options_of(one)] for one in found]
    put_table(["JOB", "TITLE", "TAKES", "OPTIONS"], rows)


def _taken_by(job: dict[str, Any]) -> str:
    """From whoever asks; a web process of an earlier release doesn't say all of it."""
    if job.get("refusal"):
        return "nothing from you"
    return f"{', '.join(job['types']) or 'any file'}, up to {size(job['max_bytes'])}"


def _options_of(job: dict[str, Any]) -> str:
    known = job["options"].get("properties", {})
    return " ".join(f"{name}={_values_of(schema)}" for name, schema in known.items())


def _values_of(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "|".join(map(str, schema["enum"]))
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low}..{high}"
    return {"boolean": "true|false", "array": "A,B,…"}.get(schema.get("type", ""), "…")


# Sending --------------------------------------------------------------------------------------


class _Order:
    """What is asked for, and what is remembered of having asked for it."""

    def __init__(self, web: Web, file: Path, job: str, chosen: tuple[str, ...]) -> None:
        self.web, self.file, self.job = web, file, job
        self._chosen = _pairs(chosen)
        found = file.stat()
        self.size = found.st_size
        self.memory = Memory(
            {
                "url": web.url,
                "file": str(file.resolve()),
                "size": found.st_size,
                "mtime": found.st_mtime_ns,
                "job": job,
                "options": self._chosen,
            }
        )

    def address(self) -> str:
        """Where to send it: as remembered, else asked for, so that a lost answer costs nothing."""
        known = self.memory.read()
        if "address" in known:
            return str(known["address"])
        if "key" not in known:
            self.memory.keep(key=str(uuid.uuid4()), sha256=self._sha256())
            known = self.memory.read()
        body = {
            "job": self.job,
            "filename": self.file.name,
            "size": self.size,
            "sha256": known["sha256"],
            "options": self._options(),
        }
        headers = {"Idempotency-Key": known["key"]}
        told = self.web.ask("POST", "/task/request", headers=headers, body=body).json
        self.memory.keep(address=told["upload_url"], task=told["id"])
        return str(told["upload_url"])

    @property
    def task_id(self) -> str:
        return str(self.memory.read()["task"])

    def forget_refused(self, error: CommandError) -> None:
        """What was refused would be refused again; who isn't reached or logged in may go on."""
        if error.exit_code == FAILED:
            self.memory.forget()

    def interrupted(self) -> CommandError:
        return CommandError(
            "Interrupted. The same command goes on where it stopped.",
            exit_code=INTERRUPTED,
            code="INTERRUPTED",
        )

    def _sha256(self) -> str:
        """Told beforehand, so that what arrives is held to it."""
        with self.file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _options(self) -> dict[str, Any]:
        if not self._chosen:
            return {}
        known = {one["name"]: one for one in self.web.ask("GET", "/api/jobs/").json}
        if self.job not in known:
            there = ", ".join(known) or "none"
            raise CommandError(
                f"No job that takes a file is called {self.job}; there are: {there}."
            )
        schemas = known[self.job]["options"].get("properties", {})
        return {name: _typed(text, schemas.get(name, {})) for name, text in self._chosen.items()}


def _sent(order: _Order, patience: float, *, as_json: bool) -> str:
    """The id of the task whose file has arrived. One that is gone is asked for anew, once."""
    for again in (True, False):
        known = bool(order.memory.read())
        with order.file.open("rb") as file:
            try:
                address = order.address()
                sending = Sending(order.web, address, file, name=order.file.name, patience=patience)
                screen.show(_opening(sending), json_lines=None if as_json else False)
            except GoneError as gone:
                order.memory.forget()
                if not (again and known):
                    raise CommandError(f"{gone}") from None
            except CommandError as error:
                order.forget_refused(error)
                raise
            else:
                return order.task_id
    raise AssertionError


def _opening(sending: Sending) -> Iterator[pb.ProgressUpdate]:
    yield from sending.run()
    name = sending.name
    yield pb.ProgressUpdate(
        message=f"sent {name}, {size(sending.size)}", status="sent", done=sending.size, ended=True
    )


def _tell_sent(order: _Order, task_id: str, *, as_json: bool) -> None:
    if as_json:
        put_json({"id": task_id, "job": order.job, "status": "queued", "size": order.size})
    else:
        click.echo(f"Task {task_id}. Its result: backdrop result {task_id} --wait")


def _pairs(chosen: tuple[str, ...]) -> dict[str, str]:
    pairs = [each.partition("=") for each in chosen]
    if bad := [name for name, equals, _ in pairs if not equals or not name]:
        raise click.BadParameter(f"{bad[0]!r} should be NAME=VALUE.", param_hint="--option")
    return {name: value for name, _, value in pairs}


def _typed(text: str, schema: dict[str, Any]) -> Any:
    """As the job's schema wants it; what can't be read so goes as it is, for the job to refuse."""
    kind = schema.get("type", "")
    if kind == "array" and not text.lstrip().startswith("["):
        return [_typed(each.strip(), schema.get("items", {})) for each in text.split(",") if each]
    if kind in ("integer", "number", "boolean", "array", "object"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


# Results --------------------------------------------------------------------------------------


def _deliver(
    web: Web,
    last: pb.ProgressUpdate,
    output: Path | None,
    artifact: str | None,
    *,
    as_json: bool,
) -> None:
    """Show or save it; CommandError where the task did not end well."""
    if not last.ended:
        raise CommandError(f"It has not ended yet: {last.message}. Wait for it: --wait")
    if last.status != "succeeded":
        raise CommandError(last.error or last.message, code=last.status.upper())
    found = results.result_of(web, last.backup_id)
    saved = results.save(web, found, output, name=artifact) if output else []
    if as_json:
        more = {"saved": [str(path) for path in saved]} if output else {}
        put_json({"id": last.backup_id, "status": last.status, "result": found, **more})
        return
    if not output:
        click.echo(results.described(found))
    for path in saved:
        click.echo(f"Saved {path} ({size(path.stat().st_size)})")
