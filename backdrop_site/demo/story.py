"""The demo itself: a user who registers a database, backs it up, restores it and has it proven."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backdrop_site.demo import shop
from backdrop_site.demo.client import Client
from backdrop_site.demo.screen import Screen, size

RESTORED = "shop_restored"


class DemoError(Exception):
    """What did not go as it should; one sentence."""


class Story:
    """Tells itself on `screen` through `client`, about the database at `port` of this machine."""

    def __init__(self, client: Client, screen: Screen) -> None:
        self._client = client
        self._screen = screen

    def tell(self, *, port: int, password: str) -> None:
        """Raises DemoError or RefusedError unless all of it worked."""
        database, plan = self._register(port, password)
        backup = self._back_up(plan)
        self._restore(backup, database)
        self._prove(backup)

    def _register(self, port: int, password: str) -> tuple[int, int]:
        with self._screen.step("Register the database and a plan for it, over REST"):
            database = self._client.post(
                "/api/databases/",
                {
                    "name": "shop",
                    "host": "127.0.0.1",
                    "port": port,
                    "dbname": shop.DBNAME,
                    "username": shop.OWNER,
                    "password": password,
                },
            )["id"]
            self._client.post(f"/api/databases/{database}/check/")
            destination = self._client.get("/api/destinations/?kind=local")["results"][0]["id"]
            wish = {"name": "shop-demo", "database": database, "destination": destination}
            plan = self._client.post("/api/plans/", wish)["id"]
        return database, plan

    def _back_up(self, plan: int) -> str:
        backup = self._client.post(f"/api/plans/{plan}/run/")
        self._follow("Back it up", backup)
        receipt = self._client.get(f"/api/backups/{backup['id']}/")
        if not receipt["complete"]:
            raise DemoError("The backup's task ended, but the backup is not complete.")
        self._screen.table(
            {
                "object": receipt["key"],
                "dump": size(receipt["raw_bytes"]),
                "stored": f"{size(receipt['stored_bytes'])} ({receipt['compression']})",
                "sha256": receipt["stored_sha256"],
                "took": _speed(receipt),
            }
        )
        return str(receipt["id"])

    def _restore(self, backup: str, database: int) -> None:
        wish = {"target": database, "dbname": RESTORED}
        restore = self._client.post(f"/api/backups/{backup}/restore/", wish)
        self._follow(f"Restore it beside the original, as {RESTORED}", restore)
        done = self._client.get(f"/api/restores/{restore['id']}/")
        self._screen.table({"took": _speed(done)})

    def _prove(self, backup: str) -> None:
        proof = self._client.post(f"/api/backups/{backup}/prove/")
        self._follow("Restore it into a scratch server and compare, table by table", proof)
        verdict = self._client.get(f"/api/proofs/{proof['id']}/")
        rows = sum(table["rows"] for table in verdict["tables"])
        self._screen.table(
            {
                "verdict": verdict["verdict"],
                "compared": f"{len(verdict['tables'])} tables, {rows:,} rows",
                "took": f"{verdict['duration_seconds']:.1f} s",
            }
        )
        if verdict["verdict"] != "proven":
            raise DemoError(f"The backup is not proven: {verdict['reason']}")

    def _follow(self, title: str, thing: Mapping[str, Any]) -> None:
        status = self._screen.follow(title, self._client.watch(thing["task"]["id"]))
        if status["status"] != "succeeded":
            raise DemoError(f"{title}: {status['status']}. {status['error'] or ''}".strip())
        self._screen.say(f"✓ {title}")


def _speed(done: Mapping[str, Any]) -> str:
    seconds = done["duration_seconds"]
    return f"{seconds:.1f} s, {size(done['raw_bytes'] / max(seconds, 0.001))}/s"
