# One image for web, worker and daemon; docker-compose.yml says which command is which.
FROM python:3.11-slim-trixie

# The clients dump and restore; the servers are what drills restore into.
RUN mkdir -p /etc/postgresql-common/createcluster.d \
    && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/none.conf \
    && apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-17 postgresql-client-17 \
        mariadb-client mariadb-server-core \
    && rm -rf /var/lib/apt/lists/*

# Volumes belong to whom their folders belong to here.
RUN useradd --system --uid 10001 --home-dir /var/lib/backdrop --create-home backdrop \
    && install --directory --owner=backdrop --mode=700 /var/lib/backdrop/backups
WORKDIR /srv/backdrop
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes --requirement requirements.txt
COPY . .
RUN ln --symbolic /srv/backdrop/scripts/backdrop /usr/local/bin/backdrop

ENV VAR_DIR=/var/lib/backdrop HOST=0.0.0.0 PORT=8000 PYTHONUNBUFFERED=1
USER backdrop
VOLUME /var/lib/backdrop
EXPOSE 8000 50051 9090
# SIGTERM to the one process; it ends what it started.
CMD ["python", "manage.py", "runweb"]
