"""What Google refuses: said with place and remedy, without a key or the address of an upload."""

from __future__ import annotations

import json
import logging
import socket
import traceback

import pytest

from backups.pipeline.errors import StorageError
from backups.storages import OptionsError, open_store
from backups.storages.gcs.connection import Limits, Settings
from backups.storages.gcs.store import GCSStore
from backups.tests.faulty_proxy import PASS, FaultyProxy, shows_patience, web_server
from backups.tests.places import PART
from tests.gcs_front import Account, no_grant, refusal
from tests.ports import free_port

HURRIED = Limits(patience=0.5, connect_seconds=0.5, answer_seconds=0.5, data_seconds=0.5)


@pytest.fixture
def proxy(gcs_server):
    with FaultyProxy(gcs_server.endpoint) as running:
        yield running


@pytest.fixture
def proxied(gcs_place, proxy):
    return open_store("gcs", gcs_place.options | {"endpoint": proxy.endpoint})


@pytest.fixture
def account(gcs_server):
    """While it is there everybody has to log in."""
    gcs_server.front.account = Account(gcs_server.endpoint)
    yield gcs_server.front.account
    gcs_server.front.account = None


@pytest.fixture
def machine(monkeypatch, account, tmp_path):
    """This machine has an identity of its own: that of the account."""
    file = tmp_path / "identity.json"
    file.write_text(json.dumps(account.key))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))


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
        lambda: store.undo({"key": "a", "secret": "/upload/storage/v1/b/b/o?upload_id=u"}),
        lambda: store.sweep(older_than_seconds=0),
    ]


def told(use) -> StorageError:
    with pytest.raises(StorageError) as caught:
        use()
    return caught.value


def wire(status: str, reason: str, message: str = "No.") -> str:
    """Google's refusal as it goes over the wire."""
    body = refusal(reason, message).decode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}"


def test_it_works(gcs_place, account):
    """With a key, from the signed request for a token to the removal."""
    open_store("gcs", gcs_place.options, json.dumps(account.key)).check()
    assert len(account.tokens) == 1


def test_a_key_that_google_does_not_know_is_said_so_by_every_use(gcs_place, account):
    other = Account(gcs_place.server.endpoint).key
    store = open_store("gcs", gcs_place.options, json.dumps(other))
    for use in uses(store):
        error = told(use)
        assert error.permanent
        assert error.sentence == (
            f"The bucket {gcs_place.bucket} at {gcs_place.server.endpoint} can't be logged in to: "
            "Google refused the service account key."
        )
        assert "Enter the key again" in error.remedy


def test_a_login_that_is_missing_is_said_so_by_every_use(gcs_place, account):
    for use in uses(open_store("gcs", gcs_place.options)):
        error = told(use)
        assert error.permanent
        assert "does not accept the login" in error.sentence
        assert "service account key" in error.remedy


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ("AIzaSy-not-json", "no JSON"),
        ('["AIzaSy-not-json"]', "no key of a service account"),
        ('{"type": "authorized_user", "refresh_token": "AIzaSy-not-json"}', "no key of a service"),
        ('{"type": "external_account", "token_url": "AIzaSy-not-json"}', "no key of a service"),
        ('{"type": "service_account", "private_key": "AIzaSy-not-json"}', "not whole"),
    ],
)
def test_what_is_no_service_account_key_is_refused_and_not_repeated(secret, sentence):
    with pytest.raises(OptionsError) as caught:
        open_store("gcs", {"bucket": "backups"}, secret)
    assert sentence in caught.value.fields["secret"]
    assert "AIzaSy" not in str(caught.value)


def test_a_damaged_private_key_is_said_so_and_not_repeated(gcs_place, account):
    damaged = account.key | {"private_key": account.key["private_key"].replace("M", "N", 3)}
    error = told(open_store("gcs", gcs_place.options, json.dumps(damaged)).check)
    assert error.permanent
    assert "private key in the service account key can't be read" in error.sentence
    assert "".join(traceback.format_exception(error)).count("PRIVATE") == 0


def test_a_wrong_clock_is_said_so(gcs_place, account):
    why = "Invalid JWT: Token must be a short-lived token and in a reasonable timeframe."
    with web_server(400, no_grant(why)) as endpoint:
        key = json.dumps(account.key | {"token_uri": endpoint})
        error = told(open_store("gcs", gcs_place.options, key).check)
    assert error.permanent
    assert "clock is wrong" in error.sentence


def test_a_login_server_out_of_reach_is_said_so(gcs_place, account):
    key = json.dumps(account.key | {"token_uri": f"http://127.0.0.1:{free_port()}"})
    error = told(open_store("gcs", gcs_place.options, key).check)
    assert not error.permanent
    assert "server that gives out logins is out of reach" in error.sentence


def test_a_machine_without_an_identity_is_said_so(monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file")
    error = told(open_store("gcs", {"bucket": "backups"}).check)
    assert error.permanent
    assert error.sentence == (
        "The bucket backups at Google Cloud Storage can't be logged in to: "
        "this machine has no identity at Google."
    )


@pytest.mark.usefixtures("machine")
def test_the_machines_identity_is_lent_to_no_other_server(gcs_place, account):
    told(open_store("gcs", gcs_place.options).check)
    assert account.tokens == []


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("endpoint", "is_lent"),
    [
        ("", True),
        ("https://storage.europe-west3.rep.googleapis.com", True),
        ("http://storage.googleapis.com", False),
        ("https://storage.googleapis.com.example.org", False),
        ("https://notgoogleapis.com", False),
    ],
)
def test_only_google_gets_the_machines_identity(endpoint, is_lent):
    store = GCSStore(Settings(bucket="backups", endpoint=endpoint))
    login = store._connection._session.auth._credentials
    assert (getattr(login, "service_account_email", None) is not None) == is_lent


def test_a_missing_bucket_is_said_so(gcs_place):
    store = open_store("gcs", gcs_place.options | {"bucket": "nowhere"})
    for use in uses(store)[:7]:
        error = told(use)
        assert error.permanent
        assert error.sentence == (
            f"The bucket nowhere at {gcs_place.server.endpoint} does not exist."
        )


def test_an_unknown_host_is_said_at_once(gcs_place):
    store = open_store("gcs", gcs_place.options | {"endpoint": "http://nohost.invalid"})
    error = told(store.check)
    assert error.permanent
    assert error.sentence.endswith("at http://nohost.invalid can't be found: no such host.")


def test_a_server_that_does_not_run_is_said_so(gcs_place):
    endpoint = f"http://127.0.0.1:{free_port()}"
    error = told(open_store("gcs", gcs_place.options | {"endpoint": endpoint}).check)
    assert not error.permanent
    assert error.sentence.endswith(f"at {endpoint} can't be reached: no connection.")
    assert error.remedy.startswith("Start the storage server")


def test_a_server_without_tls_is_said_so(gcs_place):
    endpoint = gcs_place.server.endpoint.replace("http", "https")
    error = told(open_store("gcs", gcs_place.options | {"endpoint": endpoint}).check)
    assert error.permanent
    assert "can't be reached securely" in error.sentence


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>Welcome!</html>"), (404, b"Not here"), (405, b"")]
)
def test_a_server_of_another_kind_is_said_so(gcs_place, status, body):
    with web_server(status, body) as endpoint:
        store = open_store("gcs", gcs_place.options | {"endpoint": endpoint})
        for use in (store.check, lambda: list(store.list())):
            error = told(use)
            assert error.permanent
            assert "no server of Google Cloud Storage" in error.sentence


@pytest.mark.parametrize(
    ("status", "reason", "sentence", "permanent"),
    [
        ("401 Unauthorized", "authError", "does not accept the login", True),
        ("403 Forbidden", "forbidden", "does not allow this to the service account", True),
        ("403 Forbidden", "retentionPolicyNotMet", "a retention policy or a hold forbids", True),
        ("403 Forbidden", "objectUnderActiveHold", "a retention policy or a hold forbids", True),
        ("403 Forbidden", "accountDisabled", "billing account does not pay", True),
        ("403 Forbidden", "rateLimitExceeded", "is overloaded", False),
        ("403 Forbidden", "quotaExceeded", "is over its quota", False),
        ("429 Too Many Requests", "rateLimitExceeded", "is overloaded", False),
        ("500 Internal Server Error", "backendError", "has a fault of its own", False),
        ("503 Service Unavailable", "backendError", "has a fault of its own", False),
        ("418 I'm a teapot", "teapot", "refused: teapot", False),
    ],
)
def test_what_google_answers_in_trouble_is_said_so(
    proxied, proxy, status, reason, sentence, permanent
):
    proxied._call = proxied._call.hurried(0)
    proxy.judge = lambda head: wire(status, reason)
    for use in (lambda: list(proxied.list()), lambda: proxied.delete("a")):
        error = told(use)
        assert sentence in error.sentence
        assert error.permanent == permanent


def test_a_bucket_whose_requesters_pay_is_said_so(proxied, proxy):
    why = "Bucket is a requester pays bucket but no user project provided."
    proxy.judge = lambda head: wire("400 Bad Request", "required", why)
    error = told(proxied.check)
    assert error.permanent
    assert "wants to know who pays" in error.sentence


def test_the_project_that_pays_is_named_in_every_request(gcs_place, proxy):
    seen = []
    proxy.judge = lambda head: seen.append(head) or PASS
    paid = gcs_place.options | {"endpoint": proxy.endpoint, "payer": "payer-123"}
    open_store("gcs", paid).check()
    lines = [head.split(b"\r\n")[0] for head in seen]
    assert lines
    assert all(b"userProject=payer-123" in line or b"upload_id=" in line for line in lines)


def test_what_passes_is_waited_for(proxied, proxy, gcs_place):
    refused = []

    def judge(head: bytes) -> str:
        if len(refused) < 3:
            refused.append(head)
            return wire("503 No", "backendError")
        return PASS

    proxy.judge = judge
    proxied.write("a", [b"x"])
    assert len(refused) == 3
    assert gcs_place.content("a") == b"x"


def test_a_server_that_asks_for_patience_gets_more_of_it(proxied, proxy):
    proxied._call = proxied._call.hurried(0.3)
    shows_patience(proxied, proxy, wire("429 No", "rateLimitExceeded"), seconds=6 * 0.3)
    shows_patience(proxied, proxy, wire("500 No", "backendError"), seconds=0.3)


def test_a_server_that_takes_connections_and_never_answers_is_given_up(gcs_place):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        hurried = GCSStore(Settings(bucket=gcs_place.bucket, endpoint=endpoint), HURRIED)
        for use in uses(hurried):
            error = told(use)
            assert "took a request and did not answer" in error.sentence
            assert not error.permanent


def test_a_server_that_falls_silent_within_a_part_is_given_up(gcs_place, proxy):
    options = gcs_place.options
    settings = Settings(bucket=options["bucket"], prefix=options["prefix"], endpoint=proxy.endpoint)
    proxy.judge = lambda head: "silence" if head.startswith(b"PUT") else PASS
    error = told(lambda: GCSStore(settings, HURRIED).write("a", [bytes(2 * PART + 1)]))
    assert "broke the connection" in error.sentence or "did not answer" in error.sentence
    assert not error.permanent
    assert gcs_place.names() == []


def test_no_key_and_no_address_of_an_upload_is_in_any_error_or_log(gcs_place, account, caplog):
    caplog.set_level(logging.DEBUG)
    key = json.dumps(account.key)
    stores = [
        open_store("gcs", gcs_place.options, json.dumps(Account(account.key["token_uri"]).key)),
        open_store("gcs", gcs_place.options, key),
        open_store("gcs", gcs_place.options | {"bucket": "nowhere"}, key),
    ]
    said = [f"{store!r} {vars(store)}" for store in stores]
    opened: list[dict[str, str]] = []

    def stream():
        yield bytes(PART + 1)
        gcs_place.server.front.sessions.clear()
        yield bytes(PART + 1)

    def interrupted():
        stores[1].write("b", stream(), opened=opened.append)

    for use in [interrupted, *(use for store in stores for use in uses(store))]:
        try:
            use()
        except StorageError as error:
            said += traceback.format_exception(error)
    told = "\n".join([*said, caplog.text])
    assert "upload_id=…" in caplog.text
    assert opened[0]["secret"].rpartition("upload_id=")[2] not in told
    assert "PRIVATE KEY" not in told
    assert account.tokens
    for token in account.tokens:
        assert token not in told
