from django.apps import AppConfig
from django.core import checks


class BackupsConfig(AppConfig):
    name = "backups"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from backups.checks import check_environment

        checks.register(check_environment)
