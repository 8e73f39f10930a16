"""Who leaves (A-09): sessions, tokens, memberships and delegations are dead at the next request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from approvals import delegating
from approvals.models import Delegation, SignOff
from releases.engine import Actor
from relorch.accounts.models import User
from tests import factories
from tests.approvals.test_signing import asking, people

pytestmark = pytest.mark.django_db


def deactivated(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def out_of_the_group(user: User) -> None:
    user.groups.clear()


def without_delegation(user: User) -> None:
    for row in Delegation.objects.filter(delegate=user):
        delegating.end(actor=Actor(user.pk, user.email, "page"), by=user, delegation=row)


def giver_gone(user: User) -> None:
    for row in Delegation.objects.filter(delegate=user):
        deactivated(row.person)


@pytest.mark.parametrize("credential", ["session", "token"])
@pytest.mark.parametrize(
    ("leaves", "by_delegation"), [(deactivated, False), (deactivated, True), (out_of_the_group, False), (without_delegation, True), (giver_gone, True)]
)
def test_a_09_dead_at_the_next_request(credential: str, leaves: Callable[[User], None], by_delegation: bool) -> None:
    ann, bob = people("ann", "bob")
    qa: Group = factories.group("qa", ann if by_delegation else bob)
    release = asking([(1, [qa])], allow_tokens=True)
    if by_delegation:
        delegating.delegate(actor=Actor(ann.pk, ann.email, "page"), by=ann, person=ann, to=bob)
    client = Client(headers={"Authorization": f"Bearer {factories.token(bob)}"}) if credential == "token" else Client()
    if credential == "session":
        client.force_login(bob)
    where = f"/api/v1/releases/{release.pk}/activities/ask/sign_offs/"
    assert client.get(where).status_code == 200
    leaves(bob)
    seen: Any = client.get(where).status_code
    voted: Any = client.post(where, {"decision": "approve"}, content_type="application/json").status_code
    assert seen in (401, 403, 404)
    assert voted in (401, 403, 404)
    if credential == "session":
        page = client.get(f"/approvals/{release.pk}/ask/")
        assert page.status_code in (302, 404)
    assert not SignOff.objects.exists()
