"""What every API view has in common: bodies, times, preconditions, the description."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from typing import Any

import pytest
from django.test import Client, RequestFactory
from rest_framework.exceptions import ValidationError

from relorch.lib import preconditions, rest
from relorch.lib.rendering import JsonRenderer
from tests import factories


@pytest.fixture
def client(db: None) -> Client:
    return Client(headers={"Authorization": f"Bearer {factories.token(factories.person())}"})


def post(client: Client, body: str | bytes, content_type: str = "application/json") -> Any:
    return client.generic("POST", "/api/v1/input_sets/", body, content_type=content_type)


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        ("{", "application/json", "json_syntax"),
        ("", "application/yaml", "required"),
        ('{"a": 1, "a": 2}', "application/json", "duplicate_key"),
        ('{"name": "\\u0000"}', "application/json", "control_character"),
        ('{"name": "\\ud800"}', "application/json", "control_character"),
        ('{"a": 1e999}', "application/json", "bad_number"),
        ('{"a": NaN}', "application/json", "json_syntax"),
        ('{"a": ' + "9" * 5000 + "}", "application/json", "bad_number"),
        ("[" * 100_000, "application/json", "too_deep"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "application/json", "too_deep"),
        (b"\xff\xfe{}", "application/json", "not_utf8"),
        ("a: [", "application/yaml", "yaml_syntax"),
        ("a: !!python/object/apply:os.system ['true']", "application/yaml", "unknown_tag"),
        ("a: &a [x]\n" + "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}' if n else '*a'] * 9)}]\n" for n in range(9)), "application/yaml", "alias_bomb"),
    ],
)
def test_a_body_that_cannot_be_read_is_422_with_its_problems(client: Client, body: str | bytes, content_type: str, code: str) -> None:
    response = post(client, body, content_type)
    assert response.status_code == 422, response.content
    assert code in [item["code"] for item in response.json()["problems"]], response.json()


def test_yaml_is_as_good_as_json(client: Client) -> None:
    for body, content_type in (('{"process": "none", "name": "x"}', "application/json"), ("process: none\nname: x\n", "application/yaml")):
        assert post(client, body, content_type).status_code == 404


def test_a_body_without_a_length_is_read_and_limited() -> None:
    for size, fits in ((10, True), (11, False)):
        request = RequestFactory().post("/", b"x" * size, content_type="application/json")
        del request.META["CONTENT_LENGTH"]
        request._stream = BytesIO(b"x" * size)
        if fits:
            rest.limit_body(request, 10)
            assert (request.body, request.META["CONTENT_LENGTH"]) == (b"x" * 10, "10")
        else:
            with pytest.raises(rest.TooLarge):
                rest.limit_body(request, 10)


def test_times_always_have_six_digits_and_z() -> None:
    at = datetime(2026, 3, 1, 10, 0, tzinfo=timezone(timedelta(hours=2)))
    assert rest.InstantField().to_representation(at) == "2026-03-01T08:00:00.000000Z"
    assert json.loads(JsonRenderer().render({"at": at})) == {"at": "2026-03-01T08:00:00.000000Z"}


def test_times_come_in_with_their_zone() -> None:
    field = rest.InstantField()
    assert field.to_internal_value("2026-03-01T10:00:00+02:00") == datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
    with pytest.raises(ValidationError):
        field.to_internal_value("2026-03-01T10:00:00")


@pytest.mark.parametrize(
    ("header", "fits"), [("*", True), ('"1.2"', True), ('"x", "1.2"', True), ('W/"1.2"', True), ('"1.3"', False), ("1.2", False), ('"1.2', False)]
)
def test_if_match_is_read_as_rfc_9110_says(header: str, fits: bool) -> None:
    assert preconditions.seen(RequestFactory().get("/", headers={"If-Match": header}), preconditions.etag(1, 2)) is fits


def test_without_if_match_the_precondition_is_missing() -> None:
    with pytest.raises(preconditions.ConditionMissing):
        preconditions.seen(RequestFactory().get("/"), '"1"')


def test_the_description_is_openapi_3_1_and_the_page_has_nothing_inline(client: Client) -> None:
    description = client.get("/api/v1/schema/").json()
    assert description["openapi"].startswith("3.1")
    assert "/api/v1/processes/{id}/publish/" in description["paths"]
    assert client.get("/api/v1/schema/?format=yaml").content.startswith(b"openapi: 3.1")
    assert "Idempotency-Key" in str(description["paths"]["/api/v1/processes/"]["post"]["parameters"])
    page = Client()
    assert page.get("/api/v1/docs/").status_code == 302
    page.force_login(factories.person("reader"))
    text = page.get("/api/v1/docs/").content.decode()
    assert "<style" not in text
    assert "style=" not in text
    assert "<script>" not in text
