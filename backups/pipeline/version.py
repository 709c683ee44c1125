"""Backdrop's own version, as manifests record it; pyproject.toml says the same."""

VERSION = "0.1.0"
