from django.apps import AppConfig, apps
from django.contrib import admin
from django.core import checks

OTHERS = ("django_q", "token_blacklist")
"""Apps whose rows are inner workings: nobody should find, let alone change, them in the admin."""


class SiteConfig(AppConfig):
    name = "backdrop_site"

    def ready(self) -> None:
        from backdrop_site import grpc_address

        checks.register(grpc_address.check_settings, grpc_address.TAG)
        for label in OTHERS:
            for model in apps.get_app_config(label).get_models():
                if admin.site.is_registered(model):
                    admin.site.unregister(model)
