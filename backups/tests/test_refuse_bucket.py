"""What a bucket's server refuses: said with the place and the remedy, and without a key."""

from __future__ import annotations

import logging
import socket
import traceback

import pytest

from backups.pipeline.errors import StorageError
from backups.storages import open_store
from backups.storages.s3 import Limits, S3Store
from backups.tests.faulty_proxy import PASS, FaultyProxy, answer, shows_patience, web_server
from backups.tests.places import PART
from tests.ports import free_port

WRONG = "wrong-secret-7f3a9c"
HURRIED = Limits(patience=0.5, connect_seconds=0.5, answer_seconds=0.5, data_seconds=0.5)


@pytest.fixture
def proxy(s3_server):
    with FaultyProxy(s3_server.endpoint) as running:
        yield running


@pytest.fixture
def proxied(s3_place, proxy):
    return open_store("s3", s3_place.options | {"endpoint": proxy.endpoint}, s3_place.secret)


def uses(store) -> list:
    """Everything that can be asked of a store."""
    return [
        store.check,
        lambda: store.write("a", [b"x"]),
        lambda: store.write("a", [bytes(PART + 1)]),
        lambda: store.stat("a"),
        lambda: store.read("a").__enter__(),
        lambda: list(store.list()),
        lambda: store.delete("a"),
        lambda: store.undo({"upload_id": "u", "key": "a"}),
        lambda: store.sweep(older_than_seconds=0),
    ]


def told(use) -> StorageError:
    with pytest.raises(StorageError) as caught:
        use()
    return caught.value


def test_it_works(s3_place):
    open_store("s3", s3_place.options, s3_place.secret).check()


def test_a_wrong_secret_is_said_so_by_every_use(s3_place):
    for use in uses(open_store("s3", s3_place.options, WRONG)):
        error = told(use)
        assert error.permanent
        assert error.sentence == (
            f"The bucket {s3_place.bucket} at {s3_place.server.endpoint} refused the secret key."
        )
        assert "secret key again" in error.remedy


def test_an_unknown_access_key_is_said_so(s3_place):
    store = open_store("s3", s3_place.options | {"access_key": "AKUNKNOWN"}, s3_place.secret)
    for use in uses(store):
        error = told(use)
        assert error.permanent
        assert "does not know the access key" in error.sentence


def test_a_missing_bucket_is_said_so(s3_place):
    store = open_store("s3", s3_place.options | {"bucket": "nowhere"}, s3_place.secret)
    for use in uses(store):
        error = told(use)
        assert error.permanent
        assert error.sentence == f"The bucket nowhere at {s3_place.server.endpoint} does not exist."


def test_a_key_without_the_right_to_write_is_said_so(s3_place):
    keys = s3_place.server.reader_keys
    store = open_store("s3", s3_place.options | {"access_key": keys.access}, keys.secret)
    for use in (store.check, lambda: store.write("a", [bytes(PART + 1)])):
        error = told(use)
        assert error.permanent
        assert "does not allow this" in error.sentence
        assert "write" in error.remedy
    assert list(store.list()) == []


def test_an_unknown_host_is_said_at_once(s3_place):
    store = open_store("s3", s3_place.options | {"endpoint": "http://nohost.invalid"}, WRONG)
    error = told(store.check)
    assert error.permanent
    assert error.sentence.endswith("at http://nohost.invalid can't be found: no such host.")


def test_a_server_that_does_not_run_is_said_so(s3_place):
    endpoint = f"http://127.0.0.1:{free_port()}"
    store = open_store("s3", s3_place.options | {"endpoint": endpoint}, WRONG)
    error = told(store.check)
    assert not error.permanent
    assert (
        error.sentence
        == f"The bucket {s3_place.bucket} at {endpoint} can't be reached: no connection."
    )
    assert error.remedy.startswith("Start the storage server")


def test_a_server_without_tls_is_said_so(s3_place):
    endpoint = s3_place.server.endpoint.replace("http", "https")
    error = told(open_store("s3", s3_place.options | {"endpoint": endpoint}, WRONG).check)
    assert error.permanent
    assert "can't be reached securely" in error.sentence


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>Welcome!</html>"), (404, b"Not here"), (405, b"")]
)
def test_a_server_of_another_kind_is_said_so(s3_place, status, body):
    with web_server(status, body) as endpoint:
        store = open_store("s3", s3_place.options | {"endpoint": endpoint}, WRONG)
        for use in (store.check, lambda: list(store.list())):
            error = told(use)
            assert error.permanent
            assert "no S3 server" in error.sentence


@pytest.mark.parametrize(
    ("status", "code", "sentence", "permanent"),
    [
        ("403 Forbidden", "RequestTimeTooSkewed", "the clocks of both machines differ", True),
        ("301 Moved Permanently", "PermanentRedirect", "is in another region", True),
        ("503 Slow Down", "SlowDown", "is overloaded", False),
        ("500 Internal Server Error", "InternalError", "has a fault of its own", False),
        ("502 Bad Gateway", "", "has a fault of its own", False),
        ("507 Insufficient Storage", "XMinioAdminBucketQuotaExceeded", "is over its quota", False),
        ("418 I'm a teapot", "Teapot", "refused: Teapot", False),
    ],
)
def test_what_servers_answer_in_trouble_is_said_so(
    s3_place, proxy, status, code, sentence, permanent
):
    options = s3_place.options | {"endpoint": proxy.endpoint}
    store = open_store("s3", options, s3_place.secret)
    store._call = store._call.hurried(0)
    proxy.judge = lambda head: answer(status, code)
    error = told(lambda: list(store.list()))
    assert sentence in error.sentence
    assert error.permanent == permanent


@pytest.mark.parametrize("code", ["SlowDown", "InternalError"])
def test_what_passes_is_waited_for(proxied, proxy, s3_place, code):
    refused = []

    def judge(head: bytes) -> str:
        if len(refused) < 3:
            refused.append(head)
            return answer("503 No", code)
        return PASS

    proxy.judge = judge
    proxied.write("a", [b"x"])
    assert len(refused) == 3
    assert s3_place.content("a") == b"x"


def test_a_server_that_asks_for_patience_gets_more_of_it(proxied, proxy):
    proxied._call = proxied._call.hurried(0.3)
    shows_patience(proxied, proxy, answer("503 Slow Down", "SlowDown"), seconds=6 * 0.3)
    shows_patience(proxied, proxy, answer("500 No", "InternalError"), seconds=0.3)


def test_a_server_that_takes_connections_and_never_answers_is_given_up(s3_place):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = open_store("s3", s3_place.options | {"endpoint": endpoint}, WRONG)
        hurried = S3Store(store._clients._storage, HURRIED)
        for use in uses(hurried):
            error = told(use)
            assert "took a request and did not answer" in error.sentence
            assert not error.permanent


def test_no_key_is_in_any_error_or_log(s3_place, caplog):
    caplog.set_level(logging.DEBUG)
    writer, reader = s3_place.server.keys, s3_place.server.reader_keys
    stores = [
        open_store("s3", s3_place.options, WRONG),
        open_store("s3", s3_place.options | {"access_key": reader.access}, reader.secret),
        open_store("s3", s3_place.options, writer.secret),
        open_store("s3", s3_place.options | {"bucket": "nowhere"}, writer.secret),
    ]
    said = [repr(store) for store in stores]
    for store in stores:
        for use in uses(store):
            try:
                use()
            except StorageError as error:
                said += traceback.format_exception(error)
    told = "\n".join(said)
    for secret in (WRONG, writer.secret, reader.secret):
        assert secret not in told
        assert secret not in caplog.text
    assert writer.access not in told
    assert reader.access not in told
