"""Web servers that are never asked: a machine's own metadata service gives its credentials to whoever asks.

It answers at a link-local address, which can be written in many ways, and a server elsewhere can point there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lakehouse.errors import InvalidKey

if TYPE_CHECKING:
    import aiohttp

__all__ = ["guarded_client", "refuse_own_network"]

_NAMES = ("metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal")
_ELSEWHERE = ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192")
"""Addresses of metadata services that are not link-local."""


def refuse_own_network(holder: str) -> None:
    """Refuse a host, with or without a port, that is a metadata service or a link-local address.

    Raises
    ------
    InvalidKey
        It is one.

    Examples
    --------
    >>> refuse_own_network("example.org:8080")
    >>> refuse_own_network("2852039166")
    Traceback (most recent call last):
    ...
    lakehouse.errors.InvalidKey: 2852039166 is an address of this machine's own network: name a public server
    """
    host = (urlsplit("//" + holder).hostname or "").rstrip(".")
    address = _address(host)
    if host in _NAMES or (address is not None and (address.is_link_local or str(address) in _ELSEWHERE)):
        raise InvalidKey(f"{holder} is an address of this machine's own network: name a public server")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))  # one number, octal, hexadecimal, fewer dots
        except OSError:
            return None
    return getattr(found, "ipv4_mapped", None) or found


async def guarded_client(*, loop: asyncio.AbstractEventLoop | None = None) -> aiohttp.ClientSession:
    """Return a client for fsspec that follows no redirection to such a host."""
    import aiohttp

    async def look(_session: Any, _context: Any, about: aiohttp.TraceRequestRedirectParams) -> None:
        target = about.response.headers.get("Location", "")
        refuse_own_network(urlsplit(target).netloc.rpartition("@")[2])

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(look)
    return aiohttp.ClientSession(trace_configs=[trace], loop=loop)
