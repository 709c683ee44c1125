from django.apps import AppConfig, apps
from django.contrib import admin

OTHERS = ("django_q", "token_blacklist")
"""Apps whose rows are inner workings: nobody should find, let alone change, them in the admin."""


class SiteConfig(AppConfig):
    name = "backdrop_site"

    def ready(self) -> None:
        for label in OTHERS:
            for model in apps.get_app_config(label).get_models():
                if admin.site.is_registered(model):
                    admin.site.unregister(model)
