"""What PostgreSQL's programs say, put into a sentence with a remedy.

The programs run with English messages; a server may speak another language, and then its own
words are given without a remedy.
"""

from __future__ import annotations

from dataclasses import replace

from backups.pipeline import telling
from backups.pipeline.postgres.connection import PostgresServer
from backups.pipeline.telling import Rule, Told

_NETWORK = "Start the server, or correct host and port; look for a firewall in between."
_CONNECTING = (
    Rule(
        r"Connection refused|/\.s\.PGSQL\.\d+\" failed: No such file",
        "Nothing listens at {place}.",
        _NETWORK,
    ),
    Rule(
        r"could not translate host name \"(.+?)\"|failed to resolve host '(.+?)'",
        "The host name {0} can't be resolved.",
        "Correct the host name, or look after this machine's name resolution.",
    ),
    Rule(
        r"timeout expired|timed out|No route to host|[Nn]etwork is unreachable",
        "{place} does not answer.",
        _NETWORK,
    ),
    Rule(
        r"password authentication failed|no password supplied",
        "The server at {place} refused user {user}: the password is wrong or missing.",
        "Correct user name and password.",
        permanent=True,
    ),
    Rule(
        r"role \"(.+?)\" (?:does not exist|is not permitted to log in)",
        "The server at {place} does not let a role {0} log in.",
        "Correct the user name, or create the role with LOGIN.",
        permanent=True,
    ),
    Rule(
        r"database \"(.+?)\" does not exist",
        "The server at {place} has no database {0}.",
        "Correct the name of the database, or create it.",
        permanent=True,
    ),
    Rule(
        r"no pg_hba\.conf entry for (.+)",
        "The server at {place} allows no such connection (no pg_hba.conf entry for {0}).",
        "Add a line for this machine, user and database to the server's pg_hba.conf; where it"
        " wants encryption, set the TLS mode to require.",
        permanent=True,
    ),
    Rule(
        r"permission denied for database",
        "User {user} may not connect to database {dbname} at {place}.",
        "GRANT CONNECT ON DATABASE to that user.",
        permanent=True,
    ),
    Rule(
        r"server does not support SSL",
        "The server at {place} has no TLS, but the TLS mode requires it.",
        "Switch TLS on in the server (ssl = on), or choose the TLS mode prefer.",
        permanent=True,
    ),
    Rule(
        r"certificate verify failed|server certificate for|root certificate file",
        "The server's TLS certificate at {place} was not accepted: {message}",
        "Put the authority's certificate into ~/.postgresql/root.crt of the worker's user and use"
        " the host name that the certificate names, or choose the TLS mode require.",
        permanent=True,
    ),
    Rule(
        r"invalid sslmode value: \"(.*?)\"",
        "There is no TLS mode {0}.",
        "Use disable, allow, prefer, require, verify-ca or verify-full.",
        permanent=True,
    ),
    Rule(
        r"SSL error|SSL SYSCALL error",
        "The encrypted connection to {place} failed: {message}",
        "Look at the server's log.",
    ),
    Rule(
        r"too many clients already|remaining connection slots|too many connections",
        "The server at {place} has no free connection left.",
        "Raise max_connections or the role's limit, or end idle sessions.",
    ),
    Rule(
        r"the database system is (.+)",
        "The server at {place} takes no connections: it is {0}.",
        "Wait until it has started.",
    ),
    Rule(
        r"unsupported startup parameter",
        "{place} is a connection pooler that does not pass on session settings.",
        "Give the address of the server itself: a dump needs one session of its own.",
        permanent=True,
    ),
    Rule(
        r"invalid response to SSL negotiation|expected authentication request",
        "What listens at {place} is not PostgreSQL.",
        "Correct host and port.",
        permanent=True,
    ),
)

_DUMPING = (
    Rule(
        r"server version mismatch",
        "The installed pg_dump is older than the server at {place}.",
        "Install postgresql-client of the server's version.",
        permanent=True,
    ),
    Rule(
        r"permission denied for (\w+(?: \w+)?) (\S+)",
        "User {user} may not read {0} {1} in {dbname}.",
        "GRANT pg_read_all_data TO that user (PostgreSQL 14 and later), or SELECT and USAGE on it.",
        permanent=True,
    ),
    Rule(
        r"row-level security policy for table \"(.+?)\"",
        "User {user} sees only some rows of table {0}, because of its row-level security.",
        "Dump as the owner of the table or a role with BYPASSRLS.",
        permanent=True,
    ),
    Rule(
        r"canceling statement due to (?:statement|lock) timeout",
        "A table of {dbname} stayed locked for longer than the plan waits.",
        "Run the backup when no migration holds its lock, or let the plan wait longer.",
    ),
    Rule(
        r"conflict with recovery",
        "The standby at {place} cancelled the dump, since it was in the way of replication.",
        "Set hot_standby_feedback, raise max_standby_streaming_delay, or dump the primary.",
    ),
)

_LOST = Rule(
    r"server closed the connection|terminating connection|connection to server was lost"
    r"|Connection reset|no connection to the server|[Bb]roken pipe|could not receive data"
    r"|lost synchronization",
    "The server at {place} ended the connection in the middle.",
    "See in its log whether it was stopped or restarted, or ran out of memory.",
    lacking=True,
)

_RESTORING = (
    Rule(
        r"extension \"(.+?)\" (?:is not available|has no installation script)"
        r"|extension control file \"(.+?)\"|could not access file \"(.+?)\"",
        "The server at {place} lacks the extension {0}.",
        "Install its package on that server.",
        permanent=True,
        lacking=True,
    ),
    Rule(
        r"collation \"(.+?)\"(?: for encoding \"\S+\")? does not exist"
        r"|(could not create locale \".+?\")|(invalid locale name: \".+?\")",
        "The server at {place} lacks the collation {0}.",
        "Install the locale on that server's system and run pg_import_system_collations().",
        permanent=True,
        lacking=True,
    ),
    Rule(
        r"[Tt]ablespace \"(.+?)\" does not exist",
        "The server at {place} has no tablespace {0}.",
        "Create it on that server first.",
        permanent=True,
        lacking=True,
    ),
    Rule(
        r"(role|access method|language) \"(.+?)\" does not exist",
        "The server at {place} has no {0} {1}.",
        "Create it on that server first.",
        permanent=True,
        lacking=True,
    ),
    Rule(
        r"unrecognized configuration parameter \"(.+?)\"",
        "The server at {place} does not know the setting {0}: it is older than the dump.",
        "Restore into a newer server.",
        permanent=True,
        lacking=True,
    ),
    Rule(
        r"No space left on device|could not extend file|could not write to file",
        "The server at {place} has no room left: {message}",
        "Free space on the server's disk, then restore again.",
        lacking=True,
    ),
    Rule(
        r"permission denied to create (database|extension)|must be (?:owner|member|superuser)",
        "User {user} may not do at {place} what the dump asks for: {message}",
        "Restore as a superuser or as the role that owns the objects.",
        permanent=True,
    ),
    Rule(
        r"backslash commands are restricted",
        "The dump contains commands for psql itself, which are not carried out.",
        "Look at where this dump comes from before you restore it by hand.",
        permanent=True,
    ),
)


def connecting(server: PostgresServer, message: str) -> Told:
    """Why there is no connection."""
    return telling.first(server, message, (*_CONNECTING, _LOST)) or Told(
        sentence=f"No connection to {server}: {telling.plain(server, message)}"
    )


def dumping(server: PostgresServer, message: str) -> Told:
    """Why pg_dump ended."""
    return telling.first(server, message, (*_DUMPING, *_CONNECTING, _LOST)) or Told(
        sentence=f"pg_dump of {server} failed: {telling.plain(server, message)}"
    )


def restoring(server: PostgresServer, message: str) -> Told:
    """Why a restore ended: psql's words, or the server's to one of our own commands."""
    unreachable = tuple(replace(rule, lacking=True) for rule in _CONNECTING)
    return telling.first(server, message, (*_RESTORING, *unreachable, _LOST)) or Told(
        sentence=f"{server.place} did not take the dump: {telling.plain(server, message)}",
        remedy="If the dump comes from a newer version, restore into a server of that version.",
    )
