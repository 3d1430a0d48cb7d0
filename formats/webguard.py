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
    from aiohttp.abc import ResolveResult

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
    if host in _NAMES or _is_own(host):
        raise InvalidKey(f"{holder} is an address of this machine's own network: name a public server")


def _is_own(host: str) -> bool:
    address = _address(host)
    return address is not None and (address.is_link_local or str(address) in _ELSEWHERE)


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
    """Return a client for fsspec that goes to no such host: neither redirected, nor by a name that leads there."""
    import aiohttp

    async def look(_session: Any, _context: Any, about: aiohttp.TraceRequestRedirectParams) -> None:
        target = about.response.headers.get("Location", "")
        refuse_own_network(urlsplit(target).netloc.rpartition("@")[2])

    class Looking(aiohttp.ThreadedResolver):
        """Looks at the addresses that are connected to, so that a name cannot mean another one a moment later."""

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            found = await super().resolve(host, port, family)
            if leading := [one["host"] for one in found if _is_own(one["host"])]:
                raise InvalidKey(
                    f"{host} leads to {leading[0]}, an address of this machine's own network: name a public server"
                )
            return found

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(look)
    connector = aiohttp.TCPConnector(resolver=Looking(loop), loop=loop)
    return aiohttp.ClientSession(trace_configs=[trace], connector=connector, loop=loop)
