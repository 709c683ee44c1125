from django.apps import AppConfig
from django.core import checks


class SiteConfig(AppConfig):
    name = "backdrop_site"

    def ready(self) -> None:
        from backdrop_site import grpc_address

        checks.register(grpc_address.check_settings, grpc_address.TAG)
