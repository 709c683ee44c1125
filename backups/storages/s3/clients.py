"""The connections to a bucket's server, made from a django-storages backend's settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.config import Config
from storages.backends.s3 import S3Storage

from backups.storages.parts import part_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long to wait, and how much to send at once."""

    patience: float = 5.0
    """Seconds for which a failing call is made again."""
    connect_seconds: float = 5.0
    """Also for each piece of 128 KiB that is sent over a new connection (urllib3 does it so)."""
    answer_seconds: float = 10.0
    """For the answer to a small request."""
    data_seconds: float = 30.0
    """For the answer to a part or a completion, and for each block that is read."""
    part_size: Callable[[int], int] = part_size


class Clients:
    """Two boto3 clients of one session, which differ in how long they wait; both can be used from
    several threads. Made when first needed, so that nothing is open before a fork."""

    def __init__(self, storage: S3Storage, limits: Limits) -> None:
        self._storage, self._limits = storage, limits

    @cached_property
    def quick(self) -> Any:
        """For requests that a server answers at once."""
        return self._client(self._limits.answer_seconds)

    @cached_property
    def patient(self) -> Any:
        """For requests that move data."""
        return self._client(self._limits.data_seconds)

    @cached_property
    def _session(self) -> Any:
        return self._storage._create_session()  # one for both: each costs 0.1 s and 15 MiB

    def _client(self, answer_seconds: float) -> Any:
        waiting = Config(
            connect_timeout=self._limits.connect_seconds,
            read_timeout=answer_seconds,
            retries={"total_max_attempts": 1, "mode": "standard"},  # `Caller` does that
            tcp_keepalive=True,
        )
        return self._session.client(
            "s3",
            endpoint_url=self._storage.endpoint_url,
            region_name=self._storage.region_name,
            use_ssl=self._storage.use_ssl,
            verify=self._storage.verify,
            config=self._storage.client_config.merge(waiting),
        )
