import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BackupRequest(_message.Message):
    __slots__ = ("database", "detach", "idempotency_key", "plan", "plan_id", "team", "backup_id")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    DETACH_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    BACKUP_ID_FIELD_NUMBER: _ClassVar[int]
    database: str
    detach: bool
    idempotency_key: str
    plan: str
    plan_id: int
    team: str
    backup_id: str
    def __init__(self, database: _Optional[str] = ..., detach: bool = ..., idempotency_key: _Optional[str] = ..., plan: _Optional[str] = ..., plan_id: _Optional[int] = ..., team: _Optional[str] = ..., backup_id: _Optional[str] = ...) -> None: ...

class BackupResponse(_message.Message):
    __slots__ = ("status", "backup_id", "backup")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BACKUP_ID_FIELD_NUMBER: _ClassVar[int]
    BACKUP_FIELD_NUMBER: _ClassVar[int]
    status: str
    backup_id: str
    backup: Backup
    def __init__(self, status: _Optional[str] = ..., backup_id: _Optional[str] = ..., backup: _Optional[_Union[Backup, _Mapping]] = ...) -> None: ...

class ProgressUpdate(_message.Message):
    __slots__ = ("message", "status", "backup_id", "done", "total", "unit", "percent", "rate", "eta_seconds", "attempt", "max_attempts", "queue_position", "seq", "ended", "error")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BACKUP_ID_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    ETA_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_POSITION_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    message: str
    status: str
    backup_id: str
    done: int
    total: int
    unit: str
    percent: float
    rate: float
    eta_seconds: float
    attempt: int
    max_attempts: int
    queue_position: int
    seq: int
    ended: bool
    error: str
    def __init__(self, message: _Optional[str] = ..., status: _Optional[str] = ..., backup_id: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ..., unit: _Optional[str] = ..., percent: _Optional[float] = ..., rate: _Optional[float] = ..., eta_seconds: _Optional[float] = ..., attempt: _Optional[int] = ..., max_attempts: _Optional[int] = ..., queue_position: _Optional[int] = ..., seq: _Optional[int] = ..., ended: bool = ..., error: _Optional[str] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("backup_id",)
    BACKUP_ID_FIELD_NUMBER: _ClassVar[int]
    backup_id: str
    def __init__(self, backup_id: _Optional[str] = ...) -> None: ...

class Standing(_message.Message):
    __slots__ = ("id", "status", "cancel_requested")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: str
    cancel_requested: bool
    def __init__(self, id: _Optional[str] = ..., status: _Optional[str] = ..., cancel_requested: bool = ...) -> None: ...

class ListBackupsRequest(_message.Message):
    __slots__ = ("database", "status", "page_size", "page_token")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    database: str
    status: str
    page_size: int
    page_token: str
    def __init__(self, database: _Optional[str] = ..., status: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBackupsResponse(_message.Message):
    __slots__ = ("backups", "next_page_token")
    BACKUPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    backups: _containers.RepeatedCompositeFieldContainer[Backup]
    next_page_token: str
    def __init__(self, backups: _Optional[_Iterable[_Union[Backup, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetBackupRequest(_message.Message):
    __slots__ = ("backup_id",)
    BACKUP_ID_FIELD_NUMBER: _ClassVar[int]
    backup_id: str
    def __init__(self, backup_id: _Optional[str] = ...) -> None: ...

class Backup(_message.Message):
    __slots__ = ("id", "database", "plan", "destination", "team", "status", "complete", "created_at", "completed_at", "duration_seconds", "key", "raw_bytes", "stored_bytes", "raw_sha256", "stored_sha256", "compression", "server_version", "error", "tables", "last_proof")
    ID_FIELD_NUMBER: _ClassVar[int]
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    RAW_BYTES_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    RAW_SHA256_FIELD_NUMBER: _ClassVar[int]
    STORED_SHA256_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    LAST_PROOF_FIELD_NUMBER: _ClassVar[int]
    id: str
    database: str
    plan: str
    destination: str
    team: str
    status: str
    complete: bool
    created_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    duration_seconds: float
    key: str
    raw_bytes: int
    stored_bytes: int
    raw_sha256: str
    stored_sha256: str
    compression: str
    server_version: str
    error: str
    tables: _containers.RepeatedCompositeFieldContainer[Table]
    last_proof: Proof
    def __init__(self, id: _Optional[str] = ..., database: _Optional[str] = ..., plan: _Optional[str] = ..., destination: _Optional[str] = ..., team: _Optional[str] = ..., status: _Optional[str] = ..., complete: bool = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duration_seconds: _Optional[float] = ..., key: _Optional[str] = ..., raw_bytes: _Optional[int] = ..., stored_bytes: _Optional[int] = ..., raw_sha256: _Optional[str] = ..., stored_sha256: _Optional[str] = ..., compression: _Optional[str] = ..., server_version: _Optional[str] = ..., error: _Optional[str] = ..., tables: _Optional[_Iterable[_Union[Table, _Mapping]]] = ..., last_proof: _Optional[_Union[Proof, _Mapping]] = ...) -> None: ...

class Table(_message.Message):
    __slots__ = ("name", "rows", "bytes", "digest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    rows: int
    bytes: int
    digest: str
    def __init__(self, name: _Optional[str] = ..., rows: _Optional[int] = ..., bytes: _Optional[int] = ..., digest: _Optional[str] = ...) -> None: ...

class RestoreRequest(_message.Message):
    __slots__ = ("backup_id", "into", "target", "replace", "detach", "idempotency_key")
    BACKUP_ID_FIELD_NUMBER: _ClassVar[int]
    INTO_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    DETACH_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    backup_id: str
    into: str
    target: str
    replace: bool
    detach: bool
    idempotency_key: str
    def __init__(self, backup_id: _Optional[str] = ..., into: _Optional[str] = ..., target: _Optional[str] = ..., replace: bool = ..., detach: bool = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class Restore(_message.Message):
    __slots__ = ("id", "backup_id", "target", "into", "status", "created_at", "completed_at", "duration_seconds", "raw_bytes", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    BACKUP_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    INTO_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RAW_BYTES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    backup_id: str
    target: str
    into: str
    status: str
    created_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    duration_seconds: float
    raw_bytes: int
    error: str
    def __init__(self, id: _Optional[str] = ..., backup_id: _Optional[str] = ..., target: _Optional[str] = ..., into: _Optional[str] = ..., status: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duration_seconds: _Optional[float] = ..., raw_bytes: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ("backup_id", "detach", "idempotency_key")
    BACKUP_ID_FIELD_NUMBER: _ClassVar[int]
    DETACH_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    backup_id: str
    detach: bool
    idempotency_key: str
    def __init__(self, backup_id: _Optional[str] = ..., detach: bool = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class Proof(_message.Message):
    __slots__ = ("id", "backup_id", "status", "verdict", "reason", "created_at", "completed_at", "duration_seconds", "tables", "rows")
    ID_FIELD_NUMBER: _ClassVar[int]
    BACKUP_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    id: str
    backup_id: str
    status: str
    verdict: str
    reason: str
    created_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    duration_seconds: float
    tables: int
    rows: int
    def __init__(self, id: _Optional[str] = ..., backup_id: _Optional[str] = ..., status: _Optional[str] = ..., verdict: _Optional[str] = ..., reason: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duration_seconds: _Optional[float] = ..., tables: _Optional[int] = ..., rows: _Optional[int] = ...) -> None: ...

class ListDatabasesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDatabasesResponse(_message.Message):
    __slots__ = ("databases",)
    DATABASES_FIELD_NUMBER: _ClassVar[int]
    databases: _containers.RepeatedCompositeFieldContainer[Database]
    def __init__(self, databases: _Optional[_Iterable[_Union[Database, _Mapping]]] = ...) -> None: ...

class Database(_message.Message):
    __slots__ = ("id", "name", "team", "engine", "host", "port", "dbname", "plans", "last_backup_at", "last_proven_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    DBNAME_FIELD_NUMBER: _ClassVar[int]
    PLANS_FIELD_NUMBER: _ClassVar[int]
    LAST_BACKUP_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_PROVEN_AT_FIELD_NUMBER: _ClassVar[int]
    id: int
    name: str
    team: str
    engine: str
    host: str
    port: int
    dbname: str
    plans: _containers.RepeatedScalarFieldContainer[str]
    last_backup_at: _timestamp_pb2.Timestamp
    last_proven_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[int] = ..., name: _Optional[str] = ..., team: _Optional[str] = ..., engine: _Optional[str] = ..., host: _Optional[str] = ..., port: _Optional[int] = ..., dbname: _Optional[str] = ..., plans: _Optional[_Iterable[str]] = ..., last_backup_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_proven_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateScheduleRequest(_message.Message):
    __slots__ = ("plan", "action", "cron", "every_seconds", "time_zone", "missed", "overlap", "team")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    EVERY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    plan: str
    action: str
    cron: str
    every_seconds: int
    time_zone: str
    missed: str
    overlap: str
    team: str
    def __init__(self, plan: _Optional[str] = ..., action: _Optional[str] = ..., cron: _Optional[str] = ..., every_seconds: _Optional[int] = ..., time_zone: _Optional[str] = ..., missed: _Optional[str] = ..., overlap: _Optional[str] = ..., team: _Optional[str] = ...) -> None: ...

class ListSchedulesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSchedulesResponse(_message.Message):
    __slots__ = ("schedules",)
    SCHEDULES_FIELD_NUMBER: _ClassVar[int]
    schedules: _containers.RepeatedCompositeFieldContainer[Schedule]
    def __init__(self, schedules: _Optional[_Iterable[_Union[Schedule, _Mapping]]] = ...) -> None: ...

class ScheduleRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class DeleteScheduleResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Schedule(_message.Message):
    __slots__ = ("id", "plan", "database", "action", "cron", "every_seconds", "time_zone", "missed", "overlap", "paused", "description", "next", "problem", "team")
    ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    EVERY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    id: int
    plan: str
    database: str
    action: str
    cron: str
    every_seconds: int
    time_zone: str
    missed: str
    overlap: str
    paused: bool
    description: str
    next: _containers.RepeatedCompositeFieldContainer[_timestamp_pb2.Timestamp]
    problem: str
    team: str
    def __init__(self, id: _Optional[int] = ..., plan: _Optional[str] = ..., database: _Optional[str] = ..., action: _Optional[str] = ..., cron: _Optional[str] = ..., every_seconds: _Optional[int] = ..., time_zone: _Optional[str] = ..., missed: _Optional[str] = ..., overlap: _Optional[str] = ..., paused: bool = ..., description: _Optional[str] = ..., next: _Optional[_Iterable[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]]] = ..., problem: _Optional[str] = ..., team: _Optional[str] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("parts", "version", "worker_hosts")
    PARTS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WORKER_HOSTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    version: str
    worker_hosts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ..., version: _Optional[str] = ..., worker_hosts: _Optional[_Iterable[str]] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("name", "ok", "detail", "remedy")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    name: str
    ok: bool
    detail: str
    remedy: str
    def __init__(self, name: _Optional[str] = ..., ok: bool = ..., detail: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class LoginRequest(_message.Message):
    __slots__ = ("username", "password")
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    username: str
    password: str
    def __init__(self, username: _Optional[str] = ..., password: _Optional[str] = ...) -> None: ...

class RefreshRequest(_message.Message):
    __slots__ = ("refresh",)
    REFRESH_FIELD_NUMBER: _ClassVar[int]
    refresh: str
    def __init__(self, refresh: _Optional[str] = ...) -> None: ...

class Tokens(_message.Message):
    __slots__ = ("access", "refresh", "expires_in")
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    REFRESH_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_FIELD_NUMBER: _ClassVar[int]
    access: str
    refresh: str
    expires_in: int
    def __init__(self, access: _Optional[str] = ..., refresh: _Optional[str] = ..., expires_in: _Optional[int] = ...) -> None: ...

class LogoutResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
