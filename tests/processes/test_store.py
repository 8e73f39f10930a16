"""The activity store: versions, who may, what uses it; and that a process runs it with its own inputs (S2a, S13)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from processes import editing, publishing, reading, storing
from processes.blueprint import StoreActivity
from processes.models import ActivityTemplate, Process, ProcessVersion, TemplateVersion
from processes.problems import errors
from processes.store_scope import scoped
from relorch.accounts.models import User
from relorch.audit import chain
from relorch.lib.errors import NotAllowed
from tests import factories
from tests.processes.conftest import Api
from tests.processes.test_api import problem
from tests.releases.driving import run_on, started
from tests.releases.scenes import run, states

pytestmark = pytest.mark.django_db
ECHO = {
    "apiVersion": "relorch/v1",
    "kind": "Activity",
    "id": "echo",
    "category": "test",
    "inputs": {"what": {"type": "string", "required": True}, "times": {"type": "integer", "default": 1}},
    "outputs": {"said": {"type": "string"}},
    "activity": {"type": "automated", "connector": "noop", "with": {"outputs": {"said": "${{ inputs.what }} x${{ inputs.times }}", "more": 1}}},
}


def echo(**keys: Any) -> dict[str, Any]:
    return {**ECHO, **keys, "activity": {**ECHO["activity"], **keys.get("activity", {})}}  # type: ignore[dict-item]


def stored(document: dict[str, Any] = ECHO, actor: User | None = None, **more: Any) -> ActivityTemplate:
    return storing.create(reading.parse(document), actor=actor, **more)


def using(owner: User, uses: str, **keys: Any) -> Process:
    """A published process whose one activity is of the store."""
    step = {"id": "step", "uses": uses, "with": {"what": "${{ inputs.word }}"}, **keys}
    made = editing.create_process(
        {
            "id": f"user_{Process.objects.count()}",
            "owners": [f"user:{owner.email}"],
            "inputs": {"word": {"type": "string", "required": True}, "what": {"type": "string", "default": "the process's own"}},
            "phases": [{"id": "a", "activities": [step]}],
        },
        actor=owner,
    )
    publishing.publish(made, actor=owner)
    return made


# Running


def test_it_runs_with_its_own_inputs_and_puts_out_what_it_promises(owner: User) -> None:
    stored()
    release = started(using(owner, "echo@1"), owner, word="hello")
    run_on(release)
    assert states(release) == {"step": "succeeded"}
    assert run(release, "step").outputs == {"said": "hello x1"}, "inputs inside are its own, and nothing but what is promised comes out"


def test_a_number_stays_and_without_one_the_newest_at_the_start_is_taken(owner: User) -> None:
    template = stored()
    pinned, floating = using(owner, "echo@1"), using(owner, "echo")
    early = started(floating, owner, word="early")
    storing.write(template, reading.parse(echo(activity={"with": {"outputs": {"said": "now ${{ inputs.what }}"}}})), actor=owner)
    releases = [started(pinned, owner, word="pinned"), started(floating, owner, word="late"), early]
    for release in releases:
        run_on(release)
    assert [run(release, "step").outputs["said"] for release in releases] == ["pinned x1", "now late", "early x1"], "a change never touches what runs"
    version = ProcessVersion.everything.get(pk=releases[1].version_id)
    assert (version.number, version.resolves.process_id) == (1, floating.pk)
    assert floating.versions.count() == 1, "what a start makes of a version is in no list"
    again = started(floating, owner, word="again")
    assert again.version_id == releases[1].version_id


def test_keys_of_the_step_win_whole_and_see_the_process(owner: User) -> None:
    stored()
    process = using(owner, "echo@1", name="Mine", outputs={"loud": "${{ result.outputs.said }}! ${{ inputs.what }}"}, **{"if": "inputs.word != 'quiet'"})
    release = started(process, owner, word="hello")
    run_on(release)
    assert run(release, "step").outputs == {"loud": "hello x1! the process's own"}
    quiet = started(process, owner, word="quiet")
    run_on(quiet)
    assert states(quiet) == {"step": "skipped"}


def test_conditions_of_the_store_see_what_was_given(owner: User) -> None:
    stored(echo(activity={"if": "inputs.what == 'go'"}))
    process = using(owner, "echo@1")
    found = {}
    for word in ("go", "stay"):
        release = started(process, owner, word=word)
        run_on(release)
        found[word] = states(release)["step"]
    assert found == {"go": "succeeded", "stay": "skipped"}


def test_a_question_to_people_shows_what_was_given(owner: User) -> None:
    question = {"type": "manual", "instructions": "Is **${{ inputs.what }}** fine?", "approval": {"binds": ["inputs.what"]}}
    stored({**ECHO, "outputs": {}, "activity": question})
    release = started(using(owner, "echo@1"), owner, word="version 2")
    run_on(release)
    attempt = run(release, "step").attempts.get()
    assert attempt.request["instructions"] == "Is **version 2** fine?"
    assert attempt.bound == {"given.what": "version 2"}


def test_what_refers_to_an_archived_one_still_starts_with_its_newest(owner: User) -> None:
    template = stored(actor=owner)
    process = using(owner, "echo")
    storing.put_away(template, True, actor=owner)
    release = started(process, owner, word="still")
    run_on(release)
    assert run(release, "step").outputs == {"said": "still x1"}
    assert ProcessVersion.everything.get(pk=release.version_id).authors.get() == owner


def test_what_does_not_fit_fails_the_activity_and_says_why(owner: User) -> None:
    stored()
    release = started(using(owner, "echo@1", **{"with": {"what": "a", "times": "${{ inputs.word }}"}}), owner, word="many")
    run_on(release)
    step = run(release, "step")
    assert step.state == "on_hold"
    assert step.code == "expression_error"
    assert "times" in step.message


def test_names_are_rewritten_only_where_they_are_the_inputs() -> None:
    keys = {
        "with": {"a": "${{ inputs.x + 'inputs.y' }} inputs.z $${{ inputs.q }}", "b": ["${{ has(inputs.x) ? inputs.x : release.inputs }}"]},
        "if": "activities.inputs.outputs.x == inputs.x",
    }
    assert scoped(keys) == {
        "with": {"a": "${{ given.x + 'inputs.y' }} inputs.z $${{ inputs.q }}", "b": ["${{ has(given.x) ? given.x : release.inputs }}"]},
        "if": "activities.inputs.outputs.x == given.x",
    }


def test_no_process_can_say_given(owner: User) -> None:
    step = {"id": "b", "type": "automated", "connector": "noop", "if": "given.x == 1"}
    document = {"id": "p", "owners": [f"user:{owner.email}"], "phases": [{"id": "a", "activities": [step]}]}
    assert "unknown_name" in {found.code for found in errors(publishing.problems_of(document))}


# Publishing


@pytest.mark.parametrize(
    ("uses", "given", "code"),
    [
        ("echo@9", {"what": "x"}, "unknown_store_activity"),
        ("ecko", {"what": "x"}, "unknown_store_activity"),
        ("echo", {}, "missing_input"),
        ("echo", {"what": "x", "wat": 1}, "unknown_input"),
        ("echo", {"what": "x", "times": "often"}, "invalid_input"),
    ],
)
def test_what_a_step_gives_is_checked_at_publish(owner: User, uses: str, given: dict[str, Any], code: str) -> None:
    stored()
    document = {"id": "p", "owners": [f"user:{owner.email}"], "phases": [{"id": "a", "activities": [{"id": "b", "uses": uses, "with": given}]}]}
    assert code in {found.code for found in errors(publishing.problems_of(document, actor=owner))}


def test_what_ships_is_sound_and_installed_once(owner: User) -> None:
    assert storing.install_shipped() == 11
    assert storing.install_shipped() == 0
    rows = ActivityTemplate.objects.with_newest()
    assert {row.newest_number for row in rows} == {1}
    assert {"notify_by_mail", "wait_until", "http_check", "run_tests", "build", "deploy_by_script"} < {row.identifier for row in rows}
    assert {"change_board_approval", "qa_sign_off", "security_review", "go_no_go", "roll_back"} < {row.identifier for row in rows}
    changed = ActivityTemplate.objects.get(identifier="go_no_go")
    storing.write(changed, reading.parse({**changed.document, "description": "Ours"}), actor=owner)
    assert storing.install_shipped() == 0, "what somebody changed is theirs"


# Keeping


def test_unsound_is_kept_without_a_version_and_mended_later(as_owner: Api) -> None:
    body = as_owner.post("activity_templates/", echo(activity={"with": {"outputs": {"said": "${{ inputs.wat }}"}}})).json()
    assert body["newest_version"] is None
    assert {found["code"] for found in body["problems"]} == {"unknown_input"} or body["problems"]
    mended = as_owner.put("activity_templates/echo/", ECHO, If_Match="*").json()
    assert (mended["newest_version"], mended["problems"]) == (1, [])
    same = as_owner.put("activity_templates/echo/", ECHO, If_Match="*").json()
    assert (same["newest_version"], same["revision"]) == (1, mended["revision"]), "what changes nothing is no edit"


def test_two_editors_never_lose_work(as_owner: Api) -> None:
    made = as_owner.post("activity_templates/", ECHO)
    problem(as_owner.put("activity_templates/echo/", ECHO), 428, "precondition_required")
    assert as_owner.put("activity_templates/echo/", echo(name="One"), If_Match=made["ETag"]).status_code == 200
    problem(as_owner.put("activity_templates/echo/", echo(name="Two"), If_Match=made["ETag"]), 412, "stale")


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "Activity"},
        {"id": "x", "phases": []},
        {**ECHO, "nonsense": 1},
        {**ECHO, "activity": {"id": "own"}},
        {**ECHO, "category": "x" * 101, "name": "x" * 201},
    ],
)
def test_what_cannot_be_read_is_not_stored(as_owner: Api, document: dict[str, Any]) -> None:
    assert as_owner.post("activity_templates/", document).status_code == 422
    assert ActivityTemplate.objects.count() == 0


def test_an_id_is_taken_once(as_owner: Api) -> None:
    assert as_owner.post("activity_templates/", ECHO).status_code == 201
    problem(as_owner.post("activity_templates/", ECHO), 409, "template_exists")


def test_a_private_one_is_there_for_nobody_else(as_owner: Api, as_stranger: Api, owner: User, stranger: User) -> None:
    as_owner.post("activity_templates/?shared=false", ECHO)
    problem(as_stranger.get("activity_templates/echo/"), 404, "not_found")
    assert as_stranger.get("activity_templates/").json()["results"] == []
    document = {"id": "p", "owners": [f"user:{owner.email}"], "phases": [{"id": "a", "activities": [{"id": "b", "uses": "echo", "with": {"what": "x"}}]}]}
    assert errors(publishing.problems_of(document, actor=owner)) == []
    assert {found.code for found in errors(publishing.problems_of(document, actor=stranger))} == {"unknown_store_activity"}


def test_who_may_change_a_shared_one(as_owner: Api, as_teammate: Api) -> None:
    as_owner.post("activity_templates/", ECHO)
    assert as_teammate.get("activity_templates/echo/").status_code == 200
    problem(as_teammate.put("activity_templates/echo/", ECHO, If_Match="*"), 403, "not_allowed")
    problem(as_teammate.post("activity_templates/", ECHO), 403, "not_allowed")
    problem(as_teammate("DELETE", "activity_templates/echo/"), 403, "not_allowed")


def test_delete_is_refused_while_used_saying_by_what(as_owner: Api, owner: User) -> None:
    stored(actor=owner)
    process = using(owner, "echo@1")
    refused = problem(as_owner("DELETE", "activity_templates/echo/"), 409, "referenced")
    assert f"{process.identifier} v1 uses it" in refused["detail"]
    assert f"the draft of {process.identifier} uses it" in refused["detail"]
    as_cleo = Api(factories.person("cleo", author=True))
    unseen = problem(as_cleo("DELETE", "activity_templates/echo/"), 409, "referenced")
    assert process.identifier not in str(unseen), "whoever may not see the process learns only that there is one"
    assert "a process that you may not see uses it" in unseen["detail"]
    assert process.identifier not in as_cleo.get("activity_templates/echo/").content.decode()
    assert as_owner.post("activity_templates/echo/archive/", {"reason": "old"}).json()["archived_at"]
    assert as_owner.get("activity_templates/").json()["results"] == []
    release = started(process, owner, word="still")
    run_on(release)
    assert states(release) == {"step": "succeeded"}, "what uses it goes on"


def test_one_without_versions_can_go(as_owner: Api) -> None:
    as_owner.post("activity_templates/", echo(activity={"connector": "nonsense"}))
    assert as_owner("DELETE", "activity_templates/echo/").status_code == 204
    assert as_owner.get("activity_templates/echo/").status_code == 404


def test_versions_and_yaml(as_owner: Api) -> None:
    as_owner.post("activity_templates/", ECHO)
    as_owner.put("activity_templates/echo/", echo(name="Louder"), If_Match="*")
    assert [row["number"] for row in as_owner.get("activity_templates/echo/versions/").json()["results"]] == [2, 1]
    text = as_owner.get("activity_templates/echo/versions/2/?format=yaml").content.decode()
    read = reading.read(text).blueprint
    assert isinstance(read, StoreActivity)
    assert reading.to_yaml(read) == text


def test_a_version_never_changes(owner: User) -> None:
    stored()
    for statement in ("UPDATE processes_templateversion SET note = 'x'", "DELETE FROM processes_templateversion"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    assert TemplateVersion.objects.count() == 1


def test_every_change_is_an_event(owner: User) -> None:
    template = stored(actor=owner)
    storing.share(template, False, actor=owner)
    found = chain.verify(f"template:{template.pk}")
    assert (found.events, found.broken_at) == (3, None)


def test_only_who_made_it_takes_it_from_everybody_else(owner: User) -> None:
    template, cleo = stored(actor=owner), factories.person("cleo", author=True)
    with pytest.raises(NotAllowed):
        storing.write(template, reading.parse(echo(name="Hers")), actor=cleo, shared=False)
    template.refresh_from_db()
    assert (template.shared, template.name) == (True, ""), "nothing of it is kept"
    assert not storing.write(template, reading.parse(echo(name="Mine")), actor=owner, shared=False).shared


def test_the_list_costs_the_same_for_many(as_owner: Api, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        stored(echo(id=f"echo_{number}"))
    with django_assert_max_num_queries(8):
        assert len(as_owner.get("activity_templates/?limit=200").json()["results"]) == 30
