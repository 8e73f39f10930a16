"""The theme: a POST that works without script, before log-in too."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from relorch.accounts.models import User


@pytest.mark.parametrize(
    ("back", "to"), [("/releases/?state=failed", "/releases/?state=failed"), ("https://evil.example/", "/"), ("//evil.example/", "/"), ("", "/")]
)
def test_it_is_kept_in_a_cookie_and_goes_back_only_here(back: str, to: str) -> None:
    answer = Client().post(reverse("accounts:theme"), {"theme": "dark", "next": back})
    assert answer.status_code == 302
    assert answer["Location"] == to
    assert answer.cookies["theme"].value == "dark"
    assert answer.cookies["theme"]["httponly"]


def test_nonsense_means_as_the_system_and_looking_changes_nothing() -> None:
    assert Client().post(reverse("accounts:theme"), {"theme": "<b>"}).cookies["theme"].value == ""
    assert Client().get(reverse("accounts:theme")).status_code == 405


@pytest.mark.django_db
def test_it_is_kept_in_the_profile() -> None:
    ada = User.objects.create_user(email="ada@example.org")
    client = Client()
    client.force_login(ada)
    client.post(reverse("accounts:theme"), {"theme": "dark"})
    ada.refresh_from_db()
    assert ada.theme == "dark"
