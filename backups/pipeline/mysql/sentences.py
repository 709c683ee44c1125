"""What MySQL's and MariaDB's programs say, put into a sentence with a remedy."""

from __future__ import annotations

from dataclasses import replace

from backups.pipeline import telling
from backups.pipeline.mysql.connection import MysqlServer
from backups.pipeline.telling import Rule, Told

RIGHTS = "SELECT, SHOW VIEW, TRIGGER, EVENT"
_NETWORK = "Start the server, or correct host and port; look for a firewall in between."
_GRANT = f"GRANT {RIGHTS} on the database to that user."

_CONNECTING = (
    Rule(
        r"Name or service not known|Unknown (?:MySQL |MariaDB )?server host|name resolution"
        r"|No address associated",
        "The host name of {place} can't be resolved.",
        "Correct the host name, or look after this machine's name resolution.",
    ),
    Rule(
        r"Connection refused|No such file or directory|Can't connect to .*\((?:111|2)\b",
        "Nothing listens at {place}.",
        _NETWORK,
    ),
    Rule(
        r"timed out|No route to host|[Nn]etwork is unreachable|\(110\b",
        "{place} does not answer.",
        _NETWORK,
    ),
    Rule(
        r"Access denied for user '.*?'@'.*?' to database '(.+?)'",
        "User {user} may not use database {0} at {place}, or there is none of that name.",
        f"Correct the name of the database, or {_GRANT}",
        permanent=True,
    ),
    Rule(
        r"Access denied for user .*\(using password|\b1698\b",
        "The server at {place} refused user {user}: the password is wrong or missing.",
        "Correct user name and password; see from which hosts the server lets that user in, and"
        " whether it wants TLS.",
        permanent=True,
    ),
    Rule(
        r"Unknown database '(.+?)'",
        "The server at {place} has no database {0}.",
        "Correct the name of the database, or create it.",
        permanent=True,
    ),
    Rule(
        r"Host '(.+?)' is not allowed to connect",
        "The server at {place} lets nobody in from this machine ({0}).",
        "Create the user for that host ('name'@'%', say).",
        permanent=True,
    ),
    Rule(
        r"is blocked because of many connection errors",
        "The server at {place} has shut this machine out after many broken connections.",
        "Run FLUSH HOSTS there.",
    ),
    Rule(
        r"server (?:does not|doesn't) support (?:SSL|TLS|secure)|(?:SSL|TLS) is required"
        r"|(?:SSL|TLS) connection.*but the server",
        "The server at {place} has no TLS, but the TLS mode requires it.",
        "Switch TLS on in the server (ssl_cert, ssl_key), or choose the TLS mode prefer.",
        permanent=True,
    ),
    Rule(
        r"certificate verify failed|self.signed certificate|certificate.*failed"
        r"|[Hh]ostname mismatch",
        "The server's TLS certificate at {place} was not accepted: {message}",
        "Put the authority's certificate into ~/.mysql/root.crt of the worker's user and use the"
        " host name that the certificate names, or choose the TLS mode require.",
        permanent=True,
    ),
    Rule(
        r"insecure transport",
        "The server at {place} takes encrypted connections only.",
        "Choose the TLS mode require.",
        permanent=True,
    ),
    Rule(
        r"Too many connections|max_user_connections|resource \(current value",
        "The server at {place} has no free connection left.",
        "Raise max_connections or the user's limit, or end idle sessions.",
    ),
    Rule(
        r"password has expired",
        "The password of user {user} at {place} has expired.",
        "Set a new one.",
        permanent=True,
    ),
    Rule(
        r"(?:Authentication plugin|Plugin) '?(\w+)'? (?:cannot|could not|is not|not)",
        "User {user} at {place} logs in by {0}, which this machine's client does not know.",
        "Let the user log in by a password (caching_sha2_password, mysql_native_password).",
        permanent=True,
    ),
    Rule(
        r"Packet sequence number wrong|[Pp]ackets out of order|[Pp]rotocol mismatch",
        "What listens at {place} is neither MySQL nor MariaDB.",
        "Correct host and port.",
        permanent=True,
    ),
)

_DUMPING = (
    Rule(
        r"you need \(at least one of\) the (.+?) privilege",
        "User {user} lacks the privilege {0} in {dbname}.",
        _GRANT,
        permanent=True,
    ),
    Rule(
        r"insufficient privileges to SHOW CREATE (\w+) [`'](.+?)[`']",
        "User {user} may not read the source of {0} {1} in {dbname}.",
        "GRANT SELECT ON mysql.proc to that user (MariaDB), or SHOW_ROUTINE ON *.* (MySQL).",
        permanent=True,
    ),
    Rule(
        r"(\w[\w ]*?) command denied to user .* for (\w+) (\S+)",
        "User {user} may not {0} {1} {2}.",
        _GRANT,
        permanent=True,
    ),
    Rule(
        r"specified as a definer \('(.+?)'\) does not exist",
        "{dbname} has a view or routine that belongs to {0}, and there is no such user any more.",
        "Create that user, or give the view another DEFINER.",
        permanent=True,
    ),
    Rule(
        r"View '(.+?)' references invalid",
        "View {0} refers to something that is not there any more, or that its definer may not use.",
        "Mend or drop that view.",
        permanent=True,
    ),
    Rule(
        r"Lock wait timeout exceeded",
        "A table of {dbname} stayed locked for longer than the server waits.",
        "Run the backup when no migration holds its lock.",
    ),
    Rule(
        r"Table definition has changed",
        "A table of {dbname} was altered while it was dumped.",
        "Run the backup when no migration runs.",
    ),
    Rule(
        r"Table '(.+?)' (?:is marked as crashed|doesn't exist in engine)"
        r"|Incorrect key file .*'(.+?)'",
        "Table {0} is damaged.",
        "REPAIR TABLE, or restore it.",
        permanent=True,
    ),
    Rule(
        r"Lost connection to .*during query",
        "The server at {place} ended the connection in the middle.",
        "See in its log whether it was stopped or ran out of memory; where the destination was"
        " slow, raise the server's net_write_timeout.",
    ),
)

_LOST = Rule(
    r"Lost connection|server has gone away|[Ss]hutdown in progress|Connection was killed"
    r"|[Bb]roken pipe|Connection reset",
    "The server at {place} ended the connection in the middle.",
    "See in its log whether it was stopped or restarted, or ran out of memory.",
    lacking=True,
)

_RESTORING = (
    Rule(
        r"Unknown (collation|character set): '(.+?)'",
        "The server at {place} does not know the {0} {1}: it is older than the dump, or of another"
        " kind.",
        "Restore into a server like the one that was backed up.",
        permanent=True,
        lacking=True,
    ),
    Rule(
        r"(?:Unknown storage engine|[Ss]torage engine) '?(\w+)'?",
        "The server at {place} lacks the storage engine {0}.",
        "Install its plugin on that server.",
        permanent=True,
        lacking=True,
    ),
    Rule(
        r"Unknown system variable '(.+?)'",
        "The server at {place} does not know the setting {0}: it is older than the dump.",
        "Restore into a newer server.",
        permanent=True,
        lacking=True,
    ),
    Rule(
        r"event scheduler is disabled",
        "The server at {place} takes no events, of which the dump has some.",
        "Start it with event_scheduler OFF or ON instead of DISABLED.",
        permanent=True,
        lacking=True,
    ),
    Rule(
        r"No space left on device|[Ee]rrcode: 28|errno: 28|The table '.*?' is full",
        "The server at {place} has no room left: {message}",
        "Free space on the server's disk, then restore again.",
        lacking=True,
    ),
    Rule(
        r"max_allowed_packet",
        "The server at {place} takes no rows as large as those of the dump.",
        "Raise its max_allowed_packet (up to 1G), then restore again.",
        permanent=True,
        lacking=True,
    ),
    Rule(
        r"you need \(at least one of\) the (.+?) privilege",
        "User {user} at {place} lacks the privilege {0}, which the dump's views, triggers or"
        " routines ask for.",
        "Restore as an administrator, or GRANT SET USER (MySQL: SET_USER_ID) to that user.",
        permanent=True,
    ),
    Rule(
        r"Access denied for user '.*?'@'.*?' to database '(.+?)'",
        "User {user} may not create a database at {place} to restore into.",
        "Restore as an administrator, or GRANT ALL on databases of that name and on"
        " `name\\_\\_restoring\\_%` to that user.",
        permanent=True,
    ),
    Rule(
        r"Unknown command '|[Ss]andbox",
        "The dump contains commands for the client itself, which are not carried out.",
        "Look at where this dump comes from before you restore it by hand.",
        permanent=True,
    ),
)


def connecting(server: MysqlServer, message: str) -> Told:
    """Why there is no connection."""
    return telling.first(server, message, (*_CONNECTING, _LOST)) or Told(
        sentence=f"No connection to {server}: {telling.plain(server, message)}"
    )


def dumping(server: MysqlServer, program: str, message: str) -> Told:
    """Why the dump program ended."""
    return telling.first(server, message, (*_DUMPING, *_CONNECTING, _LOST)) or Told(
        sentence=f"{program} of {server} failed: {telling.plain(server, message)}"
    )


def restoring(server: MysqlServer, message: str) -> Told:
    """Why a restore ended: the client's words, or the server's to one of our own commands."""
    unreachable = tuple(replace(rule, lacking=True) for rule in _CONNECTING)
    return telling.first(server, message, (*_RESTORING, *unreachable, _LOST)) or Told(
        sentence=f"{server.place} did not take the dump: {telling.plain(server, message)}",
        remedy="If the dump comes from a newer version, restore into a server of that version.",
    )
