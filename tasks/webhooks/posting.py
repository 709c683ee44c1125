"""One POST to one address, within one limit of time. Of the answer only its status is read."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress

import h11

from tasks.errors import JobError, PermanentError
from tasks.webhooks.addresses import RefusedError, Target

TIMEOUT_SECONDS = 10.0
_READ = 4096


def post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    """The answer's status and `Retry-After`, whatever they are; no redirect is followed.

    Raises JobError where there was no answer; it never holds the address behind its host.
    """
    try:
        target = Target.of(url)
        return asyncio.run(_within_time(target, headers, body))
    except RefusedError as error:
        raise PermanentError(str(error), remedy="Correct its address.") from None


async def _within_time(target: Target, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await _post(target, headers, body)
    except TimeoutError:
        why = f"no whole answer within {TIMEOUT_SECONDS:g} s"
    except ssl.SSLError as error:
        why = f"TLS failed: {getattr(error, 'verify_message', '') or error.reason}"
    except OSError as error:
        why = error.strerror or type(error).__name__
    except h11.RemoteProtocolError:
        why = "its answer is no whole HTTP"
    raise JobError(f"{target.netloc} can't be told: {why}.")


async def _post(target: Target, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    reader, writer = await _connected(target)
    try:
        talk = h11.Connection(h11.CLIENT)
        request = h11.Request(
            method="POST",
            target=target.path,
            headers=[
                ("Host", target.netloc),
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("User-Agent", "Backdrop"),
                ("Connection", "close"),
                *headers.items(),
            ],
        )
        for part in (request, h11.Data(data=body), h11.EndOfMessage()):
            writer.write(talk.send(part) or b"")
        return await _answer(talk, reader)
    finally:
        writer.transport.abort()


async def _connected(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the first of its addresses that takes us; by TLS the certificate must be its name's."""
    context = ssl.create_default_context() if target.tls else None
    name = target.host if target.tls else None
    *others, last = await target.resolved()
    for number in others:
        with suppress(OSError):
            return await asyncio.open_connection(
                number, target.port, ssl=context, server_hostname=name
            )
    return await asyncio.open_connection(last, target.port, ssl=context, server_hostname=name)


async def _answer(talk: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, str]:
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(await reader.read(_READ))
        elif isinstance(event, h11.Response):
            told = dict(event.headers).get(b"retry-after", b"")
            return event.status_code, told.decode("latin-1")
        elif not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("no answer")
