"""What the demo knows of Backdrop: its REST doors, as any client would use them."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

ENDED = {"succeeded", "failed", "cancelled", "expired"}


class RefusedError(Exception):
    """An answer that is not what was asked for; the problem document in a sentence."""


class Client:
    """A logged-in user of the REST API."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url
        self._credentials = {"username": username, "password": password}
        self._token = ""

    def get(self, path: str) -> Any:
        return self._call("GET", path)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._call("POST", path, body or {})

    def watch(self, task_id: str, *, every: float = 0.25) -> Iterator[Mapping[str, Any]]:
        """The task's status again and again; the last one has ended."""
        while True:
            status = self.get(f"/task/status/{task_id}")
            yield status
            if status["status"] in ENDED:
                return
            time.sleep(every)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        if not self._token:
            self._token = self._send("POST", "/auth/login", self._credentials)["access"]
        try:
            return self._send(method, path, body)
        except _ExpiredError:
            self._token = ""
            return self._call(method, path, body)

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 401 and self._token:
                raise _ExpiredError from None
            raise RefusedError(_sentence(method, path, error)) from None
        except OSError as error:
            raise RefusedError(f"{method} {path}: {error}") from None


class _ExpiredError(Exception):
    """The token's fifteen minutes are over."""


def _sentence(method: str, path: str, error: urllib.error.HTTPError) -> str:
    try:
        problem = json.load(error)
        text = problem.get("detail") or problem.get("title") or ""
        text = f"{text} {json.dumps(problem['errors'])}" if "errors" in problem else text
    except (ValueError, AttributeError):
        text = error.reason
    return f"{method} {path} answered {error.code}: {text}"
