"""Runs a job on a file in this process, without workers: what it brings, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import Any

from tasks import registry
from tasks.uploads import sniffing
from tasks.uploads.inputs import Input


@dataclass
class Here:
    """A `registry.Context` over a folder."""

    folder: Path
    source: Path
    filename: str
    args: dict[str, Any]
    task_id: str = "here"
    attempt: int = 1
    told: list[tuple[int, int | None]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    made: dict[str, Path] = field(default_factory=dict)

    def progress(self, done: int, total: int | None = None, *, unit: str = "bytes") -> None:
        self.told.append((done, total))

    def message(self, text: str) -> None:
        self.lines.append(text)

    def log(self, text: str, *, level: str = "info") -> None:
        self.lines.append(text)

    def opened(self, kind: str, **ids: str) -> None:
        """Nobody undoes anything here."""

    closed = opened

    def confirm(self) -> None:
        """It is ours."""

    @contextmanager
    def input(self) -> Iterator[Input]:
        with self.source.open("rb") as file:
            head = file.read(sniffing.LOOKED_AT)
            file.seek(0)
            digest = file_digest(file, "sha256").hexdigest()
        yield Input(
            path=self.source,
            filename=self.filename,
            size=self.source.stat().st_size,
            sha256=digest,
            content_type=sniffing.type_of(head, self.filename),
        )

    @contextmanager
    def artifact(self, name: str, content_type: str = "") -> Iterator[Path]:
        path = self.folder / f"made-{len(self.made)}"
        path.touch()
        yield path
        self.made[name] = path


def run(
    job: str, folder: Path, content: bytes, filename: str = "", **options: Any
) -> tuple[dict[str, Any], Here]:
    """The JSON result, and the context with files and words."""
    source = folder / "source"
    source.write_bytes(content)
    context = Here(folder, source, filename, {"options": options})
    result = registry.get(job).run(context)
    return dict(result or {}), context
