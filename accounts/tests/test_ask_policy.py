"""The matrix of roles and verbs, asked of the policy module itself."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404

from accounts import policy
from accounts.models import Membership, Role, Team, User
from accounts.policy import Verb

pytestmark = pytest.mark.django_db

# By name, because this app may import none of those above it.
Task = apps.get_model("tasks", "Task")
Worker = apps.get_model("tasks", "Worker")


@pytest.fixture
def task(team):
    return Task.objects.create(team=team, job="inspect")


def test_it_works(owner, stranger, task):
    assert policy.may(owner, Verb.CHANGE, task)
    assert not policy.may(stranger, Verb.SEE, task)


@pytest.mark.parametrize(
    ("role", "verbs"),
    [
        (Role.VIEWER, {Verb.SEE}),
        (Role.OPERATOR, {Verb.SEE, Verb.RUN}),
        (Role.ADMIN, {Verb.SEE, Verb.RUN, Verb.CHANGE}),
    ],
)
def test_a_role_may_do_its_verbs_to_the_team_and_what_it_owns(role, verbs, team, task, new_user):
    user = new_user("ada", team, role)
    for thing in (team, task, Task(team=team), Membership.objects.get(user=user)):
        assert {verb for verb in Verb if policy.may(user, verb, thing)} == verbs


def test_a_role_counts_in_its_own_team_only(task, stranger, new_user, team):
    both = new_user("both", team, Role.VIEWER)
    Membership.objects.create(user=both, team=Team.home_of(stranger), role=Role.ADMIN)
    assert policy.may(both, Verb.SEE, task)
    assert not policy.may(both, Verb.RUN, task)
    assert list(policy.teams_where(both, Verb.CHANGE)) == [Team.home_of(stranger)]


def test_a_superuser_may_do_everything_without_a_team(superuser, task, team, owner):
    for verb in Verb:
        assert all(policy.may(superuser, verb, thing) for thing in (team, task, owner))
    assert list(policy.visible(superuser, Task.objects.all())) == [task]


@pytest.mark.parametrize("nobody", [None, AnonymousUser()])
def test_nobody_may_do_anything(nobody, task, team, owner):
    for verb in Verb:
        assert not any(policy.may(nobody, verb, thing) for thing in (team, task, owner))
    for model in (Task, Team, User):
        assert not policy.visible(nobody, model.objects.all()).exists()


def test_a_disabled_user_may_do_nothing(superuser, owner, task):
    for user in (superuser, owner):
        user.is_active = False
        assert not policy.may(user, Verb.SEE, task)
        assert not policy.visible(user, User.objects.all()).exists()


def test_rows_of_others_are_not_visible_and_none_comes_twice(owner, mate, stranger, task, team):
    theirs = Task.objects.create(team=Team.home_of(stranger), job="inspect")
    assert list(policy.visible(owner, Task.objects.all())) == [task]
    assert list(policy.visible(stranger, Task.objects.all())) == [theirs]
    assert list(policy.visible(owner, Team.objects.all())) == [team]


def test_rows_can_be_asked_for_by_a_greater_verb(mate, task):
    assert list(policy.visible(mate, Task.objects.all(), Verb.RUN)) == [task]
    assert list(policy.visible(mate, Task.objects.all(), Verb.CHANGE)) == []


def test_people_see_themselves_and_their_mates(owner, mate, stranger, new_user):
    loner = new_user("loner")
    assert set(policy.visible(owner, User.objects.all())) == {owner, mate}
    assert set(policy.visible(loner, User.objects.all())) == {loner}
    assert policy.may(owner, Verb.SEE, mate)
    assert not policy.may(owner, Verb.CHANGE, mate)


def test_an_unseen_row_is_not_there_and_a_small_role_is_refused(viewer, stranger, task):
    assert policy.get_or_404(viewer, Verb.SEE, Task.objects.all(), pk=task.pk) == task
    with pytest.raises(PermissionDenied, match="operator"):
        policy.get_or_404(viewer, Verb.RUN, Task.objects.all(), pk=task.pk)
    with pytest.raises(Http404):
        policy.get_or_404(stranger, Verb.RUN, Task.objects.all(), pk=task.pk)


def test_asking_about_what_has_no_team_is_a_mistake_whoever_asks(superuser):
    for user in (None, superuser):
        with pytest.raises(TypeError, match=r"tasks\.Worker"):
            policy.visible(user, Worker.objects.all())
