"""Who may read, write and administer a lake whose catalog is in Postgres: rights of SQL roles, held up by the server."""

from __future__ import annotations

from enum import StrEnum

from lakehouse.engine.catalog import Catalog
from lakehouse.engine.catalog_postgres import PostgresCatalog
from lakehouse.engine.postgres_statements import PostgresStatements
from lakehouse.errors import InputError, NotFound, Unsupported, did_you_mean, shown

__all__ = ["Right", "grant"]


class Right(StrEnum):
    """What a role may do; each includes the ones before it."""

    NONE = "none"
    """Nothing."""
    READ = "read"
    """Read every retained commit."""
    WRITE = "write"
    """Commit and publish; what is committed can neither be changed nor removed."""
    ADMIN = "admin"
    """Change tables, and vacuum."""


_READ = ("SELECT ON ALL TABLES IN SCHEMA {schema}",)
_WRITE = (
    *_READ,
    "INSERT ON {schema}.commits, {schema}.change, {schema}.publication, {schema}.file",
    "INSERT, DELETE ON {schema}.unique_value, {schema}.unique_block, {schema}.pin, {schema}.tag, {schema}.intent",
    "UPDATE (home, epoch, holder, until, head_json) ON {schema}.meta",
    "UPDATE (died) ON {schema}.file",
)
_GRANTS: dict[Right, tuple[str, ...]] = {
    Right.NONE: (),
    Right.READ: _READ,
    Right.WRITE: _WRITE,
    Right.ADMIN: ("ALL ON ALL TABLES IN SCHEMA {schema}",),
}


def grant(catalog: Catalog, role: str, right: Right, *, create: bool = False) -> None:
    """Set what a role may do with a lake, whatever it was before.

    The files of the root have rights of their own: give the role's people those of the folder or bucket, too.

    Parameters
    ----------
    role
        A role of the database; users inherit it by ``GRANT role TO user``.
    right
        What it may do.
    create
        Make the role, without a login, where it does not exist.

    Raises
    ------
    Unsupported
        When the catalog is a SQLite file.
    NotFound
        When there is no such role.
    InputError
        When the role owns the catalog.
    ReadOnly
        When the one who asks does not own it.
    """
    if not isinstance(catalog, PostgresCatalog):
        raise Unsupported(
            f"{catalog.name} is a file, and whoever may write to it may do all: set its permissions and its group, or "
            "keep the catalog in Postgres"
        )
    _check_name(role)
    with catalog.unlocked() as db:
        _find(db, catalog, role, create=create)
        schema, name = catalog.address.identifier, _quoted(role)
        db.run(f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {name}")
        db.run(f"REVOKE ALL ON SCHEMA {schema} FROM {name}")
        if right is not Right.NONE:
            db.run(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
        for rights in _GRANTS[right]:
            db.run(f"GRANT {rights.format(schema=schema)} TO {name}")


def _find(db: PostgresStatements, catalog: PostgresCatalog, role: str, *, create: bool) -> None:
    """Refuse a role that cannot be meant, and make one that is wanted."""
    roles = {name for (name,) in db.rows("SELECT rolname FROM pg_roles")}
    owners = {
        name for (name,) in db.rows("SELECT tableowner FROM pg_tables WHERE schemaname = ?", catalog.address.schema)
    }
    if role in owners:
        raise InputError(f"{shown(role)} owns {catalog.name} and may do all: name another role")
    if role in roles:
        return
    if not create:
        known = (name for name in roles if not name.startswith("pg_"))
        raise NotFound(f"no role {shown(role)}{did_you_mean(role, known)}; --create makes it, without a login")
    db.run(f"CREATE ROLE {_quoted(role)} NOLOGIN")


def _check_name(role: str) -> None:
    sound = role.isprintable() and 0 < len(role.encode("utf-8", "replace")) <= 63
    if not sound or role.lower() == "public" or role.startswith("pg_"):
        raise InputError(f"{shown(role)} cannot be granted anything: name a role of 1 to 63 bytes")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
