"""A plain DRF view that keeps a file, with nothing set but what it needs.

`application` is ASGI, `wsgi` is WSGI; PLAIN_FOLDER is where files and what is spooled lie.
"""

from __future__ import annotations

import os
from pathlib import Path

import django
from django.conf import settings

FOLDER = Path(os.environ["PLAIN_FOLDER"])

settings.configure(
    SECRET_KEY="of no use here",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["rest_framework"],
    MEDIA_ROOT=str(FOLDER),
    FILE_UPLOAD_TEMP_DIR=str(FOLDER),
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    REST_FRAMEWORK={"UNAUTHENTICATED_USER": None, "DEFAULT_AUTHENTICATION_CLASSES": []},
)
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.files.storage import default_storage  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.parsers import FileUploadParser  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402


class FileView(APIView):
    parser_classes = [FileUploadParser]

    def put(self, request: Request, filename: str) -> Response:
        return Response({"name": default_storage.save(filename, request.data["file"])}, status=201)


urlpatterns = [path("files/<str:filename>", FileView.as_view())]
application = get_asgi_application()
wsgi = get_wsgi_application()
