"""The address of a Postgres catalog: a URL without secrets and a schema; passwords stay in this process's memory."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from lakehouse.errors import ConfigurationError, InputError, shown
from lakehouse.optional import require

__all__ = ["PostgresAddress", "is_postgres"]

_SCHEMES = ("postgresql://", "postgres://")
_SECRETS = ("password", "sslpassword")
_MOST_BYTES = 63  # Postgres cuts longer identifiers in silence, so that two of them could become one
_known: dict[str, dict[str, str]] = {}
"""The secrets that were given in this process, by the URL without them."""


def is_postgres(catalog: object) -> bool:
    """Whether a catalog is named by a Postgres URL.

    Examples
    --------
    >>> is_postgres("postgresql://ada@host/lab"), is_postgres("catalog.db")
    (True, False)
    """
    return isinstance(catalog, str) and catalog.startswith(_SCHEMES)


@dataclass(frozen=True)
class PostgresAddress:
    """A database and a schema in it, without secrets.

    Examples
    --------
    >>> address = PostgresAddress.parsed("postgresql://ada:secret@host/lab?schema=pilot", root="/data/lake")
    >>> address
    PostgresAddress(url='postgresql://ada@host/lab', schema='pilot')
    >>> PostgresAddress.parsed("postgresql://ada@host/lab", root="/data/My lake").schema
    'lake_my_lake_c8260d38'
    """

    url: str
    schema: str

    def __str__(self) -> str:
        return f"schema {self.schema} of {self.url}"

    @property
    def identifier(self) -> str:
        """The schema as SQL writes it."""
        return '"' + self.schema.replace('"', '""') + '"'

    @classmethod
    def parsed(cls, text: str, *, root: str) -> Self:
        """Take a URL apart; a password in it is remembered by this process, and by nothing else.

        Parameters
        ----------
        text
            ``postgresql://user:password@host:port/database?schema=name``; all but the scheme may be absent.
        root
            Where the lake lies; names the schema when the URL does not.

        Raises
        ------
        InputError
            When it is no such URL; the message does not show it.
        """
        plain, secrets, schema = _split(text)
        if secrets:
            _known[plain] = secrets
        return cls(plain, _checked(schema) if schema is not None else _schema_of(root))

    @classmethod
    def restored(cls, url: str, schema: str) -> Self:
        """Return the address that a marker names.

        Raises
        ------
        ConfigurationError
            When somebody wrote a password into it.
        """
        plain, secrets, _ = _split(url)
        if secrets:
            raise ConfigurationError(
                f"the marker of the instance holds a password for {plain}: take it out, and set PGPASSWORD or ~/.pgpass"
            )
        return cls(plain, _checked(schema))

    def secrets(self) -> dict[str, str]:
        """Return what to connect with besides the URL; to be passed on to the driver and nowhere else."""
        return _known.get(self.url, {})


def _split(text: str) -> tuple[str, dict[str, str], str | None]:
    """Return the URL without secrets, the secrets, and the schema that it names."""
    try:
        parts = urlsplit(text.replace("postgres://", "postgresql://", 1))
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise _no_url() from None
    user, at, hosts = parts.netloc.rpartition("@")
    name, colon, password = user.partition(":")
    # what is not percent-encoded may have ended up where nobody looks for a secret
    if "@" in user or "@" in parts.path or parts.fragment or "@" in parts.query or "\0" in text:
        raise _no_url()
    if any(re.fullmatch(r"(\[[^\]]*\]|[^\[\]:]*)(:\d{0,5})?", host) is None for host in hosts.split(",")):
        raise _no_url()
    secrets = {key: value for key, value in query if key in _SECRETS}
    if colon:
        secrets["password"] = unquote(password)
    schema = next((value for key, value in query if key == "schema"), None)
    kept = urlencode([(k, v) for k, v in query if k not in (*_SECRETS, "schema")], quote_via=quote, safe="/,")
    plain = urlunsplit((parts.scheme, name + at + hosts, parts.path, kept, ""))
    plain = plain if plain.startswith(_SCHEMES[0]) else plain.replace("postgresql:", "postgresql://", 1)
    _check_options(plain)
    return plain, secrets, schema


def _check_options(plain: str) -> None:
    """Let the driver read it; its message is not passed on, since it repeats what it was given."""
    require("psycopg", "postgres")
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(plain)
    except (Error, UnicodeError):
        raise _no_url() from None


def _no_url() -> InputError:
    return InputError(
        "the catalog's URL cannot be read: write postgresql://user:password@host:port/database?schema=name, with "
        "characters such as @ : / ? # % in user and password percent-encoded"
    )


def _checked(schema: str) -> str:
    taken = schema.startswith("pg_") or schema in ("information_schema", "public")
    if taken or not schema.isprintable() or not 0 < len(schema.encode("utf-8", "replace")) <= _MOST_BYTES:
        raise InputError(
            f"{shown(schema)} cannot be the schema of a catalog: choose a name of 1 to {_MOST_BYTES} bytes that does "
            "not begin with pg_ and is neither public nor information_schema"
        )
    return schema


def _schema_of(root: str) -> str:
    """Return a name that every process derives from the root alike, so that two that create it find one another."""
    folder = re.sub(r"[^a-z0-9]+", "_", root.rstrip("/").rpartition("/")[2].lower()).strip("_")[:30]
    mark = hashlib.sha256(root.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return "_".join(part for part in ("lake", folder, mark) if part)
