"""How the admin looks: our mark and blue, and a sidebar of what we made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.templatetags.static import static
from django.urls import reverse_lazy

if TYPE_CHECKING:
    from django.http import HttpRequest


def mark(request: HttpRequest) -> str:
    return static("backdrop/mark.svg")


def elsewhere(request: HttpRequest) -> bool:
    """Whether a link out of the admin leads to the page that is open: never."""
    return False


def _link(title: str, icon: str, name: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(name)}


def _rows(title: str, icon: str, model: str) -> dict[str, Any]:
    return _link(title, icon, f"admin:{model}_changelist")


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Backdrop",
    "SITE_HEADER": "Backdrop",
    "SITE_SUBHEADER": "Administration",
    "SITE_URL": "/",
    "SITE_ICON": mark,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": mark}],
    "SHOW_BACK_BUTTON": True,
    "LOGIN": {"form": "accounts.forms.AdminLoginForm"},
    "COLORS": {
        "primary": {
            "50": "#eef4fd",
            "100": "#dbe7fa",
            "200": "#bdd3f6",
            "300": "#92b7ef",
            "400": "#6396e5",
            "500": "#3c7be0",
            "600": "#1b56b3",
            "700": "#144490",
            "800": "#123a78",
            "900": "#12325f",
            "950": "#0d203e",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "title": "Pages",
                "items": [_link("Overview", "monitoring", "dashboard") | {"active": elsewhere}],
            },
            {
                "title": "Backups",
                "separator": True,
                "items": [
                    _rows("Databases", "database", "backups_database"),
                    _rows("Destinations", "hard_drive", "backups_destination"),
                    _rows("Plans", "event_note", "backups_plan"),
                    _rows("Schedules", "schedule", "backups_schedule"),
                    _rows("Backups", "inventory_2", "backups_backup"),
                    _link(
                        "Restores", "settings_backup_restore", "admin:backups_restore_changelist"
                    ),
                    _rows("Proofs", "verified", "backups_proof"),
                    _rows("Notifications", "notifications", "backups_channel"),
                ],
            },
            {
                "title": "Work",
                "separator": True,
                "items": [
                    _rows("Tasks", "pending_actions", "tasks_task"),
                    _rows("Webhooks", "webhook", "tasks_webhook"),
                    _rows("Upload limits", "data_usage", "tasks_uploadlimit"),
                    _rows("Workers", "memory", "tasks_worker"),
                    _rows("Pauses", "pause_circle", "tasks_pause"),
                ],
            },
            {
                "title": "People",
                "separator": True,
                "items": [
                    _rows("Users", "person", "accounts_user"),
                    _rows("Teams", "group", "accounts_team"),
                ],
            },
        ],
    },
}
