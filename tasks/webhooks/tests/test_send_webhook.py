"""What programs are told when a task on a file has ended; the receiver answers as it likes."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ValidationError

from tasks import queue, transitions
from tasks.errors import JobError, PermanentError
from tasks.models import Task, WebhookDelivery
from tasks.states import Outcome, Status
from tasks.tests import toys
from tasks.tests.crew import crew, until
from tasks.tests.work import Running, ended_task
from tasks.webhooks import addresses, notices, posting, sending
from tasks.webhooks.addresses import RefusedError, Target
from tasks.webhooks.tests.receiver import HALF, HANG, OK, answer, receiving

assert toys
State = WebhookDelivery.State


def ended(team, outcome: Outcome = Outcome.SUCCEEDED, **options) -> Task:
    """A task on a file that has ended by the engine's own hands."""
    run = Running(queue.push(job="toy-file", team=team, priority=9))
    run.end(outcome, permanent=True, **options)
    run.task.refresh_from_db()
    return run.task


def told(task: Task) -> WebhookDelivery:
    notices.task_ended(task)
    return WebhookDelivery.objects.get(task=task)


def attempt(delivery: WebhookDelivery) -> WebhookDelivery:
    """One attempt of the job `webhook`, in this process."""
    try:
        sending.run(SimpleNamespace(args={"delivery": str(delivery.pk)}))
    finally:
        delivery.refresh_from_db()
    return delivery


@pytest.fixture
def example():
    """The function that the documentation gives its readers."""
    text = (Path(django_settings.BASE_DIR) / "docs" / "webhooks.md").read_text()
    found: dict = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], found)  # noqa: S102 - our own
    return found["is_genuine"]


@pytest.mark.django_db(transaction=True)
def test_it_works(team, hook, tmp_path, example):
    with receiving(answer(503), answer(429)) as shop:
        webhook = hook(shop.url)
        with crew(tmp_path, workers=1, WEBHOOKS_ALLOW_PRIVATE="true"):
            task = ended(team, result={"lines": 3})
            delivery = WebhookDelivery.objects.get(task=task)
            for tries in (1, 2):  # it has refused: its rest is made short
                until(lambda n=tries: len(shop.heard) == n)
                waiting = Task.objects.filter(pk=delivery.sending_id, status=Status.QUEUED)
                until(lambda rows=waiting: rows.update(run_at=task.created_at))
            until(lambda: WebhookDelivery.objects.filter(state=State.SENT).exists())

    delivery.refresh_from_db()
    assert (delivery.tries, delivery.status_code, delivery.error) == (3, 204, "")
    assert delivery.delivered_at is not None
    first, *_, last = shop.heard
    assert last.path == "/hooks/secret-part?key=1"
    assert last.json["type"] == "task.succeeded"
    assert last.json["data"]["id"] == str(task.pk)
    assert last.json["data"]["status"] == "succeeded"
    assert last.json["data"]["result_url"] == f"/task/result/{task.pk}"
    assert last.json["data"]["seq"] == task.seq
    assert first.body == last.body
    assert first.headers["webhook-id"] == last.headers["webhook-id"]
    assert example(webhook.secret.reveal(), last.headers, last.body)


def test_the_example_refuses_what_is_not_genuine(team, hook, example):
    with receiving() as shop:
        webhook = hook(shop.url)
        attempt(told(ended(team)))
    heard, secret = shop.heard[0], webhook.secret.reveal()
    assert example(secret, heard.headers, heard.body)
    assert not example(secret, heard.headers, heard.body + b" ")
    assert not example(secret, {**heard.headers, "webhook-id": "msg_other"}, heard.body)
    assert not example(secret, {**heard.headers, "webhook-timestamp": "1700000000"}, heard.body)
    webhook.rotate()
    assert not example(webhook.secret.reveal(), heard.headers, heard.body)


def test_after_a_rotation_both_secrets_sign_for_a_day(team, hook, example):
    with receiving() as shop:
        webhook = hook(shop.url)
        old = webhook.secret.reveal()
        new = webhook.rotate()
        assert new.startswith("whsec_")
        attempt(told(ended(team)))
        webhook.rotated_at -= timedelta(days=2)
        webhook.save()
        attempt(told(ended(team)))
    both, late = shop.heard
    assert example(old, both.headers, both.body)
    assert example(new, both.headers, both.body)
    assert example(new, late.headers, late.body)
    assert not example(old, late.headers, late.body)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [(Outcome.FAILED, "task.failed"), (Outcome.CANCELLED, "task.cancelled")],
)
def test_bad_ends_are_told_too(team, hook, outcome, kind):
    hook("http://127.0.0.1:1/")
    assert told(ended(team, outcome)).body["type"] == kind


def test_an_upload_that_expired_is_told(team, hook, django_capture_on_commit_callbacks):
    hook("http://127.0.0.1:1/")
    task = queue.push(job="toy-file", team=team, status=Status.AWAITING_UPLOAD)
    with django_capture_on_commit_callbacks(execute=True):
        transitions.move(task.pk, Status.AWAITING_UPLOAD, Status.EXPIRED)
    assert WebhookDelivery.objects.get().type == "task.expired"


def test_the_same_end_is_told_once_and_the_next_one_again(team, hook, owner):
    hook("http://127.0.0.1:1/")
    task = ended(team, Outcome.FAILED)
    for _ in range(3):
        notices.task_ended(task)
    assert WebhookDelivery.objects.count() == 1
    assert Task.objects.filter(job="webhook").count() == 1

    transitions.retry(task, by=owner)
    transitions.cancel(task, by=owner)
    task.refresh_from_db()
    notices.task_ended(task)
    kinds = WebhookDelivery.objects.order_by("created_at").values_list("type", flat=True)
    assert list(kinds) == ["task.failed", "task.cancelled"]


def test_only_the_jobs_that_are_wanted_are_told(team, stranger, hook):
    from accounts.models import Team

    hook("http://127.0.0.1:1/", name="others", jobs=["inspect"])
    hook("http://127.0.0.1:1/", name="off", enabled=False)
    wanted = hook("http://127.0.0.1:1/", name="this", jobs=["inspect", "toy-file"])
    notices.task_ended(ended(team))
    notices.task_ended(ended(Team.home_of(stranger)))
    assert [row.webhook for row in WebhookDelivery.objects.all()] == [wanted]


def test_a_job_without_files_calls_nobody_back(team, hook):
    hook("http://127.0.0.1:1/")
    task = ended_task(team)
    assert task.callback_due_at is None
    assert not WebhookDelivery.objects.exists()


def test_what_never_arrives_is_recorded_and_harms_no_task(team, hook):
    with receiving(answer(500)) as shop:
        hook(shop.url)
        task = ended(team)
        delivery = told(task)
        with pytest.raises(JobError) as caught:
            attempt(delivery)
    assert (delivery.status_code, delivery.error) == (500, f"127.0.0.1:{shop.port} answered 500.")
    assert not isinstance(caught.value, PermanentError)
    assert "secret-part" not in str(caught.value)

    sender = Task.objects.get(pk=delivery.sending_id)
    sender.error = str(caught.value)
    sending.ended(sender)
    delivery.refresh_from_db()
    assert delivery.state == State.FAILED
    task.refresh_from_db()
    assert task.status == Status.SUCCEEDED


def test_a_receiver_says_when_to_come_again(team, hook):
    with receiving(answer(429, "Retry-After: 7")) as shop:
        hook(shop.url)
        with pytest.raises(JobError) as caught:
            attempt(told(ended(team)))
    assert caught.value.retry_after == 7


@pytest.mark.parametrize("given", [HANG, HALF, b"SSH-2.0-OpenSSH_9\r\n"])
def test_no_whole_answer_is_a_failure_within_its_time(team, hook, monkeypatch, given):
    monkeypatch.setattr(posting, "TIMEOUT_SECONDS", 0.5)
    with receiving(given) as shop:
        hook(shop.url)
        delivery = told(ended(team))
        with pytest.raises(JobError):
            attempt(delivery)
    assert delivery.state == State.PENDING
    assert delivery.status_code is None
    assert "can't be told" in delivery.error


def test_redirects_are_not_followed(team, hook):
    with receiving() as elsewhere, receiving(answer(307, f"Location: {elsewhere.url}")) as shop:
        hook(shop.url)
        with pytest.raises(PermanentError):
            attempt(told(ended(team)))
    assert len(shop.heard) == 1
    assert elsewhere.heard == []


def test_410_switches_it_off(team, hook):
    with receiving(answer(410)) as shop:
        webhook = hook(shop.url)
        with pytest.raises(PermanentError):
            attempt(told(ended(team)))
    webhook.refresh_from_db()
    assert not webhook.enabled


# Where it may lead --------------------------------------------------------------------------------

PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
    *("100.100.100.200", "0.0.0.0", "224.0.0.1", "255.255.255.255", "168.63.129.16"),
    *("192.0.0.192", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "ff02::1"),
    *("::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
]


@pytest.mark.parametrize("number", PRIVATE)
def test_private_addresses_are_none_of_the_internet(number):
    assert not addresses.is_public(number)


@pytest.mark.parametrize("number", ["1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_public_addresses_are(number):
    assert addresses.is_public(number)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example.org",
        "ftp://shop.example.org/",
        "http://shop.example.org/",
        "https:///path",
        "https://shop.example.org:0/",
        "https://shop.example.org:99999/",
        "https://me:pass@shop.example.org/",
        "https://localhost/",
        "https://api.localhost./",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://" + "x" * 70 + ".org/",
    ],
)
def test_addresses_that_make_no_sense_are_refused(url):
    with pytest.raises(RefusedError):
        Target.of(url)


def test_an_address_becomes_what_goes_over_the_wire():
    target = Target.of("https://bücher.example/a b/ä?q=ö x\r\nX: 1")
    assert target.netloc == "xn--bcher-kva.example"
    assert target.path == "/a%20b/%C3%A4?q=%C3%B6%20xX:%201"


@pytest.mark.parametrize("number", ["127.0.0.1", "169.254.169.254"])
def test_a_name_that_leads_inside_is_refused_when_it_is_told(monkeypatch, number):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(PermanentError, match="private network"):
        posting.post("https://inside.example.org/", {}, b"{}")


def test_numbers_written_in_odd_ways_lead_nowhere_else():
    for odd in ("https://127.1/", "https://0x7f000001/", "https://2130706433/"):
        with pytest.raises(PermanentError):
            posting.post(odd, {}, b"{}")


def test_a_name_is_asked_for_once_and_the_answer_is_connected_to(private, monkeypatch):
    """A name that means another address the next time would lead around the look at it."""
    asked: list[object] = []

    def resolve(host, port, *args, **more):
        asked.append(host)
        number = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port))]

    with receiving() as shop:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        status, _ = posting.post(f"http://shop.example.org:{shop.port}/", {}, b"{}")
    assert status == 204
    assert asked == ["shop.example.org"]
    assert shop.heard[0].headers["host"] == f"shop.example.org:{shop.port}"


@pytest.mark.parametrize(("name", "good"), [("localhost", True), ("other.example.org", False)])
def test_the_certificate_must_be_the_names(private, monkeypatch, tmp_path, name, good):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name}"
    subject = ["-addext", f"subjectAltName=DNS:{name}"]
    command = ["openssl", *made.split(), *subject, "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with receiving(OK, OK, context=context) as shop:
        url = f"https://localhost:{shop.port}/"
        if good:
            assert posting.post(url, {}, b"{}")[0] == 204
        else:
            with pytest.raises(JobError, match="TLS failed"):
                posting.post(url, {}, b"{}")


def test_who_keeps_it_is_told_what_is_wrong(hook, settings):
    with pytest.raises(ValidationError, match="none of"):
        hook("http://127.0.0.1:1/", jobs=["nonsense"])
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    with pytest.raises(ValidationError, match="https"):
        hook("http://127.0.0.1:1/")
