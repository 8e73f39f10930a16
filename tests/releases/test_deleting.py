"""What is over is deleted whole, by who may, when nothing speaks against it; the chain of its events stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import models
from django.utils import timezone

from releases import deleting, operating, talking
from releases.models import ActivityRun, Attachment, Attempt, Comment, InputValue, PhaseRun, Release, RunPerson
from relorch.accounts.models import User
from relorch.audit import chain
from relorch.lib.errors import Conflict, Invalid
from tests import factories
from tests.processes.conftest import Api
from tests.releases.driving import published
from tests.releases.scenes import ACTOR, blueprint, manual, noop, running, sub

pytestmark = pytest.mark.django_db


def over(days: int = 400, **keys: Any) -> Release:
    """A tree of two that was aborted so long ago."""
    below = blueprint(manual("ask", of=("user:dora@example.com",)))
    actor()
    published(below)
    release = running(sub("down", below.id), noop("after", "down"), **keys)
    talking.comment(release=release.pk, actor=actor(), text="said")
    operating.abort(release=release.pk, actor=ACTOR, reason="because")
    ago = timezone.now() - timedelta(days=days)
    Release.objects.filter(root=release.pk).update(started_at=ago)
    Release.objects.filter(root=release.pk).update(finished_at=ago)
    return release


def actor() -> Any:
    person = User.objects.filter(email="dora@example.com").first() or factories.person("dora")
    return deleting.Actor(person.pk, person.email, "page")


def codes(release: int) -> list[str]:
    with pytest.raises(Conflict) as refused:
        deleting.delete(release=release, actor=actor(), reason="no need")
    assert refused.value.code == "not_deletable"
    return [one["code"] for one in refused.value.data["reasons"]]


def test_all_of_it_goes_and_the_chain_verifies() -> None:
    release = over()
    other = over()
    tree = set(Release.objects.filter(root=release.pk).values_list("pk", flat=True))
    assert len(tree) == 2
    stream = f"release:{release.pk}"
    before = chain.verify(stream).events
    assert deleting.delete(release=release.pk, actor=actor(), reason="no need", preview=True) == []
    assert Release.objects.filter(pk=release.pk).exists()
    with pytest.raises(Invalid):
        deleting.delete(release=release.pk, actor=actor(), reason=" ")
    deleting.delete(release=release.pk, actor=actor(), reason="no need")
    for model in (ActivityRun, Attempt, PhaseRun, RunPerson, Comment, InputValue):
        assert not model.objects.filter(release__in=tree).exists(), model
    assert not Release.objects.filter(root=release.pk).exists()
    assert ActivityRun.objects.filter(release=other.pk).count() == 2
    found = chain.verify(stream)
    assert (found.broken_at, found.events) == (None, before + 1)


def test_everything_that_speaks_against_it_is_said_at_once() -> None:
    young, old = over(days=3), over()
    Release.objects.filter(pk=old.pk).update(links=[{"url": f"https://release.example.com/releases/{young.pk}/", "title": "before"}])
    assert codes(young.pk) == ["tracked", "referenced"]
    child = Release.objects.get(root=young.pk, level=2)
    assert codes(child.pk) == ["part_of_another", "tracked", "referenced"]
    Release.objects.filter(pk=old.pk).update(links=[{"url": f"https://release.example.com/releases/{young.pk}1/", "title": "another"}])
    assert codes(young.pk) == ["tracked"]
    live = running(noop("it"), go=False)
    assert codes(live.pk) == ["open"]
    operating.hold(release=live.pk, actor=ACTOR, reason="because")
    assert codes(live.pk) == ["open"]


def test_who_links_to_it_is_named_as_far_as_the_reader_sees_it_and_other_sites_do_not_count(settings: Any) -> None:
    settings.RELORCH_BASE_URL = "https://release.example.com"
    wanted, linking = over(), over()
    for url in (f"https://github.com/x/y/releases/{wanted.pk}", f"https://other.example.com/releases/{wanted.pk}/"):
        Release.objects.filter(pk=linking.pk).update(links=[{"url": url}])
        deleting.delete(release=wanted.pk, actor=actor(), reason="no need", preview=True)
    Release.objects.filter(pk=linking.pk).update(links=[{"url": f"https://release.example.com/releases/{wanted.pk}/"}])
    stranger, root = factories.person("stranger"), factories.person("root", is_superuser=True)
    for person, said in ((stranger, "1 release that you cannot see links to it"), (root, f"R-{linking.pk} links to it")):
        with pytest.raises(Conflict) as refused:
            deleting.delete(release=wanted.pk, actor=deleting.Actor(person.pk, person.email, "page"), reason="no need")
        assert said in refused.value.message


def test_the_retention_is_a_setting(settings: Any) -> None:
    release = over(days=3)
    settings.RELORCH_RETENTION = 2
    deleting.delete(release=release.pk, actor=actor(), reason="no need")


def test_only_by_the_permission_itself(client: Any) -> None:
    olga, stranger = factories.person("otto"), factories.person("nobody")
    release = over(starter=olga, owners=["user:otto@example.com"])
    address, page = f"releases/{release.pk}/delete/", f"/releases/{release.pk}/delete/"
    client.force_login(olga)
    assert "Delete…" not in client.get(f"/releases/{release.pk}/").content.decode()
    assert (Api(olga)("POST", address, {"reason": "x"}).status_code, client.get(page).status_code) == (403, 403)
    assert "ask an administrator, who gives the right to delete" in client.get(page).content.decode()
    for person in (olga, stranger):
        person.user_permissions.add(Permission.objects.get(codename="delete_release"))
    assert Api(stranger)("POST", address, {"reason": "x"}).status_code == 404
    assert Api(olga)("POST", f"{address}?preview=true", {"reason": "x"}).json()["will"]
    assert Api(olga)("POST", address, {}).status_code == 422
    assert f'href="{page}"' in client.get(f"/releases/{release.pk}/").content.decode()
    assert "Delete release" in client.get(page).content.decode()
    assert Release.objects.filter(pk=release.pk).exists()
    answer = client.post(page, {"reason": "no need"})
    assert (answer.status_code, answer["Location"]) == (302, "/releases/")
    assert not Release.objects.filter(pk=release.pk).exists()
    young = over(days=3, starter=olga)
    refused = Api(olga)("POST", f"releases/{young.pk}/delete/", {"reason": "x"})
    assert (refused.status_code, [one["code"] for one in refused.json()["reasons"]]) == (409, ["tracked"])
    assert "It is kept until" in client.get(f"/releases/{young.pk}/delete/").content.decode()


def test_nothing_that_points_at_a_release_is_left_out() -> None:
    """Found from the models: also those of apps above, each before what it points at."""
    order = [model for model, _ in deleting.dependents()]
    labels = {model._meta.label for model in order}
    assert {"approvals.SignOff", "approvals.Packet", "releases.LogChunk", "releases.TaskChange", "releases.Lock", "releases.InputValue"} <= labels
    for place, model in enumerate(order):
        for field in model._meta.concrete_fields:
            if isinstance(field, models.ForeignKey) and field.related_model in order and field.related_model is not model:
                assert order.index(field.related_model) > place, field
    assert Attachment in order
