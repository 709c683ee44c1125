"""The addresses of tasks; those of the task service end without a slash and never redirect."""

from django.urls import URLPattern, URLResolver, include, path

from accounts.rest import Router
from tasks import api
from tasks.views import files

router = Router()
router.register("tasks", api.TaskViewSet, basename="task")
router.register("events", api.EventViewSet, basename="event")
router.register("pauses", api.PauseViewSet, basename="pause")
router.register("queues", api.QueueViewSet, basename="queue")
router.register("jobs", api.JobViewSet, basename="job")
router.register("webhooks", api.WebhookViewSet, basename="webhook")
router.register("workers", api.WorkerViewSet, basename="worker")

urlpatterns: list[URLPattern | URLResolver] = [
    path("task/request", api.RequestView.as_view(), name="service-request"),
    path("task/upload/", api.UploadsView.as_view(), name="service-uploads"),
    path("task/upload/<str:upload_id>", api.UploadView.as_view(), name="service-upload"),
    path(
        "task/upload/<str:upload_id>/complete",
        api.UploadCompleteView.as_view(),
        name="service-upload-complete",
    ),
    path("task/status/<uuid:pk>", api.StatusView.as_view(), name="service-status"),
    path("task/cancel/<uuid:pk>", api.CancelView.as_view(), name="service-cancel"),
    path("task/events/<uuid:pk>", api.EventsView.as_view(), name="service-events"),
    path("task/result/<uuid:pk>", api.ResultView.as_view(), name="service-result"),
    path("files/", files.index, name="files"),
    path("files/_files", files.rows, name="files_rows"),
    path("files/<uuid:pk>/send", files.send, name="file_send"),
    path("api/", include(router.urls)),
]
