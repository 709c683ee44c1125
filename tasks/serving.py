"""The child's side of a shared process: one attempt after another, as long as none leaves anything.

Between two attempts nothing of Backdrop's runs here, and SIGTERM ends it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

from django.db import connections

from tasks import child, processes, registry, reports, traces
from tasks.models import Task
from tasks.reports import Board

logger = logging.getLogger(__name__)

IDLE = "backdrop-share"


def main(control: socket.socket, board: Board) -> NoReturn:
    """Serve until the other end goes, or this process isn't fit to go on."""
    try:
        child.settle_in(IDLE)
        wear = traces.Wear()
        traces.tidy()
        clean = traces.look()  # attempts that change it have no successor here
        while received := _receive(control):
            task, end = received
            with end:
                if not _serve(task, end, board, wear, clean):
                    break
    except BaseException as error:
        logger.error("A shared process failed with %s", type(error).__name__)
    finally:
        with suppress(Exception):
            connections.close_all()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(0)


def order_of(task: Task) -> bytes:
    """What a shared process must know of an attempt, in a packet."""
    order = {"job": task.job, "id": str(task.pk), "attempt": task.attempt, "args": task.args}
    return json.dumps(order).encode()


def _receive(control: socket.socket) -> tuple[Task, socket.socket] | None:
    data, handles, _, _ = socket.recv_fds(control, reports.PACKET_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    order = json.loads(data)
    task = Task(id=order["id"], job=order["job"], attempt=order["attempt"], args=order["args"])
    return task, socket.socket(fileno=handles[0])


def _serve(
    task: Task,
    end: socket.socket,
    board: Board,
    wear: traces.Wear,
    clean: Mapping[str, Any],
) -> bool:
    """Run one attempt and tell what it left; whether the process is as good as new."""
    processes.name_this(processes.title_of(task.pk))
    traces.tidy()
    sound = child.run(registry.get(task.job), child.Report(task, end, board), end)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if not sound:
        return False
    left = traces.left(clean)
    if left:
        told = "Task %s (%s) left in its shared process: %s. The process is replaced."
        logger.warning(told, task.pk, task.job, ", ".join(left))
    fit = not left and not wear.add()
    processes.name_this(IDLE)
    reports.send(end, "free", fit=fit)
    return fit
