"""The page on which an expression is tried: values of a release or samples of a draft, errors at their place, and nothing changed."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from processes import input_sets
from processes.models import Process
from relorch.accounts.models import User
from relorch.audit.models import Event
from tests import factories
from tests.releases.driving import run_on, started

pytestmark = pytest.mark.django_db
PAGE = "/processes/shop/try/"
INPUTS = {"version": {"type": "string", "required": True}, "count": {"type": "integer", "default": 3}, "api_key": {"type": "secret"}}
STEP = {"id": "step", "type": "automated", "connector": "noop", "with": {"outputs": {"image": "shop:1"}}}


@pytest.fixture
def shop(db: None) -> Process:
    olga = factories.person("olga")
    made = factories.process(
        "shop", actor=olga, inputs=INPUTS, variables={"image": "shop:${{ inputs.version }}"}, phases=[{"id": "work", "activities": [STEP]}]
    )
    factories.version(made, actor=olga)
    return made


@pytest.fixture
def olga(shop: Process) -> Client:
    client = Client()
    client.force_login(User.objects.get(email="olga@example.com"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def tried(client: Client, expression: str, **more: str) -> Any:
    """What the answer holds: its context, and the page."""
    answer = client.post(PAGE, {"expression": expression, **more})
    assert answer.status_code == 200
    return answer.context["answer"], answer.content.decode()


def test_against_a_release_with_its_secrets_hidden_and_nothing_changed(shop: Process, olga: Client) -> None:
    release = started(shop, User.objects.get(), version="2.0", api_key="swordfish")
    run_on(release)
    values, before = f"release-{release.pk}", Event.objects.count()
    answer, html = tried(olga, "activities.step.outputs.image + ' ' + variables.image", values=values)
    assert (answer["ok"], answer["type"], answer["text"]) == (True, "text", '"shop:1 shop:2.0"')
    assert "swordfish" not in html
    answer, html = tried(olga, "inputs", values=values)
    assert "swordfish" not in html
    assert answer["ok"]
    names = {name.path: (name.type, name.said) for name in olga.get(PAGE).context["names"]}
    assert names["inputs.api_key"] == ("secret", "hidden")
    assert names["activities.step.outputs.image"] == ("text", "shop:1")
    assert "swordfish" not in olga.get(PAGE).content.decode()
    assert Event.objects.count() == before


@pytest.mark.parametrize(
    ("expression", "line", "column", "here", "caret"),
    [
        ("inputs.nope", None, 8, "inputs.nope", "       ^"),
        ("inputs.version +\r\n\tinputs.nope", 2, 9, "\tinputs.nope", "\t       ^"),
        ("a ${{ inputs.nope }}", None, 14, "a ${{ inputs.nope }}", "             ^"),
        ("1 +", None, 4, "1 +", "   ^"),
        ("x" * 2100, None, 2001, "x" * 400, " " * 400 + "^"),
    ],
)
def test_an_error_points_into_the_text(olga: Client, expression: str, line: int | None, column: int, here: str, caret: str) -> None:
    answer, html = tried(olga, expression, values="version", sampled="1", **{"sample-version": "1"})
    assert (answer["ok"], answer["line"], answer["column"], answer["here"], answer["caret"]) == (False, line, column, here, caret)
    assert "value is lost" not in html
    assert expression.split("\r\n")[0] in html, "what was typed stays"


def test_against_the_draft_with_sample_values_typed_or_of_an_input_set(shop: Process, olga: Client) -> None:
    answer, _ = tried(olga, "inputs.count * 2", values="draft")
    assert answer["text"] == "6"
    answer, html = tried(olga, "variables.image", values="draft", sampled="1", **{"sample-version": "7", "sample-count": "many"})
    assert answer["text"] == '"shop:7"'
    assert "many" in html
    assert "Not all sample values can be taken" in html
    kept = input_sets.save(shop, actor=User.objects.get(), name="Europe", values={"version": "9", "api_key": "swordfish"})
    answer, html = tried(olga, "variables.image", values="draft", input_set=str(kept.pk))
    assert answer["text"] == '"shop:9"'
    answer, html = tried(olga, "inputs.api_key", values="draft", input_set=str(kept.pk))
    assert "swordfish" not in html
    assert answer["type"] == "secret"


def test_the_bounds_hold_here_too(olga: Client) -> None:
    answer, _ = tried(olga, "[1,2,3].map(a, [1,2,3].map(b, [1,2,3].map(c, c)))", values="draft")
    assert not answer["ok"]


def test_only_releases_of_this_process_that_one_may_see(shop: Process, olga: Client) -> None:
    author = factories.person("ann")
    factories.allow(author, "author", shop)
    release = started(shop, User.objects.get(email="olga@example.com"), version="1")
    other = factories.process("other", actor=User.objects.get(email="olga@example.com"))
    factories.version(other)
    elsewhere = started(other, User.objects.get(email="olga@example.com"))
    ann = Client()
    ann.force_login(author, backend="django.contrib.auth.backends.ModelBackend")
    for client, number, status in ((olga, release.pk, 200), (olga, elsewhere.pk, 404), (ann, release.pk, 404), (olga, 987654, 404)):
        assert client.get(f"{PAGE}?values=release-{number}").status_code == status
        assert client.post(PAGE, {"expression": "1", "values": f"release-{number}"}).status_code == status
    html = ann.get(PAGE).content.decode()
    assert f"release-{release.pk}" not in html, "an author without sight of releases tries the draft"
    for nonsense in ("nothing", "release-", "release-x", "release-" + "9" * 30):
        assert olga.get(f"{PAGE}?values={nonsense}").status_code == 404


def test_a_fragment_for_the_script_and_text_stays_text(olga: Client) -> None:
    answer = olga.post(PAGE, {"expression": "'<b>' + 'x'", "values": "draft"}, headers={"HX-Request": "true"})
    assert "<html" not in answer.content.decode()
    assert "&lt;b&gt;x" in answer.content.decode()
