"""The frames of the pages, served by the whole stack: sign-in, refusals, the page of components."""

from __future__ import annotations

import pytest
from django.test import Client

from relorch.accounts.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return User.objects.create_user(email="ada@example.org", password="correct horse", name="Ada Lovelace")


def test_sign_in_looks_like_ours_and_says_one_thing_about_what_is_wrong(ada: User) -> None:
    client = Client()
    page = client.get("/accounts/login/?next=/releases/12/")
    said = page.content.decode()
    assert "default-src 'self'" in page["Content-Security-Policy"]
    assert "Sign in to relorch" in said
    assert "/releases/12/" in said
    assert "css/tokens.css" in said
    for address in ("ada@example.org", "nobody@example.org"):
        wrong = client.post("/accounts/login/", {"login": address, "password": "guess"}).content.decode()
        assert wrong.count('class="callout" data-state="error"') == 1
        assert 'aria-invalid="true"' not in wrong
    there = client.post("/accounts/login/", {"login": "ada@example.org", "password": "correct horse", "next": "/releases/12/"})
    assert there.status_code == 302
    assert there["Location"] == "/releases/12/"


@pytest.mark.parametrize("address", ["/accounts/logout/", "/accounts/password/change/", "/accounts/2fa/", "/accounts/reauthenticate/", "/accounts/email/"])
def test_every_page_of_allauth_is_in_our_frame(ada: User, address: str) -> None:
    client = Client()
    client.force_login(ada)
    page = client.get(address, follow=True)
    assert page.status_code == 200
    said = page.content.decode()
    assert 'class="signin"' in said
    assert "Menu:" not in said


def test_a_page_that_is_not_there_is_said_in_our_frame_without_the_database() -> None:
    page = Client().get("/no/such/page/")
    assert page.status_code == 404
    said = page.content.decode()
    assert "Nothing here" in said
    assert "errbox" in said


def test_the_page_of_components_holds_every_component() -> None:
    said = Client().get("/components/").content.decode()
    assert "Needs a decision" in said
    assert 'class="edges"' in said
    assert "1 field needs your attention." in said
