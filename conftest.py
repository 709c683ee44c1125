"""What every test may ask for. Each room has a part of its own here; only add to yours."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests import servers

if TYPE_CHECKING:
    from rest_framework.test import APIClient

    from accounts.models import Role, Team, User
    from backups.pipeline.mysql import MysqlServer
    from backups.pipeline.postgres.connection import PostgresServer
    from tests.gcs import GCSPlace, GCSServer
    from tests.seaweed import S3Place, SeaweedServer
    from tests.web import Web

# Interrupts -------------------------------------------------------------------------------------

# A shell that starts something in its background has it ignore SIGINT, and so would all that the
# tests start, and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Company ------------------------------------------------------------------------------------------

ALONE = (
    "tests/chaos/",
    "tests/browser/test_follow_live.py",
    "tasks/tests/test_cancel_task.py",
    "tasks/tests/test_cost_little.py",
    "tasks/tests/test_hand_out_tokens.py",
    "tasks/tests/test_poll_from_redis.py",
    "tasks/tests/test_stop_workers.py",
    "tasks/tests/test_survive_death.py",
    "tasks/tests/test_wake_workers.py",
    "backups/tests/test_break_backup.py",
    "backups/tests/test_break_restore.py",
    "backups/rpc/tests/test_follow_progress.py",
)
"""Files whose tests measure time, or take the whole machine; see `tests/run.py`."""


LONG = (
    "backups/tests/test_run_scheduler.py",
    "backdrop_site/tests/test_run_up.py",
    "backdrop_site/tests/test_run_demo.py",
    "tests/uploads/",
    "tests/browser/",
    "backups/tests/test_restore_dump.py",
    "backups/tests/test_keep_mysql.py",
    "backdrop_site/tests/test_run_readme.py",
    "backdrop_site/tests/test_run_make.py",
)
"""Files that take longest: they come first, so that in the end nobody waits for one of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(ALONE):
            item.add_marker("alone")
    items.sort(key=lambda item: _turn(item.nodeid))


def _turn(nodeid: str) -> int:
    turns = (turn for turn, name in enumerate(LONG) if nodeid.startswith(name))
    return next(turns, len(LONG))


# accounts: who is asking --------------------------------------------------------------------------

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="session", autouse=True)
def cheap_hashing() -> Iterator[None]:
    """One round for a password instead of a million."""
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PBKDF2PasswordHasher, "iterations", 1)
        yield


@pytest.fixture
def password() -> str:
    """What every user of the fixtures logs in with."""
    return PASSWORD


@pytest.fixture
def team(db) -> Team:
    from accounts.models import Team

    return Team.objects.create(name="Home")


@pytest.fixture
def new_user(db) -> Callable[..., User]:
    """new_user("ada", team, Role.VIEWER): a user, in that team if one is given."""
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    from accounts.models import Membership, User

    # A real hash, which the processes that a test starts can check too.
    hashed = PBKDF2PasswordHasher().encode(PASSWORD, "s" * 22)

    def make(username: str, team: Team | None = None, role: Role | None = None, **more) -> User:
        more.setdefault("email", f"{username}@example.org")
        user = User.objects.create(username=username, password=hashed, **more)
        if team is not None:
            Membership.objects.create(user=user, team=team, role=role)
        return user

    return make


@pytest.fixture
def owner(team, new_user) -> User:
    """An admin of `team`; no superuser."""
    from accounts.models import Role

    return new_user("owner", team, Role.ADMIN)


@pytest.fixture
def mate(team, new_user) -> User:
    """An operator of `team`."""
    from accounts.models import Role

    return new_user("mate", team, Role.OPERATOR)


@pytest.fixture
def viewer(team, new_user) -> User:
    from accounts.models import Role

    return new_user("viewer", team, Role.VIEWER)


@pytest.fixture
def stranger(db, new_user) -> User:
    """An admin of another team, who must see nothing of ours."""
    from accounts.models import Role, Team

    return new_user("stranger", Team.objects.create(name="Elsewhere"), Role.ADMIN)


@pytest.fixture
def superuser(db, new_user) -> User:
    """In no team at all, and may do everything."""
    return new_user("root", is_staff=True, is_superuser=True)


@pytest.fixture
def api() -> Callable[..., APIClient]:
    """api(user): a REST client that carries the user's token; api(): one that carries none."""
    from rest_framework.test import APIClient
    from rest_framework_simplejwt.tokens import AccessToken

    def make(user: User | None = None) -> APIClient:
        client = APIClient()
        if user is not None:
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(user)}")
        return client

    return make


# PostgreSQL servers to back up and restore into: real ones, one of each version per session -----


@pytest.fixture(scope="session")
def postgres15():
    """Debian's PostgreSQL 15: a `ScratchPostgres` (`.server(dbname)`, `.dsn(dbname)`, …)."""
    with servers.postgres_server(servers.OLD) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_new():
    """PostgreSQL 18 from its wheel."""
    with servers.postgres_server(servers.NEW) as server:
        yield server


@pytest.fixture(scope="session", params=["postgres15", "postgres_new"])
def postgres(request):
    """Each of both in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def pg_database(postgres) -> Iterator[PostgresServer]:
    """An empty database on each of both servers, as a `PostgresServer` (an address)."""
    with servers.new_database(postgres) as dbname:
        yield postgres.server(dbname)


# A MariaDB server to back up and restore into: a real one, one per session ------------------------


@pytest.fixture(scope="session")
def mariadb():
    """Debian's MariaDB: a `ScratchMariadb` (`.server(dbname)`, `.connect(dbname)`, …)."""
    with servers.mariadb_server() as server:
        yield server


@pytest.fixture
def mariadb_database(mariadb) -> Iterator[MysqlServer]:
    """An empty database on it, as a `MysqlServer` (an address)."""
    with servers.new_mariadb_database(mariadb) as dbname:
        yield mariadb.server(dbname)


# The test database: where it is SQLite, a file, so that processes that tests start see it too -----


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings, tmp_path_factory) -> None:
    from django.db import connection

    if connection.vendor == "sqlite":
        folder = tmp_path_factory.mktemp("database")
        connection.settings_dict["TEST"]["NAME"] = str(folder / "test.sqlite3")


@pytest.fixture(scope="session", autouse=True)
def patient_flush() -> Iterator[None]:
    """A test's rows are removed again, on a server, where that met a transaction of a process that
    goes on and was chosen to give way."""
    from django.db import OperationalError
    from django.db.backends.postgresql.operations import DatabaseOperations

    flush = DatabaseOperations.execute_sql_flush

    def flush_patiently(operations: DatabaseOperations, statements: list[str]) -> None:
        for _ in range(5):
            try:
                return flush(operations, statements)
            except OperationalError as error:
                if "deadlock" not in str(error):
                    raise
        return flush(operations, statements)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "execute_sql_flush", flush_patiently)
        yield


@pytest.fixture(scope="session")
def web(django_db_setup, tmp_path_factory) -> Iterator[Web]:
    """A real web process that serves the test database; tests need `transactional_db` with it."""
    from tests.web import web_process

    with web_process(tmp_path_factory.mktemp("web")) as running:
        yield running


# storages: a real S3 server -----------------------------------------------------------------------


@pytest.fixture(scope="session")
def s3_server() -> Iterator[SeaweedServer]:
    """SeaweedFS, shared by all tests: who stops or freezes one starts a server of their own."""
    from tests.seaweed import SeaweedServer

    with SeaweedServer() as server:
        yield server


@pytest.fixture
def s3_place(s3_server) -> S3Place:
    """A prefix that nobody else uses: `.options` and `.secret` are those of a destination."""
    return s3_server.place()


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GCSServer]:
    """A server of Google Cloud Storage, from its wheel; `tests/gcs.py` says where it is not."""
    from tests.gcs import GCSServer

    with GCSServer() as server:
        yield server


@pytest.fixture
def gcs_place(gcs_server) -> GCSPlace:
    """A prefix that nobody else uses: `.options` are those of a destination without a key."""
    return gcs_server.place()
