"""What people are told, by real workers, through webhooks on loopback that answer as they like."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from backups.models import Backup, Channel, Delivery, Proof, Topic
from backups.notifications import apprise_service, notices, slack_service, words
from backups.tests.conftest import ended
from backups.tests.receiver import PATH, receiving
from tasks import transitions
from tasks.errors import JobError, PermanentError
from tasks.models import Task
from tasks.states import Status
from tasks.tests.crew import crew, until

SECRET = PATH.rpartition("/")[2]
SHOP = "shop_2025-01-15T02-00-00Z.sql.gz"


@pytest.fixture
def workers(transactional_db, tmp_path):
    with crew(tmp_path, workers=2) as running:
        yield running


def channel_to(team, address: str, **more) -> Channel:
    more = {"name": "ops", **more}
    channel = Channel(team=team, address=address, **more)
    channel.full_clean()
    channel.save()
    return channel


def delivered(state: str = Delivery.State.SENT, seconds: float = 30) -> Delivery:
    return until(
        lambda: Delivery.objects.filter(state=state).first(),
        seconds,
        f"{list(Delivery.objects.values())}",
    )


def end_again(backup: Backup) -> None:
    """As a minder or a reaper calls it."""
    notices.backup_ended(backup.task)


def test_it_works(workers, team, bucket, backup):
    backup.database.name = "postgres-db"
    backup.database.save()
    Backup.objects.update(
        destination=bucket,
        key="postgres-db_2024-01-15T02-00-00Z.sql.gz",
        duration_seconds=3.2,
        stored_bytes=12000,
    )
    bucket.name = "MinIO"
    bucket.save()
    with receiving() as slack:
        channel_to(team, slack.webhook)
        end_again(backup)
        delivered()

    assert slack.texts == [
        "Backup completed\n"
        "Database: postgres-db\n"
        "File: postgres-db_2024-01-15T02-00-00Z.sql.gz\n"
        "Storage: MinIO (s3://backups/)\n"
        "Duration: 3s\n"
        "Size: 12000 bytes"
    ]


def test_a_receiver_that_refuses_twice_gets_it_the_third_time(workers, team, backup):
    with receiving(503, 429) as slack:
        channel_to(team, slack.webhook)
        end_again(backup)
        delivery = delivered()

    assert slack.asked == [503, 429, 200]
    assert len(slack.texts) == 1
    assert (delivery.tries, delivery.error) == (3, "")
    assert delivery.sent_at is not None


def test_what_is_refused_three_times_is_recorded_and_harms_no_backup(workers, team, backup):
    with receiving(500, 500, 500, 500) as slack:
        channel_to(team, slack.webhook)
        end_again(backup)
        delivery = delivered(Delivery.State.FAILED)

    assert slack.asked == [500, 500, 500]
    assert delivery.error == "The Slack webhook answered 500."
    assert delivery.task.status == Status.FAILED
    assert Task.objects.get(pk=backup.task_id).status == Status.SUCCEEDED
    seen = [str(row) for row in Task.objects.values()] + [str(row) for row in _told(delivery)]
    assert SECRET not in "".join(seen) + workers.log.read_text()


def _told(delivery: Delivery) -> list[dict]:
    events = delivery.task.events.values()
    return [*events, *Delivery.objects.values(), *delivery.task.attempts.values()]


def test_the_same_end_is_told_once(db, team, backup):
    channel_to(team, "http://127.0.0.1:1/hook")

    for _ in range(3):
        end_again(backup)

    assert Delivery.objects.count() == 1
    assert Task.objects.filter(job="notify").count() == 1


def test_a_task_that_ends_tells_by_itself(db, team, backup, django_capture_on_commit_callbacks):
    channel_to(team, "http://127.0.0.1:1/hook")
    Task.objects.filter(pk=backup.task_id).update(status=Status.RUNNING)

    with django_capture_on_commit_callbacks(execute=True):
        transitions.move(
            backup.task_id, Status.RUNNING, Status.FAILED, error="The server is away.\nCall it."
        )

    delivery = Delivery.objects.get()
    assert delivery.title == "Backup failed"
    assert delivery.text.splitlines() == [
        "Database: shop",
        f"Storage: disk ({backup.destination.options['folder']})",
        "Error: The server is away. Call it.",
    ]


def test_what_was_cancelled_is_told_nobody(db, team, backup):
    channel_to(team, "http://127.0.0.1:1/hook")
    backup.task = ended(team, "backup", Status.CANCELLED)
    backup.save()

    end_again(backup)

    assert not Delivery.objects.exists()


def test_a_backup_that_proves_bad_is_told(db, team, proof):
    channel_to(team, "http://127.0.0.1:1/hook")
    notices.drill_ended(proof.task)
    assert not Delivery.objects.exists()

    Proof.objects.update(verdict=Proof.Verdict.DIFFERS, reason="2 rows less in orders.")
    notices.drill_ended(proof.task)

    delivery = Delivery.objects.get()
    assert (delivery.event, delivery.title) == ("proof_bad", "Backup proved bad")
    assert f"File: {SHOP}" in delivery.text
    assert "2 rows less in orders." in delivery.text


def test_a_drill_that_can_not_be_run_is_told_as_a_failure(db, team, proof):
    channel_to(team, "http://127.0.0.1:1/hook")
    Task.objects.filter(pk=proof.task_id).update(status=Status.FAILED, error="No scratch server.")

    notices.drill_ended(Task.objects.get(pk=proof.task_id))

    assert Delivery.objects.get().title == "Drill failed"
    assert "Error: No scratch server." in Delivery.objects.get().text


def test_a_drill_that_could_not_decide_is_told_in_words_of_its_own(db, team, proof):
    """As each does of a MySQL backup where there is only MariaDB to try it with."""
    channel_to(team, "http://127.0.0.1:1/hook")
    reason = "A backup of MySQL can't be tried here."
    Proof.objects.update(verdict=Proof.Verdict.UNDECIDED, reason=reason)

    notices.drill_ended(proof.task)

    delivery = Delivery.objects.get()
    assert (delivery.event, delivery.title) == ("failure", "Backup not proven")
    assert delivery.text.splitlines() == [
        "Database: shop",
        f"File: {SHOP}",
        "Verdict: Undecided: the drill itself could not be run",
        f"Reason: {reason}",
    ]


def test_a_channel_is_told_only_what_it_asks_for(db, team, backup):
    channel_to(team, "http://127.0.0.1:1/a", name="failures", events=[Topic.FAILURE])
    channel_to(team, "http://127.0.0.1:1/b", name="off", enabled=False)
    channel_to(team, "http://127.0.0.1:1/c", name="all")

    end_again(backup)

    assert [delivery.channel.name for delivery in Delivery.objects.all()] == ["all"]


def test_another_team_is_told_nothing(db, stranger, backup):
    channel_to(stranger.teams.get(), "http://127.0.0.1:1/hook")

    end_again(backup)

    assert not Delivery.objects.exists()


def test_any_apprise_address_is_told_too(workers, team, backup):
    with receiving(500) as hook:
        channel_to(team, f"json://{hook.place}{PATH}", kind="apprise")
        end_again(backup)
        delivery = delivered()

    assert delivery.tries == 2
    assert hook.taken[0]["path"].rstrip("/") == PATH
    assert hook.taken[0]["title"] == "Backup completed"
    assert hook.taken[0]["message"].startswith("Database: shop")


def test_an_address_with_nobody_behind_it_is_told_of_without_its_secret():
    with receiving() as gone:
        address = gone.webhook
    with pytest.raises(JobError) as failed:
        slack_service.send(address, "Hello", "")
    assert "can't be reached (Connection refused)" in str(failed.value)
    assert SECRET not in str(failed.value)

    with pytest.raises(JobError) as failed:
        apprise_service.send(f"json://{gone.place}{PATH}", "Hello", "")
    assert SECRET not in str(failed.value)


@pytest.mark.parametrize("status", [302, 400, 403, 404, 410])
def test_a_webhook_that_says_no_is_not_asked_again(status):
    with receiving(status) as slack, pytest.raises(PermanentError, match=str(status)):
        slack_service.send(slack.webhook, "Hello", "")


def test_a_text_can_mention_nobody():
    with receiving() as slack:
        slack_service.send(slack.webhook, "Backup failed", "Error: <!channel> & <https://evil|x>")

    assert slack.texts == [
        "Backup failed\nError: &lt;!channel&gt; &amp; &lt;https://evil|x&gt;",
    ]


@pytest.mark.parametrize(
    ("endpoint", "label"),
    [
        ("http://backup-minio:9000", "MinIO"),
        ("https://s3.eu-central-1.amazonaws.com", "Amazon S3"),
        ("", "Amazon S3"),
        ("https://objects.example.org", "S3"),
    ],
)
def test_a_bucket_that_has_no_name_of_its_own_is_called_by_its_product(bucket, endpoint, label):
    bucket.name = "s3"
    bucket.options = {"bucket": "backups", "prefix": "daily/", "endpoint": endpoint}

    assert words.storage(bucket) == f"{label} (s3://backups/daily/)"


@pytest.mark.parametrize(
    ("kind", "address", "events", "field"),
    [
        ("slack", "", [], "address"),
        ("slack", "hooks.slack.com/services/x", [], "address"),
        ("slack", "file:///etc/passwd", [], "address"),
        ("slack", "http://[", [], "address"),
        ("apprise", "nosuchservice://x", [], "address"),
        ("apprise", "plain words", [], "address"),
        ("slack", "https://hooks.slack.com/services/x", ["nothing"], "events"),
        ("slack", "https://hooks.slack.com/services/x", "success", "events"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(db, team, kind, address, events, field):
    channel = Channel(team=team, name="ops", kind=kind, address=address, events=events)

    with pytest.raises(ValidationError) as refused:
        channel.clean()

    assert list(refused.value.message_dict) == [field]
    assert not address or address not in str(refused.value)
