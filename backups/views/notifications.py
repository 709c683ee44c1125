"""Pages of notification channels: all of them, one with what it was sent, the form, a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import OuterRef, Subquery
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import policy
from accounts.policy import Verb
from backups.models import Channel, Delivery
from backups.notifications import notices
from backups.views.channel_form import ChannelForm
from backups.views.pages import asker, may_add, page, paged

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@login_required
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    channels = policy.visible(asker(request), Channel.objects.all())
    newest = Delivery.objects.filter(channel=OuterRef("channel")).order_by("-created_at", "-pk")
    last = Delivery.objects.filter(channel__in=channels, pk=Subquery(newest.values("pk")[:1]))
    by_channel = {delivery.channel_id: delivery for delivery in last}
    told = [(channel, by_channel.get(channel.pk)) for channel in channels]
    return page(request, "backups/channels.html", told=told)


@login_required
@require_GET
def show(request: HttpRequest, pk: int) -> HttpResponse:
    channel = _get(request, Verb.SEE, pk)
    deliveries = channel.deliveries.select_related("task")
    on_their_way = deliveries.filter(state=Delivery.State.PENDING, task__finished_at=None)
    return page(
        request,
        "backups/channel.html",
        channel=channel,
        deliveries=paged(request, deliveries),
        running=[each.task for each in on_their_way[:5] if each.task is not None],
    )


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    if pk is None:
        may_add(request)
    channel = Channel() if pk is None else _get(request, Verb.CHANGE, pk)
    form = ChannelForm(request.POST or None, instance=channel, asker=asker(request))
    if form.is_valid():
        saved = form.save()
        messages.success(request, f"{saved.name} is saved.")
        return redirect("channel", saved.pk)
    return page(request, "backups/channel_form.html", form=form, channel=channel)


@login_required
@require_POST
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """A channel that is off can be tried too; its page shows what comes of it."""
    channel = _get(request, Verb.RUN, pk)
    notices.test(channel, by=asker(request))
    messages.success(request, "A test is on its way; what came of it is told below.")
    return redirect("channel", pk)


@login_required
@require_POST
def pause(request: HttpRequest, pk: int) -> HttpResponse:
    channel = _get(request, Verb.CHANGE, pk)
    channel.switch(on=False)
    messages.success(request, f"{channel} is paused: it is told nothing for now.")
    return redirect("channel", pk)


@login_required
@require_POST
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    channel = _get(request, Verb.CHANGE, pk)
    channel.switch(on=True)
    messages.success(request, f"{channel} is told again, from now on.")
    return redirect("channel", pk)


@login_required
@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    channel = _get(request, Verb.CHANGE, pk)
    name = channel.name
    channel.delete()
    messages.success(request, f"{name} is removed, with the record of what it was sent.")
    return redirect("channels")


def _get(request: HttpRequest, verb: Verb, pk: int) -> Channel:
    return policy.get_or_404(asker(request), verb, Channel.objects.all(), pk=pk)
