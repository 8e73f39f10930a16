"""The process file written: one canonical document, one canonical YAML, one digest of a blueprint. Pure.

The emitter is ours, so that an exported file keeps its bytes whatever the version of a library: it writes the little of YAML that JSON values
need, in block style, and quotes whatever any reader, of YAML 1.1 or 1.2, could take for something else than text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

from processes.blueprint import Activity, Blueprint, Part, StoreActivity
from processes.shapes import keys_of


def document(blueprint: Blueprint | StoreActivity) -> dict[str, Any]:
    """The file's document as plain JSON values: keys in the file's order, defaults left out.

    `apiVersion` and `kind` always stand, so that a file says what it is. An activity that `uses` one of the store keeps what it says even
    where that is a default, because there it overrides the store's (S2a).
    """
    found = _dumped(blueprint)
    if isinstance(blueprint, Blueprint):
        for phase, written in zip(blueprint.phases, found.get("phases", ()), strict=True):
            for activity, mapping in zip(phase.activities, written.get("activities", ()), strict=True):
                if activity.uses is not None:
                    _keep_given(activity, mapping)
    return {"apiVersion": blueprint.api_version, "kind": blueprint.kind} | found


def canonical(blueprint: Blueprint | StoreActivity) -> bytes:
    """The document as JSON with sorted keys, without spaces, in UTF-8: the same for the same meaning, whatever the order of keys."""
    return json.dumps(document(blueprint), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(blueprint: Blueprint | StoreActivity) -> str:
    """SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical(blueprint)).hexdigest()


def to_yaml(blueprint: Blueprint | StoreActivity) -> str:
    """The canonical YAML; read and written again it is the same byte for byte."""
    return yaml_text(document(blueprint))


def yaml_text(mapping: dict[str, Any]) -> str:
    """JSON values as YAML in block style."""
    return "".join(line + "\n" for line in _mapping(mapping, "")) if mapping else "{}\n"


def entry_lines(key: str, value: Any, indent: str) -> list[str]:
    """One entry of a mapping in block style, as `yaml_text` would write it there."""
    return list(_mapping({key: value}, indent))


def item_lines(value: Any, indent: str) -> list[str]:
    """One item of a list in block style, its dash at the indentation."""
    return list(_items([value], indent))


def _dumped(part: Blueprint | StoreActivity | Activity) -> dict[str, Any]:
    return part.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _keep_given(activity: Activity, mapping: dict[str, Any]) -> None:
    """Add what is said although it is the default, in the file's order."""
    full = activity.model_dump(mode="json", by_alias=True)
    given = {field.alias or name: name for name, field in Activity.model_fields.items() if name in activity.model_fields_set}
    whole: dict[str, Any] = {}
    for key in keys_of(Activity):
        if key in mapping:
            whole[key] = mapping[key]
        elif key in given and full[key] is not None:
            whole[key] = {} if isinstance(getattr(activity, given[key]), Part) else full[key]
    mapping.clear()
    mapping.update(whole)


def _mapping(mapping: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in mapping.items():
        name = _scalar_text(key)
        if isinstance(value, dict) and value:
            yield f"{indent}{name}:"
            yield from _mapping(value, indent + "  ")
        elif isinstance(value, list) and value:
            yield f"{indent}{name}:"
            yield from _items(value, indent + "  ")
        else:
            yield from _leaf(f"{indent}{name}: ", value, indent + "  ")


def _items(items: list[Any], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, (dict, list)) and item:
            inner = indent + "  "
            lines = _mapping(item, inner) if isinstance(item, dict) else _items(item, inner)
            yield f"{indent}- {next(lines)[len(inner) :]}"  # the first entry stands on the line of its dash
            yield from lines
        else:
            yield from _leaf(f"{indent}- ", item, indent + "  ")


def _leaf(start: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, str) and (header := _block_header(value)):
        yield start + header
        lines = value.split("\n")
        for line in lines[:-1] if value.endswith("\n") else lines:
            yield indent + line if line else ""
    else:
        yield start + _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _scalar_text(value)
    if isinstance(value, float):
        text = repr(value)
        return text.replace("e", ".0e") if "e" in text and "." not in text else text  # YAML 1.1 wants the point
    if isinstance(value, int):
        return str(value)
    return "{}" if isinstance(value, dict) else "[]"


_BREAKS_PLAIN = re.compile(r"^[-?:](?:\s|$)|^[\s,\[\]{}#&*!|>'\"%@`]|^(?:---|\.\.\.)|:(?:\s|$)|\s#|\s$")
_UNSEEN = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""What YAML allows only escaped, and what a reader of YAML 1.1 takes for a line break."""
_CORE = re.compile(r"[-+]?[0-9]+|0o[0-7]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[yYnN]")
_RESOLVER = Resolver()
_TEXT_TAG = "tag:yaml.org,2002:str"
_SHORT_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def _scalar_text(text: str) -> str:
    """Text on one line: plain where it stays text for every reader, else quoted."""
    if _UNSEEN.search(text):
        return '"' + re.sub(rf'["\\]|{_UNSEEN.pattern}', lambda match: _escape(match[0]), text) + '"'
    if text and not _BREAKS_PLAIN.search(text) and not _CORE.fullmatch(text) and _is_text_in_yaml_1_1(text):
        return text
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    return "'" + text.replace("'", "''") + "'"


def _is_text_in_yaml_1_1(text: str) -> bool:
    tag: str = _RESOLVER.resolve(ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return tag == _TEXT_TAG


def _escape(character: str) -> str:
    code = ord(character)
    return _SHORT_ESCAPES.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def _block_header(text: str) -> str:
    """`|` with its chomping where several lines can stand as they are, else nothing."""
    body = text.rstrip("\n")
    if "\n" not in text or not body or _UNSEEN.search(body.replace("\n", "").replace("\t", "")):
        return ""
    first = next(line for line in body.split("\n") if line)
    if first[0] in " \t" or not body.rsplit("\n", 1)[-1].strip():  # readers guess the indentation from the first line, and lose blanks on the last
        return ""
    ends = len(text) - len(body)
    return "|-" if ends == 0 else "|" if ends == 1 else "|+"
