"""Which limit counts: the user's, their role's, the service's; and how a job narrows it down."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Membership, Role, Team
from tasks import registry
from tasks.models import UploadLimit
from tasks.tests import toys
from tasks.uploads import limits, media_types, sessions, writing
from tasks.uploads.refusals import UploadError
from tasks.uploads.writing import Writer

assert toys  # registers the toy jobs

pytestmark = pytest.mark.django_db

FILE, TEXT = registry.get("toy-file"), registry.get("toy-text")


@pytest.fixture
def here(settings):
    """The service's own, small enough to be read."""
    settings.UPLOAD_MAX_BYTES, settings.UPLOAD_QUOTA_BYTES = 1000, 9000
    settings.UPLOAD_SESSIONS = 100


@pytest.fixture
def elsewhere(db) -> Team:
    return Team.objects.create(name="Another")


def test_it_works(here, team, owner):
    UploadLimit.objects.create(role=Role.ADMIN, max_bytes=10, sessions=3)
    UploadLimit.objects.create(user=owner, max_bytes=20, types=["image/*"])
    found = limits.of(owner, team, FILE)
    assert (found.max_bytes, found.quota_bytes, found.sessions) == (20, 9000, 3)
    assert found.types == ("image/*",)


def test_without_rows_the_settings_count(here, team, owner):
    found = limits.of(owner, team, FILE)
    assert (found.max_bytes, found.quota_bytes, found.sessions) == (1000, 9000, 100)
    assert found.types == ("*/*",)
    assert found.refusal() is None


@pytest.mark.parametrize("name", ["own_bytes", "quota_bytes", "sessions"])
def test_each_quantity_is_that_of_the_nearest_row_that_has_it(here, team, owner, name):
    farthest_first = ({"role": "admin"}, {"role": "admin", "team": team}, {"user": owner})
    column = "max_bytes" if name == "own_bytes" else name
    for number, whom in enumerate(farthest_first, 1):
        UploadLimit.objects.create(**whom, **{column: number})
        assert getattr(limits.of(owner, team, FILE), name) == number, whom


def test_a_row_may_allow_more_than_the_settings(here, team, owner):
    UploadLimit.objects.create(user=owner, max_bytes=5000)
    assert limits.of(owner, team, FILE).max_bytes == 5000
    assert limits.largest() == 5000


def test_the_largest_file_of_the_service_is_never_less_than_its_setting(here, owner):
    UploadLimit.objects.create(user=owner, max_bytes=5)
    UploadLimit.objects.create(job="toy-file", max_bytes=7000)
    assert limits.largest() == 1000


def test_other_users_teams_and_roles_count_for_nobody(here, team, elsewhere, owner, mate):
    UploadLimit.objects.create(user=mate, max_bytes=1)
    UploadLimit.objects.create(role=Role.OPERATOR, max_bytes=2)
    UploadLimit.objects.create(role=Role.ADMIN, team=elsewhere, max_bytes=3)
    assert limits.of(owner, team, FILE).max_bytes == 1000
    assert limits.of(mate, team, FILE).max_bytes == 1


def test_the_role_is_that_in_the_team_the_file_belongs_to(here, team, elsewhere, owner):
    Membership.objects.create(user=owner, team=elsewhere, role=Role.OPERATOR)
    UploadLimit.objects.create(role=Role.OPERATOR, max_bytes=2)
    assert limits.of(owner, team, FILE).max_bytes == 1000
    assert limits.of(owner, elsewhere, FILE).max_bytes == 2


def test_a_superuser_counts_as_an_admin_unless_they_are_a_member(here, team, elsewhere, superuser):
    UploadLimit.objects.create(role=Role.ADMIN, max_bytes=3)
    UploadLimit.objects.create(role=Role.OPERATOR, max_bytes=2)
    Membership.objects.create(user=superuser, team=elsewhere, role=Role.OPERATOR)
    assert limits.of(superuser, team, FILE).max_bytes == 3
    assert limits.of(superuser, elsewhere, FILE).max_bytes == 2


def test_a_superuser_who_may_only_look_as_a_member_counts_as_an_admin(here, team, superuser):
    UploadLimit.objects.create(role=Role.ADMIN, max_bytes=3)
    Membership.objects.create(user=superuser, team=team, role=Role.VIEWER)
    assert limits.of(superuser, team, FILE).max_bytes == 3


@pytest.mark.parametrize(
    ("own", "job_row", "largest"),
    [
        (None, None, 5_000_000),  # what the job says itself
        (None, 6_000_000, 5_000_000),
        (None, 400, 400),
        (300, 400, 300),
        (500, 400, 400),
        (7_000_000, None, 5_000_000),
    ],
)
def test_a_job_only_narrows_the_size_down(settings, team, owner, own, job_row, largest):
    settings.UPLOAD_MAX_BYTES = 9_000_000
    if own is not None:
        UploadLimit.objects.create(user=owner, max_bytes=own)
    if job_row is not None:
        UploadLimit.objects.create(job="toy-text", max_bytes=job_row)
    assert limits.of(owner, team, TEXT).max_bytes == largest


@pytest.mark.parametrize(
    ("own", "job_row", "taken", "refused"),
    [
        ([], [], ["text/csv", "text/plain"], ["image/png"]),
        (["*/*"], ["*/*"], ["text/csv"], ["image/png"]),
        (["text/csv"], [], ["text/csv"], ["text/plain", "image/png"]),
        ([], ["text/csv", "image/*"], ["text/csv"], ["text/plain", "image/png"]),
        (["text/csv", "text/plain"], ["text/csv"], ["text/csv"], ["text/plain"]),
        (["image/*", "text/*"], [], ["text/csv"], ["image/png"]),
    ],
)
def test_a_type_has_to_satisfy_all(team, owner, own, job_row, taken, refused):
    if own:
        UploadLimit.objects.create(user=owner, types=own)
    if job_row:
        UploadLimit.objects.create(job="toy-text", types=job_row)
    allowance = limits.of(owner, team, TEXT)
    for found in taken:
        allowance.check_type(found)
        assert any(media_types.matches(found, pattern) for pattern in allowance.types)
    for found in refused:
        with pytest.raises(UploadError, match=found) as told:
            allowance.check_type(found)
        assert told.value.status == 415
        assert not any(media_types.matches(found, pattern) for pattern in allowance.types)


def test_all_types_again_is_said_for_a_user_whose_role_is_limited(team, owner):
    UploadLimit.objects.create(role=Role.ADMIN, types=["text/csv"])
    assert limits.of(owner, team, FILE).types == ("text/csv",)
    row = UploadLimit.objects.create(user=owner, max_bytes=10)
    assert limits.of(owner, team, FILE).types == ("text/csv",), "nothing was said of types"
    UploadLimit.objects.filter(pk=row.pk).update(types=["*/*"])
    assert limits.of(owner, team, FILE).types == ("*/*",)


def test_types_of_a_part_are_nobodys_business_yet(team, owner):
    UploadLimit.objects.create(user=owner, types=["text/csv"], max_bytes=10)
    allowance = limits.of(owner, team, None)
    allowance.check_type("application/octet-stream")
    assert allowance.max_bytes == 10


@pytest.mark.parametrize(
    ("own", "of_job", "status"),
    [
        ({"max_bytes": 0}, {}, 413),
        ({"quota_bytes": 0}, {}, 413),
        ({"sessions": 0}, {}, 403),
        ({}, {"max_bytes": 0}, 413),
        ({"types": ["image/*"]}, {}, 415),
        ({}, {"types": ["image/*"]}, 415),
    ],
)
def test_who_may_send_nothing_is_told_so(team, owner, own, of_job, status):
    if own:
        UploadLimit.objects.create(user=owner, **own)
    if of_job:
        UploadLimit.objects.create(job="toy-text", **of_job)
    refusal = limits.of(owner, team, TEXT).refusal()
    assert refusal is not None
    assert refusal.status == status
    assert "dministrator" in refusal.sentence


def test_a_user_who_is_gone_is_held_to_what_the_job_takes(here, team):
    UploadLimit.objects.create(job="toy-text", max_bytes=7)
    assert limits.of(None, team, TEXT).max_bytes == 7


def test_it_is_one_query_for_one_job_and_for_all(team, owner, superuser):
    for user in (owner, superuser):
        with CaptureQueriesContext(connection) as made:
            limits.of(user, team, TEXT)
        assert len(made) == 1
        with CaptureQueriesContext(connection) as made:
            found = limits.by_job(user, team, [FILE, TEXT])
        assert len(made) == 1
        assert found == {job.name: limits.of(user, team, job) for job in (FILE, TEXT)}


@pytest.mark.parametrize("size", [None, 1_000_000])
def test_it_is_asked_once_for_many_blocks(settings, tmp_path, team, owner, size):
    settings.UPLOAD_DIR = tmp_path
    upload = sessions.ask(job="toy-text", team=team, owner=owner, size=size)
    writer = Writer.take(upload, from_start=True)
    with CaptureQueriesContext(connection) as made:
        for _ in range(200):
            writer.write([b"a" * 5000])
    writer.close()
    asked = [query["sql"] for query in made if "FROM" in query["sql"]]
    assert len([sql for sql in asked if "tasks_uploadlimit" in sql]) == 1
    assert len([sql for sql in asked if "SUM(" in sql]) == (1 if size is None else 0)


def test_room_is_given_in_steps(settings, tmp_path, team, owner, monkeypatch):
    settings.UPLOAD_DIR = tmp_path
    monkeypatch.setattr(writing, "STEP", 1000)
    UploadLimit.objects.create(user=owner, quota_bytes=5000)
    asked = [sessions.ask(job="toy-text", team=team, owner=owner) for _ in range(2)]
    first, second = (Writer.take(upload, from_start=True) for upload in asked)
    first.write([b"a"])
    second.write([b"a"])
    second.write([b"a" * 3000])
    second.note()
    with pytest.raises(UploadError, match="of the 5000 bytes you may use"):
        first.write([b"a" * 3000])
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("some", "others", "both"),
    [
        (["*/*"], ["*/*"], ("*/*",)),
        (["text/*"], ["*/*"], ("text/*",)),
        (["*/*"], ["text/csv", "image/*"], ("text/csv", "image/*")),
        (["text/*", "image/png"], ["image/*", "text/csv"], ("text/csv", "image/png")),
        (["text/csv"], ["text/csv"], ("text/csv",)),
        (["text/*"], ["image/*"], ()),
        (["text/*"], ["textual/x"], ()),
    ],
)
def test_patterns_have_something_in_common(some, others, both):
    assert media_types.common(some, others) == both


@pytest.mark.parametrize("text", ["text/csv", "image/*", "*/*", "application/vnd.ms-excel+x"])
def test_a_pattern_is_told_by_its_look(text):
    assert media_types.is_pattern(text)


@pytest.mark.parametrize("text", ["", "csv", "*", "*/png", "text/", "/csv", "a/b/c", "a/c*", "é/x"])
def test_what_is_no_pattern_is_told_too(text):
    assert not media_types.is_pattern(text)
