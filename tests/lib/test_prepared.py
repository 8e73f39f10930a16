"""Prepared reads give what their queryset gives, for every kind of row that we ask for, and say so when a value has no place in the query."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.utils import timezone

from relorch.accounts.models import ApiToken, User
from relorch.lib.prepared import Prepared, insert, raw_cursor

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> list[User]:
    found = [User.objects.create_user(f"p{n}@example.com", name=f"P{n}") for n in range(3)]
    for n, person in enumerate(found):
        ApiToken.objects.create(person=person, name=f"t{n}", digest=str(n) * 64, expires_at=timezone.now() + timedelta(days=1))
    return found


def test_models_come_with_what_is_joined_deferred_and_annotated(people: list[User]) -> None:
    recent = ExpressionWrapper(Q(last_used_at=None), BooleanField())
    asked = Prepared(
        lambda digest, name: (
            ApiToken.objects.select_related("person").defer("person__password").filter(digest=digest).exclude(name=name).annotate(recent=recent)
        ),
        digest="",
        name="\n",
    )
    for n, person in enumerate(people * 3):  # past the third use the statement is prepared
        (found,) = asked(digest=str(n % 3) * 64, name="none")
        assert (found, found.person, found.person.name, found.recent) == (ApiToken.objects.get(person=person), person, person.name, True)  # type: ignore[attr-defined]
        assert "person" in found._state.fields_cache
        assert found.person.get_deferred_fields() == {"password"}
        assert found.expires_at.tzinfo is not None
        assert not found._state.adding
    assert asked(digest="0" * 64, name="t0") == asked(digest="x", name="") == []
    with raw_cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%accounts_apitoken%%'")
        assert cursor.fetchone()[0] >= 1


def test_values_and_unions(people: list[User]) -> None:
    asked = Prepared(
        lambda first: User.objects.filter(pk=first).values_list("pk", "email").union(User.objects.filter(pk__gt=first).values_list("pk", "email"), all=True),
        first=-1,
    )
    assert sorted(asked(first=people[1].pk)) == [(person.pk, person.email) for person in people[1:]]


def test_a_value_without_a_place_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="does not ask for all"):
        Prepared(lambda email: User.objects.all(), email="\n")(email="a")
    with pytest.raises(TypeError, match="built for"):
        Prepared(lambda pk: User.objects.filter(pk=pk), pk=-1)(email="a")


def test_what_the_database_raises_comes_as_djangos() -> None:
    with pytest.raises(DatabaseError), connection.cursor():
        Prepared(lambda pk: User.objects.filter(pk=pk), pk=-1)(pk="no number")


def test_a_row_is_inserted_as_saving_does_it(people: list[User]) -> None:
    ends = timezone.now() + timedelta(days=1)
    for n in range(5):
        row = insert(ApiToken(person=people[0], name=f"é {n}", digest=f"i{n}", created_at=timezone.now(), expires_at=ends, revoked_at=ends))
        assert row.pk is not None
        assert not row._state.adding
        found = ApiToken.objects.get(pk=row.pk)
        assert [getattr(found, field.attname) for field in ApiToken._meta.fields] == [getattr(row, field.attname) for field in ApiToken._meta.fields]
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(ApiToken(person=people[0], name="", digest="i0", created_at=timezone.now(), expires_at=ends))
