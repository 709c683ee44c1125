"""The row of the table of kinds: what a destination in a bucket wants to know."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config
from storages.backends.s3 import S3Storage

from backups.storages import keys
from backups.storages.kind import Kind
from backups.storages.s3.store import S3Store


def _build(options: Mapping[str, Any], secret: str) -> S3Store:
    endpoint = str(options.get("endpoint", "")).rstrip("/")
    return S3Store(
        S3Storage(
            access_key=options["access_key"],
            secret_key=secret,
            security_token=None,
            session_profile=None,
            bucket_name=options["bucket"],
            location=str(options.get("prefix", "")).strip("/"),
            endpoint_url=endpoint or None,
            region_name=options["region"],
            client_config=_config(endpoint, options.get("path_style")),
        )
    )


def _config(endpoint: str, path_style: bool | None) -> Config:
    amazon = not endpoint or f".{urlsplit(endpoint).hostname}".endswith(
        (".amazonaws.com", ".amazonaws.com.cn")
    )
    by_path = path_style if path_style is not None else not amazon
    # Amazon checks each part by a checksum of the newer kind, which many other stores refuse;
    # there the signature covers the part (http), or TLS does.
    checksums = "when_supported" if amazon else "when_required"
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if by_path else "auto"},
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
        ignore_configured_endpoint_urls=True,
    )


def _address(options: Mapping[str, Any]) -> str:
    return f"s3://{keys.in_bucket(options, '')}"


def _fetch(options: Mapping[str, Any], key: str, file: str) -> str:
    command = ["aws", "s3", "cp", f"s3://{keys.in_bucket(options, key)}", file]
    if endpoint := options.get("endpoint"):
        command += ["--endpoint-url", str(endpoint)]
    return shlex.join(command)


def _product(options: Mapping[str, Any]) -> str:
    endpoint = str(options.get("endpoint") or "")
    if not endpoint or "amazonaws.com" in endpoint:
        return "Amazon S3"
    return "MinIO" if "minio" in endpoint.lower() or endpoint.endswith(":9000") else "S3"


KIND = Kind(
    name="s3",
    label="S3 or compatible",
    credential="Secret key",
    build=_build,
    address=_address,
    fetch=_fetch,
    product=_product,
    guarded=("endpoint", "access_key"),
    variables={
        "bucket": "S3_BUCKET",
        "endpoint": "S3_ENDPOINT",
        "region": "S3_REGION",
        "path_style": "S3_USE_PATH_STYLE",
        "access_key": "S3_ACCESS_KEY",
        "secret": "S3_SECRET_KEY",
    },
    filed=frozenset({"access_key"}),
    schema={
        "type": "object",
        "required": ["bucket", "access_key"],
        "additionalProperties": False,
        "properties": {
            "bucket": {
                "type": "string",
                "title": "Bucket",
                "pattern": r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
                "refusal": "A bucket's name has 3 to 63 small letters, digits, dots or dashes.",
            },
            "prefix": {
                "type": "string",
                "title": "Prefix",
                "description": "The folder in the bucket; empty for all of it.",
                **keys.PREFIX,
            },
            "endpoint": {
                "type": "string",
                "title": "Endpoint",
                "description": "Empty for Amazon S3.",
                "pattern": r"^https?://[A-Za-z0-9._\[\]:-]+/?$",
                "refusal": "Enter an address such as https://s3.example.org:9000.",
            },
            "region": {
                "type": "string",
                "title": "Region",
                "pattern": r"^[A-Za-z0-9-]{1,40}$",
                "default": "us-east-1",
                "refusal": "Use letters, digits and dashes.",
            },
            "path_style": {
                "type": "boolean",
                "title": "Bucket in the path",
                "description": "Left out: in the path but for Amazon's own endpoints.",
                "refusal": "This is true or false.",
            },
            "access_key": {
                "type": "string",
                "title": "Access key",
                "pattern": r"^[\x21-\x7e]{1,256}$",
                "refusal": "This is no access key.",
            },
        },
    },
)
