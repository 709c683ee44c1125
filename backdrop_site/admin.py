"""What the admin does not show: the rows of inner workings, which nobody should find, let alone
change, there. This app is the last one, so that all others have registered theirs by now."""

from django.apps import apps
from django.contrib import admin

OTHERS = ("django_q", "token_blacklist")

for label in OTHERS:
    for model in apps.get_app_config(label).get_models():
        if admin.site.is_registered(model):
            admin.site.unregister(model)
