"""Sessions of PostgreSQL parse and plan our statements once, and nothing depends on that."""

from __future__ import annotations

import logging

import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from benchmarks import claim
from tasks import queue, strokes, transitions
from tasks.models import Attempt, Task
from tasks.states import Status
from tasks.strokes import postgres, prepared
from tasks.strokes.prepared import Statement
from tasks.tests.crew import crew, until
from tasks.tests.work import new_task
from tests.pgbouncer import pgbouncer

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="runs in the stage with PostgreSQL"
    ),
]
ONE = Statement("SELECT %s::int + 1, '100%%'")


@pytest.fixture(autouse=True)
def own_session(monkeypatch):
    monkeypatch.setattr(prepared, "_lent", False)
    connection.close()
    yield
    connection.close()


def ask(number: int) -> tuple[int, str]:
    with connection.cursor() as cursor:
        prepared.run(cursor, ONE, [number])
        return cursor.fetchone()


def verbs(captured: CaptureQueriesContext) -> list[str]:
    return [query["sql"].split()[0] for query in captured]


def run_sql(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_what_a_session_runs_again_it_prepares():
    with CaptureQueriesContext(connection) as captured:
        assert [ask(number) for number in range(4)] == [(n + 1, "100%") for n in range(4)]
    assert verbs(captured) == ["SELECT", "PREPARE", "EXECUTE", "EXECUTE", "EXECUTE"]


def test_another_session_knows_nothing_of_it():
    assert [ask(number)[0] for number in range(3)] == [1, 2, 3]
    connection.close()
    with CaptureQueriesContext(connection) as captured:
        assert ask(1) == (2, "100%")
    assert verbs(captured) == ["SELECT"]


def test_the_whole_life_of_a_task_is_prepared(team):
    for _ in range(3):
        new_task(team)
        claimed = queue.claim(["default"], "tests")
        assert transitions.succeed(claimed, {"a": "%s"}) == Status.SUCCEEDED
    with CaptureQueriesContext(connection) as captured:
        new_task(team)
        claimed = queue.claim(["default"], "tests")
        assert transitions.succeed(claimed, {"a": "%s"}) == Status.SUCCEEDED
    assert verbs(captured).count("EXECUTE") == 3
    assert set(Task.objects.values_list("result__a", flat=True)) == {"%s"}


def test_within_a_transaction_nothing_is_prepared():
    with CaptureQueriesContext(connection) as captured, transaction.atomic():
        assert [ask(number)[0] for number in range(3)] == [1, 2, 3]
    assert "PREPARE" not in verbs(captured)


@pytest.mark.parametrize(
    ("before", "meddle"),
    [(2, "DEALLOCATE ALL"), (1, f"PREPARE {ONE.name} AS SELECT 'of another client'")],
)
def test_a_session_that_others_use_too_is_left_alone(before, meddle, caplog):
    caplog.set_level(logging.INFO)
    for number in range(before):
        ask(number)
    run_sql(meddle)
    assert ask(5) == (6, "100%")
    assert "pooling proxy" in caplog.text
    with CaptureQueriesContext(connection) as captured:
        assert [ask(number)[0] for number in range(3)] == [1, 2, 3]
    assert verbs(captured) == ["SELECT"] * 3


def test_a_table_that_was_changed_has_statements_prepared_anew():
    run_sql("CREATE TABLE changing (a varchar(5)); INSERT INTO changing VALUES ('x')")
    statement = Statement("SELECT a FROM changing WHERE a = %s")

    def look() -> str:
        with connection.cursor() as cursor:
            prepared.run(cursor, statement, ["x"])
            return cursor.fetchone()[0]

    try:
        assert [look() for _ in range(3)] == ["x"] * 3
        run_sql("ALTER TABLE changing ALTER COLUMN a TYPE text")
        assert [look() for _ in range(3)] == ["x"] * 3
        assert not prepared._lent
    finally:
        run_sql("DROP TABLE changing")


def test_any_other_refusal_is_the_callers(team):
    for _ in range(3):
        new_task(team)
    with pytest.raises(DataError):
        new_task(team, subject="x" * 101)
    assert Task.objects.count() == 3
    new_task(team)
    assert Task.objects.count() == 4


def test_plans_are_made_anew_after_a_while(monkeypatch):
    assert [ask(number)[0] for number in range(3)] == [1, 2, 3]
    monkeypatch.setattr(prepared, "PLAN_SECONDS", 0)
    with CaptureQueriesContext(connection) as captured:
        assert ask(3) == (4, "100%")
    assert verbs(captured) == ["DISCARD", "EXECUTE"]


def test_a_plan_that_is_kept_uses_the_index_too(team):
    claim.fill(team, 20_000, 1_000)
    for _ in range(9):  # after five it is no longer made for its values
        assert queue.claim(["default"], "tests").priority == 6
    statement = postgres._to_take(strokes._best(queue.due, ("default",), "postgresql"))
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement.execute}", postgres._by("tests"))
        plan = "\n".join(row[0] for row in cursor)
        cursor.execute("SELECT generic_plans FROM pg_prepared_statements")
        assert cursor.fetchone()[0] > 0
    assert "tasks_task_due" in plan
    assert "Seq Scan on tasks_task" not in plan


def test_work_goes_on_through_a_proxy_that_lends_sessions_by_the_transaction(team, tmp_path):
    known = connection.settings_dict
    with (
        pgbouncer(tmp_path, known) as address,
        crew(tmp_path, workers=3, DB_URL=address) as workers,
    ):
        tasks = [queue.push(job=name, team=team) for name in ("toy-plain", "toy-plain-shared") * 60]
        until(lambda: Task.objects.filter(status=Status.SUCCEEDED).count() == len(tasks))
        assert Attempt.objects.count() == len(tasks), "each was tried once"
        told = workers.log.read_text()
    assert "pooling proxy" in told
    assert "failed beside its job" not in told
