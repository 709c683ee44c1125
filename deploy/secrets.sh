#!/bin/sh
# Makes the secrets that docker-compose.yml mounts, a file each, and tells .env where they are.
#
#   sh deploy/secrets.sh [FOLDER]     into ./secrets where no folder is named
#   sh deploy/secrets.sh --print      prints the three of Backdrop itself, as lines of an environment
#
# What is there stays as it is, so it may be run again. Others on this machine can't enter the folder;
# in it everybody may read, since containers run as users of their own. Keep a copy of encryption_key
# elsewhere: without it the passwords that Backdrop stored can't be read any more.
set -eu
umask 077

random() {
    head -c 36 /dev/urandom | base64 | tr '+/' '-_'
}

if [ "${1:-}" = --print ]; then
    for name in SECRET_KEY JWT_SECRET ENCRYPTION_KEY; do
        printf '%s=%s\n' "$name" "$(random)"
    done
    exit
fi

cd "$(dirname "$0")/.."
folder=${1:-./secrets}
mkdir -p "$folder"
chmod 700 "$folder"

keep() { # keep NAME TEXT: unless there is one
    [ -e "$folder/$1" ] && return
    printf '%s' "$2" >"$folder/.new"
    chmod 644 "$folder/.new"
    mv "$folder/.new" "$folder/$1"
}

for name in secret_key jwt_secret encryption_key db_password redis_password grafana_password \
    backup_postgres_password backup_mysql_password backup_minio_password; do
    keep "$name" "$(random)"
done
kept() {
    cat "$folder/$1_password"
}
keep db_url "postgres://backdrop:$(kept db)@db:5432/backdrop"
keep redis_url "redis://:$(kept redis)@redis:6379/0"
keep backup_postgres_url "postgres://example:$(kept backup_postgres)@backup-postgres:5432/example"
keep backup_mysql_url "mysql://example:$(kept backup_mysql)@backup-mysql:3306/example"
keep none "" # stands for files that nobody named

if ! grep -q '^SECRETS_DIR=' .env 2>/dev/null; then
    printf 'SECRETS_DIR=%s\n' "$folder" >>.env
fi
echo "Secrets are in $folder. Keep a copy of $folder/encryption_key elsewhere. Now: docker compose up"
