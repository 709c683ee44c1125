from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.utils.module_loading import autodiscover_modules


class TasksConfig(AppConfig):
    name = "tasks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Every process knows every job: one runs them, another calls back when they have ended."""
        try:
            autodiscover_modules("jobs")
        except ModuleNotFoundError as error:  # TEMPORARY while the rooms are being built
            print("jobs not loaded:", error)
        for module in settings.JOB_MODULES:
            import_module(module)
