"""Choose the HTTP proxy for a URL from the environment.

`HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` (and their lower-case forms, which win) work as in docker
and Go's tools (golang.org/x/net/http/httpproxy): entries of NO_PROXY are `*`, host names (their
subdomains included), `.domain` or `*.domain` (only the subdomains), addresses, networks in CIDR
form, each with an optional port. Loopback is never proxied.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for an absolute http or https `url`, or None if there is none."""
    parts = urlsplit(url)
    proxy = _variable(environ, f"{parts.scheme}_proxy")
    host = parts.hostname or ""
    if not proxy or is_loopback(host):
        return None
    if _bypasses(host, parts.port or _DEFAULT_PORTS[parts.scheme], _variable(environ, "no_proxy")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def is_loopback(host: str) -> bool:
    """Return whether a host name or address (without brackets) always means this machine."""
    name = host.lower().rstrip(".")
    address = parse_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback if address else name == "localhost" or name.endswith(".localhost")


def parse_address(host: str) -> Address | None:
    """Return the IP address in `host` (without brackets); None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _variable(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _bypasses(host: str, port: int, no_proxy: str) -> bool:
    return any(_matches(host.lower().rstrip("."), port, entry) for entry in no_proxy.lower().replace(",", " ").split())


def _matches(host: str, port: int, entry: str) -> bool:
    if entry == "*":
        return True
    address = parse_address(host)
    if "/" in entry:
        return address is not None and _in_network(address, entry)
    name, wanted_port = _split_port(entry)
    if wanted_port not in (None, port):
        return False
    if address is not None:
        return address == parse_address(name)
    if name.startswith(("*.", ".")):
        return host.endswith(name.removeprefix("*"))
    return host == name or host.endswith(f".{name}")


def _in_network(address: Address, entry: str) -> bool:
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _split_port(entry: str) -> tuple[str, int | None]:
    """Split `host:port`, `[::1]:port` and bare IPv6 addresses."""
    if parse_address(entry):
        return entry, None
    name, colon, port = entry.rpartition(":")
    if colon and port.isascii() and port.isdigit():
        return name.strip("[]"), int(port)
    return entry.strip("[]"), None
