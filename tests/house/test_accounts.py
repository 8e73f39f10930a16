"""People and API tokens."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from relorch.accounts import tokens
from relorch.accounts.models import ApiToken, User
from relorch.lib.errors import Invalid, NotAllowed

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return User.objects.create_user(email="Ada@Example.org", password="correct horse", name="Ada Lovelace")


def test_address_is_one_person_in_upper_and_lower_case(ada: User) -> None:
    assert ada.email == "ada@example.org"
    assert User.objects.get(email="ADA@example.ORG") == ada
    assert User.objects.get_by_natural_key("aDa@example.org") == ada
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(email="ADA@EXAMPLE.ORG")


def test_what_is_no_address_is_no_person() -> None:
    for address in ("", "ada", "ada@", None):
        with pytest.raises(ValueError, match="not an e-mail address"):
            User.objects.create_user(email=address)


def test_display_name(ada: User) -> None:
    assert ada.display_name == str(ada) == "Ada Lovelace"
    assert User(email="bob@example.org").display_name == "bob"


def test_createsuperuser_without_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_EMAIL", "Root@example.org")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse")
    call_command("createsuperuser", "--noinput", verbosity=0)
    root = User.objects.get(email="root@example.org")
    assert root.is_superuser
    assert root.is_staff
    assert root.check_password("correct horse")


def test_create_token_prints_the_token_alone(ada: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_token", "ADA@example.org")
    secret = capsys.readouterr().out.removesuffix("\n")
    assert "\n" not in secret
    token = tokens.authenticate(secret)
    assert token is not None
    assert token.person == ada
    assert token.expires_at - token.created_at == timedelta(days=90)
    assert secret not in str(ApiToken.objects.values().get())
    with pytest.raises(CommandError, match="Nobody"):
        call_command("create_token", "nobody@example.org")


def test_a_token_ends(ada: User) -> None:
    token, secret = tokens.issue(actor=ada, person=ada)
    assert tokens.authenticate(secret) == token
    assert tokens.authenticate(secret + "x") is None
    tokens.revoke(actor=ada, token=token)
    assert tokens.authenticate(secret) is None

    token, secret = tokens.issue(actor=ada, person=ada)
    ApiToken.objects.filter(pk=token.pk).update(created_at=Now() - timedelta(days=2), expires_at=Now() - timedelta(days=1))
    assert tokens.authenticate(secret) is None

    _, secret = tokens.issue(actor=ada, person=ada)
    User.objects.filter(pk=ada.pk).update(is_active=False)
    assert tokens.authenticate(secret) is None


def test_a_token_lives_at_most_a_year(ada: User) -> None:
    for days in (0, 366):
        with pytest.raises(Invalid):
            tokens.issue(actor=ada, person=ada, lifetime=timedelta(days=days))
    token, _ = tokens.issue(actor=ada, person=ada, lifetime=timedelta(days=365))
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiToken.objects.filter(pk=token.pk).update(expires_at=F("expires_at") + timedelta(seconds=1))


def test_nobody_makes_or_revokes_a_token_of_another(ada: User) -> None:
    bob = User.objects.create_user(email="bob@example.org")
    with pytest.raises(NotAllowed):
        tokens.issue(actor=bob, person=ada)
    token, _ = tokens.issue(actor=ada, person=ada)
    with pytest.raises(NotAllowed):
        tokens.revoke(actor=bob, token=token)


def test_use_is_noted_once_a_minute(ada: User, django_assert_num_queries) -> None:
    token, secret = tokens.issue(actor=ada, person=ada)
    tokens.authenticate(secret)
    token.refresh_from_db()
    assert token.last_used_at is not None
    with django_assert_num_queries(1):
        tokens.authenticate(secret)
