"""The command `backdrop`, and what every command of it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from backdrop_site.cli.daemon import DEFAULT, connect
from backdrop_site.cli.errors import INTERRUPTED, WRONG_USAGE, CommandError
from backdrop_site.cli.values import Address, Authority

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


@contextmanager
def usage_as_json(*, wanted: bool) -> Iterator[None]:
    """What is typed wrongly comes out before any option is known to be there."""
    try:
        yield
    except click.UsageError as error:
        if not wanted:
            raise
        sentence = error.format_message()
        raise CommandError(sentence, exit_code=WRONG_USAGE, code="USAGE", as_json=True) from None


class Backdrop(click.Group):
    """Ctrl-C ends it with 130, whatever it was doing; what is typed wrongly is told as JSON too."""

    _wants_json = False

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **more: Any,
    ) -> click.Context:
        self._wants_json = "--json" in args
        with usage_as_json(wanted=self._wants_json):
            return super().make_context(info_name, args, parent, **more)

    def invoke(self, context: click.Context) -> Any:
        try:
            with usage_as_json(wanted=self._wants_json):
                return super().invoke(context)
        except (KeyboardInterrupt, click.Abort):  # the latter at a question
            raise CommandError("Interrupted.", exit_code=INTERRUPTED, code="INTERRUPTED") from None
        except UnicodeEncodeError:
            raise CommandError("That is not UTF-8.", exit_code=WRONG_USAGE, code="USAGE") from None

    def list_commands(self, context: click.Context) -> list[str]:
        """What one needs first, first."""
        return [*FIRST, *(name for name in self.commands if name not in FIRST)]


@click.group(cls=Backdrop, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--address",
    envvar="BACKDROP_ADDRESS",
    type=Address(),
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
    type=Authority(exists=True, dir_okay=False, path_type=Path),
    help="Certificate of the authority to trust, when it is your own (BACKDROP_CA).",
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
    if ca is not None and tls is False:
        raise click.UsageError("--ca is for TLS: leave out --plaintext, or --ca.")
    context.obj = connect(address, tls, ca)


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
