"""What people decided goes with a release that is deleted, whatever form it took; what is left is the chain of events, and it verifies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from approvals import links
from approvals.models import Delegation, LinkToken, MailCode, Packet, Signature, SignOff
from releases import deleting
from releases.engine import Actor
from releases.models import Attempt, Release
from relorch.accounts.models import User
from relorch.audit import chain
from relorch.audit.models import Event
from relorch.lib.errors import Conflict
from tests import factories
from tests.approvals.test_signing import asking, fresh, run_on, sign

pytestmark = pytest.mark.django_db
OF_A_DECISION = (SignOff, Packet, Signature, LinkToken, MailCode)


def decided(ann: User, bob: User, starter: User) -> Release:
    """One of two approved, changed their mind, then both did; with a link in a mail, a code for it, and one question delegated."""
    release = asking([(2, [ann, bob])], starter=starter, fields={"summary": {"type": "string"}})
    attempt = Attempt.objects.get(release=release, run__key="ask")
    links.issue(attempt, bob, at=timezone.now())
    link = LinkToken.objects.get(attempt=attempt)
    MailCode.objects.create(**{**_blank(MailCode), "link": link, "person": bob, "attempt": attempt})
    now = timezone.now()
    Delegation.objects.create(person=bob, delegate=starter, run=attempt.run, starts_at=now, ends_at=now + timedelta(days=1), created_by=bob)
    sign(release, ann, fields={"summary": "first"})
    sign(release, ann, fields={"summary": "second"})
    sign(release, bob)
    Signature.objects.create(**{**_blank(Signature), "sign_off": SignOff.objects.get(person=bob, attempt=attempt), "person": bob})
    run_on(release)
    assert fresh(release).state == "succeeded"
    return release


def _blank(model: Any) -> dict[str, Any]:
    """What the columns of a row must have and this test does not ask for."""
    plain = {"CharField": "x", "TextField": "x", "JSONField": {}, "OrderedJSONField": {}, "DateTimeField": timezone.now(), "BooleanField": False}
    fields = [field for field in model._meta.concrete_fields if not field.primary_key and not field.is_relation and not field.null]
    return {field.name: plain[field.get_internal_type()] for field in fields if field.get_internal_type() in plain and not field.has_default()}


def test_sign_offs_packets_signatures_links_and_stand_ins_go_with_it() -> None:
    ann, bob, sam, root = (factories.person(name) for name in ("ann", "bob", "sam", "root"))
    release, other = decided(ann, bob, sam), decided(ann, bob, sam)
    stream = f"release:{release.pk}"
    before = chain.verify(stream).events
    for model in OF_A_DECISION:
        assert model.objects.count() == 2 * len(rows_of(model, release)) > 0, model
    actor = Actor(root.pk, root.email, "page")
    with pytest.raises(Conflict, match="It is kept until"):
        deleting.delete(release=release.pk, actor=actor, reason="no need")
    ago = timezone.now() - timedelta(days=400)
    Release.objects.filter(pk=release.pk).update(started_at=ago)
    Release.objects.filter(pk=release.pk).update(finished_at=ago)
    deleting.delete(release=release.pk, actor=actor, reason="no need", preview=True)
    assert rows_of(SignOff, release)
    deleting.delete(release=release.pk, actor=actor, reason="no need")
    for model in (*OF_A_DECISION, Delegation):
        assert not rows_of(model, release), model
        assert rows_of(model, other), model
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if field.is_relation and field.related_model is Release:
                assert not model._base_manager.filter(**{field.name: release.pk}).exists(), (model, field)
    found = chain.verify(stream)
    assert (found.broken_at, found.events) == (None, before + 1)
    said = [verb for verb in Event.objects.filter(stream=stream).values_list("verb", flat=True) if verb.startswith("sign_off")]
    assert said, "who decided what is still told"
    assert chain.verify(f"release:{other.pk}").broken_at is None


def rows_of(model: Any, release: Release) -> list[Any]:
    path = {Signature: "sign_off__attempt__release_id", Delegation: "run__release_id"}.get(model, "attempt__release_id")
    return list(model.objects.filter(**{path: release.pk}))
