from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.utils.module_loading import autodiscover_modules


class TasksConfig(AppConfig):
    name = "tasks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Every process knows every job: one runs them, another calls back when they have ended."""
        autodiscover_modules("jobs")
        for module in settings.JOB_MODULES:
            import_module(module)
        from tasks import plugins  # it wants the models

        plugins.load()
