"""What pages say of an input: of a process, or of an activity of the store."""

from __future__ import annotations

from typing import Any

from processes.blueprint import Variable


def input_row(name: str, spec: Variable) -> dict[str, Any]:
    """Its name, kind, default and rules, in words."""
    rules = [
        f"matches {spec.pattern}" if spec.pattern else "",
        f"{spec.min if spec.min is not None else '…'} to {spec.max if spec.max is not None else '…'}" if (spec.min, spec.max) != (None, None) else "",
        f"at least {spec.min_length} long" if spec.min_length else "",
        f"at most {spec.max_length} long" if spec.max_length else "",
        f"one of {', '.join(map(str, spec.options))}" if spec.options else "",
        f"required if {spec.required_if}" if spec.required_if else "",
    ]
    return {
        "name": name,
        "label": spec.name,
        "description": spec.description,
        "type": str(spec.type).replace("_", " "),
        "required": spec.required,
        "default": "" if spec.default is None else ("yes" if spec.default else "no") if isinstance(spec.default, bool) else str(spec.default),
        "rules": "; ".join(rule for rule in rules if rule),
    }
