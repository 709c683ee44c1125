"""`/healthz`: this web process answers. `/readyz`: it and the database would serve a request.

A middleware and no views, because balancers ask by a machine's address, which is in nobody's
ALLOWED_HOSTS, and because no session, user or log line is wanted for them.
"""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswerError
from threading import Lock, Thread
from typing import TYPE_CHECKING

from django.db import Error, connection
from django.http import HttpResponseNotAllowed, JsonResponse
from django.utils.deprecation import MiddlewareMixin

from accounts.rest import problem_response

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

SECONDS_TO_ANSWER = 2.0


class HealthMiddleware(MiddlewareMixin):
    """Answers the two addresses before anything else is done."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        answer = {"/healthz": healthz, "/readyz": readyz}.get(request.path_info)
        if answer is None:
            return None
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        response = answer()
        response.headers["Cache-Control"] = "no-store"
        return response


def healthz() -> HttpResponse:
    return JsonResponse({"status": "ok"})


def readyz() -> HttpResponse:
    try:
        probe.answer(within=SECONDS_TO_ANSWER)
    except NoAnswerError:
        return problem_response(503, f"The database did not answer within {SECONDS_TO_ANSWER:g} s.")
    except Error:
        # Without the driver's words, which name hosts and users to whoever asks.
        return problem_response(503, "The database can't be reached.")
    return JsonResponse({"status": "ready"})


class DatabaseProbe:
    """Asks the database in a thread of its own; while it waits, others wait for the same answer.

    So a database that hangs costs one thread, however often a balancer asks, and none that a
    stopping process would wait for.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._asked: Future[None] | None = None

    def answer(self, *, within: float) -> None:
        """Raises NoAnswerError, or the database's own error."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                Thread(target=_answer, args=[self._asked], name="readyz", daemon=True).start()
            asked = self._asked
        asked.result(timeout=within)


def _answer(asked: Future[None]) -> None:
    try:
        ask()
    except Exception as error:
        asked.set_exception(error)
    else:
        asked.set_result(None)


def ask() -> None:
    """A connection of its own each time, closed at once: an idle one proves nothing."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()


probe = DatabaseProbe()
