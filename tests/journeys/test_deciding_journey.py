"""From ten mails to ten decisions in a real browser: a scanner that clicks everything, a person with a telephone, few clicks and few keys (A-01, S20)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from approvals.models import LinkToken, SignOff
from relorch import posting, relay
from relorch.audit.models import Event
from relorch.models import Relayed
from tests import factories
from tests.approvals.test_inbox import World
from tests.journeys.test_main_journey import CHROMIUM, FLAGS, PHONE, WIDE, no_wider, sync_api
from tests.mail.test_mail import digests
from tests.mail.trap import Trap, link_in, trapping

pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the journeys were NOT tried"), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch, live_server: Any) -> Iterator[Any]:  # the server outlives it
    # Playwright has a loop in this thread, which does not run while we ask the database
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()
        connection.close()  # of this loop's context, which nobody would close


@pytest.fixture
def trap(settings: Any, live_server: Any) -> Iterator[Trap]:
    with trapping() as found:
        settings.RELORCH_MAIL, settings.RELORCH_BASE_URL = True, live_server.url
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.DEFAULT_FROM_EMAIL = "127.0.0.1", found.port, "relorch@example.org"
        Relayed.objects.create(upto=Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0)
        yield found


def signed_in(browser: Any, live_server: Any, person: Any, size: tuple[int, int] = WIDE, **more: Any) -> Any:
    client = Client()
    client.force_login(person)
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, base_url=live_server.url, **more)
    context.add_cookies([{"name": name, "value": cookie.value, "url": live_server.url} for name, cookie in client.cookies.items()])
    return context.new_page()


def picture(page: Any, name: str) -> None:
    """For people who want to look: JOURNEY_PICTURES names a folder."""
    if folder := os.environ.get("JOURNEY_PICTURES"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


EVERYTHING = """() => {
    const stay = event => event.preventDefault();
    document.querySelectorAll('button, a[data-key], [role=button], summary').forEach(it => { try { it.click(); } catch {} });
    return [...document.querySelectorAll('form')].map(form => [form.action, form.method, Object.fromEntries(new FormData(form))]);
}"""
SUBMIT = """async ([address, method, fields]) => {
    const body = new URLSearchParams({...fields, decision: 'approve', comment: 'scanned'});
    return (await fetch(method === 'get' ? `${address}?${body}` : address, method === 'get' ? {} : {method, body, credentials: 'include'})).status;
}"""


def scan(browser: Any, address: str, question: str) -> None:
    """What a mail scanner with a browser does: opens it, clicks every button, submits every form, and tries the form of the decision as well."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    forms = page.evaluate(EVERYTHING)
    page.goto(address)
    for form in [*forms, [question, "post", {}]]:
        page.evaluate(SUBMIT, form)
    context.close()


def test_a_01_peer_11_a_scanner_clicks_everything_in_ten_mails_and_then_a_person_decides_on_a_telephone(browser: Any, live_server: Any, trap: Trap) -> None:
    world = World(10)
    relay.relay()
    posting.post()
    links = [live_server.url + link_in(message) for message in trap.to("ann@example.com")]
    assert len(links) == 10
    before = digests()
    for link, release in zip(links, world.releases, strict=True):
        scan(browser, link, f"{live_server.url}/approvals/{release.pk}/ask/sign_off/")
    after = digests()
    assert {table for table in after if after[table] != before[table]} == set()
    assert not LinkToken.objects.exclude(used_at=None).exists()
    context = browser.new_context(viewport={"width": PHONE[0], "height": PHONE[1]}, base_url=live_server.url)
    page = context.new_page()
    page.goto(links[0])
    page.locator("input[name=login]").fill("ann@example.com")
    page.locator("input[name=password]").fill(factories.PASSWORD)
    page.locator("form:has(input[name=password]) button[type=submit]").first.click()
    page.wait_for_url("**/approvals/*/ask/")
    no_wider(page)
    picture(page, "question-phone")
    page.locator("label:has(input[value=approve])").click()  # one
    page.get_by_role("button", name="Approve ask").click()  # two
    page.get_by_text("You approved ask").wait_for()
    vote = SignOff.objects.get()
    assert (vote.person, vote.door) == (world.ann, "mail")
    page.goto(links[1])  # with a session the link leads straight to the question
    assert page.locator("input[name=decision]:checked").count() == 0
    page.locator("label:has(input[value=approve])").click()
    page.get_by_role("button", name="Approve ask").click()
    page.get_by_text("You approved ask").wait_for()
    assert SignOff.objects.filter(door="mail").count() == 2
    page.goto("/")
    no_wider(page)
    picture(page, "inbox-phone")


def test_click_budget_two_clicks_from_home_and_four_keys_for_ten(browser: Any, live_server: Any) -> None:
    world = World(12)
    page = signed_in(browser, live_server, world.ann)
    page.goto("/")
    picture(page, "inbox-wide")
    page.get_by_role("link", name="Approve…").click()  # one
    page.get_by_role("button", name="Approve ask").click()  # two
    page.get_by_text("You approved ask").wait_for()
    assert SignOff.objects.count() == 1
    page.goto("/")
    for key in ("j", "j", "x", "a"):
        page.keyboard.press(key)
    page.wait_for_url("**/?choose=approve#decide")
    assert SignOff.objects.count() == 1, "keys open the form and decide nothing"
    second = page.url.split("/approvals/")[1].split("/")[0]
    assert int(second) == world.releases[2].pk, "that of the row with the focus"
    page.goto("/")
    page.keyboard.press("j")
    page.keyboard.press("x")
    assert page.locator(".pickrow__x:checked").count() == 1
    page.keyboard.press("x")
    assert page.locator(".pickrow__x:checked").count() == 0
    page.locator(".pickrow__x").first.focus()
    page.goto("/")
    page.keyboard.press("X")  # one
    assert page.locator(".pickrow__x:checked").count() == 11
    page.keyboard.press("b")  # two
    page.wait_for_url("**/approvals/together/**")
    picture(page, "together-wide")
    page.keyboard.press("a")  # three
    assert SignOff.objects.count() == 1
    page.keyboard.press("Enter")  # four
    page.get_by_text("11 decided").wait_for()
    assert SignOff.objects.count() == 12
    assert world.states() == ["succeeded"] * 12
    world.releases = [world.start() for _ in range(2)]
    plain = signed_in(browser, live_server, world.ann, PHONE, java_script_enabled=False)
    plain.goto("/")
    no_script = plain.locator(".pickrow__x")
    no_script.nth(0).check()
    no_script.nth(1).check()
    plain.get_by_role("button", name="Decide selected together").click()
    picture(plain, "together-phone")
    plain.locator("label:has(input[value=approve])").click()
    plain.get_by_role("button", name="Approve the selected").click()
    assert "2 decided" in plain.locator("main").inner_text()
    assert world.states() == ["succeeded"] * 2
