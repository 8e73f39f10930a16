"""The page where a draft is written as YAML: comments stay, nothing typed is lost, two editors see each other, problems stand at their lines."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from processes import editing
from processes.draft_text import text_of
from processes.drafts import document_of
from processes.models import DraftText, Process
from processes.writing import yaml_text
from relorch.accounts.models import User
from tests import factories
from tests.processes.conftest import Api

pytestmark = pytest.mark.django_db

PAGE = "/processes/shop/edit/"
TEXT = """\
# The shop, by Olga
apiVersion: relorch/v1
kind: Process
id: shop
name: Shop  # as on the door
owners: ["user:olga@example.com"]

phases:
  # first of all
  - id: build
    activities:
      # quick
      - {id: compile, type: automated, connector: noop}
  # then
  - id: ship
    depends_on: [build]
    activities:
      # by hand
      - id: go
        type: automated
        connector: noop   # for now
"""


@pytest.fixture
def shop(owner: User, teammate: User) -> Process:
    made = factories.process("shop", actor=owner, owners=["user:olga@example.com"])
    factories.allow(teammate, "view_process", made)
    return made


def client_of(person: User, **more: Any) -> Client:
    client = Client(**more)
    client.force_login(person)
    return client


def save(client: Client, text: str, revision: int, **more: str) -> Any:
    return client.post(PAGE, {"text": text, "revision": str(revision), "save": "1", **more})


def fresh(process: Process) -> Process:
    return Process.objects.get(pk=process.pk)


def test_what_was_typed_comes_back_as_it_was(owner: User, shop: Process) -> None:
    client = client_of(owner)
    done = save(client, TEXT.replace("\n", "\r\n"), shop.revision)  # as browsers send it
    assert (done.status_code, done["Location"]) == (302, PAGE)
    page = client.get(PAGE)
    assert page.context["text"] == TEXT
    assert "# as on the door" in page.content.decode()
    assert "# as on the door" in client.get("/processes/shop/export/?version=draft").content.decode()
    assert [phase["id"] for phase in document_of(shop)["phases"]] == ["build", "ship"]
    revision = fresh(shop).revision
    save(client, TEXT, revision)
    assert fresh(shop).revision == revision  # nothing new is no edit


def test_comments_alone_are_an_edit_that_the_other_must_see(owner: User, shop: Process) -> None:
    client = client_of(owner)
    save(client, TEXT, shop.revision)
    seen = fresh(shop).revision
    save(client, TEXT.replace("# quick", "# quick, under a minute"), seen)
    assert fresh(shop).revision == seen + 1
    late = save(client, TEXT.replace("# then", "# and then"), seen)
    assert late.status_code == 412
    assert "# quick, under a minute" in text_of(shop).text


def test_who_is_late_keeps_the_text_and_sees_the_difference(owner: User, shop: Process) -> None:
    client = client_of(owner)
    save(client, TEXT, shop.revision)
    seen = fresh(shop).revision
    document = document_of(shop)
    document["phases"][1]["name"] = "Ship it"
    editing.write_draft(shop, document, actor=owner)
    mine = TEXT.replace("id: ship\n", "id: ship\n    name: Mine\n")
    page = save(client, mine, seen)
    said = page.content.decode()
    assert page.status_code == 412
    assert page.context["text"] == mine
    for words in (
        "Not saved.",
        "has saved this draft since you read it",
        "<del>Ship it</del> <ins>Mine</ins>",
        "-    name: Ship it",
        "+    name: Mine",
        "Save over theirs",
    ):
        assert words in said
    assert document_of(shop)["phases"][1]["name"] == "Ship it"
    assert save(client, mine, page.context["revision"]).status_code == 302  # now they have seen it
    assert document_of(shop)["phases"][1]["name"] == "Mine"


def test_comments_are_carried_over_when_the_draft_changes_elsewhere(owner: User, as_owner: Api, shop: Process) -> None:
    client = client_of(owner)
    save(client, TEXT, shop.revision)
    document = document_of(shop)
    document["phases"][0]["activities"][0]["timeout"] = "5m"
    document["name"] = "Corner shop"
    editing.write_draft(shop, document, actor=owner, door="admin")
    page = client.get(PAGE)
    for comment in ("# The shop, by Olga", "# as on the door", "# first of all", "# quick", "# then", "# by hand", "# for now"):
        assert comment in page.context["text"]
    assert "name: Corner shop  # as on the door" in page.context["text"]
    assert page.context["lost"] == ()
    del document["phases"][1]
    assert as_owner.put("processes/shop/draft/", document, If_Match="*").status_code == 200
    page = client.get(PAGE)
    assert page.context["lost"] == ("# then", "# by hand", "# for now")
    assert "3 comments could not be kept" in page.content.decode()
    save(client, page.context["text"], fresh(shop).revision)
    assert client.get(PAGE).context["lost"] == ()


def test_an_import_keeps_comments_and_an_export_without_them_takes_none_away(owner: User, as_owner: Api, shop: Process) -> None:
    assert as_owner.put("processes/shop/draft/", TEXT, If_Match="*", content_type="application/yaml").status_code == 200
    assert text_of(shop).text == TEXT
    plain = as_owner.get("processes/shop/draft/?format=yaml").content.decode()
    assert plain == yaml_text(document_of(shop))
    assert as_owner.put("processes/shop/draft/", plain, If_Match="*", content_type="application/yaml").status_code == 200
    assert text_of(shop).text == TEXT
    save(client_of(owner), plain, fresh(shop).revision)  # who deletes them on the page means it
    assert text_of(shop).text == plain
    assert not DraftText.objects.exists()


def test_a_text_that_cannot_be_read_is_kept_with_problems_at_their_lines(owner: User, shop: Process) -> None:
    client = client_of(owner)
    before = document_of(shop)
    bad = TEXT.replace("connector: noop   #", "conector: noop   #").replace("name: Shop", "id: other\nname: Shop")
    page = save(client, bad, shop.revision)
    said = page.content.decode()
    assert page.status_code == 422
    assert page.context["text"] == bad
    assert {(problem.code, problem.line) for problem, *_ in page.context["problems"]} >= {("unknown_key", 22), ("duplicate_key", 5)}
    assert 'data-line="22"' in said
    assert "connector" in said
    assert document_of(shop) == before


def test_unsound_is_saved_and_said(owner: User, shop: Process) -> None:
    client = client_of(owner)
    done = save(client, TEXT.replace("depends_on: [build]", "depends_on: [gone]"), shop.revision)
    assert done.status_code == 302
    page = client.get(PAGE)
    assert [(problem.code, problem.line) for problem, *_ in page.context["problems"]] == [("unknown_dependency", 16)]
    assert "1 problem to solve before it can be published" in page.content.decode()


def test_another_id_is_refused_at_its_line(owner: User, shop: Process) -> None:
    page = save(client_of(owner), TEXT.replace("id: shop", "id: shoq"), shop.revision)
    assert page.status_code == 422
    assert ("other_id", 4) in {(problem.code, problem.line) for problem, *_ in page.context["problems"]}


def test_the_check_while_typing_stores_nothing(owner: User, shop: Process) -> None:
    client = client_of(owner)
    answer = client.post(f"{PAGE}check/", {"text": TEXT.replace("depends_on: [build]", "depends_on: [ship]")})
    assert answer.status_code == 200
    assert 'data-line="16"' in answer.content.decode()
    assert client.get(f"{PAGE}check/").status_code == 405
    looked = client.post(PAGE, {"text": TEXT, "revision": str(shop.revision), "look": "1"})
    assert looked.status_code == 200
    assert looked.context["text"] == TEXT
    assert fresh(shop).revision == shop.revision


def test_what_an_expression_gets_wrong_is_pointed_at(owner: User, shop: Process) -> None:
    more = """    if: "inputs.version == 'x' && activities.compiled.state == ''"\n    lock: 'one ${{ release. }}'\n"""
    text = TEXT.replace("    depends_on: [build]\n", f"    depends_on: [build]\n{more}")
    answer = client_of(owner).post(f"{PAGE}check/", {"text": text})
    said = [(problem.code, problem.line, problem.column, mark) for problem, _, mark in answer.context["problems"]]
    assert ("unknown_input", 17, 1, "inputs.version") in said
    assert ("unknown_activity", 17, 26, "activities.compiled.state") in said
    assert [(code, line, column) for code, line, column, _ in said if code == "expression_error"] == [("expression_error", 18, 17)]
    assert 'data-mark="activities.compiled.state"' in answer.content.decode()
    body = Api(owner).post("processes/validate/", text, content_type="application/yaml").json()
    assert {"column": 26, "line": 17}.items() <= next(item for item in body["problems"] if item["code"] == "unknown_activity").items()


def test_the_check_says_what_can_be_written(owner: User, stranger: User, shop: Process) -> None:
    factories.group("qa", owner)
    text = TEXT.replace("phases:\n", "inputs: {version: {}}\nvariables: {image: x}\nphases:\n", 1).replace("noop}", "noop, outputs: {digest: y}}")
    factories.version(factories.process("hidden", actor=stranger, owners=["user:olga@example.com"]), actor=stranger)
    factories.version(factories.process("secret", actor=stranger), actor=stranger)
    answer = client_of(owner).post(f"{PAGE}check/", {"text": text})
    words = json.loads(answer.context["words"])
    assert {"inputs.version", "variables.image", "activities.compile.outputs.digest", "phases.build.state", "release.name"} <= set(words["names"])
    assert (words["phases"], words["activities"], words["owners"]) == (["build", "ship"], ["compile", "go"], ["group:qa"])
    assert words["process"] == ["hidden"], "what the author may not see is not told"
    assert "url" in words["with"]["http"]
    assert escape(answer.context["words"]) in answer.content.decode()
    unreadable = client_of(owner).post(f"{PAGE}check/", {"text": "a: [b"})
    assert "data-words" not in unreadable.content.decode(), "the page keeps those that it has"


def test_too_large_a_text_is_refused(owner: User, shop: Process) -> None:
    assert save(client_of(owner), TEXT + "#" * 1024 * 1024, shop.revision).status_code == 422


def test_only_who_may_author(owner: User, teammate: User, stranger: User, shop: Process) -> None:
    for address in (PAGE, f"{PAGE}check/"):
        assert client_of(stranger).post(address, {"text": TEXT, "save": "1"}).status_code == 404
        assert client_of(teammate).post(address, {"text": TEXT, "save": "1"}).status_code == 403
        assert client_of(owner, enforce_csrf_checks=True).post(address, {"text": TEXT, "save": "1"}).status_code == 403
        assert Client().post(address, {"text": TEXT}).status_code == 302
    assert client_of(teammate).get(PAGE).status_code == 403
    assert "/edit/" not in client_of(teammate).get("/processes/shop/source/?version=draft").content.decode()
    assert "/edit/" in client_of(owner).get("/processes/shop/source/?version=draft").content.decode()
    editing.archive(shop, actor=owner)
    assert client_of(owner).get(PAGE).status_code == 409


def test_saving_without_having_seen_anything_is_late(owner: User, shop: Process) -> None:
    assert client_of(owner).post(PAGE, {"text": TEXT, "save": "1"}).status_code == 412


def test_warnings_are_mended_by_a_click_and_nothing_is_saved(owner: User, shop: Process) -> None:
    factories.group("board", owner)
    text = TEXT.replace("    depends_on: [build]\n", "").replace("connector: noop   #", "connector: script   #")
    text = text.replace("# for now\n", "# for now\n        with: {run: make it}\n        outputs: {image: '${{ result.outputs.image }}'}\n")
    text += "      - id: ask\n        type: manual\n        approval: {requires: [{count: 1, of: [group:board]}]} # who\n"
    client = client_of(owner)
    page = client.post(PAGE, {"text": text, "revision": str(shop.revision), "look": "1"})
    offers = {problem.code: (mend, f"{problem.code}:{problem.place}") for problem, mend, _ in page.context["problems"]}
    assert offers["phases_start_together"][0] == "Put them in order"
    assert offers["scripts_disabled"][0] == "Let a person do it"
    assert offers["phases_start_together"][1] in page.content.decode()

    def mend(code: str, source: str) -> str:
        answer = client.post(PAGE, {"text": source, "revision": str(shop.revision), "mend": offers[code][1]})
        assert answer.status_code == 200, answer.context["refused"].message
        assert "Mended, not saved yet." in answer.content.decode()
        assert code not in {problem.code for problem, *_ in answer.context["problems"]}
        return str(answer.context["text"])

    ordered = mend("phases_start_together", text)
    assert "  # then\n  - id: ship\n    depends_on:\n      - build\n" in ordered
    by_hand = mend("scripts_disabled", ordered)
    for words in ("type: manual", "      # by hand\n", "make it", "image:\n            required: true"):
        assert words in by_hand
    assert fresh(shop).revision == shop.revision
    gone = client.post(PAGE, {"text": by_hand, "revision": str(shop.revision), "mend": offers["phases_start_together"][1]})
    assert gone.status_code == 422
    assert gone.context["text"] == by_hand


def test_a_mend_that_makes_a_circle_is_not_done(owner: User, shop: Process) -> None:
    text = TEXT.replace("    depends_on: [build]\n", "").replace("{id: compile, type", "{id: compile, depends_on: [go], type")
    page = client_of(owner).post(PAGE, {"text": text, "revision": str(shop.revision), "mend": "phases_start_together:/phases"})
    assert page.status_code == 422
    assert "cannot be mended by a click" in page.content.decode()
    assert page.context["text"] == text


def test_a_thousand_activities_go_through_the_page_in_time(owner: User, shop: Process) -> None:
    """Saved, changed elsewhere, shown with its comments: seconds of one slow core, not minutes."""
    step = "      # what {0} does\n      - {{id: step_{0}, type: automated, connector: noop, timeout: 30m}}\n"
    phases = "".join(f"  - id: phase_{p}\n    activities:\n" + "".join(step.format(f"{p}_{a}") for a in range(20)) for p in range(50))
    text = f"id: shop\nowners: ['user:olga@example.com']\nphases:\n{phases}"
    client = client_of(owner)
    began = time.process_time()
    assert save(client, text, shop.revision).status_code == 302
    document = document_of(shop)
    document["phases"][25]["activities"][10]["timeout"] = "1h"
    editing.write_draft(shop, document, actor=owner)
    shown = client.get(PAGE).context
    took = time.process_time() - began
    assert shown["lost"] == ()
    assert shown["text"].count("# what ") == 1_000
    assert sum(len(phase["activities"]) for phase in document_of(shop)["phases"]) == 1_000
    assert took < 30
