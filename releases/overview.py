"""What a release says of itself beside its process and inputs: identifier, tags, version, colour, links, owners. Pure: the checks, all problems at once."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from processes.problems import Problem, pointer

COLOURS = ("grey", "red", "orange", "amber", "green", "teal", "blue", "violet", "pink")
MOST_TAGS, LONGEST_TAG = 20, 50
MOST_LINKS, LONGEST_ADDRESS, LONGEST_TITLE = 50, 2_000, 200
MOST_OWNERS = 50
LONGEST_IDENTIFIER = 100
LONGEST_DESCRIPTION = 20_000
FIELDS = ("identifier", "description", "tags", "release_version", "colour", "links", "owners", "phase_owners")
"""What `problems_of` knows, and what of a release can be said in a draft."""

_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9._-]*")
_VERSION = re.compile(r"\d+(\.\d+)*")
_OWNER = re.compile(r"(user|group):\S(.*\S)?")


def identifier_from(name: str, number: int) -> str:
    """An identifier made from the name; it ends with the release's number, which makes it one of its kind."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9.]+", "-", plain).strip("-.")[: LONGEST_IDENTIFIER - 20] or "release"
    return slug if slug.endswith(f"-{number}") else f"{slug}-{number}"


def problems_of(given: Mapping[str, Any], *, phases: Collection[str] = (), knows: Callable[[str, str], bool] | None = None) -> list[Problem]:
    """Everything that is wrong with these fields, each at its place. `knows(kind, name)` tells whether a person or group is there."""
    found: list[Problem] = []
    if "identifier" in given and not (_IDENTIFIER.fullmatch(given["identifier"]) and len(given["identifier"]) <= LONGEST_IDENTIFIER):
        found.append(Problem("pattern", "Small letters, digits, dots, dashes and underscores, at most 100, beginning with a letter or digit.", "/identifier"))
    if len(given.get("description", "")) > LONGEST_DESCRIPTION:
        found.append(Problem("max_length", f"At most {LONGEST_DESCRIPTION:,} characters.", "/description"))
    if given.get("release_version") and not (_VERSION.fullmatch(given["release_version"]) and len(given["release_version"]) <= 50):
        found.append(Problem("pattern", "A version is digits and dots, such as 2.14.0.", "/release_version"))
    if given.get("colour") and given["colour"] not in COLOURS:
        found.append(Problem("unknown_colour", f"The colours are {', '.join(COLOURS)}.", "/colour"))
    found += _tags(given.get("tags", ()))
    found += _links(given.get("links", ()))
    found += _owners(given.get("owners", ()), "/owners", knows)
    for phase, names in given.get("phase_owners", {}).items():
        place = pointer("phase_owners", phase)
        if phase not in phases:
            found.append(Problem("unknown_phase", f'There is no phase "{phase}".', place))
        found += _owners(names, place, knows)
    return found


def _tags(tags: Sequence[str]) -> list[Problem]:
    found = [Problem("max_items", f"At most {MOST_TAGS} tags.", "/tags")] if len(tags) > MOST_TAGS else []
    for n, tag in enumerate(tags):
        if not tag.strip() or len(tag) > LONGEST_TAG or "," in tag:
            found.append(Problem("pattern", f"A tag has 1 to {LONGEST_TAG} characters and no comma.", pointer("tags", n)))
        elif tag in tags[:n]:
            found.append(Problem("duplicate", f"{tag} is there twice.", pointer("tags", n)))
    return found


def _links(links: Sequence[Mapping[str, str]]) -> list[Problem]:
    found = [Problem("max_items", f"At most {MOST_LINKS} links.", "/links")] if len(links) > MOST_LINKS else []
    for n, link in enumerate(links):
        if not is_address(link.get("url", "")):
            found.append(Problem("not_an_address", "An address that begins with https:// or http:// is needed.", pointer("links", n, "url")))
        if len(link.get("title", "")) > LONGEST_TITLE:
            found.append(Problem("max_length", f"At most {LONGEST_TITLE} characters.", pointer("links", n, "title")))
    return found


def is_address(text: str) -> bool:
    """Whether this is an address of a web page; nothing that a browser would run."""
    if len(text) > LONGEST_ADDRESS or re.search(r"[\s\x00-\x1f\x7f<>\"\\]", text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _owners(names: Sequence[str], place: str, knows: Callable[[str, str], bool] | None) -> list[Problem]:
    found = [Problem("max_items", f"At most {MOST_OWNERS} owners.", place)] if len(names) > MOST_OWNERS else []
    for n, name in enumerate(names):
        if not _OWNER.fullmatch(name):
            found.append(Problem("not_an_owner", "An owner is user:<e-mail> or group:<name>.", f"{place}/{n}"))
        elif knows is not None and not knows(*name.split(":", 1)):
            found.append(Problem("unknown_owner", f"{name} is not known.", f"{place}/{n}"))
    return found
