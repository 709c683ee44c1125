"""Pages fit a phone and a desk, light and dark, can be used by keyboard, and stay legible."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from backups.models import Backup, Channel, Delivery, Proof, Schedule
from tasks.models import Event, Task
from tasks.states import Status
from tests.browser.conftest import DESK, PHONE, photograph

LONG = "a-database-with-a-name-of-sixty-three-letters-that-nobody-breaks"[:63]

CONTRAST = """
() => {
  const light = (c) => {
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = c.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const parse = (s) => s.match(/[\\d.]+/g).map(Number);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const c = parse(getComputedStyle(at).backgroundColor);
      if (c.length < 4 || c[3] > 0.99) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !node.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color).slice(0, 3)), light(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${walk.currentNode.textContent.trim()}: ${ratio.toFixed(2)}`);
  }
  return poor;
}
"""
UNNAMED = """
() => ["a", "button", "input:not([type=hidden])", "select", "summary", "progress"]
  .flatMap((kind) => [...document.querySelectorAll(kind)])
  .filter((node) => node.checkVisibility())
  .filter((node) => !(node.textContent.trim() || node.ariaLabel || node.labels?.length))
  .map((node) => node.outerHTML)
"""
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def addresses(plan) -> list[str]:
    """Pages that are full of everything, long names included."""
    plan.database.name = LONG
    plan.database.host = f"{LONG}.{LONG}.example.org"
    plan.database.save()
    failed = work(plan, Status.FAILED, error=f"{LONG} did not answer. Look at the firewall.")
    moving = work(plan, Status.RUNNING, progress_done=3_000_000, progress_total=9_000_000)
    Task.objects.filter(pk=moving.pk).update(progress_rate=1e6, message=f"public.{LONG}")
    Event.objects.create(task=moving, seq=2, kind="log", message=f"public.{LONG}" * 3)
    work(plan, Status.QUEUED)
    good = receipt(plan)
    Schedule.objects.create(team=plan.team, plan=plan, cron="0 2 * * *", error=f"{LONG}. " * 3)
    channel = told(plan)
    return [
        "/",
        "/databases/",
        f"/databases/{plan.database_id}",
        f"/databases/{plan.database_id}/edit",
        "/destinations/",
        f"/destinations/{plan.destination_id}",
        "/destinations/new",
        "/plans/",
        "/plans/new",
        "/schedules/",
        "/schedules/new",
        "/notifications/",
        f"/notifications/{channel.pk}",
        f"/notifications/{channel.pk}/edit",
        "/backups/",
        f"/backups/{good.pk}",
        f"/backups/{good.pk}/restore",
        "/tasks/",
        f"/tasks/{moving.pk}",
        f"/tasks/{failed.pk}",
        "/login",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_it_works(visit, owner, addresses, viewport, scheme):
    page = visit(owner, viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    for number, address in enumerate(addresses):
        page.goto(address)
        photograph(page, f"{number:02}-{viewport['width']}-{scheme}")
        assert page.evaluate(WIDER) == 0, f"{address} is wider than the screen"
        assert page.evaluate(CONTRAST) == [], address
        assert page.evaluate(UNNAMED) == [], address


@pytest.mark.parametrize("width", [740, 900, 1160, 1279, 1281])
def test_the_menu_fits_between_phone_and_desk(visit, owner, width):
    page = visit(owner, viewport={"width": width, "height": 600})
    assert page.evaluate(WIDER) == 0


def test_the_first_key_leads_past_the_menu(visit, owner):
    page = visit(owner)
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_a_backup_can_be_started_with_keys_alone(visit, owner, plan):
    page = visit(owner)
    for _ in range(40):
        page.keyboard.press("Tab")
        if focused(page) == "Back up now":
            break
    ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ring == "solid"
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("Backing up shop.").wait_for()
    assert Backup.objects.count() == 1


def test_escape_closes_the_menu(visit, owner):
    page = visit(owner)
    page.get_by_text("owner").click()
    out = page.get_by_role("button", name="Log out")
    out.wait_for()
    page.keyboard.press("Escape")
    assert not out.is_visible()
    assert focused(page) == "owner"


def test_the_form_of_a_destination_shows_what_its_kind_wants(visit, owner):
    page = visit(owner)
    page.goto("/destinations/new")
    folder, bucket = page.get_by_label("Folder"), page.locator("#id_s3-bucket")
    assert folder.is_visible()
    assert not bucket.is_visible()
    page.get_by_label("Kind").select_option("s3")
    assert bucket.is_visible()
    assert not folder.is_visible()
    assert page.get_by_label("Bucket", exact=True).locator("visible=true").count() == 1


def test_the_form_of_a_database_follows_its_engine(visit, owner, shop):
    page = visit(owner)
    page.goto("/databases/new")
    engine, port, tls = (page.get_by_label(label) for label in ("Engine", "Port", "TLS"))
    assert port.get_attribute("placeholder") == "5432"
    assert page.get_by_text("In PostgreSQL a role").is_visible()
    tls.select_option("allow")

    engine.select_option("mysql")

    assert port.get_attribute("placeholder") == "3306"
    assert tls.input_value() == "", "a word that MySQL does not know"
    assert not page.get_by_text("In PostgreSQL a role").is_visible()
    assert page.get_by_text("In MySQL").is_visible()
    photograph(page, "database-mysql")

    page.goto(f"/databases/{shop.pk}/edit")
    port.fill("5432")
    engine.select_option("mysql")
    assert port.input_value() == ""
    port.fill("5499")
    engine.select_option("postgres")
    assert port.input_value() == "5499"


def test_trying_out_a_connection_keeps_what_was_typed(visit, owner, shop, postgres15):
    page = visit(owner)
    page.goto("/databases/new")
    for label, value in (
        ("Name", "again"),
        ("Host", shop.host),
        ("Port", str(shop.port)),
        ("Database name", shop.dbname),
        ("User", shop.username),
        ("Password", shop.password.reveal()),
    ):
        page.get_by_label(label, exact=label == "Name").fill(value)
    page.get_by_role("button", name="Test connection").click()
    page.get_by_text("Connected: PostgreSQL 15").wait_for()
    assert page.get_by_label("Password").input_value() == shop.password.reveal()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="again", level=1).wait_for()


def focused(page) -> str:
    return page.evaluate("document.activeElement.textContent.trim()")


def work(plan, status: Status, **fields) -> Task:
    ended = timezone.now() if status == Status.FAILED else None
    task = Task.objects.create(
        team=plan.team,
        job="backup",
        title=f"Back up {plan.database.name}",
        status=status,
        attempt=1,
        started_at=timezone.now(),
        finished_at=ended,
        # Nobody may take it up, nor give it up for lost.
        queue="nobody",
        lease_expires_at=timezone.now() + timedelta(hours=1),
        **fields,
    )
    Backup.objects.create(
        team=plan.team,
        plan=plan,
        database=plan.database,
        destination=plan.destination,
        task=task,
    )
    return task


def told(plan) -> Channel:
    """A channel with messages of each kind, and one that was told nothing yet."""
    Channel.objects.create(
        team=plan.team, name="mail", kind="apprise", address="mailto://x:y@example.org", events=[]
    )
    channel = Channel.objects.create(
        team=plan.team, name=LONG, address="https://hooks.slack.com/services/x", enabled=False
    )
    for number, state in enumerate(Delivery.State.values):
        Delivery.objects.create(
            channel=channel,
            event="failure",
            subject=f"task:{number}",
            title="Backup failed",
            text=f"Database: {LONG}\nError: {LONG} did not answer.",
            state=state,
            tries=3,
            error=f"{LONG}. " * 3 if state == Delivery.State.FAILED else "",
        )
    return channel


def receipt(plan) -> Backup:
    tables = {f"public.{LONG}_{n}": {"rows": 9, "bytes": 99, "digest": "d" * 64} for n in range(9)}
    backup = Backup.objects.create(
        team=plan.team,
        plan=plan,
        database=plan.database,
        destination=plan.destination,
        completed_at=timezone.now(),
        duration_seconds=3,
        key=f"{LONG}_2026-01-01T00-00-00Z.sql.gz",
        raw_bytes=9_000_000,
        stored_bytes=3_000_000,
        raw_sha256="a" * 64,
        stored_sha256="b" * 64,
        compression="gzip",
        server_version="15.8",
        tables=tables,
    )
    Proof.objects.create(
        team=plan.team,
        backup=backup,
        verdict=Proof.Verdict.DIFFERS,
        reason=f"public.{LONG}_0 came back with 8 of 9 rows.",
        completed_at=timezone.now(),
        duration_seconds=2,
        tables=[
            {"table": name, "rows": 9, "rows_restored": 8, "verdict": "differs"} for name in tables
        ],
    )
    return backup
