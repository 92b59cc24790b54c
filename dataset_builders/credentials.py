"""Passwords and tokens in URLs: used, but neither printed nor stored."""

import re
from typing import Any

__all__ = ["without_credentials"]

_USER = re.compile(r"(?<=://)[^/\s?#'\"]*@")
_PARAMETER = re.compile(
    r"(?P<name>[?&#;][^=&\s#'\"]*(?:token|key|secret|sig|pass|pwd|auth|cred|session)[^=&\s#'\"]*=)[^&\s#'\"<>)]+",
    re.IGNORECASE,
)


def without_credentials(value: Any) -> Any:
    """Text, or dictionaries and lists that hold text, without the secrets of the URLs in it.

    `https://user:password@host/file?token=abc` becomes `https://host/file?token=***`. Other values stay as they are.
    """
    if isinstance(value, str):
        return _PARAMETER.sub(r"\g<name>***", _USER.sub("", value))
    if isinstance(value, dict):
        return {name: without_credentials(content) for name, content in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_credentials(content) for content in value)
    return value
