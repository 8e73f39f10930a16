"""Which addresses and URLs relorch may talk to (S24). Pure: nothing is looked up and nothing connected here.

An address is denied unless it is plainly a host of the public internet; the administrator opens what is needed with
`RELORCH_EGRESS_ALLOW`: hosts, addresses or networks, comma-separated.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import idna

SETTING = "RELORCH_EGRESS_ALLOW"

_DENIED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches the machine itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; a cloud's metadata too
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's agent, on a public address
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_PUBLIC_V6 = IPv6Network("2000::/3")  # everything else: loopback, mapped, compatible, NAT64, unique local, link-local, multicast, reserved
_DENIED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo and ORCHID among them
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address inside
        "2620:4f:8000::/48",
        "3ffe::/16",
        "3fff::/20",
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)  # an IPv4 address in the lower half of any IPv6 one
_BAD_PORTS = frozenset(
    # What browsers refuse (WHATWG fetch, "port blocking"): other protocols that could be made to believe an HTTP request.
    (
        *(0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119),
        *(123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990),
        *(993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080, 11211),
    )
)
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\\]")

Address = IPv4Address | IPv6Address


class BadURL(ValueError):
    """A URL that is not written as we accept it; the message says why and never repeats the URL."""


@dataclass(frozen=True, slots=True)
class Allow:
    """What the administrator opened: names of hosts (with every address they have) and networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads: `host` in its canonical ASCII form (an IPv6 address without brackets), `path` with its query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def text(self) -> str:
        """The URL to send to."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == {"http": 80, "https": 443}[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    @property
    def shown(self) -> str:
        """The URL for messages: the query, which often holds a token, is left out."""
        path, asked, _ = self.text.partition("?")
        return f"{path}?•••" if asked else path


def parse_allow(value: str | Iterable[str]) -> Allow:
    """Read `RELORCH_EGRESS_ALLOW`: text with commas or spaces, or its words. Raises ValueError naming the word that is none of the three."""
    words = re.split(r"[,\s]+", value) if isinstance(value, str) else value
    hosts: set[str] = set()
    networks: list[IPv4Network | IPv6Network] = []
    for word in filter(None, (word.strip() for word in words)):
        try:
            networks.append(ip_network(word.removeprefix("[").removesuffix("]"), strict=False))
        except ValueError:
            try:
                hosts.add(_host(word))
            except BadURL:
                raise ValueError(f"{SETTING}: {word!r} is not a host, an address or a network") from None
    return Allow(frozenset(hosts), tuple(networks))


def address_allowed(address: str | Address, allow: Allow = Allow()) -> bool:
    """May we connect to this address? What cannot be read as one may not."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if any(ip.version == network.version and ip in network for network in allow.networks):
        return True
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _DENIED_V4)
    if ip.scope_id is not None or (int(ip) >> 32) & 0xFFFFFFFF in _ISATAP:
        return False
    return ip in _PUBLIC_V6 and not any(ip in network for network in _DENIED_V6)


def _host(written: str) -> str:
    """The host in canonical form. Raises BadURL for what is neither a plain name nor an address in its usual notation."""
    host = unicodedata.normalize("NFKC", written).lower()  # full-width digits and dots are digits and dots to a resolver
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError:
            raise BadURL("the host is not a valid international name") from None
    host = host.removesuffix(".")
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise BadURL("the host is not a valid name")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        # Whatever ends in a number is an address to somebody: 2130706433, 0x7f.1, 127.1, 0177.0.0.1. Only the usual notation is taken.
        try:
            if written.isascii():
                return str(IPv4Address(host))
            raise ValueError
        except ValueError:
            raise BadURL("the host is an address in an unusual notation; write a.b.c.d") from None
    return host


def parse_url(url: str) -> Target:
    """Take a URL apart, strictly: http or https, no user name, a plain host, a port that speaks HTTP. Raises BadURL."""
    if not isinstance(url, str) or not url:
        raise BadURL("the URL is empty")
    if len(url) > 8_000:
        raise BadURL("the URL is longer than 8,000 characters")
    if _UNPRINTABLE.search(url):
        raise BadURL("the URL holds a space, a line break, a backslash or another character that must be escaped")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadURL("the URL cannot be read; write https://host/path") from None
    if parts.scheme not in ("http", "https"):
        raise BadURL("only http and https are spoken")
    if "@" in parts.netloc:
        raise BadURL("the URL holds a user name; use the Authorization header")
    if "%" in parts.netloc:
        raise BadURL("the host holds an escape or a zone")
    if not parts.hostname:
        raise BadURL("the URL names no host")
    if parts.netloc.startswith("["):
        try:
            host = str(IPv6Address(parts.hostname))
        except ValueError:
            raise BadURL("the host is not an IPv6 address") from None
    else:
        host = _host(parts.hostname)
    if port is None:
        port = 443 if parts.scheme == "https" else 80
    if port in _BAD_PORTS:
        raise BadURL(f"port {port} belongs to another protocol")
    return Target(parts.scheme, host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
