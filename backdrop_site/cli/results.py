"""Following a task over HTTP, and fetching what it brought."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backdrop_site.cli.errors import CommandError
from backdrop_site.cli.screen import size
from backdrop_site.cli.web import LOST, Answer, Web
from backups.rpc import backup_pb2 as pb
from backups.rpc.sentences import line

ENDED = ("succeeded", "failed", "cancelled", "expired")
WAIT = 20
BLOCK = 1 << 18
LOST_SECONDS = 60.0
"""How long a lost connection is tried again while work is followed or a file is fetched."""


def status_of(web: Web, task_id: str) -> dict[str, Any]:
    told: dict[str, Any] = web.ask("GET", f"/task/status/{task_id}").json
    return told


def follow(web: Web, task_id: str) -> Iterator[pb.ProgressUpdate]:
    """Every change, the last one `ended`."""
    headers: dict[str, str] = {}
    while True:
        path = f"/task/status/{task_id}?wait={WAIT}"
        answer = web.ask("GET", path, headers=headers, patience=LOST_SECONDS)
        if answer.status == 304:
            continue
        headers = {"If-None-Match": answer.headers.get("ETag", "")}
        update = update_of(answer.json)
        yield update
        if update.ended:
            return


def update_of(told: Mapping[str, Any]) -> pb.ProgressUpdate:
    progress = told["progress"]
    expired = told["status"] == "expired"
    return pb.ProgressUpdate(
        message="expired: its file never arrived" if expired else line(told),
        status=told["status"],
        backup_id=told["id"],
        done=progress["done"] or 0,
        total=progress["total"],
        unit=progress["unit"],
        ended=told["status"] in ENDED,
        error=told["error"] or "",
    )


def result_of(web: Web, task_id: str) -> Any:
    """The JSON result; of files that a task brought it tells under `artifacts`."""
    headers = {"Accept": "application/json"}
    return web.ask("GET", f"/task/result/{task_id}", headers=headers).json


def save(web: Web, result: Any, place: Path, *, name: str | None = None) -> list[Path]:
    """Write the files of a result to `place`, or the JSON where it has none. Each is whole or not
    there: what came before the connection broke waits beside it as `….part`."""
    files = result.get("artifacts", []) if isinstance(result, dict) else []
    known = ", ".join(each["name"] for each in files) or "none"
    if name is not None:
        files = [each for each in files if each["name"] == name]
        if not files:
            raise CommandError(f"It brought no file {name}; there are: {known}.")
    if not files:
        path = place / "result.json" if place.is_dir() else place
        path.write_text(json.dumps(result, indent=2) + "\n")
        return [path]
    if len(files) > 1 and not place.is_dir():
        raise CommandError(f"It brought several files: {known}. Name a folder, or one: --artifact")
    targets = [place / _safe(each["name"]) if place.is_dir() else place for each in files]
    for each, target in zip(files, targets, strict=True):
        _fetch(web, each, target)
    return targets


def _safe(name: str) -> str:
    """The last part of what the service calls it: it names no place outside the folder."""
    return os.path.basename(name.replace("\\", "/")).lstrip(".") or "result"


def _fetch(web: Web, told: Mapping[str, Any], target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    until = time.monotonic() + LOST_SECONDS
    while True:
        had = part.stat().st_size if part.exists() else 0
        if had < told["size"] or not part.exists():
            try:
                _fetch_more(web, told, part)
            except LOST:
                if time.monotonic() > until:
                    raise web.silent() from None
                if part.exists() and part.stat().st_size > had:
                    until = time.monotonic() + LOST_SECONDS
                time.sleep(0.5)
                continue
        if part.stat().st_size == told["size"] and _sha256(part) == told["sha256"]:
            break
        part.unlink()
        if had == 0:
            raise CommandError(f"{told['name']} did not come as it was announced. Try again.")
    part.replace(target)


def _fetch_more(web: Web, told: Mapping[str, Any], part: Path) -> None:
    """What is missing, as long as it is still the same file there. Raises what `LOST` names."""
    had = part.stat().st_size if part.exists() else 0
    headers = {"If-Range": f'"{told["sha256"]}"', "Range": f"bytes={had}-"} if had else {}
    connection, response = web.opened(web.path_of(told["url"]), headers)
    try:
        if response.status not in (200, 206):
            raise Answer.of(response).refusal()
        with part.open("ab" if response.status == 206 else "wb") as file:
            while block := response.read(BLOCK):
                file.write(block)
        if part.stat().st_size < told["size"]:
            raise ConnectionError("the body ended early")
    finally:
        connection.close()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def described(result: Any) -> str:
    """A result for a person: JSON, and the files by name and size after it."""
    if not isinstance(result, dict):
        return json.dumps(result, indent=2)
    files = result.get("artifacts", [])
    rest = {name: value for name, value in result.items() if name != "artifacts"}
    lines = [json.dumps(rest, indent=2)] if rest else []
    return "\n".join([*lines, *(f"{each['name']}  {size(each['size'])}" for each in files)])
