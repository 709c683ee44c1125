"""Making an upload by tus: who asks, and what for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accounts import policy, tokens
from accounts.errors import InvalidTokenError
from accounts.models import Team, User
from accounts.policy import Verb
from tasks.live import access
from tasks.models import Upload
from tasks.uploads import options, sessions, tus
from tasks.uploads.refusals import UploadError

DEFAULT_JOB = "inspect"
OUR_METADATA = ("job", "filename", "name", "options", "sha256")
_LOGIN = {"WWW-Authenticate": 'Bearer realm="api"'}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a creation request says."""

    size: int | None
    metadata: str
    concat: tus.Concat
    job: str
    filename: str
    options: Mapping[str, Any]
    sha256: str
    key: str | None

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> Order:
        """Raises UploadError (400)."""
        text = headers.get("upload-metadata", "")
        told = _told(tus.metadata(text))
        concat = tus.Concat.parse(headers.get("upload-concat", ""))
        if concat.parts and "upload-length" in headers:
            raise UploadError(400, "A file joined from parts has their size: no Upload-Length.")
        return cls(
            size=None if concat.parts else tus.length(headers),
            metadata=text,
            concat=concat,
            job=told.get("job", DEFAULT_JOB),
            filename=told.get("filename") or told.get("name", ""),
            options=_options(told.get("options", "")),
            sha256=_sha256(told.get("sha256", "")),
            key=headers.get("idempotency-key", "").strip()[:200] or None,
        )


def _told(metadata: Mapping[str, bytes]) -> dict[str, str]:
    """What is for us. Raises UploadError (400) for what is no text."""
    try:
        return {name: metadata[name].decode() for name in OUR_METADATA if name in metadata}
    except UnicodeDecodeError:
        ours = ", ".join(OUR_METADATA)
        raise UploadError(400, f"Upload-Metadata: {ours} should be UTF-8.") from None


def sender(scope: dict[str, Any], headers: Mapping[str, str]) -> User:
    """Who asks, by bearer token or by the session of one of our own pages. Raises UploadError."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        try:
            return tokens.user_of(token.strip())
        except InvalidTokenError as error:
            raise UploadError(401, str(error), _LOGIN) from None
    try:
        visitor = access.identify(scope)
    except access.ForeignOriginError:
        raise UploadError(403, "This page may not ask in your name.") from None
    if visitor is None:
        raise UploadError(401, "Log in first: Authorization: Bearer <token>.", _LOGIN)
    return visitor.user


def create(user: User, order: Order) -> Upload:
    """The upload; raises UploadError, UnknownJobError, IdempotencyConflictError."""
    team = team_of(user)
    if order.concat.part:
        return sessions.ask_part(
            team=team,
            owner=user,
            size=order.size,
            metadata=order.metadata,
            concat=order.concat.text,
        )
    options.check(sessions.job_with_intake(order.job), order.options)
    return sessions.ask(
        job=order.job,
        team=team,
        owner=user,
        filename=order.filename,
        size=order.size,
        sha256=order.sha256,
        options=order.options,
        kind=Upload.Kind.JOINED if order.concat.parts else Upload.Kind.WHOLE,
        metadata=order.metadata,
        concat=order.concat.text,
        idempotency_key=order.key,
    )


def team_of(user: User) -> Team:
    """The team that what this user sends belongs to. Raises UploadError (403)."""
    may = policy.teams_where(user, Verb.RUN)
    home = Team.home_of(user)
    team = may.filter(pk=home.pk).first() if home is not None else None
    team = team or may.order_by("pk").first()
    if team is None:
        raise UploadError(403, policy.refusal(Verb.RUN))
    return team


def _options(text: str) -> Mapping[str, Any]:
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UploadError(400, "Upload-Metadata: options should be a JSON object.")
    return found


def _sha256(text: str) -> str:
    wanted = text.strip().lower()
    if wanted and (len(wanted) != 64 or set(wanted) - set("0123456789abcdef")):
        raise UploadError(400, "Upload-Metadata: sha256 should be 64 hexadecimal digits.")
    return wanted
