"""Every address of the web process; each app names its own."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
    path("", include("tasks.urls")),
    path("", include("backups.urls")),
]
