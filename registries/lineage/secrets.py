"""Secrets are taken out of what a run records of itself: parameters, arguments, variables and tracebacks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["HIDDEN", "is_secret_name", "without_secrets", "without_secrets_in_arguments"]

HIDDEN: Final = "***"
"""What stands in place of a secret."""

_NAME = re.compile(
    r"(^|[_\-. ])(pass|passwd|password|passphrase|pwd|secrets?|credentials?|auth|authorization|cookie|"
    r"(access|refresh|id|api|auth|bearer|session|hf|github|gitlab|sas)[_\-. ]?token|token|"
    r"(api|access|account|secret|private|ssh|encryption|signing|storage|master)[_\-. ]?(access[_\-. ]?)?key([_\-. ]?id)?|"
    r"apikey|connection[_\-. ]?string|dsn)$",
    re.IGNORECASE,
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_VALUES = (
    (re.compile(r"(?<=://)[^/\s:@'\"]*:[^/\s@'\"]+(?=@)"), HIDDEN),  # user:password@
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"), HIDDEN),
    (re.compile(r"\b(gh[opsur]_|github_pat_|glpat-|hf_|xox[abpr]-|sk-)[A-Za-z0-9_-]{16,}"), HIDDEN),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), HIDDEN),
    (
        re.compile(r"(?i)([?&](?:x-amz-(?:signature|credential|security-token)|sig|signature|token|key)=)[^&\s'\"]+"),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(
            r"(?i)\b((?:[a-z0-9]{1,40}[_-]){0,4}(?:password|passwd|pwd|secret|token|api_?key|access_?key|account_?key)\s*[=:]\s*)"
            r"(?!\s)('[^']*'|\"[^\"]*\"|[^\s,;)'\"]+)"
        ),
        rf"\1{HIDDEN}",
    ),
)


def is_secret_name(name: str) -> bool:
    """Return whether something of this name is likely to be a secret.

    Examples
    --------
    >>> [is_secret_name(name) for name in ("api_key", "AWS_SECRET_ACCESS_KEY", "dbPassword", "key", "max_tokens")]
    [True, True, True, False, False]
    """
    return bool(_NAME.search(_HUMP.sub("_", name[:200])))


def without_secrets(value: Any, name: str = "") -> Any:
    """Return a value with what looks like a secret in it hidden, in lists and dicts as well.

    Parameters
    ----------
    value
        Text, a list, a dict, or anything else, which stays as it is.
    name
        What it is called.

    Examples
    --------
    >>> without_secrets({"url": "postgresql://ada:pw@host/db", "api_key": "x", "n": 3})
    {'url': 'postgresql://***@host/db', 'api_key': '***', 'n': 3}
    """
    if name and value is not None and not isinstance(value, bool) and is_secret_name(name):
        return HIDDEN
    if isinstance(value, str):
        for pattern, instead in _VALUES:
            value = pattern.sub(instead, value)
        return value
    if isinstance(value, Mapping):
        return {key: without_secrets(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    return value


def without_secrets_in_arguments(arguments: Sequence[str]) -> list[str]:
    """Return command-line arguments with secrets hidden: ``--token x`` and ``--token=x``.

    Examples
    --------
    >>> without_secrets_in_arguments(["run.py", "--api-key", "x", "--token=y", "--n", "3"])
    ['run.py', '--api-key', '***', '--token=***', '--n', '3']
    """
    found: list[str] = []
    hide = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        is_option = name.startswith("-")
        if hide and not is_option:
            found.append(HIDDEN)
        elif is_option and equals and is_secret_name(name.lstrip("-")):
            found.append(f"{name}={HIDDEN}")
        else:
            found.append(str(without_secrets(argument)))
        hide = is_option and not equals and is_secret_name(name.lstrip("-"))
    return found
