"""What stands before the emulator and does, as Google documents it, what the emulator does not.

Resumable uploads: parts in their place, what was kept, cancelling, conditions and checksums when an
upload is finished. Logins: tokens for a service account's signed request. All else is passed on.
"""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import re
import secrets
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import google_crc32c
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

UNIT = 256 * 1024
AUDIENCE = "https://oauth2.googleapis.com/token"
"""Whom Google's libraries ask for a token, wherever the request goes."""
SPAN = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)\Z")


@dataclass
class Session:
    """A resumable upload."""

    path: str
    told: dict[str, Any]
    condition: str
    kept: bytearray = field(default_factory=bytearray, repr=False)
    ended: tuple[int, bytes] | None = None
    """What is answered from then on."""


class Account:
    """A service account: its key as Google hands it out, and the tokens that were given for it."""

    def __init__(self, endpoint: str) -> None:
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.tokens: list[str] = []
        pem = self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self.key = {
            "type": "service_account",
            "client_email": "keeper@test.iam.gserviceaccount.com",
            "private_key_id": secrets.token_hex(8),
            "private_key": pem.decode(),
            "token_uri": f"{endpoint}/token",
        }

    def token_for(self, assertion: str) -> str:
        """A token, if that request is signed with the key; raises jwt.InvalidTokenError."""
        jwt.decode(assertion, self._private.public_key(), ["RS256"], audience=AUDIENCE)
        self.tokens.append(secrets.token_urlsafe(24))
        return self.tokens[-1]


class Front:
    """Serves on a free port of loopback until `close`."""

    def __init__(self, emulator: str) -> None:
        self.emulator = urlsplit(emulator).netloc
        self.sessions: dict[str, Session] = {}
        self.keep_most: int | None = None
        """So many bytes of the next part are kept."""
        self.damages = False
        """The first byte of what is kept is another one."""
        self.goes_on = threading.Event()
        """Parts are taken while it is set."""
        self.goes_on.set()
        self.compares = True
        """A checksum that is sent along has to be right."""
        self.account: Account | None = None
        """Where there is one, everybody has to log in."""
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def unfinished(self, bucket: str, prefix: str) -> list[str]:
        """The names below the prefix, without it, of uploads that are open."""
        names = [
            str(session.told["name"])
            for session in self.sessions.values()
            if session.ended is None and f"/b/{bucket}/" in session.path
        ]
        return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))

    def pass_on(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
        """The emulator's answer: status, headers, body."""
        connection = http.client.HTTPConnection(self.emulator, timeout=30)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def login(self, body: bytes) -> tuple[int, bytes]:
        assertion = parse_qs(body.decode())["assertion"][0]
        try:
            assert self.account is not None
            token = self.account.token_for(assertion)
        except jwt.InvalidTokenError:
            return 400, no_grant("Invalid JWT Signature.")
        return 200, json.dumps({"access_token": token, "expires_in": 3600}).encode()

    def begin(self, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, str, bytes]:
        """Status, the new session's id, body."""
        status, _, found = self.pass_on(
            "GET", path.removeprefix("/upload").removesuffix("/o"), b"", {}
        )
        if status != 200:
            return status, "", found
        name = secrets.token_urlsafe(32)
        condition = query.get("ifGenerationMatch", [""])[0]
        self.sessions[name] = Session(path, json.loads(body), condition)
        return 200, name, b""

    def go_on(self, session: Session, span: str, digest: str, body: bytes) -> tuple[int, bytes]:
        """Status and body; 308 while there is more to come."""
        self.goes_on.wait(60)
        if session.ended is not None:
            return session.ended
        found = SPAN.match(span)
        if found is None:
            return 400, refusal("badRequest")
        start, _, total = found.groups()
        if start is not None:
            if int(start) != len(session.kept) or (total == "*" and len(body) % UNIT):
                return 400, refusal("badRequest")
            most, self.keep_most = self.keep_most, None
            session.kept += body[:most]
            if self.damages:
                session.kept[0] ^= 1
                self.damages = False
        if total == "*" or len(session.kept) < int(total):
            return 308, b""
        return self._finish(session, digest)

    def _finish(self, session: Session, digest: str) -> tuple[int, bytes]:
        found = google_crc32c.Checksum(bytes(session.kept)).digest()
        if self.compares and digest and digest != f"crc32c={base64.b64encode(found).decode()}":
            return 400, refusal("invalid", "Provided CRC32C doesn't match calculated CRC32C.")
        told = json.dumps({**session.told, "contentType": "application/octet-stream"}).encode()
        parts = [b"--cut\r\nContent-Type: application/json\r\n\r\n", told]
        parts += [b"\r\n--cut\r\nContent-Type: application/octet-stream\r\n\r\n", session.kept]
        path = f"{session.path}?uploadType=multipart"
        if session.condition:
            path += f"&ifGenerationMatch={session.condition}"
        headers = {"Content-Type": "multipart/related; boundary=cut"}
        body = b"".join([*parts, b"\r\n--cut--\r\n"])
        status, _, answer = self.pass_on("POST", path, body, headers)
        session.ended = status, answer
        session.kept = bytearray()
        return status, answer


def refusal(reason: str, message: str = "No.") -> bytes:
    """How Google's JSON API refuses."""
    told = {"message": message, "errors": [{"reason": reason, "domain": "global"}]}
    return json.dumps({"error": told}).encode()


def no_grant(why: str) -> bytes:
    """How Google's login refuses."""
    return json.dumps({"error": "invalid_grant", "error_description": why}).encode()


def _handler(front: Front) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            where = urlsplit(self.path)
            query = parse_qs(where.query)
            if where.path == "/token":
                self._answer(*front.login(body))
            elif front.account and not self._is_known(front.account):
                self._answer(401, refusal("authError"))
            elif query.get("uploadType") == ["resumable"]:
                self._upload(where.path, query, body)
            else:
                skipped = ("host", "content-length", "connection")
                passed = {n: v for n, v in self.headers.items() if n.lower() not in skipped}
                status, headers, answer = front.pass_on(self.command, self.path, body, passed)
                dropped = ("content-length", "date", "transfer-encoding", "connection")
                self._answer(
                    status, answer, {n: v for n, v in headers.items() if n.lower() not in dropped}
                )

        do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815

        def _is_known(self, account: Account) -> bool:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            return token in account.tokens

        def _upload(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
            if "upload_id" not in query:
                status, name, answer = front.begin(path, query, body)
                at = f"http://{self.headers['Host']}{path}?uploadType=resumable&upload_id={name}"
                self._answer(status, answer, {"Location": at} if name else {})
                return
            session = front.sessions.get(query["upload_id"][0])
            if session is None:
                self._answer(404, refusal("notFound"))
            elif self.command == "DELETE":
                session.ended = session.ended or (499, b"")
                self._answer(499, b"")
            else:
                span, digest = (self.headers.get(n, "") for n in ("Content-Range", "x-goog-hash"))
                status, answer = front.go_on(session, span, digest, body)
                kept = len(session.kept)
                more = {"Range": f"bytes=0-{kept - 1}"} if status == 308 and kept else {}
                self._answer(status, answer, more)

        def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
