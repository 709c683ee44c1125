"""Users, teams and memberships in the admin, for superusers; it is where roles are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import policy
from accounts.models import Membership, Team, User
from accounts.policy import Verb

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet
    from django.http import HttpRequest

# Roles in teams take the place of Django's groups and permissions.
admin.site.unregister(Group)


class ByPolicy:
    """Mixin, left of an admin class: it asks the policy instead of Django's permissions.

    Staff who are no superusers find the people and teams they may see, and their admins may give
    roles in their own teams.
    """

    model: type[Model]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return policy.visible(request.user, super().get_queryset(request))  # type: ignore[misc]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_active if obj is None else policy.may(request.user, Verb.SEE, obj)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(getattr(request.user, "is_superuser", False)) and request.user.is_active

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if obj is None:
            return self.has_add_permission(request)
        return policy.may(request.user, Verb.CHANGE, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_add_permission(request)


class MembershipInline(TabularInline):  # type: ignore[misc]
    """Who is in a team, in which role; asked of the team."""

    model = Membership
    extra = 0
    autocomplete_fields = ["user", "team"]

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return obj is None or policy.may(request.user, Verb.SEE, obj)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return obj is None or policy.may(request.user, Verb.CHANGE, obj)

    has_change_permission = has_delete_permission = has_add_permission

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        everybody = db_field.related_model._default_manager.all()
        options["queryset"] = policy.visible(request.user, everybody)
        return super().formfield_for_foreignkey(db_field, request, **options)


@admin.register(User)
class UserAdmin(ByPolicy, DjangoUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]
    """Accounts. To lock somebody out, take away "active": their sessions and tokens end at once."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "is_active", "is_staff", "is_superuser", "last_login"]
    list_filter = ["is_active", "is_staff", "is_superuser"]
    search_fields = ["username", "email", "first_name", "last_name"]
    filter_horizontal = ()
    readonly_fields = ["last_login", "date_joined"]
    inlines = [MembershipInline]
    fieldsets = (
        (None, {"fields": ["username", "email", "password"]}),
        ("Name", {"fields": ["first_name", "last_name"]}),
        ("May", {"fields": ["is_active", "is_staff", "is_superuser"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    )
    add_fieldsets = (
        (None, {"classes": ["wide"], "fields": ["username", "email", "password1", "password2"]}),
    )


@admin.register(Team)
class TeamAdmin(ByPolicy, ModelAdmin):  # type: ignore[misc]
    """Teams and who is in them."""

    list_display = ["name", "created_at"]
    search_fields = ["name"]
    readonly_fields = ["created_at"]
    inlines = [MembershipInline]
