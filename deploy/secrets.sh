#!/bin/sh
# Prints new secrets as lines for .env. Keep a copy of ENCRYPTION_KEY outside Backdrop: without it
# the passwords that Backdrop stored can't be read any more.
for name in SECRET_KEY JWT_SECRET ENCRYPTION_KEY DB_PASSWORD REDIS_PASSWORD GRAFANA_PASSWORD \
    EXAMPLE_PASSWORD; do
    printf '%s=%s\n' "$name" "$(head -c 36 /dev/urandom | base64 | tr '+/' '-_')"
done
