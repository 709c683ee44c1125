"""Backdrop's settings: what users choose comes from the environment (see README)."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from environs import Env

from backdrop_site import admin_look, environment
from backdrop_site.environment import given, read_secret
from backups import variables

VERSION = "0.1.0"
BASE_DIR = Path(__file__).resolve().parent.parent
env = Env(eager=False)  # so that everything wrong is told at once, by `report` at the end
env.read_env(str(BASE_DIR / ".env"), recurse=False)

VAR_DIR = Path(env.str("VAR_DIR", str(BASE_DIR / "var"))).resolve()
VAR_DIR.mkdir(parents=True, exist_ok=True)

DEBUG = env.bool("DEBUG", False)
HOST = env.str("HOST", "127.0.0.1", validate=environment.HOST)
PORT = env.int("PORT", 8000, validate=environment.PORT)
GRPC_PORT = env.int("GRPC_PORT", 50051, validate=environment.PORT)
GRPC_REQUIRE_AUTH = env.bool("GRPC_REQUIRE_AUTH", True)
GRPC_INSECURE = env.bool("GRPC_INSECURE", False)
GRPC_TLS_CERT = env.str("GRPC_TLS_CERT", "")
GRPC_TLS_KEY = env.str("GRPC_TLS_KEY", "")
METRICS_PORT = env.int("METRICS_PORT", 9090, validate=environment.PORT)
WEB_METRICS_PORT = env.int("WEB_METRICS_PORT", None, validate=environment.PORT)
WORKERS = env.int("WORKERS", 3, validate=environment.SOME)
REDIS_URL = environment.read_redis(env)
BACKUP_DIR = Path(env.str("BACKUP_DIR", str(VAR_DIR / "backups"))).resolve()
UPLOAD_DIR = VAR_DIR / "uploads"
UPLOAD_MAX_BYTES = env.int("UPLOAD_MAX_BYTES", 20 * 2**30, validate=environment.SOME)
UPLOAD_QUOTA_BYTES = env.int("UPLOAD_QUOTA_BYTES", 100 * 2**30, validate=environment.SOME)
UPLOAD_SESSIONS = env.int("UPLOAD_SESSIONS", 1000, validate=environment.SOME)
UPLOAD_EXPIRES_SECONDS = env.int("UPLOAD_EXPIRES_SECONDS", 24 * 3600, validate=environment.SOME)
UPLOAD_IDLE_SECONDS = env.float("UPLOAD_IDLE_SECONDS", 60.0, validate=environment.SOME)
RESULT_EXPIRES_SECONDS = env.int("RESULT_EXPIRES_SECONDS", 7 * 24 * 3600, validate=environment.SOME)
RESULT_REDIRECT = env.bool("RESULT_REDIRECT", False)
WEBHOOKS_ALLOW_PRIVATE = env.bool("WEBHOOKS_ALLOW_PRIVATE", False)
DEMO_MB = env.int("DEMO_MB", 300, validate=environment.SOME)

# Database ---------------------------------------------------------------------------------------
DB_URL = env.str("DB_URL", "") or given("DB_URL") or f"sqlite:///{VAR_DIR / 'backdrop.sqlite3'}"
_database: dict[str, Any] = environment.read_database(DB_URL)
USES_SQLITE = _database["ENGINE"] == "django.db.backends.sqlite3"
if USES_SQLITE:
    # Without these three about every second write of contending processes fails.
    _database["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    _database["OPTIONS"] = {
        "connect_timeout": 5,
        # A server that vanished must not keep a worker waiting for TCP's quarter of an hour.
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
        **_database.get("OPTIONS", {}),
    }
_database["CONN_MAX_AGE"] = None
_database["CONN_HEALTH_CHECKS"] = True
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Secrets: SQLite means one machine, where they are made at first start --------------------------
_secret = {
    name: read_secret(name, folder=VAR_DIR / "secrets", generate=USES_SQLITE)
    for name in ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
}
SECRET_KEY = _secret["SECRET_KEY"]
JWT_SECRET = _secret["JWT_SECRET"]
ENCRYPTION_KEY = _secret["ENCRYPTION_KEY"]

# Called by `firststart` with the team (see accounts.beginning), in this order.
FIRST_START: list[str] = ["backups.first_start.begin"]

# Web --------------------------------------------------------------------------------------------
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]", HOST])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
ROOT_URLCONF = "backdrop_site.urls"
ASGI_APPLICATION = "backdrop_site.asgi.application"
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.UsernameOrEmailBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "login"

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin.apps.SimpleAdminConfig",  # what is in it is found where its pages are
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "django_htmx",
    "django_q",
    "channels",
    "django_prometheus",
    "accounts",
    "tasks",
    "backups",
    "backdrop_site",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "accounts.rest.problems.ProblemMiddleware",
    "backdrop_site.health.HealthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "backdrop_site.files.StaticFilesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)  # whitenoise warns where there is none
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(UPLOAD_DIR)},
    },
    "files": environment.file_storage(env, UPLOAD_DIR),
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Serves the apps' own files without a collectstatic step; whitenoise in front does the headers.
WHITENOISE_USE_FINDERS = True

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = ["backdrop_site.formats"]
USE_TZ = True
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("HTTPS", False)
SESSION_COOKIE_SAMESITE = "Lax"
if SESSION_COOKIE_SECURE:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# REST -------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework_simplejwt.authentication.JWTAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "accounts.rest_defaults.Pages",
    "PAGE_SIZE": 50,
    "DEFAULT_FILTER_BACKENDS": [
        "django_filters.rest_framework.DjangoFilterBackend",
        "rest_framework.filters.OrderingFilter",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "accounts.rest.problem_details",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "accounts.rest_defaults.LenientNegotiation",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SIMPLE_JWT = {
    "SIGNING_KEY": JWT_SECRET,
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    # A token dies with the password it was made under.
    "CHECK_REVOKE_TOKEN": True,
    "ISSUER": "backdrop",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Backdrop",
    "DESCRIPTION": "Backups that are proven by restoring them, and tasks that people can trust.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "accounts.rest.schema.document_problems",
    ],
    "ENUM_NAME_OVERRIDES": {
        "BulkActionEnum": "tasks.bulk.Action",
        "DeliveryStateEnum": "tasks.models.webhooks.WebhookDelivery.State",
    },
}

# Live updates and cache -------------------------------------------------------------------------
if REDIS_URL:
    # For code of yours: our own sockets hear of news by pub/sub and read the rest (tasks/live).
    CHANNEL_LAYERS: dict[str, Any] = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        }
    }
    CACHES: dict[str, Any] = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# Tasks ------------------------------------------------------------------------------------------
LEASE_SECONDS = 8.0
HEARTBEAT_SECONDS = 0.5
SHUTDOWN_GRACE_SECONDS = env.float(
    "SHUTDOWN_GRACE_SECONDS", 30.0, validate=environment.NOT_NEGATIVE
)
QUEUE = env.str("QUEUE", "default")
TASK_EVENTS_DAYS = env.float("TASK_EVENTS_DAYS", 90.0, validate=environment.NOT_NEGATIVE)
TASK_KEEP_DAYS = env.float("TASK_KEEP_DAYS", 365.0, validate=environment.NOT_NEGATIVE)
CANARY_SECONDS = env.int("CANARY_SECONDS", 60, validate=environment.NOT_NEGATIVE)
QUARANTINE_AFTER = 3  # attempts in a row that killed their process
JOB_MODULES: list[str] = env.list("JOB_MODULES", [])  # modules with jobs, beside each app's jobs.py
DAEMON_SERVICES = [
    "tasks.daemon.keep_house",
    "backdrop_site.grpc_server.serve",
    "backups.scheduler.serve",
    "tasks.exporter.serve",
]
# What `manage.py alive daemon` asks beside the heartbeat.
DAEMON_DOORS = ["backdrop_site.grpc_probe.ask", "tasks.exporter.ask"]
Q_CLUSTER = {
    "name": "backdrop",
    "workers": WORKERS,
    "broker_class": "tasks.broker.TokenBroker",
    # One waiting token at most: a woken worker claims the best due row itself.
    "queue_limit": 1,
    # Tokens bring their own limit (none). This one bounds how long a pool takes to stop, and
    # django-q2 warns when `retry`, which only its own brokers use, isn't longer.
    "timeout": 30,
    "retry": 60,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": -1,
    "catch_up": False,
    "scheduler": False,
    "daemonize_workers": False,
    # A worker that vanishes has died (see tasks.cluster): none is recycled on purpose.
    "recycle": 2**31,
    "guard_cycle": 0.2,
    "label": "Task pool",
}

# Admin ------------------------------------------------------------------------------------------
UNFOLD = admin_look.UNFOLD

LOG_LEVEL = (env.str("LOG_LEVEL", "INFO", validate=environment.LEVEL) or "INFO").upper()
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {"django-q": {"level": "WARNING"}, "uvicorn.access": {"level": "WARNING"}},
}

PROGRAM_PATH = os.environ.get("PATH", "")

KNOWN_NAMES = environment.report(
    env, file=BASE_DIR / ".env", also=(*environment.ELSEWHERE, *variables.names())
)
