"""Accounts without rights, for servers of our own: a dump is a program."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from backups.pipeline.errors import ScratchError

Account = tuple[int, int]
# `nobody` first: the others may own this machine's databases.
_ACCOUNTS = ("nobody", "postgres", "mysql")


def account() -> Account | None:
    """Whom a server runs as in our place; None where we are not root."""
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return found.pw_uid, found.pw_gid
    raise ScratchError(
        "A scratch server does not run as root, and there is no unprivileged account to run it as.",
        remedy="Create one: useradd --system nobody.",
        permanent=True,
    )


def can_enter(folder: Path, account: Account) -> bool:
    """Whether that account may pass through every folder on the way."""
    folder = folder.resolve()
    return all(_may_pass(each.stat(), account) for each in (folder, *folder.parents))


def _may_pass(found: os.stat_result, account: Account) -> bool:
    uid, gid = account
    if found.st_uid == uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)
