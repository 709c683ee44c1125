"""The rule for names that become part of an object's name in storage."""

from __future__ import annotations

from django.core.validators import RegexValidator

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z"

validate_name = RegexValidator(
    NAME_PATTERN,
    "Use 1 to 63 letters, digits, dots, dashes or underscores, beginning with a letter or digit.",
)
