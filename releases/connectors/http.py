"""Calls an address over HTTP (S24). Everything goes through the one door out; `Idempotency-Key` carries the attempt's key."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from processes.problems import Problem, pointer
from releases.connectors.base import Call, Done, Effect, Lane, Later
from releases.connectors.checking import plain, refused, storable, templated, text_of, unknown_keys
from relorch.lib.addresses import BadURL, parse_url
from relorch.lib.masking import mask

if TYPE_CHECKING:
    from relorch.lib.egress import Answer

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_KEYS = ("method", "url", "headers", "body", "expect")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect", "accept-encoding", "idempotency-key"}
)
_LARGEST_BODY = 1024 * 1024
_EXCERPT = 400
_EXPECTED = re.compile(r"([1-5])xx|([1-5]\d\d)(?:\s*-\s*([1-5]\d\d))?", re.IGNORECASE)


def expected(value: Any) -> Callable[[int], bool]:
    """Which statuses succeed: `200`, `"2xx"`, `"200-204"` or a list of these. Raises ValueError."""
    spans = [_span(item) for item in value] if isinstance(value, list) and value else [_span(value)]
    return lambda status: any(low <= status <= high for low, high in spans)


def _span(item: Any) -> tuple[int, int]:
    found = _EXPECTED.fullmatch(text_of(item) or "") if not isinstance(item, bool) else None
    if not found:
        raise ValueError("expect is a status such as 200, a range such as 2xx or 200-204, or a list of them")
    if found[1]:
        return int(found[1]) * 100, int(found[1]) * 100 + 99
    return int(found[2]), int(found[3] or found[2])


class Http:
    """The connector `http`."""

    name = "http"
    title = "HTTP request"
    effects = frozenset({Effect.ONCE, Effect.KEYED})
    default_effect = Effect.ONCE
    lane: Lane = "slow"
    uses_scripts = False

    def schema(self) -> dict[str, Any]:
        """JSON Schema of `with`."""
        status = {"type": ["integer", "string"], "examples": [200, "2xx", "200-204"]}
        return {
            "type": "object",
            "additionalProperties": False,
            "required": ["url"],
            "properties": {
                "method": {"type": "string", "title": "Method", "description": "What is asked for.", "enum": list(METHODS), "default": "GET"},
                "url": {
                    "type": "string",
                    "title": "URL",
                    "description": "http or https. Addresses that are not public need the administrator's leave (RELORCH_EGRESS_ALLOW).",
                    "examples": ["https://example.com/deployments"],
                },
                "headers": {
                    "type": "object",
                    "title": "Headers",
                    "description": "Sent along; after a redirect to another host only harmless ones. Idempotency-Key is set by relorch.",
                    "additionalProperties": {"type": ["string", "number", "boolean"]},
                    "default": {},
                },
                "body": {"title": "Body", "description": "Text is sent as it is, any other value as JSON."},
                "expect": {
                    "title": "Expected status",
                    "description": "Which answers succeed. A redirect that is expected is not followed.",
                    "anyOf": [status, {"type": "array", "minItems": 1, "items": status}],
                    "default": "2xx",
                },
            },
        }

    def problems(self, arguments: dict[str, Any]) -> list[Problem]:
        """What is wrong with `with`, as far as it holds no expressions."""
        found = unknown_keys(arguments, _KEYS)
        method = arguments.get("method", "GET")
        if not templated(method) and not (isinstance(method, str) and method.upper() in METHODS):
            found.append(Problem("wrong_value", f"The method is one of {', '.join(METHODS)}.", pointer("method")))
        if "url" not in arguments:
            found.append(Problem("missing_key", "url is missing.", pointer("url")))
        elif not templated(arguments["url"]):
            try:
                parse_url(arguments["url"])
            except BadURL as problem:
                found.append(Problem("wrong_value", f"{str(problem)[0].upper()}{str(problem)[1:]}.", pointer("url")))
        found += _header_problems(arguments.get("headers", {}))
        if "expect" in arguments and not templated(arguments["expect"]):
            try:
                expected(arguments["expect"])
            except ValueError as problem:
                found.append(Problem("wrong_value", f"{problem}.", pointer("expect")))
        return found

    def start(self, arguments: dict[str, Any], call: Call) -> Done | Later:
        """Sends the request and judges the answer."""
        end = self._send(arguments, call)
        if end.message and call.secrets:
            return Done(end.succeeded, end.outputs, mask(end.message, call.secrets), end.code)
        return end

    def _send(self, arguments: dict[str, Any], call: Call) -> Done:
        if found := self.problems(arguments):
            return refused(found)
        body, kind = _payload(arguments.get("body"))
        if len(body) > _LARGEST_BODY:
            return Done(succeeded=False, message=f"the body is larger than {_LARGEST_BODY:,} bytes", code="body_too_large")
        headers = {name.lower(): text_of(value) or "" for name, value in arguments.get("headers", {}).items()}
        if body and "content-type" not in headers:
            headers["content-type"] = kind
        headers["idempotency-key"] = call.key
        succeeds = expected(arguments.get("expect", "2xx"))
        from relorch.lib import egress  # only here: a third of a second and 10 MB that most processes never need

        try:
            answer = egress.request(
                arguments.get("method", "GET").upper(),
                arguments["url"],
                allow=egress.allowed(),
                headers=headers,
                content=body,
                seconds=egress.TOTAL_SECONDS if call.timeout is None else min(egress.TOTAL_SECONDS, max(call.timeout, 0.1)),
                final=succeeds,
                stopping=call.stopping,
            )
        except egress.EgressError as problem:
            return Done(succeeded=False, message=storable(problem.message), code=problem.code)
        return _judged(answer, arguments, succeeds)

    def poll(self, reference: dict[str, Any], call: Call) -> Done | Later:
        """Never asked: a request ends with its answer."""
        return Done(succeeded=False, message="a request does not wait", code="no_answer")

    def abort(self, reference: dict[str, Any], call: Call) -> None:
        """A request that runs is told by `call.stopping`."""


def _header_problems(headers: Any) -> list[Problem]:
    if not isinstance(headers, dict):
        return [] if templated(headers) else [Problem("wrong_type", "headers is a mapping of names to text.", pointer("headers"))]
    found: list[Problem] = []
    for name, value in headers.items():
        place = pointer("headers", name)
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            found.append(Problem("wrong_value", "This is not the name of a header.", place))
        elif name.lower() in _OURS or name.lower().startswith("proxy-"):
            found.append(Problem("wrong_value", f"{name} is set by relorch and cannot be given.", place))
        elif not templated(value):
            text = text_of(value)
            if text is None:
                found.append(Problem("wrong_type", "A header is text or a number.", place))
            elif not text.isascii() or not all(character.isprintable() or character == "\t" for character in text) or text != text.strip():
                found.append(Problem("wrong_value", "A header holds printable ASCII on one line, with no space at its ends.", place))
    return found


def _payload(body: Any) -> tuple[bytes, str]:
    """The body's bytes and what they are."""
    if body is None:
        return b"", ""
    if isinstance(body, str):
        return body.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), "application/json"


def _decoded(answer: Answer) -> Any:
    """The body as a JSON value if the answer says that it is one and it is, else as text."""
    try:
        text = answer.body.decode(answer.encoding, "replace")
    except LookupError:
        text = answer.body.decode("utf-8", "replace")
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return plain(json.loads(text))
        except (ValueError, RecursionError):
            pass
    return storable(text)


def _judged(answer: Answer, arguments: Mapping[str, Any], succeeds: Callable[[int], bool]) -> Done:
    outputs = {"status": answer.status, "headers": {name: storable(value) for name, value in answer.headers.items()}, "body": _decoded(answer)}
    if succeeds(answer.status):
        return Done(succeeded=True, outputs=outputs)
    wanted = arguments.get("expect", "2xx")
    wanted = ", ".join(str(item) for item in wanted) if isinstance(wanted, list) else wanted
    text = storable(answer.body[: 4 * _EXCERPT].decode("utf-8", "replace")).strip()[:_EXCERPT]
    message = f"{arguments.get('method', 'GET').upper()} {answer.url} answered {answer.status}, expected {wanted}" + (f": {text}" if text else "")
    return Done(succeeded=False, outputs=outputs, message=message, code=f"status_{answer.status}")
