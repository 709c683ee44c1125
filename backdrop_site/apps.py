from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "backdrop_site"
