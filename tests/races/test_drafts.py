"""Two people edit, publish or make the same process at the same instant: one is first, the other is told, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from processes import editing, publishing
from processes.drafts import document_of
from processes.models import DraftActivity, Process, ProcessVersion
from relorch.accounts.models import User
from relorch.audit.chain import verify
from relorch.audit.models import Event
from relorch.lib.errors import DomainError
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 12


@pytest.fixture
def owner(transactional_db: None) -> User:
    return factories.person("olga", author=True)


def at_once(act: Callable[[int], Any]) -> list[Any]:
    """What each of many simultaneous calls gave, a refusal as its code."""
    barrier = Barrier(MANY)

    def one(number: int) -> Any:
        barrier.wait()
        try:
            return act(number)
        except DomainError as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(one, range(MANY)))


def test_of_many_who_saw_the_same_draft_one_saves(owner: User) -> None:
    process = factories.process("shop", actor=owner)
    document = document_of(process)
    answers = at_once(lambda n: editing.write_draft(process, document | {"name": f"Name {n}"}, actor=owner, expected_revision=1).name)
    assert answers.count("stale") == MANY - 1
    assert Process.objects.get().name in answers
    assert Process.objects.get().revision == 2
    assert Event.objects.filter(verb="process.draft_saved").count() == 1


def test_without_a_precondition_drafts_are_saved_one_after_the_other_and_whole(owner: User) -> None:
    process = factories.process("shop", actor=owner)

    def document(n: int) -> dict[str, Any]:
        activities = [{"id": f"step{k}", "name": f"Name {n}", "type": "automated", "connector": "noop"} for k in range(5)]
        return factories.document("shop", name=f"Name {n}", phases=[{"id": "work", "activities": activities}])

    at_once(lambda n: editing.write_draft(process, document(n), actor=owner))
    saved = Process.objects.get()
    assert saved.revision == 1 + MANY
    assert {row.name for row in DraftActivity.objects.all()} == {saved.name}
    assert DraftActivity.objects.count() == 5
    assert verify(f"process:{process.pk}").events == 1 + MANY
    assert verify(f"process:{process.pk}").broken_at is None


def test_of_many_who_publish_one_does(owner: User) -> None:
    process = factories.process("shop", actor=owner)
    answers = at_once(lambda _: publishing.publish(process, actor=owner)[0].number)
    assert sorted(map(str, answers)) == ["1", *["nothing_changed"] * (MANY - 1)]
    assert ProcessVersion.objects.count() == 1


def test_an_id_is_given_once_however_many_ask(owner: User) -> None:
    answers = at_once(lambda _: editing.create_process(factories.document("shop"), actor=owner).identifier)
    assert sorted(answers) == ["process_exists"] * (MANY - 1) + ["shop"]
    assert Process.objects.count() == 1


def test_publishing_meets_saving(owner: User) -> None:
    process = factories.process("shop", actor=owner)

    def act(n: int) -> Any:
        if n % 2:
            return publishing.publish(process, actor=owner)[0].number
        return editing.write_draft(process, factories.document("shop", name=f"Name {n}"), actor=owner).revision

    at_once(act)
    numbers = list(ProcessVersion.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    for version in ProcessVersion.objects.all():
        assert owner in version.authors.all()
    last = ProcessVersion.objects.order_by("-number").first()
    if last is not None and last.document == document_of(Process.objects.get()):
        return
    assert publishing.publish(Process.objects.get(), actor=owner)[0].number == len(numbers) + 1


def test_archiving_happens_once(owner: User) -> None:
    process = factories.process("shop", actor=owner)
    answers = at_once(lambda _: str(editing.archive(process, actor=owner).archived_at is not None))
    assert sorted(answers) == ["True", *["archived"] * (MANY - 1)]
    assert Event.objects.filter(verb="process.archived").count() == 1
