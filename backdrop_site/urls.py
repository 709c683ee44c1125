"""Every address of the web process; each app names its own."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from backdrop_site.status import StatusView

# Not as the apps are loaded: workers have no pages, and each attempt is a fork of all they load.
admin.autodiscover()

urlpatterns = [
    path("statusz", StatusView.as_view(), name="statusz"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
    path("", include("tasks.urls")),
    path("", include("backups.urls")),
]
