"""The addresses of this door, with or without a trailing slash."""

from __future__ import annotations

from accounts.rest import Router
from backups.api.backups import BackupViewSet
from backups.api.databases import DatabaseViewSet
from backups.api.destinations import DestinationViewSet
from backups.api.notifications import NotificationViewSet
from backups.api.plans import PlanViewSet
from backups.api.proofs import ProofViewSet
from backups.api.restores import RestoreViewSet
from backups.api.schedules import ScheduleViewSet

router = Router()
router.register("databases", DatabaseViewSet)
router.register("destinations", DestinationViewSet)
router.register("plans", PlanViewSet)
router.register("schedules", ScheduleViewSet)
router.register("notifications", NotificationViewSet)
router.register("backups", BackupViewSet)
router.register("restores", RestoreViewSet)
router.register("proofs", ProofViewSet)
