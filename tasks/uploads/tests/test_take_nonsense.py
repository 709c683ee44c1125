"""Whatever comes to the upload door: no crash, an answer as tus has it, and the bytes add up."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.models import Upload
from tasks.tests import toys
from tasks.uploads import files, sessions
from tasks.uploads.tests.wire import BODY, Answer, Wire, path_of
from tests.fuzzing import drawing

assert toys  # registers the toy jobs

pytestmark = pytest.mark.django_db(transaction=True)


def raw(**told: str) -> dict[bytes, bytes]:
    return {name.replace("_", "-").encode(): value.encode() for name, value in told.items()}


# What is asked ----------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(0, 20).map(str),
    st.sampled_from(
        [
            "-1",
            "+1",
            "1.0",
            "1e3",
            "0x1",
            "1_0",
            " 1 ",
            "01",
            "",
            "1,1",
            "NaN",
            "9" * 18,
            "9" * 19,
            "9" * 5000,
            "²",
            "٣",
            "1\t",
            str(2**63),
            str(2**50),
        ]
    ),
).map(str.encode)
BYTES = st.binary(max_size=40).filter(lambda data: not set(data) & set(b"\0\r\n"))
LONG = st.sampled_from([b"x" * 60_000, b"\xff" * 60_000, b"a " * 30_000, b"," * 60_000])


def encoded(value: bytes) -> bytes:
    return base64.b64encode(value)


def nested(depth: int) -> bytes:
    return b'{"copies":' + b"[" * depth + b"]" * depth + b"}"


OPTIONS = st.one_of(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=5,
    ).map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [
            b'{"copies": NaN}',
            b'{"copies": 1e999}',
            b'{"copies": "\\ud800"}',
            b'{"a": "\\u0000"}',
            b'{"\\ud800": 1}',
            b'{"copies": 1, "copies": 2}',
            b'{"copies": ' + b"9" * 5000 + b"}",
            nested(50),
            nested(15_000),
            b"[",
            b"",
            b"null",
            b'\xff{"copies": 1}',
        ]
    ),
)
WORDS = st.one_of(
    st.sampled_from([b"inspect", b"toy-file", b"toy-text", b"bulk", b"nothing", b"toy-file\0"]),
    st.sampled_from([b"../../a", b"a" * 2000, b"\xff\xfe", b"\xed\xa0\x80", b"\0", b"", b"."]),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")),
    OPTIONS,
    st.sampled_from([b"0" * 64, b"z" * 64, b"0" * 63]),
)
NAMES = st.sampled_from(
    [b"job", b"filename", b"name", b"options", b"sha256", b"job", b"filename", b"\xe9", b"", b"x"]
)
METADATA = st.one_of(
    st.lists(st.tuples(NAMES, WORDS), max_size=4).map(
        lambda pairs: b",".join(name + b" " + encoded(value) for name, value in pairs)
    ),
    st.sampled_from([b"job", b"job n*t", b"job YQ==,job YQ==", b" , ,", b"job  YQ", b"job YQ==="]),
    BYTES,
)
CHECKSUMS = st.one_of(
    st.sampled_from([b"sha1", b"sha1 ", b"sha256 YQ==", b"md5 n*t", b"crc32 AAAAAA==", b"SHA1 YQ"]),
    st.sampled_from([b"sha512 YQ==", b" sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=", b"sha1 \xff"]),
)
CONTENT_TYPES = st.one_of(
    st.sampled_from(
        [
            BODY["content-type"].encode(),
            b"application/octet-stream",
            b"text/plain",
            b"",
            b"\xff",
            b"multipart/form-data",
            b"multipart/form-data; boundary=",
            b"Multipart/Form-Data; boundary=b",
            b"multipart/form-data; boundary=b",
            b'multipart/form-data; boundary="\xff\xfe"',
            b"multipart/form-data; boundary*=UTF-8''%ff; boundary*0=b",
            b"multipart/form-data; b=;;=",
            b"multipart/form-data; boundary=" + b"b" * 5000,
            b"multipart/form-data; boundary*=b",
            b"multipart/form-data; boundary*0*=x''%",
            b'multipart/form-data; boundary="',
        ]
    ),
    BYTES.map(lambda data: b"multipart/form-data; boundary=" + data),
)
KNOWN = {
    b"tus-resumable": st.sampled_from([b"1.0.0", b"1.0.0", b"0.2.2", b"", b"\xff", b"1.0.0 "]),
    b"upload-offset": NUMBERS,
    b"upload-length": NUMBERS,
    b"upload-defer-length": NUMBERS | st.just(b"1"),
    b"content-length": NUMBERS,
    b"upload-metadata": METADATA,
    b"upload-checksum": CHECKSUMS,
    b"upload-concat": st.sampled_from(
        [
            b"partial",
            b"final;",
            b"final",
            b"final;http://[",
            b"final;/task/upload/x /",
            b"\xff",
            b"",
            b"final;//\xe2\x84\x80/",
            b"final;" + b"a " * 3000,
            b"final;http://a:b:c/task/upload/",
        ]
    ),
    b"content-type": CONTENT_TYPES,
    b"trailer": st.sampled_from([b"Upload-Checksum", b"upload-checksum, x", b"\xff", b","]),
    b"host": st.sampled_from([b"127.0.0.1", b"evil.example", b"", b"[", b"a b", b"\xff", b"a:b:c"]),
    b"referer": st.sampled_from(
        [b"http://[", b"/files/x", b"//evil/", b"\xff", b"http://a:b/files/"]
    ),
    b"accept": st.sampled_from([b"text/html", b"*/*", b"\xff"]),
    b"x-http-method-override": st.sampled_from(
        [b"PATCH", b"patch", b"DELETE", b"GET", b"", b"\xff"]
    ),
    b"idempotency-key": st.sampled_from([b"a", b"b", b"\xff", b" ", b"k" * 500]),
    b"authorization": st.sampled_from(
        [
            b"Bearer",
            b"Bearer x",
            b"bearer \xff",
            b"Basic YTpi",
            b"Bearer a.b.c",
            b"Bearer " + b"." * 999,
            b"Bearer " + encoded(b'{"a":' + b"[" * 30_000) + b".e30.x",
        ]
    ),
    b"cookie": st.sampled_from(
        [
            b"sessionid=x",
            b"sessionid=" + b"a" * 32,
            b"\xff",
            b"=;=",
            b'sessionid="\\777\\054aaaaaaa"',
        ]
    ),
    b"origin": st.sampled_from([b"null", b"http://[", b"http://127.0.0.1", b"\xff"]),
    b"x-other": BYTES | LONG,
}


PARTS = st.sampled_from(
    [
        b"--b\r\n",
        b"\r\n--b\r\n",
        b"\r\n--b--\r\n",
        b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n',
        b'Content-Disposition: form-data; name="other"\r\n\r\n',
        b"Content-Disposition: form-data; name*=UTF-8''%ff; name\r\n\r\n",
        b'Content-Disposition: \xff; name="file\xff"; =;;"\r\n\r\n',
        b"Content-Disposition: form-data; name*0*=x''%; name=file\r\n\r\n",
        b"X: " + b"y" * 20_000,
        b"\r\n\r\n",
        b"12345",
    ]
)
PIECES = st.lists(st.binary(max_size=12) | PARTS, max_size=6)
FORM = [
    b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n',
    b"1234567890",
    b"\r\n--b--\r\n",
]
CREATION = raw(upload_length="10", upload_metadata="job dG95LWZpbGU=,filename YS50eHQ=")
PATCH = raw(upload_offset="0", content_type=BODY["content-type"])
IN_FORM = raw(content_type="multipart/form-data; boundary=b")
SENSE = [
    ("POST", "/task/upload/", CREATION, []),
    ("POST", "/task/upload/", {**CREATION, **PATCH}, [b"12345"]),
    ("POST", "/task/upload/", raw(upload_concat="final;PART", upload_metadata=""), []),
    ("PATCH", "PART", PATCH, [b"12345"]),
    ("PATCH", "UPLOAD", PATCH, [b"12345"]),
    (
        "PATCH",
        "UPLOAD",
        {**PATCH, b"upload-checksum": b"sha1 jLIjfQZ5yocSKg0n9a+gRr4Vbwk="},
        [b"12345"],
    ),
    ("POST", "UPLOAD", {**PATCH, b"x-http-method-override": b"PATCH"}, [b"12345"]),
    ("POST", "UPLOAD", {}, [b"1234567890"]),
    ("POST", "UPLOAD", IN_FORM, FORM),
    ("POST", "UPLOAD", {**IN_FORM, b"accept": b"text/html"}, FORM),
    ("HEAD", "UPLOAD", {}, []),
    ("DELETE", "UPLOAD", {}, []),
    ("OPTIONS", "UPLOAD", {}, []),
    ("POST", "UPLOAD/complete", {}, []),
]
"""Requests that are granted."""
METHODS = st.sampled_from(
    ["POST", "HEAD", "PATCH", "DELETE", "GET", "PUT", "TRACE", "patch", "A-B"]
)
PATHS = st.sampled_from(
    [
        "UPLOAD",
        "/task/upload/",
        "/task/upload",
        "UPLOAD/complete",
        "PART",
        "PART/complete",
        "UPLOAD/",
        "UPLOADx",
        "/task/upload/\xe9\0",
        "/task/upload//complete",
        "/task/upload/" + "a" * 99,
    ]
)


@st.composite
def distorted(draw) -> tuple[str, str, list[tuple[bytes, bytes]], list[bytes], bool]:
    """One that makes sense, but for some things in it: method, path, headers, body, whether it
    breaks off."""
    method, path, told, pieces = draw(st.sampled_from(SENSE))
    usual = raw(tus_resumable="1.0.0", host="127.0.0.1", authorization="TOKEN")
    left_out = draw(st.sets(st.sampled_from(sorted(usual | told)), max_size=1))
    kept = [(name, value) for name, value in (usual | told).items() if name not in left_out]
    own = st.sampled_from(sorted(set(KNOWN) & set(usual | told)))
    names = draw(st.lists(own | st.sampled_from(sorted(KNOWN)), max_size=3))
    added = [(name, draw(KNOWN[name])) for name in names]  # of two the last one counts
    match draw(st.integers(0, 9)):
        case 0:
            method = draw(METHODS)
        case 1:
            path = draw(PATHS)
        case 2 | 3 | 4:
            pieces = draw(PIECES)
    return method, path, [*kept, *added], pieces, draw(st.integers(0, 9)) == 0


# What is answered -------------------------------------------------------------------------------

STATUSES = {
    *(200, 201, 202, 204, 303),
    *(400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 422, 429, 460),
}


@pytest.fixture
def wire(owner, settings, tmp_path) -> Wire:
    settings.UPLOAD_DIR = tmp_path
    settings.UPLOAD_SESSIONS = 10**6
    return Wire(owner)


@pytest.fixture
def new_upload(owner, team):
    def make(size: int | None = 10) -> Upload:
        return sessions.ask(job="toy-file", team=team, owner=owner, size=size)

    return make


@pytest.fixture
def new_part(owner, team):
    def make() -> Upload:
        return sessions.ask_part(team=team, owner=owner, size=5, metadata="", concat="partial")

    return make


def filled(text: str, known: dict[str, str]) -> str:
    for word, meant in known.items():
        text = text.replace(word, meant)
    return text


def filled_bytes(data: bytes, known: dict[str, str]) -> bytes:
    return filled(data.decode("latin-1"), known).encode("latin-1")


def method_of(method: str, told: list[tuple[bytes, bytes]]) -> str:
    override = dict(told).get(b"x-http-method-override", b"POST").decode("latin-1").upper()
    return override if method == "POST" else method


def check_answer(method: str, told: list[tuple[bytes, bytes]], answer: Answer) -> None:
    """It is one that tus knows, and tells what the protocol wants told."""
    asked, meant, status = dict(told), method_of(method, told), answer.status
    assert status in STATUSES, answer
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers["x-content-type-options"] == "nosniff"
    match status:
        case 201:
            assert "location" in answer.headers
            assert "upload-offset" in answer.headers
        case 204 if meant == "PATCH":
            assert int(answer.headers["upload-offset"]) >= 0
        case 401:
            assert answer.headers["www-authenticate"].startswith("Bearer")
        case 405:
            assert answer.headers["allow"]
        case 412:
            assert answer.headers["tus-version"] == "1.0.0"
            assert asked.get(b"tus-resumable") != b"1.0.0"
    if status >= 400 and method != "HEAD" and "html" not in answer.headers["content-type"]:
        document = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert document["status"] == status
        assert document["detail"]
        assert {"type", "title", "status", "detail"} == set(document)


def check_bytes(upload: Upload) -> None:
    """What the row says has arrived is what is there, and no more than it may be."""
    upload.refresh_from_db()
    if upload.gone_at is not None:
        return
    path = files.path_of(upload.pk)
    kept = path.stat().st_size if path.exists() else 0
    assert upload.offset == kept or (upload.offset < kept and files.is_provisional(upload.pk))
    assert upload.size is None or upload.offset <= upload.size
    assert not upload.complete or upload.offset == upload.size


def test_it_works(wire, new_upload, new_part):
    seen: set[int | None] = set()
    token = f"Bearer {wire.token}"

    @drawing(250)
    @given(requests=st.lists(distorted(), min_size=1, max_size=4), size=st.sampled_from([None, 10]))
    def bear(requests, size) -> None:
        upload, part = new_upload(size), new_part()
        known = {"UPLOAD": path_of(upload), "PART": path_of(part), "TOKEN": token}
        for method, place, headers, pieces, broken in requests:
            told = [(name, filled_bytes(value, known)) for name, value in headers]
            answer = wire.send(method, filled(place, known), told, pieces, cut=broken)
            seen.add(answer.status)
            if answer.status is not None or not broken:
                check_answer(method, told, answer)
            check_bytes(upload)
            check_bytes(part)

    bear()
    assert seen >= {None, 200, 201, 202, 204, 400, 401, 404, 405, 409, 412, 413, 415, 460}
