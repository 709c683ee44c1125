"""login, logout, completion."""

from __future__ import annotations

import sys

import click
from click.shell_completion import get_completion_class

from backdrop_site.cli import credentials
from backdrop_site.cli.daemon import Daemon
from backdrop_site.cli.group import cli, command
from backdrop_site.cli.screen import put_json

SHELLS = ("bash", "zsh", "fish")


@command("login", epilog="In scripts: backdrop login --username ada --password-stdin < file")
@click.option("--username", help="A name or an e-mail address; asked for when left out.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def login(daemon: Daemon, as_json: bool, username: str | None, password_stdin: bool) -> None:
    """Log in; the token is kept in a file that only you can read, and renewed by itself."""
    if not (username and password_stdin) and not sys.stdin.isatty():
        raise click.UsageError(
            "There is no terminal to ask at: give --username NAME and --password-stdin."
        )
    name = username or click.prompt("User name", err=True)
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, err=True)
    daemon.log_in(name, password)
    if as_json:
        put_json({"username": name, "address": daemon.target.address})
    else:
        click.echo(f"Logged in as {name} at {daemon.target.address} ({credentials.path()}).")


@command("logout")
def logout(daemon: Daemon, as_json: bool) -> None:
    """Forget the token, here and at the daemon."""
    was = daemon.log_out()
    if as_json:
        put_json({"was_logged_in": was})
    else:
        click.echo("Logged out." if was else "Nobody was logged in.")


@command(
    "completion",
    epilog='For bash: eval "$(backdrop completion bash)", in ~/.bashrc',
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(daemon: Daemon, as_json: bool, shell: str) -> None:
    """Print what makes your SHELL complete commands, options and names of databases."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click knows all of SHELLS
    source = kind(cli, {}, "backdrop", "_BACKDROP_COMPLETE").source()
    if as_json:
        put_json({"shell": shell, "source": source})
    else:
        click.echo(source)
