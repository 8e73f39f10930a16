"""What the other property tests rely on: random processes are sound, and hold every key of the format."""

from __future__ import annotations

from random import Random

from processes.blueprint import Blueprint, Output, Part, StoreActivity
from processes.problems import errors
from processes.reading import document as written
from processes.reading import parse
from processes.shapes import Shape, keys_of, owners_of_key, part_shape
from processes.soundness import problems
from tests.generators import EVERYTHING, document, surroundings

SEEDS = range(60)


def test_they_are_sound() -> None:
    world = surroundings()
    for seed in SEEDS:
        found = parse(document(Random(seed), EVERYTHING, phases=1 + seed % 4, activities=1 + seed // 4 % 4, keys=(0.2, 0.5, 1.0)[seed % 3]))
        assert not found.problems
        assert isinstance(found.blueprint, Blueprint)
        assert not errors(problems(found.blueprint, world))


def test_they_hold_every_key() -> None:
    seen: dict[type[Part], set[str]] = {}

    def note(value: object, shape: Shape | None) -> None:
        if shape is None:
            return
        if isinstance(value, dict):
            if shape.part is not None:
                seen.setdefault(shape.part, set()).update(value)
            for key, inside in value.items():
                note(inside, shape.inside(key))
        elif isinstance(value, list):
            for item in value:
                note(item, shape.item)

    for seed in SEEDS:
        note(document(Random(seed), EVERYTHING, keys=0.5), part_shape(Blueprint))
    parts = {part for key in ("id", "type", "of", "to", "check", "attempts", "requires") for part in owners_of_key(key)} - {StoreActivity, Output}
    assert [(part.__name__, key) for part in parts for key in set(keys_of(part)) - seen.get(part, set())] == []


def test_the_same_seed_is_the_same_process() -> None:
    first, second = (parse(document(Random(7), EVERYTHING)).blueprint for _ in range(2))
    assert isinstance(first, Blueprint)
    assert isinstance(second, Blueprint)
    assert written(first) == written(second)
