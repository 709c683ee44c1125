"""The addresses of this app: its REST resources and its pages."""

from django.urls import URLPattern, URLResolver, include, path

from backups.api.routes import router

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include(router.urls)),
    path("", include("backups.page_urls")),
]
