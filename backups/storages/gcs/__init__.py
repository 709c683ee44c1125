"""Objects in a bucket of Google Cloud Storage.

`kind` alone is imported with the table of kinds: Google's libraries take a third of a second and
bring gRPC's, which no process should hold that goes on to fork.
"""

from __future__ import annotations

from backups.storages.gcs.kind import KIND

__all__ = ["KIND"]
