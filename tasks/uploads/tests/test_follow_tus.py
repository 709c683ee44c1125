"""One tus upload beside a model of it: whatever is asked in whatever order, both stand alike."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tasks import transitions
from tasks.models import Upload
from tasks.states import Status
from tasks.tests import toys
from tasks.uploads import capability, files
from tasks.uploads.tests.wire import BODY, Answer, Wire
from tests.fuzzing import drawing

assert toys  # registers the toy jobs

pytestmark = pytest.mark.django_db(transaction=True)

FILE = bytes(number * 7 % 251 for number in range(4099)) * 300
"""The beginning of this is what is sent, whole or in parts."""
SIZES = st.sampled_from([0, 1, 2, 100, 8191, 8192, 8193, 1 << 20, len(FILE)])
PARTS = st.one_of(SIZES, st.integers(0, 20_000))
HUGE = 2**50
BOUNDARY = "frontier"

FAULTS = {
    "another version": (412, {"tus_resumable": "0.2.2"}),
    "no version": (412, {"tus_resumable": None}),
    "no offset": (400, {"upload_offset": None}),
    "an offset that is none": (400, {"upload_offset": "-1"}),
    "a length that is none": (400, {"upload_length": "1e3"}),
    "another content type": (415, {"content_type": "text/plain"}),
    "an unknown digest": (400, {"upload_checksum": "sha9 YQ=="}),
    "a digest that is no base64": (400, {"upload_checksum": "sha1 n*t"}),
}


@pytest.fixture
def wire(owner, settings, tmp_path) -> Wire:
    settings.UPLOAD_DIR = tmp_path
    settings.UPLOAD_SESSIONS = 10**6
    return Wire(owner)


def encoded(**values: str) -> str:
    return ",".join(f"{n} {base64.b64encode(v.encode()).decode()}" for n, v in values.items())


def checksum(data: bytes, *, right: bool = True) -> str:
    digest = hashlib.sha1(data if right else data + b"?", usedforsecurity=False).digest()
    return f"sha1 {base64.b64encode(digest).decode()}"


def cut(data: bytes, at: int) -> list[bytes]:
    """In two pieces, or in one."""
    return [piece for piece in (data[:at], data[at:]) if piece]


class Sending(RuleBasedStateMachine):
    """What a sender may do, and what the protocol says of it."""

    wire: Wire

    @initialize(
        size=SIZES.filter(bool),
        told=st.booleans(),
        announced=st.sampled_from(["", "", "right", "wrong"]),
        first=st.one_of(st.none(), PARTS),
    )
    def create(self, size: int, told: bool, announced: str, first: int | None) -> None:
        self.size, self.told, self.wrong = size, told, announced == "wrong"
        self.offset, self.complete, self.gone, self.steps = 0, False, False, 0
        metadata = {"job": "toy-file", "filename": "a.txt"}
        if announced:
            sent = FILE[:size] + (b"?" if self.wrong else b"")
            metadata["sha256"] = hashlib.sha256(sent).hexdigest()
        length = {"upload_length": str(size)} if told else {"upload_defer_length": "1"}
        if first is not None and first >= size:
            first = None  # the last bytes come by PATCH, so that what is refused is known
        pieces = () if first is None else (FILE[:first],)
        brings = {} if first is None else {"content_type": BODY["content-type"]}
        answer = self.wire.ask(
            "POST",
            capability.PATH,
            pieces,
            upload_metadata=encoded(**metadata),
            **length,
            **brings,
        )
        assert answer.status == 201, answer
        assert answer.headers["location"].startswith(f"http://127.0.0.1{capability.PATH}")
        self.path = answer.headers["location"].removeprefix("http://127.0.0.1")
        self.pk = capability.opened(self.path.removeprefix(capability.PATH))
        self.offset = first or 0
        assert answer.headers["upload-offset"] == str(self.offset)

    # Good patches -------------------------------------------------------------------------------

    @rule(much=PARTS, at=PARTS, checked=st.booleans(), tells=st.booleans(), sized=st.booleans())
    def go_on(self, much: int, at: int, checked: bool, tells: bool, sized: bool) -> None:
        data = FILE[: self.size][self.offset :][:much]
        more = {"upload_checksum": checksum(data)} if checked else {}
        if tells:
            more["upload_length"] = str(self.size)
        answer = self.patch(data, at=at, sized=sized, **more)
        if self.is_closed(answer):
            return
        self.told = self.told or tells
        self.offset += len(data)
        if self.told and self.offset == self.size:
            self.ends(answer, 204)
        else:
            assert answer.status == 204, answer
        if answer.status == 204:
            assert answer.headers["upload-offset"] == str(self.offset)
            assert ("upload-expires" in answer.headers) == (not self.complete)

    @rule(much=PARTS, checked=st.booleans(), sized=st.booleans())
    def break_off(self, much: int, checked: bool, sized: bool) -> None:
        """What has come by then counts, unless it was still to be checked."""
        data = FILE[: self.size][self.offset :][:much]
        more = {"upload_checksum": checksum(data)} if checked else {}
        answer = self.patch(data, sized=sized, broken=True, **more)
        if self.is_closed(answer):
            return
        assert answer.status is None
        self.offset += 0 if checked else len(data)

    # Bad ones: none of them changes anything ----------------------------------------------------

    @rule(much=PARTS.filter(bool), at=PARTS)
    def send_other_bytes(self, much: int, at: int) -> None:
        data = FILE[: self.size][self.offset :][:much]
        answer = self.patch(data, at=at, upload_checksum=checksum(data, right=False))
        assert self.is_closed(answer) or answer.status == 460, answer

    @rule(shift=st.one_of(st.integers(-9, 9), st.integers(-(10**17), 10**17)).filter(bool))
    def send_elsewhere(self, shift: int) -> None:
        at = abs(self.offset + shift)
        if at == self.offset:
            return
        answer = self.patch(b"x", upload_offset=str(at))
        if self.gone:
            assert answer.status == 410, answer
            return
        assert answer.status == 409, answer
        assert answer.headers["upload-offset"] == str(self.offset)

    @rule(more=PARTS.filter(bool), sized=st.booleans())
    def send_too_much(self, more: int, sized: bool) -> None:
        if not self.told:
            return
        answer = self.patch(FILE[self.offset : self.size] + b"x" * more, sized=sized)
        assert self.is_closed(answer) or answer.status == 413, answer

    @rule(other=st.one_of(st.integers(0, 10**6), st.just(HUGE)))
    def tell_another_length(self, other: int) -> None:
        if other == self.size or (not self.told and self.offset <= other < HUGE):
            return
        answer = self.patch(b"x", upload_length=str(other))
        assert self.is_closed(answer) or answer.status in (400, 413), answer

    @rule(fault=st.sampled_from(sorted(FAULTS)))
    def make_a_mistake(self, fault: str) -> None:
        status, headers = FAULTS[fault]
        if status != 412 and self.gone:
            status = 410
        elif "upload_length" in headers and self.complete:
            status = 403
        answer = self.patch(b"x", **headers)
        assert answer.status == status, (fault, answer)

    # The whole file at once ---------------------------------------------------------------------

    @rule(at=PARTS, sized=st.booleans(), form=st.booleans())
    def send_whole(self, at: int, sized: bool, form: bool) -> None:
        answer = self.post(FILE[: self.size], at=at, sized=sized, form=form)
        if self.gone:
            assert answer.status == 410, answer
        elif self.complete:
            assert answer.status == 409, answer
        else:
            self.offset = self.size
            self.ends(answer, 202)
            self.told = self.told or self.complete

    @rule(wrong=st.integers(-5000, 5000).filter(bool), sized=st.booleans(), form=st.booleans())
    def send_whole_of_another_size(self, wrong: int, sized: bool, form: bool) -> None:
        if not self.told or self.size + wrong < 0:
            return
        data = FILE[: self.size + wrong].ljust(self.size + wrong, b"x")
        answer = self.post(data, sized=sized, form=form)
        if self.gone:
            assert answer.status == 410, answer
        elif self.complete:
            assert answer.status == 409, answer
        else:
            assert answer.status == 422, answer
            if form or not sized:
                self.offset = 0  # else it was refused before anything of it was taken

    @rule(much=PARTS)
    def break_off_the_whole(self, much: int) -> None:
        data = FILE[: self.size][:much]
        answer = self.wire.ask("POST", self.path, cut(data, 1000), cut=True, tus_resumable=None)
        if self.gone:
            assert answer.status == 410, answer
        elif self.complete:
            assert answer.status == 409, answer
        else:
            assert answer.status is None
            self.offset = len(data)

    # Its end, which doesn't come at once ---------------------------------------------------------

    @precondition(lambda self: self.steps > 10)
    @rule()
    def give_it_up(self) -> None:
        answer = self.wire.ask("DELETE", self.path)
        assert answer.status == (410 if self.gone else 204), answer
        self.gone = True

    @precondition(lambda self: self.steps > 10 and not self.complete)
    @rule()
    def be_too_late(self) -> None:
        Upload.objects.filter(pk=self.pk).update(expires_at=datetime.now(UTC) - timedelta(days=1))
        self.gone = True

    @precondition(lambda self: self.steps > 10 and not self.gone)
    @rule()
    def cancel_the_task(self) -> None:
        assert transitions.cancel(self.row().task, by=None)
        self.gone = True

    # Standing -----------------------------------------------------------------------------------

    @rule()
    def ask_how_far_it_is(self) -> None:
        answer = self.wire.ask("HEAD", self.path)
        assert answer.headers["tus-resumable"] == "1.0.0"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.content == b""
        if self.gone:
            assert answer.status == 410
            assert "upload-offset" not in answer.headers
            return
        assert answer.status == 200
        assert answer.headers["upload-offset"] == str(self.offset)
        assert answer.headers.get("upload-length") == (str(self.size) if self.told else None)
        assert answer.headers.get("upload-defer-length") == (None if self.told else "1")
        assert ("upload-expires" in answer.headers) == (not self.complete)

    @invariant()
    def stands_as_the_model(self) -> None:
        self.steps += 1
        row = self.row()
        assert row.complete == self.complete
        if self.gone:
            return
        assert row.offset == self.offset
        assert row.size == (self.size if self.told else None)
        path = files.path_of(self.pk)
        kept = path.read_bytes() if path.exists() else b""
        assert kept[: self.offset] == FILE[: self.offset]
        assert len(kept) == self.offset or files.is_provisional(self.pk)
        if self.complete:
            assert row.sha256 == hashlib.sha256(FILE[: self.size]).hexdigest()
            assert row.task.status == Status.QUEUED
        else:
            assert row.task.status in (Status.AWAITING_UPLOAD, Status.UPLOADING)

    # --------------------------------------------------------------------------------------------

    def row(self) -> Upload:
        return Upload.objects.select_related("task").get(pk=self.pk)

    def patch(
        self, data: bytes, *, at: int = 0, sized: bool = False, broken: bool = False, **more
    ) -> Answer:
        """Goes on where the model stands, but for what `more` says."""
        told = {"upload_offset": str(self.offset), "content_type": BODY["content-type"]}
        if sized:
            told["content_length"] = str(len(data))
        self.brings_nothing = sized and not data
        answer = self.wire.ask("PATCH", self.path, cut(data, at), cut=broken, **{**told, **more})
        assert answer.status is None or answer.headers["tus-resumable"] == "1.0.0"
        return answer

    def post(self, data: bytes, *, at: int = 0, sized: bool, form: bool) -> Answer:
        told = {"tus_resumable": None}
        if form:
            head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
            data = head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()
            told["content_type"] = f"multipart/form-data; boundary={BOUNDARY}"
        if sized:
            told["content_length"] = str(len(data))
        return self.wire.ask("POST", self.path, cut(data, at), **told)

    def is_closed(self, answer: Answer) -> bool:
        """Whether nothing more can be sent, and the answer says so: but that nothing is sent at the
        end of a file that is there is right."""
        if self.gone:
            assert answer.status == 410, answer
        elif self.complete:
            assert answer.status == (204 if self.brings_nothing else 403), answer
            assert answer.headers["upload-offset"] == str(self.offset)
        return self.gone or self.complete

    def ends(self, answer: Answer, status: int) -> None:
        """All of it is there. What isn't what was announced begins anew."""
        if self.wrong:
            assert answer.status == 422, answer
            self.offset = 0
        else:
            assert answer.status == status, answer
            self.complete = True


def test_it_works(wire):
    machine = type("Machine", (Sending,), {"wire": wire})
    run_state_machine_as_test(machine, settings=drawing(25, stateful_step_count=40))
