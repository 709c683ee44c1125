"""Webhooks by REST and in the admin: who keeps them, and what never comes out again."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tasks.models import Webhook, WebhookDelivery

pytestmark = pytest.mark.django_db

URL = "https://shop.example.org/hooks/secret-part"


def make(api, user, **more):
    return api(user).post("/api/webhooks/", {"name": "shop", "url": URL, **more})


@pytest.fixture
def webhook(team) -> Webhook:
    return Webhook.objects.create(team=team, name="shop", url=URL)


def test_it_works(api, owner):
    made = make(api, owner, jobs=["compress", "inspect", "inspect"])
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    assert made.json()["jobs"] == ["compress", "inspect"]

    shown = api(owner).get(f"/api/webhooks/{made.json()['id']}/")
    assert shown.status_code == 200
    assert shown.json()["place"] == "shop.example.org"
    assert "secret" not in shown.content.decode().replace("secret-part", "")
    assert "secret-part" not in shown.content.decode() + made.content.decode()


@pytest.mark.parametrize(
    ("field", "value"),
    [("url", "http://shop.example.org/"), ("url", "https://10.0.0.1/"), ("jobs", ["nonsense"])],
)
def test_what_makes_no_sense_is_told_by_field(api, owner, field, value):
    answer = make(api, owner, **{field: value})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]


def test_a_name_is_the_teams_once(api, owner, stranger, webhook):
    assert list(make(api, owner).json()["errors"]) == ["name"]
    assert make(api, stranger).status_code == 201


def test_a_change_keeps_the_secret_and_shows_none(api, owner, webhook):
    path = f"/api/webhooks/{webhook.pk}/"
    changed = api(owner).patch(path, {"enabled": False})
    assert changed.status_code == 200
    assert "secret" not in changed.json()
    again = Webhook.objects.get(pk=webhook.pk)
    assert (again.enabled, again.secret, again.url) == (False, webhook.secret, webhook.url)


def test_a_rotation_tells_the_new_secret_once(api, owner, webhook):
    answer = api(owner).post(f"/api/webhooks/{webhook.pk}/rotate/")
    again = Webhook.objects.get(pk=webhook.pk)
    assert answer.json() == {"secret": again.secret.reveal()}
    assert again.secrets() == [again.secret.reveal(), webhook.secret.reveal()]


def test_a_test_is_a_delivery_that_the_list_shows(api, mate, webhook):
    sent = api(mate).post(f"/api/webhooks/{webhook.pk}/test/")
    assert sent.status_code == 202
    assert sent.json()["type"] == "webhook.test"
    listed = api(mate).get(f"/api/webhooks/{webhook.pk}/deliveries/").json()
    assert [each["id"] for each in listed["results"]] == [sent.json()["id"]]
    assert api(mate).post(f"/api/webhooks/{webhook.pk}/test/").status_code == 202  # each is one


def test_roles_and_strangers(api, mate, viewer, stranger, webhook):
    path = f"/api/webhooks/{webhook.pk}/"
    assert api(viewer).get(path).status_code == 200
    assert api(viewer).post(f"{path}test/").status_code == 403
    for verb in ("patch", "delete"):
        assert getattr(api(mate), verb)(path).status_code == 403
    assert api(mate).post(f"{path}rotate/").status_code == 403
    assert make(api, mate, name="mine").status_code == 403
    for verb, more in (("get", ""), ("get", "deliveries/"), ("post", "test/"), ("post", "rotate/")):
        assert getattr(api(stranger), verb)(path + more).status_code == 404
    assert api(stranger).get("/api/webhooks/").json()["results"] == []
    assert api().get(path).status_code == 401


def test_secrets_are_encrypted_at_rest(webhook):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT url, secret FROM tasks_webhook")
        stored = str(cursor.fetchall())
    assert "secret-part" not in stored
    assert webhook.secret.reveal() not in stored


@pytest.fixture
def admin(owner) -> Client:
    owner.is_staff = True
    owner.save()
    client = Client()
    client.force_login(owner)
    return client


def test_the_admin_shows_the_secret_once_and_asks_before_it_acts(admin, team, webhook):
    add = reverse("admin:tasks_webhook_add")
    form = {"team": team.pk, "name": "new", "url": URL, "jobs": ["inspect"], "enabled": "on"}
    told = admin.post(add, form, follow=True).content.decode()
    made = Webhook.objects.get(name="new")
    assert made.secret.reveal() in told.replace("&#x3D;", "=")
    page = admin.get(reverse("admin:tasks_webhook_change", args=[made.pk])).content.decode()
    assert "whsec_" not in page
    assert "secret-part" not in page

    form = {"name": "shop", "url": "", "enabled": "on"}
    change = reverse("admin:tasks_webhook_change", args=[made.pk])
    assert "of that name" in admin.post(change, form).content.decode()
    assert admin.post(change, {**form, "name": "newer"}).status_code == 302
    again = Webhook.objects.get(pk=made.pk)
    assert (again.name, again.jobs, again.url, again.secret) == ("newer", [], made.url, made.secret)

    for name in ("send_test", "rotate"):
        button = reverse(f"admin:tasks_webhook_{name}", args=[webhook.pk])
        assert admin.get(button).status_code == 200
    assert not WebhookDelivery.objects.exists()
    assert Webhook.objects.get(pk=webhook.pk).secret == webhook.secret
    for name in ("send_test", "rotate"):
        admin.post(reverse(f"admin:tasks_webhook_{name}", args=[webhook.pk]))
    assert WebhookDelivery.objects.get().webhook == webhook
    assert Webhook.objects.get(pk=webhook.pk).secret != webhook.secret


def test_a_stranger_finds_no_page_in_the_admin(webhook, stranger):
    stranger.is_staff = True
    stranger.save()
    client = Client()
    client.force_login(stranger)
    page = client.get(reverse("admin:tasks_webhook_change", args=[webhook.pk]))
    assert page.status_code == 302  # to the start, with a sentence
    assert client.post(reverse("admin:tasks_webhook_rotate", args=[webhook.pk])).status_code in (
        403,
        404,
    )
