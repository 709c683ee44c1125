"""The command `backdrop`, and what every command of it takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from backdrop_site.cli.daemon import DEFAULT, Daemon, Target, is_loopback
from backdrop_site.cli.errors import INTERRUPTED, CommandError
from backups.rpc import backup_pb2 as pb

Command = TypeVar("Command", bound=Callable[..., Any])

EPILOG = """\b
Start here:
  backdrop login                     once; the token is kept for you
  backdrop databases                 what can be backed up
  backdrop backup postgres-db        and wait, with a progress bar
  backdrop list                      what was stored
  backdrop restore ID --into copy    beside the original
  backdrop verify ID                 restore it elsewhere and compare
  backdrop upload a.csv --wait       have a file worked on
  backdrop doctor                    when something is wrong

\b
Exit code: 0 it worked, 1 the work failed or was refused, 2 wrong usage,
3 not logged in or not allowed, 4 no daemon answers, 130 interrupted.
"""


FIRST = ("login", "backup", "watch", "cancel", "list", "show", "restore", "verify", "databases")


class Backdrop(click.Group):
    """Ctrl-C ends it with 130, whatever it was doing."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            raise CommandError("Interrupted.", exit_code=INTERRUPTED, code="INTERRUPTED") from None

    def list_commands(self, context: click.Context) -> list[str]:
        """What one needs first, first."""
        return [*FIRST, *(name for name in self.commands if name not in FIRST)]


@click.group(cls=Backdrop, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--address",
    envvar="BACKDROP_ADDRESS",
    default=DEFAULT,
    show_default=True,
    metavar="HOST:PORT",
    help="Where the daemon listens (BACKDROP_ADDRESS).",
)
@click.option(
    "--tls/--plaintext",
    envvar="BACKDROP_TLS",
    default=None,
    help="Default: TLS, except to this machine (BACKDROP_TLS=true or false).",
)
@click.option(
    "--ca",
    envvar="BACKDROP_CA",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificate to trust, when it is of your own making (BACKDROP_CA).",
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text; commands take it too.")
@click.pass_context
def cli(
    context: click.Context, address: str, tls: bool | None, ca: Path | None, as_json: bool
) -> None:
    """Back up databases, restore the backups, and have them proven.

    It talks to Backdrop's daemon over gRPC. BACKDROP_TOKEN, where set, is used in place of the
    login that is kept.
    """
    context.meta["json"] = as_json
    context.obj = connect(address, tls, ca)


def connect(address: str, tls: bool | None, ca: Path | None) -> Daemon:
    if ":" not in address:
        address = f"{address}:{DEFAULT.rpartition(':')[2]}"
    if tls is None:
        tls = ca is not None or not is_loopback(address)
    return Daemon(Target(address=address, tls=tls, authority=ca))


def command(name: str, *, group: click.Group = cli, **settings: Any) -> Callable[[Command], Any]:
    """Decorator: a command whose function gets the Daemon, and whether JSON is wanted."""

    def register(function: Command) -> Any:
        @group.command(name, **settings)
        @click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
        @wraps(function)
        def run(as_json: bool, **arguments: Any) -> Any:
            context = click.get_current_context()
            root = context.find_root()
            root.meta["json"] = as_json = as_json or root.meta.get("json", False)
            return function(context.obj, as_json, **arguments)

        return run

    return register


def database_names(context: click.Context, param: Any, incomplete: str) -> list[str]:
    """For the shell's completion: silent where nobody answers at once."""
    given = context.find_root().params
    try:
        daemon = connect(given["address"], given["tls"], given["ca"])
        found = daemon.call("ListDatabases", pb.ListDatabasesRequest(), timeout=1.0)
    except Exception:  # of whatever kind: a shell is no place for our errors
        return []
    return [one.name for one in found.databases if one.name.startswith(incomplete)]
