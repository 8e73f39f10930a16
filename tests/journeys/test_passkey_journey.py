"""A passkey is added to an account and signs a decision, in a real browser with a virtual authenticator (A-08)."""

from __future__ import annotations

from typing import Any

import pytest

from approvals import evidence, signatures
from approvals.models import Signature
from relorch.audit.models import Event
from tests import factories
from tests.approvals.test_signing import asking, people
from tests.journeys.test_deciding_journey import browser, picture, signed_in
from tests.journeys.test_main_journey import CHROMIUM, PHONE, no_wider

pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the journeys were NOT tried"), pytest.mark.django_db(transaction=True)]
__all__ = ["browser"]


def with_authenticator(page: Any) -> Any:
    """A device that verifies its user, as a telephone does."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    device = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}
    return session, session.send("WebAuthn.addVirtualAuthenticator", {"options": device})["authenticatorId"]


def test_from_no_passkey_to_a_signed_decision(browser: Any, live_server: Any) -> None:
    assert "localhost" in live_server.url, "browsers know passkeys over plain HTTP only there"
    (ann,) = people("ann")
    release = asking([(1, [ann])], reauthenticate="passkey")
    page = signed_in(browser, live_server, ann, PHONE)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    session, device = with_authenticator(page)
    page.goto(f"/approvals/{release.pk}/ask/")
    no_wider(page)
    picture(page, "passkey-none")
    page.get_by_role("link", name="add a passkey").click()
    page.locator("input[name=password]").fill(factories.PASSWORD)  # adding one takes the password again
    page.locator("form:has(input[name=password]) button[type=submit]").first.click()
    page.locator("#mfa_webauthn_add").wait_for()
    picture(page, "passkey-add")
    page.locator("input[name=name]").fill("Telephone")
    page.locator("#mfa_webauthn_add").click()
    page.wait_for_url("**/accounts/2fa/recovery-codes/**")
    page.goto("/account/")
    page.get_by_role("link", name="Rename Telephone").wait_for()
    no_wider(page)
    picture(page, "passkey-account")
    assert Event.objects.filter(stream=f"account:{ann.pk}", verb="authenticator.added").count() == 2, "the passkey, and its recovery codes"
    page.goto(f"/approvals/{release.pk}/ask/")
    page.get_by_role("button", name="Choose approve or reject").click()
    page.get_by_text("Choose approve or reject first.").wait_for()
    page.locator("label:has(input[value=approve])").click()
    page.locator("textarea[name=comment]").fill("looks right\nto me")
    session.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
    page.get_by_role("button", name="Approve ask").click()
    page.get_by_text("Nothing was signed").wait_for()
    assert not Signature.objects.exists()
    session.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": True})
    picture(page, "passkey-decide")
    page.get_by_role("button", name="Approve ask").click()
    page.get_by_text("You approved ask").wait_for()
    picture(page, "passkey-done")
    row = Signature.objects.get()
    assert (row.method, row.person, signatures.verifies(row), evidence.problems(signatures.document_of(row))) == ("passkey", ann, True, [])
    assert [line for line in said if "Content Security Policy" in line] == []
