"""The storage account of Azure that the environment names, for libraries that do not find it as adlfs does.

delta-rs, Polars and TileDB know no connection strings; they are taken apart here, when they are needed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from lakehouse.errors import ConfigurationError, shown

__all__ = ["AzureAccount", "account_in"]

_HOSTS = (".dfs.core.windows.net", ".blob.core.windows.net")


@dataclass(frozen=True, kw_only=True)
class AzureAccount:
    """A storage account, and what opens it; keep it no longer than a call takes.

    Examples
    --------
    >>> AzureAccount(name="lab", key="secret")
    AzureAccount(name='lab', endpoint=None)
    """

    name: str | None = None
    endpoint: str | None = None
    """URL of its blobs; ``None`` at Azure."""
    key: str | None = field(default=None, repr=False)
    sas: str | None = field(default=None, repr=False)
    """A token of a shared access signature, without the question mark."""

    @classmethod
    def found(cls, root: str = "") -> AzureAccount:
        """Return the account of this environment: of the connection string, else of the account's variables.

        Parameters
        ----------
        root
            Of a storage, such as ``abfs://box@account.dfs.core.windows.net/x``, which may name the account.

        Raises
        ------
        ConfigurationError
            The root names another account than the connection string.
        """
        stated, wanted = _stated(), account_in(root)
        if not stated:
            env = os.environ.get
            name, sas = wanted or env("AZURE_STORAGE_ACCOUNT_NAME"), env("AZURE_STORAGE_SAS_TOKEN")
            return cls(name=name, key=env("AZURE_STORAGE_ACCOUNT_KEY"), sas=sas and sas.lstrip("?"))
        if wanted is not None and stated.get("accountname") != wanted:
            raise ConfigurationError(
                f"the root names the account {shown(wanted)} of Azure, and AZURE_STORAGE_CONNECTION_STRING another: set "
                "AZURE_STORAGE_ACCOUNT_KEY instead, or leave the account out of the root"
            )
        return cls(
            name=stated.get("accountname"),
            endpoint=stated.get("blobendpoint", "").rstrip("/") or None,
            key=stated.get("accountkey"),
            sas=stated.get("sharedaccesssignature", "").lstrip("?") or None,
        )

    def object_store(self) -> dict[str, str]:
        """Return what delta-rs and Polars take; what is missing they look for in the environment."""
        options = {
            "azure_storage_account_name": self.name,
            "azure_storage_account_key": self.key,
            "azure_storage_sas_key": self.sas,
            "azure_storage_endpoint": self.endpoint,
            "allow_http": "true" if (self.endpoint or "").startswith("http://") else None,
        }
        return {name: value for name, value in options.items() if value}

    def tiledb(self) -> dict[str, str]:
        """Return what a TileDB context takes; without key and token it asks for an identity, as adlfs does."""
        options = {
            "vfs.azure.storage_account_name": self.name,
            "vfs.azure.storage_account_key": self.key,
            "vfs.azure.storage_sas_token": self.sas,
            "vfs.azure.blob_endpoint": self.endpoint
            or (f"https://{self.name}.blob.core.windows.net" if self.name else ""),
        }
        return {name: value for name, value in options.items() if value}


def account_in(root: str) -> str | None:
    """Return the account that a root names beside its container, if it does.

    Examples
    --------
    >>> account_in("abfs://box@lab.dfs.core.windows.net/x"), account_in("az://box/x")
    ('lab', None)
    """
    holder = root.partition("://")[2].partition("/")[0]
    host = holder.partition("@")[2]
    for known in _HOSTS:
        if host.endswith(known):
            return host.removesuffix(known)
    return None


def _stated() -> dict[str, str]:
    """Return the parts of the connection string, by name in lower case."""
    parts = os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";")
    pairs = (part.partition("=") for part in parts if part.strip())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
