"""What the process file may hold at a place, read off the types of `processes.blueprint`. Pure."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from processes import blueprint as format_types
from processes.blueprint import Part


@dataclass(frozen=True, slots=True)
class Shape:
    """A `part` is a mapping with the keys of one class, a `map` one with the author's keys, a `leaf` a value without places inside."""

    kind: Literal["part", "list", "map", "leaf"]
    part: type[Part] | None = None
    item: Shape | None = None
    free: bool = False

    def inside(self, step: str | int) -> Shape | None:
        """The shape of one key or item, or None when nothing is known of it."""
        if self.part is not None:
            return keys_of(self.part).get(str(step))
        return self.item


LEAF = Shape("leaf")
FREE = Shape("leaf", free=True)
"""Any JSON value: templates, defaults, options."""


@cache
def part_shape(part: type[Part]) -> Shape:
    """The shape of a mapping of the process file."""
    return Shape("part", part=part)


@cache
def keys_of(part: type[Part]) -> dict[str, Shape]:
    """The keys of a mapping as the file writes them, in the file's order."""
    return {field.alias or name: _shape(field.annotation) for name, field in part.model_fields.items()}


@cache
def owners_of_key(key: str) -> tuple[type[Part], ...]:
    """The mappings that have this key."""
    parts = [found for found in vars(format_types).values() if isinstance(found, type) and issubclass(found, Part) and found is not Part]
    return tuple(part for part in parts if key in keys_of(part))


def shape_at(shape: Shape, path: Sequence[str | int]) -> tuple[Shape, int]:
    """The shape at `path` and how many of its steps lie in the document: what pydantic adds behind a leaf does not."""
    for taken, step in enumerate(path):
        inner = None if shape.kind == "leaf" else shape.inside(step)
        if inner is None:
            unknown_key = shape.kind == "part" and taken == len(path) - 1
            return shape, taken + unknown_key
        shape = inner
    return shape, len(path)


def _shape(annotation: Any) -> Shape:
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is typing.Annotated:
        return _shape(arguments[0])
    if origin in (typing.Union, types.UnionType):
        given = [argument for argument in arguments if argument is not type(None)]
        return _shape(given[0]) if len(given) == 1 else LEAF
    if origin is tuple:
        return Shape("list", item=_shape(arguments[0]))
    if origin is dict:
        return Shape("map", item=_shape(arguments[1]))
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return part_shape(annotation)
    return FREE if annotation is Any else LEAF
