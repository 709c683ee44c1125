"""Addresses of the pages. A last part that begins with `_` is a fragment for live refresh."""

from __future__ import annotations

from django.urls import path

from backups.views import (
    dashboard,
    databases,
    destinations,
    plans,
    receipts,
    schedules,
    tasks,
    workers,
)

urlpatterns = [
    path("", dashboard.dashboard, name="dashboard"),
    path("_overview", dashboard.overview, name="overview"),
    path("databases/", databases.index, name="databases"),
    path("databases/new", databases.edit, name="database_new"),
    path("databases/<int:pk>", databases.show, name="database"),
    path("databases/<int:pk>/edit", databases.edit, name="database_edit"),
    path("databases/<int:pk>/check", databases.check, name="database_check"),
    path("destinations/", destinations.index, name="destinations"),
    path("destinations/new", destinations.edit, name="destination_new"),
    path("destinations/<int:pk>", destinations.show, name="destination"),
    path("destinations/<int:pk>/edit", destinations.edit, name="destination_edit"),
    path("destinations/<int:pk>/check", destinations.check, name="destination_check"),
    path("plans/", plans.index, name="plans"),
    path("plans/new", plans.edit, name="plan_new"),
    path("plans/<int:pk>/edit", plans.edit, name="plan_edit"),
    path("plans/<int:pk>/start", plans.start, name="plan_start"),
    path("schedules/", schedules.index, name="schedules"),
    path("schedules/new", schedules.edit, name="schedule_new"),
    path("schedules/<int:pk>/edit", schedules.edit, name="schedule_edit"),
    path("schedules/<int:pk>/pause", schedules.pause, name="schedule_pause"),
    path("schedules/<int:pk>/resume", schedules.resume, name="schedule_resume"),
    path("schedules/<int:pk>/remove", schedules.remove, name="schedule_remove"),
    path("backups/", receipts.index, name="backups"),
    path("backups/<uuid:pk>", receipts.show, name="backup"),
    path("backups/<uuid:pk>/restore", receipts.restore, name="backup_restore"),
    path("backups/<uuid:pk>/prove", receipts.prove, name="backup_prove"),
    path("tasks/", tasks.index, name="tasks"),
    path("tasks/_tasks", tasks.rows, name="tasks_rows"),
    path("tasks/<uuid:pk>", tasks.show, name="task"),
    path("tasks/<uuid:pk>/_task", tasks.card, name="task_card"),
    path("tasks/<uuid:pk>/_progress", tasks.progress, name="task_progress"),
    path("tasks/<uuid:pk>/cancel", tasks.cancel, name="task_cancel"),
    path("tasks/<uuid:pk>/retry", tasks.retry, name="task_retry"),
    path("tasks/<uuid:pk>/events", tasks.events, name="task_events"),
    path("workers/", workers.index, name="workers"),
    path("workers/_workers", workers.rows, name="workers_rows"),
    path("workers/pause", workers.pause, name="pause"),
    path("workers/resume", workers.resume, name="resume"),
    path("workers/<int:pk>/drain", workers.drain, name="worker_drain"),
]
