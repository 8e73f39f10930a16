"""The process file as a JSON Schema (2020-12), for editors and other programs. Pure."""

from __future__ import annotations

import copy
import re
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from processes.blueprint import RESERVED_IDS, Activity, Blueprint, StoreActivity
from processes.shaping import NOT_IN_STORE

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    ignored_warning_kinds: ClassVar[set[JsonSchemaWarningKind]] = {"skipped-choice", "non-serializable-default"}  # type: ignore[misc]


def json_schema(kind: Literal["Process", "Activity"] = "Process") -> dict[str, Any]:
    """The schema of a process, or of an activity of the store. What it refuses the reader refuses too; the reader knows more (ids said twice)."""
    return copy.deepcopy(_schema(kind))


@cache
def _schema(kind: str) -> dict[str, Any]:
    found = (StoreActivity if kind == "Activity" else Blueprint).model_json_schema(by_alias=True, schema_generator=_Generator)
    definitions = found.pop("$defs")
    if kind == "Activity":
        inner = Activity.model_json_schema(by_alias=True, schema_generator=_Generator)
        definitions |= inner.pop("$defs")
        inner["properties"] = {key: value for key, value in inner["properties"].items() if key not in NOT_IN_STORE}
        del inner["required"]
        definitions["ActivityOfStore"] = inner
        found["properties"]["activity"] = {"$ref": "#/$defs/ActivityOfStore", "description": found["properties"]["activity"]["description"]}
    found["properties"]["id"] |= {"not": {"enum": sorted(RESERVED_IDS)}}
    title = "relorch process" if kind == "Process" else "relorch activity of the store"
    tidy: dict[str, Any] = _tidy(found | {"$defs": definitions})
    return {"$schema": DIALECT, "title": title} | {key: value for key, value in tidy.items() if key != "title"}


def _tidy(value: Any, *, names: bool = False) -> Any:
    """Without what says nothing to an author: titles made of the key, an explicit null, references to rules by number."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    if names:  # the keys are the author's or the format's, not the schema language's
        return {key: _tidy(item) for key, item in value.items()}
    found = {key: _tidy(item, names=key in ("properties", "$defs")) for key, item in value.items() if key not in ("title", "default")}
    if value.get("default") not in (None, "", [], False):
        found["default"] = value["default"]
    if "description" in found:
        found["description"] = re.sub(r" \(S\d+[^)]*\)|^S\d+: ", "", found["description"])
    if "patternProperties" in found:  # pydantic's way to say what keys look like; it would let others through
        (pattern, inside), *_ = found.pop("patternProperties").items()
        found |= {"propertyNames": {"pattern": pattern}, "additionalProperties": inside or True}
    if "anyOf" in found:
        choices = [choice for choice in found["anyOf"] if choice != {"type": "null"}]
        if len(choices) == 1:
            del found["anyOf"]
            found = choices[0] | found
        else:
            found["anyOf"] = choices
    return found
