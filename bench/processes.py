"""The processes that are measured, of `noop` activities alone: what remains is the engine."""

from __future__ import annotations

from typing import Any


def _noop(key: str, *after: str) -> dict[str, Any]:
    return {"id": key, "type": "automated", "connector": "noop"} | ({"depends_on": list(after)} if after else {})


def _process(key: str, phases: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "relorch/v1", "kind": "Process", "id": key, "owners": ["group:bench"], "phases": phases}


def thirty() -> dict[str, Any]:
    """30 activities: six phases in a row, each three parallel, then two in a row."""
    phases = []
    for n in range(6):
        a, b, c, d, e = (f"p{n}_{letter}" for letter in "abcde")
        phase = {"id": f"p{n}", "activities": [_noop(a), _noop(b), _noop(c), _noop(d, a, b, c), _noop(e, d)]}
        phases.append(phase | ({"depends_on": [f"p{n - 1}"]} if n else {}))
    return _process("bench_thirty", phases)


def chain(length: int) -> dict[str, Any]:
    """One after the other."""
    return _process(f"bench_chain_{length}", [{"id": "only", "activities": [_noop(f"a{n}", *([f"a{n - 1}"] if n else [])) for n in range(length)]}])


def wide(width: int) -> dict[str, Any]:
    """All at once, then a join."""
    parallel = [_noop(f"a{n}") for n in range(width)]
    return _process(f"bench_wide_{width}", [{"id": "only", "activities": [*parallel, _noop("join", *(f"a{n}" for n in range(width)))]}])


def approval() -> dict[str, Any]:
    """One question, then one activity."""
    ask = {"id": "ask", "type": "manual", "owners": ["group:bench"], "approval": {"allow_tokens": True}}
    return _process("bench_approval", [{"id": "only", "activities": [ask, _noop("after", "ask")]}])
