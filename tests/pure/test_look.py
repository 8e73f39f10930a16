"""How states look: every state has a look, the stylesheet agrees with the table, colours can be read."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest

from releases import states
from relorch.lib.look import BAR, KINDS, STATES, UNKNOWN, bar_parts, in_bar_order, kind_of, look

STATIC = Path(__file__).resolve().parents[2] / "static"
CSS = (STATIC / "css/tokens.css").read_text()
SPRITE = frozenset(re.findall(r'<symbol id="([^"]+)"', (STATIC / "img/icons.svg").read_text()))
PHASES = {"pending", "interrupted", "on_hold", "waiting", "running", "bad", "skipped", "satisfied"}  # S5
COLOURS = ("success", "running", "waiting", "failed", "hold", "neutral")
TOKENS = {name: (light, dark) for name, light, dark in re.findall(r"--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", CSS)}


def test_every_state_has_a_look() -> None:
    assert {*states.Run, *states.Release} | PHASES <= STATES.keys()
    assert look("never heard of") is UNKNOWN
    assert {it.colour for it in STATES.values()} <= set(COLOURS)
    assert {it.bar for it in STATES.values()} <= set(BAR)


def test_every_icon_is_in_the_sprite() -> None:
    named = {icon for it in STATES.values() for icon in (it.icon, it.extra) if icon} | {icon for icon, _ in KINDS.values()} | {UNKNOWN.icon}
    assert named <= SPRITE


def test_the_stylesheet_colours_states_as_the_table_says() -> None:
    found: dict[str, str] = {}
    for selectors, body in re.findall(r"((?:\[data-state=[a-z_]+\],?\s*)+)\{([^}]*)\}", CSS):
        colour = re.search(r"--st: var\(--([a-z]+)-solid\)", body)
        assert colour
        found |= dict.fromkeys(re.findall(r"=([a-z_]+)\]", selectors), colour[1])
    assert found == {state: it.colour for state, it in STATES.items() if it.colour != "neutral"}


def test_bars_go_from_done_to_the_rest() -> None:
    counts = {
        "pending": 14,
        "failed": 1,
        "ignored": 1,
        "skipped": 1,
        "succeeded": 22,
        "interrupted": 1,
        "waiting": 2,
        "retrying": 1,
        "running": 1,
        "aborted": 0,
    }
    assert bar_parts(counts) == [("succeeded", 22), ("skipped", 2), ("running", 2), ("waiting", 2), ("hold", 1), ("failed", 1), ("rest", 14)]
    assert [state for state, _ in in_bar_order(counts)] == [
        *("succeeded", "skipped", "ignored", "running", "retrying", "waiting", "interrupted", "failed", "pending")
    ]


def test_kinds_of_manual_activities() -> None:
    assert kind_of("automated") == "automated"
    assert kind_of("subprocess") == "subprocess"
    assert kind_of("manual") == "sign_off"
    assert kind_of("manual", people=2) == "approval"
    assert kind_of("manual", tasks=True, people=2) == "checklist"
    assert kind_of("of the future") == "automated"


def linear(colour: str) -> list[float]:
    values = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]


def contrast(one: str, other: str) -> float:
    a, b = (sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear(colour), strict=True)) for colour in (one, other))
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


SURFACES = ("canvas", "surface", "subtle", "sunk", "hover", "selected")
PAIRS = [
    *((text, surface, 4.5) for text in ("text", "text-2", "text-3", "link") for surface in SURFACES),
    *(("focus", surface, 3) for surface in SURFACES),
    *(("line-control", surface, 3) for surface in SURFACES[:4]),
    ("on-ink", "ink", 4.5),
    *(("on-solid", f"{colour}-solid", 4.5) for colour in ("success", "failed")),
    *((f"{colour}-fg", surface, 4.5) for colour in COLOURS for surface in (*SURFACES[:5], f"{colour}-bg")),
    *((f"{colour}-solid", surface, 3) for colour in COLOURS for surface in SURFACES[:5]),
    *((text, f"{colour}-bg", 4.5) for colour in COLOURS for text in ("text", "text-2", "text-3")),
    *((f"tint-{number}", f"tint-{number}-bg", 4.5) for number in range(1, 6)),
]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_and_icons_can_be_read_on_what_they_stand_on(theme: int) -> None:
    weak = [(fore, back) for fore, back, least in PAIRS if contrast(TOKENS[fore][theme], TOKENS[back][theme]) < least]
    assert weak == []


MACHADO = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def lab(colour: str, sight: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    seen = [min(1.0, max(0.0, sum(weight * value for weight, value in zip(row, linear(colour), strict=True)))) for row in sight]
    to_xyz = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
    xyz = [sum(weight * value for weight, value in zip(row, seen, strict=True)) / white for row, white in zip(to_xyz, (0.95047, 1, 1.08883), strict=True)]
    x, y, z = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("sight", MACHADO)
def test_state_colours_differ_for_everybody(theme: int, sight: str) -> None:
    seen = [lab(TOKENS[f"{colour}-solid"][theme], MACHADO[sight]) for colour in COLOURS]
    assert min(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 for one, other in combinations(seen, 2)) > 11
