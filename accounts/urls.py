"""Logging in and out, by browser and by token, and the REST resources of people."""

from django.contrib.auth.views import LogoutView as LogoutPage
from django.urls import include, path

from accounts import api, views
from accounts.rest import Router

router = Router()
router.register("users", api.UserViewSet, basename="user")
router.register("teams", api.TeamViewSet, basename="team")

urlpatterns = [
    path("login", views.LoginPage.as_view(), name="login"),
    path("logout", LogoutPage.as_view(), name="logout"),
    path("auth/login", api.LoginView.as_view(), name="auth-login"),
    path("auth/refresh", api.RefreshView.as_view(), name="auth-refresh"),
    path("auth/logout", api.LogoutView.as_view(), name="auth-logout"),
    path("auth/me", api.MeView.as_view(), name="auth-me"),
    path("api/", include(router.urls)),
]
