"""Drafts: rows and document are one thing; every change counts, is somebody's, and is on record."""

from __future__ import annotations

from typing import Any

import pytest

from processes import editing, publishing, reading
from processes.access import Permission, may
from processes.drafts import document_of
from processes.models import DraftActivity, DraftEdit, DraftPhase, Process
from relorch.accounts.models import User
from relorch.audit.chain import verify
from relorch.audit.models import Event
from relorch.lib.errors import Conflict, Invalid
from relorch.lib.preconditions import Stale
from tests import factories

pytestmark = pytest.mark.django_db

WHOLE = """
apiVersion: relorch/v1
kind: Process
id: standard_release
name: Standard release
description: From branch cut to production.
category: hotfix
owners: [group:release-managers]
fail_fast: true
inputs:
  version: {type: string, required: true, pattern: '\\d+\\.\\d+\\.\\d+', description: What goes out}
  region:  {type: choice, options: [eu, us], default: eu}
rules:
  - {check: "inputs.region != 'us' || inputs.version != '0.0.0'", message: US takes no test versions}
variables:
  zeta: "registry.example/shop:${{ inputs.version }}"
  alpha: {b: 1, a: [true, null, 1.5]}
phases:
  - id: build
    name: Build
    owners: [group:dev]
    activities:
      - id: compile
        name: Compile
        type: automated
        connector: script
        with: {run: "echo image=$IMAGE >> $RELORCH_OUTPUT", env: {IMAGE: "${{ variables.zeta }}"}}
        outputs: {image: "${{ result.outputs.image }}"}
        timeout: 30m
        retry: {attempts: 3, delay: 10s, backoff: 2, max_delay: 5m}
      - {id: unit_tests, uses: run_tests@2, depends_on: [compile], run_when: satisfied, optional: false, with: {target: x}}
    outputs: {image: "${{ activities.compile.outputs.image }}"}
  - id: sign_off
    depends_on: [build]
    if: "inputs.region == 'eu'"
    run_when: always
    lock: prod
    activities:
      - id: qa_sign_off
        type: manual
        owners: [group:qa]
        instructions: |
          Try the build, attach the report.
        fields: {summary: {type: text, required: true, min_length: 20}}
        tasks: [{id: smoke, name: Smoke test, required: true, expected: 2h}]
        approval: {requires: [{count: 2, of: [group:qa]}], exclude: [starter], due: 24h}
outputs: {url: "${{ activities.compile.outputs.image }}"}
"""


def whole() -> dict[str, Any]:
    found = reading.read(WHOLE)
    assert not found.unreadable, found.problems
    assert found.blueprint is not None
    return reading.document(found.blueprint)


def events(process: Process) -> list[str]:
    return list(Event.objects.filter(stream=f"process:{process.pk}").order_by("sequence").values_list("verb", flat=True))


def test_what_goes_into_the_rows_comes_out_of_them_key_by_key_in_order(owner: User) -> None:
    process = editing.create_process(whole(), actor=owner)
    assert repr(document_of(Process.objects.get(pk=process.pk))) == repr(whole())


def test_yaml_is_the_same_to_the_byte_after_a_trip_through_the_rows(owner: User) -> None:
    text = reading.to_yaml(reading.read(WHOLE).blueprint)
    process = editing.create_process(reading.read(text).document, actor=owner)
    assert reading.to_yaml(reading.parse(document_of(process)).blueprint) == text


def test_columns_hold_what_the_admin_lists(owner: User) -> None:
    editing.create_process(whole(), actor=owner)
    phase = DraftPhase.objects.get(identifier="sign_off")
    assert (phase.depends_on, phase.condition, phase.run_when, phase.more) == (["build"], "inputs.region == 'eu'", "always", {"lock": "prod"})
    activity = DraftActivity.objects.get(identifier="qa_sign_off")
    assert (activity.type, activity.owners, activity.phase) == ("manual", ["group:qa"], phase)


def test_saving_counts_the_revision_notes_the_author_and_the_event(process: Process, owner: User, teammate: User) -> None:
    saved = editing.write_draft(process, document_of(process) | {"name": "Other"}, actor=teammate)
    assert (saved.revision, saved.name, saved.updated_by) == (2, "Other", teammate)
    assert set(DraftEdit.objects.filter(process=process).values_list("person__email", flat=True)) == {owner.email, teammate.email}
    assert events(process) == ["process.created", "process.draft_saved"]
    assert verify(f"process:{process.pk}").broken_at is None
    assert Event.objects.get(verb="process.draft_saved").actor == teammate


def test_saving_the_same_is_no_edit(process: Process, teammate: User) -> None:
    saved = editing.write_draft(process, document_of(process), actor=teammate)
    assert saved.revision == 1
    assert events(process) == ["process.created"]
    assert not DraftEdit.objects.filter(person=teammate).exists()


def test_another_order_of_keys_is_an_edit(owner: User) -> None:
    process = factories.process(actor=owner, variables={"a": 1, "b": 2})
    saved = editing.write_draft(process, document_of(process) | {"variables": {"b": 2, "a": 1}}, actor=owner)
    assert list(document_of(saved)["variables"]) == ["b", "a"]


def test_rows_of_items_that_stay_keep_their_number(owner: User) -> None:
    process = editing.create_process(whole(), actor=owner)
    before = {row.identifier: row.pk for row in [*process.draft_phases.all(), *process.draft_activities.all()]}
    document = whole()
    document["phases"].reverse()
    document["phases"][0]["activities"].append(document["phases"][1]["activities"].pop(0))
    document["phases"][1]["activities"].append({"id": "fresh", "type": "manual"})
    saved = editing.write_draft(process, document, actor=owner)
    after = {row.identifier: row.pk for row in [*saved.draft_phases.all(), *saved.draft_activities.all()]}
    assert {key: after[key] for key in before} == before
    assert repr(document_of(saved)) == repr(document)


def test_a_phase_that_goes_does_not_take_the_activity_that_moved(owner: User) -> None:
    process = editing.create_process(whole(), actor=owner)
    document = whole()
    document["phases"][1]["activities"] += document["phases"].pop(0)["activities"]
    del document["phases"][0]["depends_on"]
    assert repr(document_of(editing.write_draft(process, document, actor=owner))) == repr(document)


def test_ids_may_be_swapped(owner: User) -> None:
    process = editing.create_process(whole(), actor=owner)
    document = whole()
    first, second = document["phases"]
    first["id"], second["id"] = second["id"], first["id"]
    second["depends_on"] = [first["id"]]
    assert repr(document_of(editing.write_draft(process, document, actor=owner))) == repr(document)


def test_a_stale_revision_is_refused_and_nothing_is_lost(process: Process, owner: User, teammate: User) -> None:
    editing.write_draft(process, document_of(process) | {"name": "First"}, actor=teammate, expected_revision=1)
    with pytest.raises(Stale) as caught:
        editing.write_draft(process, document_of(process) | {"name": "Second"}, actor=owner, expected_revision=1)
    assert "Tom" in str(caught.value)
    assert Process.objects.get(pk=process.pk).name == "First"


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({"frobnicate": 1}, "/frobnicate"),
        ({"id": "Wrong Id"}, "/id"),
        ({"id": "validate"}, "/id"),
        ({"kind": "Activity", "activity": {}}, "/kind"),
        ({"phases": [{"id": "a"}, {"id": "a"}]}, "/phases/1/id"),
        ({"name": "x" * 201}, "/name"),
        ({"phases": [{"id": "a", "activities": [{"id": "b", "name": "x" * 201}]}]}, "/phases/0/activities/0/name"),
    ],
)
def test_what_cannot_be_read_is_never_stored(owner: User, keys: dict[str, Any], place: str) -> None:
    with pytest.raises(Invalid) as caught:
        editing.create_process(factories.document("one") | keys, actor=owner)
    assert place in [problem.place for problem in caught.value.problems]
    assert not Process.objects.exists()
    assert not Event.objects.exists()


def test_the_id_of_a_process_never_changes(process: Process, owner: User) -> None:
    with pytest.raises(Invalid) as caught:
        editing.write_draft(process, document_of(process) | {"id": "standart"}, actor=owner)
    assert caught.value.problems[0].place == "/id"


def test_an_id_is_given_once(process: Process, owner: User) -> None:
    with pytest.raises(Conflict) as caught:
        factories.process("standard", actor=owner)
    assert caught.value.code == "process_exists"


def test_whoever_makes_a_process_without_owners_may_do_all_that_an_owner_may(owner: User) -> None:
    mine = factories.process(actor=owner)
    assert {item for item in Permission if may(owner, item, mine)} == set(Permission) - {Permission.OVERRIDE}


def test_whoever_makes_a_process_for_others_may_edit_it(owner: User, teammate: User) -> None:
    theirs = factories.process(actor=owner, owners=[f"user:{teammate.email}"])
    assert {item for item in Permission if may(owner, item, theirs)} == {Permission.VIEW, Permission.AUTHOR}
    assert may(teammate, Permission.PUBLISH, theirs)


def test_archiving_is_undone_and_keeps_editors_out(process: Process, owner: User) -> None:
    archived = editing.archive(process, actor=owner, reason="old")
    with pytest.raises(Conflict) as caught:
        editing.write_draft(archived, document_of(process) | {"name": "x"}, actor=owner)
    assert caught.value.data["state"] == "archived"
    with pytest.raises(Conflict):
        editing.archive(archived, actor=owner)
    editing.unarchive(archived, actor=owner)
    with pytest.raises(Conflict):
        editing.unarchive(archived, actor=owner)
    assert events(process) == ["process.created", "process.archived", "process.unarchived"]


def test_what_nobody_refers_to_can_be_deleted(process: Process, owner: User) -> None:
    editing.delete(process, actor=owner)
    assert not Process.objects.exists()
    assert Event.objects.latest("pk").verb == "process.deleted"


def test_what_is_published_or_a_subprocess_of_another_is_not_deleted(process: Process, owner: User) -> None:
    parent = factories.process("parent", actor=owner, phases=[{"id": "work", "activities": [{"id": "child", "type": "subprocess", "process": "standard"}]}])
    with pytest.raises(Conflict) as caught:
        editing.delete(process, actor=owner)
    assert caught.value.data["by"] == ["it is a subprocess of parent"]
    editing.delete(parent, actor=owner)
    publishing.publish(process, actor=owner)
    with pytest.raises(Conflict) as caught:
        editing.delete(process, actor=owner)
    assert caught.value.data["by"] == ["it has 1 published version"]


def test_a_big_process_is_written_with_few_queries(owner: User, django_assert_max_num_queries: Any) -> None:
    big = factories.document("big") | {
        "phases": [{"id": f"p{n}", "activities": [{"id": f"a{n}_{m}", "type": "automated", "connector": "noop"} for m in range(30)]} for n in range(10)]
    }
    process = editing.create_process(big, actor=owner)
    changed = document_of(process) | {"phases": [phase | {"name": "New"} for phase in big["phases"]]}
    with django_assert_max_num_queries(25):
        editing.write_draft(process, changed, actor=owner)
    with django_assert_max_num_queries(2):
        document_of(process)
