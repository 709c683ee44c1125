"""Which rows a request means. All of it asks the database; raises StatusError."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts.policy import Verb
from backups.models import Backup, Database, Plan, Proof, Restore
from backups.rpc.callers import Caller
from backups.rpc.refusals import StatusError

BESIDE = ("team", "database", "plan", "destination", "task")
"""What is read with a backup to tell of it."""

Work = Backup | Restore | Proof


def database(caller: Caller, *, name: str, team: str = "") -> Database:
    """The database of that name; without a name the only one there is."""
    rows = caller.sees(Database.objects.select_related("team"))
    if team:
        rows = rows.filter(team__name=team)
    if not name:
        return _only(rows)
    found = list(rows.filter(name=name)[:2])
    if not found:
        where = f" in a team called {team}" if team else ""
        raise StatusError.missing(f"There is no database called {name}{where}.")
    if len(found) > 1:
        raise StatusError.invalid(
            f"Several teams have a database called {name}: say which, in `team`."
        )
    return found[0]


def _only(rows: QuerySet[Database]) -> Database:
    names = sorted(rows.values_list("name", flat=True)[:6])
    if len(names) == 1:
        return rows.get()
    if not names:
        raise StatusError.invalid("No database is registered.")
    more = ", …" if len(names) > 5 else ""
    raise StatusError.invalid(f"Say which database: {', '.join(names[:5])}{more}.")


def plan(caller: Caller, request: Any) -> Plan:
    """The plan to run: named, or the only one of its database that is enabled."""
    if request.plan_id:
        rows = caller.sees(Plan.objects.select_related("team", "database", "destination"))
        found = rows.filter(pk=request.plan_id).first()
        if found is None:
            raise StatusError.missing(f"There is no plan number {request.plan_id}.")
        if request.database and found.database.name != request.database:
            raise StatusError.invalid(f"Plan {found.pk} is one of {found.database.name}.")
    else:
        found = _plan_of(database(caller, name=request.database, team=request.team), request.plan)
    caller.must(Verb.RUN, found)
    return found


def _plan_of(base: Database, name: str) -> Plan:
    plans = list(base.plans.select_related("team", "database", "destination"))
    enabled = [one for one in plans if one.enabled]
    chosen = [one for one in plans if one.name == name] if name else enabled or plans
    if len(chosen) > 1:  # the one that a first start made has its database's name
        chosen = [one for one in chosen if one.name == base.name] or chosen
    if len(chosen) == 1:
        return chosen[0]
    if name:
        raise StatusError.missing(f"{base.name} has no plan called {name}.")
    if not chosen:
        raise StatusError.precondition(f"{base.name} has no plan yet. Make one in the dashboard.")
    names = ", ".join(sorted(one.name for one in chosen))
    raise StatusError.invalid(f"{base.name} has several plans ({names}): say which, in `plan`.")


def backup(caller: Caller, raw: str) -> Backup:
    rows = Backup.objects.select_related(*BESIDE)
    found = caller.sees(rows.filter(pk=identifier(raw))).first()
    if found is None:
        raise StatusError.missing(f"There is no backup {raw}.")
    return found


def newest(caller: Caller, base: Database) -> Backup:
    found = caller.sees(base.backups.select_related("task")).order_by("-created_at").first()
    if found is None:
        raise StatusError.missing(f"No backup of {base.name} has been started yet.")
    return found


def work(caller: Caller, raw: str) -> Work:
    """The backup, restore or proof of that id."""
    pk = identifier(raw)
    for model in (Backup, Restore, Proof):
        rows: QuerySet[Any] = model.objects.select_related("team", "task")
        found: Work | None = caller.sees(rows.filter(pk=pk)).first()
        if found is not None:
            return found
    raise StatusError.missing(f"There is no backup, restore or proof {raw}.")


def identifier(raw: str) -> UUID:
    if not raw:
        raise StatusError.invalid("Say which, in `backup_id`.")
    try:
        return UUID(raw)
    except ValueError:
        raise StatusError.invalid(f"{raw[:60]!r} is no id; a list tells them.") from None
