"""What somebody may not see is not there for them: every address of pages, API and admin, for every method, answers as it does for what does not exist.

The addresses are taken from the routes themselves, so that a new one is asked too; one whose parts are not known here fails until somebody says them.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver

from approvals import delegating
from processes import editing, input_sets
from processes.models import ActivityTemplate
from releases.engine import Actor
from releases.models import Release
from relorch.accounts import tokens
from relorch.accounts.models import User
from tests import factories
from tests.releases.driving import run_on, started

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore::django.utils.deprecation.RemovedInDjango60Warning")]

SECRET = "Quagga"
"""Stands in every text of what is hidden, and in no address."""
THINGS = frozenset({"id", "process", "pk", "release", "object_id"})
"""The parts of addresses that say which thing it is about."""
METHODS = {"page": ("GET", "POST"), "api": ("GET", "POST", "PUT", "PATCH", "DELETE")}
ELSEWHERE = {
    # Asked elsewhere, because no permission on an object decides about them.
    r"^api/v1/\^signals/": "the token in the address is the permission (S26)",
    r"^api/v1/\^uploads/": "the signed address is the permission, as long as its person has theirs (tests/releases/test_upload_addresses.py)",
    r"^\^?a/": "links of mails open a page that says nothing (S20)",
    r"^accounts/": "log-in and second factors: allauth's, about oneself",
    r"^admin/(auth|account|mfa|guardian|sites|accounts|relorch|jsi18n|r/)": "administrators only; not about processes",
    r"^admin/<path|^admin/\(\?P<url": "whatever no page of the admin knows",
    r"^api/v1/$": "whatever no route knows",
    r"^(healthz|readyz)$": "about the installation",
}


def routes(resolver: Any = None, prefix: str = "") -> Iterator[str]:
    """Every address pattern, as Django puts it together."""
    for item in (resolver or get_resolver()).url_patterns:
        if isinstance(item, URLPattern):
            yield f"{prefix}{item.pattern}"
        else:
            yield from routes(item, f"{prefix}{item.pattern}")


PART = re.compile(r"\(\?P<(\w+)>(?:[^()\[\]]|\[[^\]]*\])*\)|<(?:\w+:)?(\w+)>")


def parts_of(route: str) -> list[str]:
    return [found[1] or found[2] for found in PART.finditer(route)]


def address(route: str, values: dict[str, Any]) -> str:
    """The address that this pattern and these values make."""
    filled = PART.sub(lambda found: str(values[found[1] or found[2]]), route)
    return "/" + re.sub(r"[\^$]|\\(?=[./])", "", filled)


ASKED = sorted({route for route in routes() if not any(re.search(pattern, route) for pattern in ELSEWHERE)})
ABOUT_SOMETHING = [route for route in ASKED if parts_of(route)]


@pytest.fixture
def hidden(db: None) -> dict[str, Any]:
    """Everything there is, all of it Olga's: nobody else has any part in it but Quinn, who is asked."""
    olga = factories.person("olga", author=True)
    factories.group("qa", factories.person("quinn"))
    approval = {"requires": [{"count": 1, "of": ["group:qa"]}]}
    sign = {"id": "sign", "name": f"Sign {SECRET}", "type": "manual", "approval": approval, "tasks": [{"id": "smoke", "name": f"Smoke {SECRET}"}]}
    process = factories.process("zebra", actor=olga, name=SECRET, description=SECRET, phases=[{"id": "work", "activities": [sign]}])
    factories.version(process, actor=olga)
    release = started(process, olga)
    Release.objects.filter(pk=release.pk).update(name=f"{SECRET} 1")
    run_on(release)
    acts = Actor(olga.pk, olga.email, "api")
    kept = input_sets.save(process, actor=olga, name=SECRET, values={})
    made = {"process": process, "release": release, "set": kept, "olga": olga, "actor": acts}
    made["token"] = tokens.issue(actor=olga, person=olga, name=SECRET)[0]
    as_olga = Client(headers={"Authorization": f"Bearer {factories.token(olga)}"})
    said = as_olga.post(f"/api/v1/releases/{release.pk}/comments/", {"text": SECRET}, content_type="application/json")
    assert said.status_code == 201, said.content
    made["comment"] = said.json()["number"] if "number" in said.json() else said.json()["id"]
    stored = as_olga.post(
        "/api/v1/activity_templates/?shared=false",
        {"apiVersion": "relorch/v1", "kind": "Activity", "id": "okapi", "name": SECRET, "activity": {"type": "automated", "connector": "noop"}},
        content_type="application/json",
    )
    assert stored.status_code == 201, stored.content
    ActivityTemplate.objects.filter(identifier="okapi").update(shared=False)
    made["delegation"] = delegating.delegate(actor=acts, by=olga, person=olga, to=factories.person("ann"), reason=SECRET)
    return made


def of(route: str, hidden: dict[str, Any]) -> dict[str, Any]:
    """What the parts of the address are, so that it is the address of what is hidden. Fails for parts that nobody has said."""
    process, release = hidden["process"], hidden["release"]
    values: dict[str, Any] = {"activity": "sign", "key": "sign", "task": "smoke", "release": release.pk, "process": "zebra", "verb": "hold", "step": "overview"}
    values |= {"shown": "head", "before": 1, "after": 1, "number": 1, "pk": release.pk}
    if "/activities/" in route:
        values["verb"] = "skip"
    if "comments/" in route:
        values["number"] = hidden["comment"]
    if "input-sets/" in route:
        values["number"] = hidden["set"].pk
    if "input_sets/" in route:
        values["pk"] = hidden["set"].pk
    if "stand-ins/" in route or "delegations/" in route:
        values |= {"pk": hidden["delegation"].pk, "id": hidden["delegation"].pk}
    elif "tokens/" in route:
        values["id"] = hidden["token"].pk
    elif "activity_templates/" in route or "activity-store/" in route:
        values["id"] = "okapi"
    elif "releases/(" in route:
        values["id"] = release.pk
    else:
        values["id"] = "zebra"
    if route.startswith("admin/"):
        rows = {"process": process, "processversion": process.versions.first(), "draftactivity": process.draft_activities.first(), "release": release}
        values |= {"object_id": rows[route.split("/")[2]].pk} if "object_id" in parts_of(route) else {"app_label": "processes"}
    return {name: values[name] for name in parts_of(route)}


def nowhere(route: str, there: dict[str, Any]) -> dict[str, Any]:
    """The same address of what does not exist: another number for a number, another word for a word."""
    return {name: (987_654_321 if isinstance(value, int) else "nowhere") if name in THINGS else value for name, value in there.items()}


def said(answer: Any, things: set[str]) -> tuple[int, str, str]:
    """Status, where it leads and the words, without the things that are told apart by the address itself."""
    text = b"".join(answer.streaming_content).decode() if answer.streaming else answer.content.decode(errors="replace")
    assert SECRET not in text
    text = re.sub(r'csrfmiddlewaretoken" value="\w+"|"\w{64}"|<time\b.*?</time>', "", text)
    leads = answer.get("Location", "")
    for thing in things:
        text, leads = re.sub(rf"(?<![\w]){re.escape(thing)}(?![\w])", "…", text), re.sub(rf"(?<![\w]){re.escape(thing)}(?![\w])", "…", leads)
    return answer.status_code, leads, text


def asked(client: Client, method: str, route: str, values: dict[str, Any], things: set[str]) -> tuple[int, str, str]:
    answer = client.generic(method, address(route, values), "{}" if route.startswith("api/") else "", content_type=TYPE[route.startswith("api/")])
    return said(answer, things)


TYPE = {True: "application/json", False: "application/x-www-form-urlencoded"}


def askers() -> dict[str, Client]:
    """Stella, who may use the admin, create processes, and owns one, but has no part in what is hidden: at the pages, and by a token."""
    stella = factories.person("stella", is_staff=True, author=True)
    factories.version(factories.process("gnu", actor=stella, owners=["user:stella@example.com"]), actor=stella)
    session, token = Client(), Client(headers={"Authorization": f"Bearer {factories.token(stella)}"})
    session.force_login(stella, backend="django.contrib.auth.backends.ModelBackend")
    return {"page": session, "api": token}


def door(route: str) -> str:
    return "api" if route.startswith("api/") else "page"


def test_peer_18_every_address_of_what_is_hidden_answers_as_if_it_did_not_exist(hidden: dict[str, Any]) -> None:
    """404 and not 403, whoever asks, by whatever method, and word for word what anybody hears of nothing at all."""
    clients, wrong, asked_of = askers(), [], 0
    for route in ABOUT_SOMETHING:
        there = of(route, hidden)
        gone = nowhere(route, there)
        if there == gone:
            continue  # the parts name nothing that could be hidden
        things = {str(value) for values in (there, gone) for name, value in values.items() if name in THINGS}
        fine = EXPECTED_IN_ADMIN if route.startswith("admin/") else {404, 405}
        for method in METHODS[door(route)]:
            real, none = (asked(clients[door(route)], method, route, values, things) for values in (there, gone))
            asked_of += 1
            if real != none or real[0] not in fine:
                wrong.append((route, method, real[:2], none[:2], difference(real[2], none[2])))
    assert not wrong
    assert asked_of > 300


def difference(one: str, other: str) -> list[str]:
    """The lines that are not the same, for whoever has to mend it."""
    return [line for line in difflib.unified_diff(one.splitlines(), other.splitlines(), n=0, lineterm="") if line[:1] in "+-"][:6]


EXPECTED_IN_ADMIN = {302, 403, 404, 405}
"""Django's admin leads away from what is not there (302), and refuses first what nobody may do with the whole kind (403)."""


def test_peer_18_no_list_names_what_is_hidden(hidden: dict[str, Any]) -> None:
    """Lists, counts, searches and pages of nothing in particular say nothing of it, and neither does what they answer to a question about it."""
    clients = askers()
    quiet = ("", f"?q={SECRET[:4]}&search={SECRET[:4]}", "?process=zebra&view=all&archived=0")
    for route in ASKED:
        if parts_of(route) or route.endswith(("logout/", "theme/")):
            continue
        for more in quiet:
            answer = clients[door(route)].get(address(route, {}) + more)
            assert answer.status_code < 500, (route, more)
            assert SECRET not in answer.content.decode(errors="replace"), (route, more)


def test_peer_18_a_request_that_names_what_is_hidden_finds_nothing(hidden: dict[str, Any]) -> None:
    sam = Client(headers={"Authorization": f"Bearer {factories.token(factories.person('sam', author=True))}"})
    gnu = factories.process("gnu", actor=User.objects.get(email="sam@example.com"))
    factories.version(gnu, actor=gnu.created_by)
    release = hidden["release"].pk
    for path, body in (
        ("releases/", {"process": "zebra"}),
        ("releases/", {"process": "zebra", "start": True}),
        ("releases/", {"like": release}),
        ("input_sets/", {"process": "zebra", "name": "x"}),
        ("processes/gnu/evaluate/", {"expression": "inputs.x", "release": release}),
    ):
        answer = sam.post(f"/api/v1/{path}", body, content_type="application/json")
        assert answer.status_code == 404, (path, body, answer.content)
        assert SECRET not in answer.content.decode()
    for document in (
        factories.document("user_of_zebra", phases=[{"id": "a", "activities": [{"id": "b", "type": "subprocess", "process": "zebra"}]}]),
        factories.document("user_of_okapi", phases=[{"id": "a", "activities": [{"id": "b", "type": "automated", "uses": "okapi@1"}]}]),
    ):
        none = str(document).replace("zebra", "nowhere").replace("okapi", "nowhere")
        answers = [sam.post("/api/v1/processes/validate/", body, content_type="application/json").json() for body in (document, ast.literal_eval(none))]
        texts = [re.sub("zebra|okapi|nowhere", "…", str(answer)) for answer in answers]
        assert texts[0] == texts[1]


def test_peer_18_who_uses_it_is_counted_and_not_named(hidden: dict[str, Any]) -> None:
    """A process that somebody may delete is a subprocess of one that they may not see."""
    gnu = factories.process("gnu", actor=factories.person("sam"))
    sub = {"id": "sub", "type": "subprocess", "process": "gnu"}
    factories.process("lion", actor=hidden["olga"], name=SECRET, phases=[{"id": "a", "activities": [sub]}])
    assert editing.references(gnu, actor=User.objects.get(email="sam@example.com")) == ["it is a subprocess of 1 process that you cannot see"]
    assert editing.references(gnu, actor=hidden["olga"]) == ["it is a subprocess of lion"]


def test_whoever_sees_it_is_not_told_that_it_is_not_there(hidden: dict[str, Any]) -> None:
    """The other half: the same addresses, read by its owner, are there. So the test above does not pass because an address is wrong."""
    olga = hidden["olga"]
    User.objects.filter(pk=olga.pk).update(is_staff=True)
    session, token = Client(), Client(headers={"Authorization": f"Bearer {factories.token(olga)}"})
    session.force_login(User.objects.get(pk=olga.pk), backend="django.contrib.auth.backends.ModelBackend")
    missing = []
    for route in ABOUT_SOMETHING:
        values = of(route, hidden)
        client = token if route.startswith("api/") else session
        answer = client.get(address(route, values))
        if answer.status_code == 404 and not re.search(THINGS_THAT_ARE_NOT_MADE, route):
            missing.append(route)
    assert not missing


THINGS_THAT_ARE_NOT_MADE = r"attachments/|filters/"
