"""`/auth/login`, `/auth/refresh`, `/auth/logout` and `/auth/me`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import jwt
import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from accounts import tokens
from accounts.errors import InvalidTokenError
from accounts.models import FailedLogin
from accounts.throttle import PER_ADDRESS, PER_NAME_AND_ADDRESS, WINDOW

pytestmark = pytest.mark.django_db


@pytest.fixture
def login(api, password):
    def post(username: str, password: str = password, address: str = "192.0.2.1"):
        body = {"username": username, "password": password}
        return api().post("/auth/login", body, REMOTE_ADDR=address)

    return post


def me(api, access: str):
    client = api()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
    return client.get("/auth/me")


def test_it_works(api, login, owner, team):
    answer = login("owner")
    assert answer.status_code == 200
    assert set(answer.json()) == {"access", "refresh", "expires_in"}
    assert answer.json()["expires_in"] == 900
    assert answer.headers["Cache-Control"] == "no-store"
    known = me(api, answer.json()["access"]).json()
    assert known["username"] == "owner"
    assert known["teams"] == [{"id": team.pk, "name": "Home", "role": "admin"}]


@pytest.mark.parametrize("name", ["owner@example.org", "OWNER@Example.Org"])
def test_an_email_address_in_any_case_is_a_user_name_too(login, owner, name):
    assert login(name).status_code == 200


def test_the_address_may_be_called_email(api, owner, password):
    body = {"email": "owner@example.org", "password": password}
    assert api().post("/auth/login", body).status_code == 200


def test_a_user_name_goes_before_an_email_address_that_reads_the_same(
    api, login, new_user, password
):
    new_user("elder", email="twin@example.org")
    new_user("twin@example.org", email="")
    access = login("twin@example.org").json()["access"]
    assert me(api, access).json()["username"] == "twin@example.org"


def test_no_email_address_is_nobodys(login, new_user):
    new_user("one", email="")
    new_user("two", email="")
    assert login("").status_code == 400


def test_wrong_password_unknown_name_and_disabled_user_answer_alike(login, owner, new_user):
    new_user("gone", is_active=False)
    answers = [login("owner", "wrong"), login("nobody"), login("gone")]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert all(answer.headers["WWW-Authenticate"].startswith("Bearer") for answer in answers)


def test_an_unknown_name_costs_as_much_work_as_a_wrong_password(login, owner, monkeypatch):
    rounds = []
    encode = PBKDF2PasswordHasher.encode

    def counted(self, password, salt, iterations=None):
        rounds.append(iterations or self.iterations)
        return encode(self, password, salt, iterations=1)

    monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", 1000)
    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", counted)
    login("nobody", "wrong")
    unknown, rounds[:] = sum(rounds), []
    login("owner", "wrong")
    assert unknown == pytest.approx(sum(rounds), rel=0.01)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password": "x"}, "username"),
        ({"username": "owner"}, "password"),
        ({"username": "owner", "password": ""}, "password"),
        ({"username": "nul\0", "password": "x"}, "username"),
        ({"username": ["owner"], "password": "x"}, "username"),
    ],
)
def test_a_body_that_lacks_something_is_told_by_field(api, body, field):
    answer = api().post("/auth/login", body)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]


def test_too_many_failures_close_the_door_for_the_right_password_too(login, owner):
    for _ in range(PER_NAME_AND_ADDRESS):
        assert login("owner", "wrong").status_code == 401
    for attempt in (login("owner", "wrong"), login("OWNER "), login("owner")):
        assert attempt.status_code == 429
        assert 0 < int(attempt.headers["Retry-After"]) <= WINDOW.total_seconds()
        assert attempt.headers["Content-Type"] == "application/problem+json"


def test_the_closed_door_is_that_of_one_name_from_one_address(login, owner, mate):
    for _ in range(PER_NAME_AND_ADDRESS + 1):
        login("owner", "wrong")
    assert login("owner", address="192.0.2.2").status_code == 200
    assert login("mate").status_code == 200


def test_it_opens_again_when_the_failures_have_aged(login, owner):
    for _ in range(PER_NAME_AND_ADDRESS):
        login("owner", "wrong")
    FailedLogin.objects.update(at=timezone.now() - WINDOW + timedelta(seconds=30))
    assert login("owner").headers["Retry-After"] in {"30", "31"}
    FailedLogin.objects.update(at=timezone.now() - WINDOW)
    assert login("owner").status_code == 200


def test_a_right_password_forgives_the_failures_before_it(login, owner):
    for _ in range(3):
        for _ in range(PER_NAME_AND_ADDRESS - 1):
            assert login("owner", "wrong").status_code == 401
        assert login("owner").status_code == 200
    assert not FailedLogin.objects.exists()


def test_an_address_may_not_try_name_after_name(login, owner):
    digest = FailedLogin(who="w", at=timezone.now())
    login("nobody", "wrong")
    digest.origin = FailedLogin.objects.get().origin
    FailedLogin.objects.bulk_create(
        [FailedLogin(who=f"{n}", origin=digest.origin, at=digest.at) for n in range(PER_ADDRESS)]
    )
    assert login("owner").status_code == 429
    assert login("owner", address="192.0.2.9").status_code == 200


def test_addresses_of_one_ipv6_network_count_as_one(login, owner):
    for host in range(PER_NAME_AND_ADDRESS):
        login("owner", "wrong", address=f"2001:db8::{host + 1}")
    assert login("owner", address="2001:db8::ffff").status_code == 429
    assert login("owner", address="2001:db8:0:1::1").status_code == 200


def test_a_forwarded_address_is_not_believed(api, owner, password):
    for n in range(PER_NAME_AND_ADDRESS):
        api().post(
            "/auth/login",
            {"username": "owner", "password": "wrong"},
            HTTP_X_FORWARDED_FOR=f"192.0.2.{n}",
        )
    body = {"username": "owner", "password": password}
    assert api().post("/auth/login", body, HTTP_X_FORWARDED_FOR="192.0.2.99").status_code == 429


def test_neither_names_nor_addresses_are_kept(login):
    login("my secret typed too early", address="192.0.2.77")
    kept = str(FailedLogin.objects.values().get())
    assert "typed" not in kept
    assert "192.0.2.77" not in kept


@pytest.mark.django_db(transaction=True)
def test_guesses_sent_all_at_once_gain_nothing(login, owner):
    """As in several processes: each thread has its own connection to the database."""

    def guess(n: int) -> int:
        try:
            return login("owner", f"wrong {n}").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(guess, range(16)))
    assert statuses.count(401) <= PER_NAME_AND_ADDRESS
    assert set(statuses) == {401, 429}
    assert login("owner").status_code == 429


def test_a_disabled_users_token_stops_working(api, login, owner):
    pair = login("owner").json()
    owner.is_active = False
    owner.save()
    assert me(api, pair["access"]).status_code == 401
    assert api().post("/auth/refresh", {"refresh": pair["refresh"]}).status_code == 401


def test_a_deleted_users_token_stops_working(api, login, owner):
    pair = login("owner").json()
    owner.delete()
    assert me(api, pair["access"]).status_code == 401
    assert api().post("/auth/refresh", {"refresh": pair["refresh"]}).status_code == 401


def test_tokens_die_with_the_password_they_were_made_under(api, login, owner):
    pair = login("owner").json()
    owner.set_password("something else entirely")
    owner.save()
    assert me(api, pair["access"]).status_code == 401
    assert api().post("/auth/refresh", {"refresh": pair["refresh"]}).status_code == 401


def test_refresh_gives_a_new_pair_and_each_token_works_once(api, login, owner):
    first = login("owner").json()
    renewed = api().post("/auth/refresh", {"refresh": first["refresh"]})
    assert renewed.status_code == 200
    assert set(renewed.json()) == {"access", "refresh", "expires_in"}
    assert me(api, renewed.json()["access"]).status_code == 200
    again = api().post("/auth/refresh", {"refresh": first["refresh"]})
    assert again.status_code == 401
    assert again.headers["WWW-Authenticate"].startswith("Bearer")


def test_logout_kills_the_refresh_token(api, login, owner):
    pair = login("owner").json()
    assert api().post("/auth/logout", {"refresh": pair["refresh"]}).status_code == 204
    for address in ("/auth/refresh", "/auth/logout"):
        assert api().post(address, {"refresh": pair["refresh"]}).status_code == 401


def test_an_access_token_is_no_refresh_token_nor_the_other_way_round(api, login, owner):
    pair = login("owner").json()
    assert api().post("/auth/refresh", {"refresh": pair["access"]}).status_code == 401
    assert me(api, pair["refresh"]).status_code == 401


@pytest.mark.parametrize("raw", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJ1c2VyX2lkIjoiMSJ9."])
def test_what_is_no_token_of_ours_is_refused(api, owner, raw):
    assert me(api, raw).status_code == 401
    assert api().post("/auth/refresh", {"refresh": raw or "x"}).status_code == 401


def test_an_expired_token_is_refused(api, owner):
    token = AccessToken.for_user(owner)
    token.set_exp(lifetime=-timedelta(seconds=1))
    assert me(api, str(token)).status_code == 401


def test_a_token_signed_with_another_secret_is_refused(api, owner, settings):
    claims = {**AccessToken.for_user(owner).payload, "iss": "backdrop"}
    right, wrong = (jwt.encode(claims, key) for key in (settings.JWT_SECRET, settings.SECRET_KEY))
    assert me(api, right).status_code == 200
    assert me(api, wrong).status_code == 401


def test_doors_that_are_not_rest_turn_a_token_into_its_user(owner):
    assert tokens.user_of(str(AccessToken.for_user(owner))) == owner
    for bad in (str(RefreshToken.for_user(owner)), "x"):
        with pytest.raises(InvalidTokenError):
            tokens.user_of(bad)


def test_no_address_redirects_or_takes_another_method(api, owner):
    for address in ("/auth/login", "/auth/refresh", "/auth/logout"):
        assert api().get(address).status_code == 405
        assert api().post(f"{address}/", {}).status_code == 404
    assert api(owner).post("/auth/me", {}).status_code == 405


def test_logging_in_leaves_earlier_tokens_alive(api, login, owner):
    client = api(owner)
    login("owner")
    assert client.get("/auth/me").status_code == 200


def test_the_last_login_is_noted(login, owner):
    login("owner")
    owner.refresh_from_db()
    assert owner.last_login is not None
