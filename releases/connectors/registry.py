"""Which connectors there are. A new one is a file beside this one and a line here."""

from __future__ import annotations

from processes.problems import did_you_mean
from processes.soundness import ConnectorInfo
from releases.connectors.base import Connector
from releases.connectors.http import Http
from releases.connectors.mail import Mail
from releases.connectors.noop import Noop
from releases.connectors.script import Script
from releases.connectors.signal import Signal
from releases.connectors.timer import Timer

_ALL: dict[str, Connector] = {found.name: found for found in (Noop(), Script(), Http(), Timer(), Mail(), Signal())}


def connector(name: str) -> Connector:
    """The connector of that name. Raises KeyError with what was meant, perhaps."""
    try:
        return _ALL[name]
    except KeyError:
        raise KeyError(f'there is no connector "{name}"; there is {", ".join(_ALL)}.{did_you_mean(name, _ALL)}') from None


def info() -> dict[str, ConnectorInfo]:
    """What publishing must know of each (processes.soundness)."""
    return {
        found.name: ConnectorInfo(
            schema=found.schema(),
            effect="either" if len(found.effects) > 1 else str(found.default_effect),  # type: ignore[arg-type]
            problems=found.problems,
            uses_scripts=found.uses_scripts,
        )
        for found in _ALL.values()
    }


def names() -> tuple[str, ...]:
    """All names, in the order in which people should see them."""
    return tuple(_ALL)
