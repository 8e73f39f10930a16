"""Request bodies in the API: JSON and YAML by the same careful readers as the process file, every problem at once with its place and line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from processes.json_text import read_json
from processes.plain_text import LEFT_OUT, Text
from processes.problems import Problem, errors
from processes.yaml_text import read_yaml
from relorch.lib.errors import Invalid


class _PlainBody(BaseParser):
    def read(self, source: str) -> Text:
        raise NotImplementedError

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """Plain JSON values: no NUL, no lone surrogates, no key twice, bounded in depth and number. Raises Invalid (422)."""
        try:
            source = stream.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Invalid("unreadable", "The body is not UTF-8.", [Problem("not_utf8", f"Byte {error.start} is not UTF-8.")]) from None
        text = self.read(source)
        if errors(text.problems) or text.value is LEFT_OUT:
            raise Invalid("unreadable", "The body cannot be read.", text.problems)
        return text.value


class JsonBody(_PlainBody):
    """`application/json`."""

    media_type = "application/json"

    def read(self, source: str) -> Text:
        """By our reader of JSON."""
        return read_json(source)


class YamlBody(_PlainBody):
    """`application/yaml`."""

    media_type = "application/yaml"

    def read(self, source: str) -> Text:
        """By our reader of YAML."""
        return read_yaml(source)
