"""Reading a text by a language model: any endpoint that speaks the protocol of OpenAI's chat completions.

The model is asked for a document of our JSON Schema; what it answers is read like any file, and what is wrong with it is told to it, at most twice.
Prompt and answer are in the audit trail. It is never given more than the text and the names it may choose from, and nothing that it says is done.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from processes import publishing, reading
from processes.blueprint import Blueprint
from processes.describing import Description, Known, Question
from processes.problems import Problem, errors
from relorch.audit.chain import Happening, note
from relorch.lib.errors import Unavailable

ROUNDS = 3
"""How often it is asked in all: once, and to mend what was wrong."""
SECONDS = 60.0
MOST_KEPT = 200_000
MOST_TOLD = 40
MOST_NAMES = 200

_TASK = """\
You turn a release procedure into a process file. Answer with one JSON object that fits the schema.
- Headings with steps become phases in the order of the text; a phase depends on the one before it unless the text says that they run in parallel
  or after something else.
- Top-level steps become activities: "automated" where a machine does it (connector "script" for shell commands in the text, else "noop"), "manual"
  where people do it or decide, "subprocess" where another process of the list is run. Nested steps become the checklist "tasks" of their activity.
  Approvals are manual, with "approval.requires".
- Owners are "user:<e-mail>" or "group:<name>", from the lists below where they fit. Prose without steps becomes a description, never an activity.
- Invent nothing: what the text leaves open (an owner that is not named, what runs a step) is an entry of "questions" with the JSON Pointer of its
  place in the process.
- "summary" says in one or two sentences what the process does."""


def describe(text: str, known: Known, actor: Any, door: str = "page") -> Description:
    """The process that the model makes of the text, mended by what is wrong with it. Raises Unavailable when the endpoint gives no usable answer."""
    messages = [{"role": "system", "content": _instructions(known, text)}, {"role": "user", "content": text}]
    best: tuple[int, dict[str, Any]] | None = None
    for _ in range(ROUNDS):
        said = _ask(messages)
        answer, faults = _read(said, actor)
        _record(actor, door, messages, said, faults)
        if answer is not None and (best is None or len(faults) < best[0]):
            best = len(faults), answer
        if not faults:
            break
        told = "\n".join(f"- {problem.place or '/'}: {problem.message}" for problem in faults[:MOST_TOLD])
        again = f"Mend this and answer with the whole object again:\n{told}"
        messages = [*messages[:2], {"role": "assistant", "content": said}, {"role": "user", "content": again}]
    if best is None:
        raise Unavailable("model_unusable", "The model's answer is not a process, not even after it was told what is wrong. Read the text by rules instead.")
    return _description(best[1])


def _instructions(known: Known, text: str) -> str:
    # the endpoint may be outside: it learns of people only whom the text names anyway
    said = text.casefold()
    people = [email for email, name in known.users.items() if email in said or (name and name.casefold() in said)]
    lists = {"groups": list(known.groups)[:MOST_NAMES], "people": people[:MOST_NAMES], "processes": dict(list(known.processes.items())[:MOST_NAMES])}
    return f"{_TASK}\n\nKnown here:\n{json.dumps(lists, ensure_ascii=False)}"


def _schema() -> dict[str, Any]:
    process = copy.deepcopy(reading.json_schema())
    definitions = process.pop("$defs", {})
    process.pop("$schema", None)
    question = {"type": "object", "required": ["place", "text"], "properties": {"place": {"type": "string"}, "text": {"type": "string"}}}
    return {
        "type": "object",
        "required": ["process", "questions", "summary"],
        "properties": {"process": process, "questions": {"type": "array", "items": question}, "summary": {"type": "string"}},
        "$defs": definitions,
    }


def _ask(messages: list[dict[str, str]]) -> str:
    from relorch.lib import egress  # only here: a third of a second and 10 MB that most processes never need

    url = settings.RELORCH_MODEL_URL.rstrip("/") + "/chat/completions"
    body = {
        "model": settings.RELORCH_MODEL_NAME,
        "messages": messages,
        "temperature": 0,
        "response_format": {"type": "json_schema", "json_schema": {"name": "process", "strict": False, "schema": _schema()}},
    }
    headers = {"content-type": "application/json"}
    if settings.RELORCH_MODEL_KEY:
        headers["authorization"] = f"Bearer {settings.RELORCH_MODEL_KEY}"
    # whoever sets the address of the model allows it by that
    allow = egress.parse_allow([*settings.RELORCH_EGRESS_ALLOW, urlsplit(url).hostname or ""])
    try:
        answer = egress.request("POST", url, allow=allow, headers=headers, content=json.dumps(body).encode(), seconds=SECONDS)
    except egress.EgressError as problem:
        raise Unavailable("model_unavailable", f"The model does not answer: {problem.message}.") from None
    if answer.status != 200:
        raise Unavailable("model_unavailable", f"The model's endpoint answered with status {answer.status}.")
    try:
        said = json.loads(answer.body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        said = None
    if not isinstance(said, str):
        raise Unavailable("model_unavailable", "The model's endpoint answered with something else than a chat completion.")
    return _clean(said)


def _clean(text: str) -> str:
    """Text that can be kept and shown: half a character and NUL are what neither the database nor a page takes."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _read(said: str, actor: Any) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The object that was answered, if it holds a process, and the errors in it."""
    start, end = said.find("{"), said.rfind("}")
    try:
        answer = json.loads(said[start : end + 1])
    except (ValueError, RecursionError):
        return None, [Problem("syntax", "This is not a JSON object.")]
    process = answer.get("process") if isinstance(answer, dict) else None
    if not isinstance(process, dict):
        return None, [Problem("missing_key", '"process" is missing.', "/process")]
    read = reading.parse(process)
    usable = isinstance(read.blueprint, Blueprint)
    # who is named, and is not here, is a question for people and nothing for the model to mend
    faults = [problem for problem in errors(publishing.problems_in(read, actor=actor)) if problem.code not in ("unknown_group", "unknown_user", "no_owner")]
    return (answer if usable else None), faults


def _description(answer: Mapping[str, Any]) -> Description:
    asked = answer.get("questions")
    questions = [
        Question(_clean(str(item.get("place", "")))[:500], _clean(str(item["text"]))[:2_000])
        for item in (asked if isinstance(asked, list) else ())
        if isinstance(item, dict) and item.get("text")
    ]
    return Description(answer["process"], questions[:100], _clean(str(answer.get("summary") or ""))[:2_000])


def _record(actor: Any, door: str, messages: list[dict[str, str]], said: str, faults: list[Problem]) -> None:
    data = {
        "model": settings.RELORCH_MODEL_NAME,
        "prompt": [{"role": item["role"], "content": item["content"][:MOST_KEPT]} for item in messages],
        "answer": said[:MOST_KEPT],
        "faults": [problem.as_dict() for problem in faults[:MOST_TOLD]],
    }
    with transaction.atomic():
        note(Happening(f"account:{actor.pk}", "process.drafted_by_model", actor.email, actor.pk, actor.email, door, data=data))
