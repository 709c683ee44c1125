"""The connection to a bucket: Google's client for what it does well, and a session beside it."""

from __future__ import annotations

import functools
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlsplit

import google.auth
import requests
from google.api_core.exceptions import from_http_response
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import Request
from google.cloud.storage import Blob, Bucket, Client
from google.oauth2.service_account import Credentials as KeyCredentials

from backups.storages.gcs.refusals import DamagedKeyError
from backups.storages.parts import MIB

# Google's client asks for the bucket's description by itself otherwise, from threads of its own and
# with a right that nobody needs to store objects.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")

GOOGLE = "https://storage.googleapis.com"
SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
_UPLOAD_ID = re.compile(r"(upload_id=)[^&\s\"']+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is known of a bucket and of who uses it."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    """Empty for Google's own."""
    payer: str = ""
    """The project that pays, where requesters do."""
    key: Mapping[str, Any] | None = field(default=None, repr=False)
    """A service account's. Without one it is this machine's own identity at Google's endpoints,
    and nobody's anywhere else: a login of the machine's is lent to no other server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long to wait, and how much to send at once."""

    patience: float = 5.0
    """Seconds for which a failing call is made again."""
    connect_seconds: float = 5.0
    answer_seconds: float = 10.0
    """For the answer to a small request."""
    data_seconds: float = 30.0
    """For the answer to a part, and for each block that is read."""
    part_bytes: int = 8 * MIB
    """A multiple of 256 KiB, of which Google takes any number."""


class Connection:
    """Opened when first used, so that nothing is open before a fork; for several threads."""

    def __init__(self, settings: Settings, limits: Limits) -> None:
        self._settings = settings
        self._base = settings.endpoint or GOOGLE
        self.quick = (limits.connect_seconds, limits.answer_seconds)
        self.patient = (limits.connect_seconds, limits.data_seconds)

    @cached_property
    def client(self) -> Client:
        return Client(
            project=self._settings.payer or "<none>",
            credentials=self._credentials,
            _http=self._session,  # without the library's own tries and two minutes of waiting
            client_options={"api_endpoint": self._base},
        )

    @cached_property
    def bucket(self) -> Bucket:
        return self.client.bucket(self._settings.bucket, user_project=self._settings.payer or None)

    def blob(self, name: str) -> Blob:
        return self.bucket.blob(name)

    def send(self, method: str, url: str, **more: Any) -> requests.Response:
        """A request of our own; raises GoogleAPICallError unless its status is below 400.

        Redirections are answers here: 308 is how an upload goes on.
        """
        answer = self._session.request(method, url, allow_redirects=False, **more)
        if answer.status_code >= 400:
            with answer:
                raise from_http_response(answer)
        return answer

    def content_url(self, name: str, generation: str) -> str:
        """Where the bytes of an object are."""
        where = f"{self._base}/download/storage/v1/b/{self._settings.bucket}/o/{quote(name, '')}"
        payer = f"&userProject={self._settings.payer}" if self._settings.payer else ""
        return f"{where}?alt=media&generation={generation}{payer}"

    def url_of(self, path: str) -> str:
        """The address at this server; nothing kept in a row leads to another one."""
        return f"{self._base}/{path.lstrip('/')}"

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        session.auth = _Login(self._credentials, self.quick)
        return session

    @cached_property
    def _credentials(self) -> Any:
        if self._settings.key is not None:
            return _from_key(self._settings.key)
        if not _is_google(self._base):
            return AnonymousCredentials()
        return google.auth.default(scopes=SCOPES)[0]


class _Login(requests.auth.AuthBase):
    """Puts a token into each request, a new one when the last is old."""

    def __init__(self, credentials: Any, timeout: tuple[float, float]) -> None:
        self._credentials = credentials
        self._request = functools.partial(Request(), timeout=timeout)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        self._credentials.before_request(
            self._request, request.method, request.url, request.headers
        )
        return request


def _from_key(key: Mapping[str, Any]) -> Any:
    try:
        return KeyCredentials.from_service_account_info(key, scopes=SCOPES)
    except ValueError:  # it may quote the key
        raise DamagedKeyError from None


def _is_google(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    return parts.scheme == "https" and f".{parts.hostname}".endswith(".googleapis.com")


class _Mask(logging.Filter):
    """Who knows the address of an upload may write to it: at the level DEBUG it would be logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        if "upload_id=" in (told := record.getMessage()):
            record.msg, record.args = _UPLOAD_ID.sub(r"\1…", told), ()
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_Mask())
# It would log the signed request that a token is given for.
logging.getLogger("google.auth.transport.requests").setLevel(logging.INFO)
