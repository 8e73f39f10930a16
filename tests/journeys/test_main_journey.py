"""The main journey in a real browser, on a real installation with its workers: log in, start, watch it move, sign off as two people, see it succeed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.house.installation import Served, manage

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the journeys were NOT tried")]

FLAGS = ["--no-sandbox", "--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PASSWORD = "correct horse battery staple"
WIDE, PHONE = (1440, 960), (390, 844)
SET_UP = f"""
from django.contrib.auth.models import Group
from guardian.shortcuts import assign_perm
from processes import editing, publishing
from relorch.accounts.models import User
people = {{name: User.objects.create_user(name + "@example.com", {PASSWORD!r}, name=name.capitalize()) for name in ("olga", "quinn", "paula")}}
for name, group in (("quinn", "qa"), ("paula", "product")):
    people[name].groups.add(Group.objects.create(name=group))
document = {{
    "apiVersion": "relorch/v1", "kind": "Process", "id": "shop", "name": "Shop", "owners": ["user:olga@example.com"],
    "inputs": {{"version": {{"type": "string", "name": "Version", "required": True, "pattern": r"\\d+\\.\\d+\\.\\d+"}}}},
    "phases": [
        {{"id": "build", "name": "Build", "activities": [
            {{"id": "compile", "name": "Compile", "type": "automated", "connector": "script",
              "with": {{"run": "for n in 1 2 3 4 5 6; do echo compiling part $n; sleep 0.5; done"}}}},
            {{"id": "check", "name": "Check", "type": "automated", "connector": "noop", "depends_on": ["compile"]}}]}},
        {{"id": "agree", "name": "Agree", "depends_on": ["build"], "activities": [
            {{"id": "sign", "name": "Release sign-off", "type": "manual", "instructions": "Look at the build.",
              "approval": {{"requires": [{{"count": 1, "of": ["group:qa"]}}, {{"count": 1, "of": ["group:product"]}}]}}}}]}},
        {{"id": "deploy", "name": "Deploy", "depends_on": ["agree"], "activities": [
            {{"id": "roll_out", "name": "Roll out", "type": "automated", "connector": "noop"}}]}}],
}}
process = editing.create_process(document, actor=people["olga"])
publishing.publish(process, actor=people["olga"])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("journey") / "home", RELORCH_ALLOW_SCRIPTS="1")
    try:
        made = manage(served.home, "shell", "-v", "0", "-c", SET_UP)
        assert made.returncode == 0, made.stderr
        yield served
    finally:
        served.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


Visitor = Callable[..., Any]


@pytest.fixture
def visitor(server: Served, browser: Any) -> Iterator[Visitor]:
    """Someone who is logged in, with what the browser complained about kept in `complaints`."""
    contexts = []
    complaints: list[str] = []

    def arrive(name: str, size: tuple[int, int] = WIDE, script: bool = True) -> Any:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, base_url=server.address, java_script_enabled=script)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto("/accounts/login/?next=/releases/")
        page.get_by_label(re.compile("e-?mail", re.IGNORECASE)).first.fill(f"{name}@example.com")
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("main form button[type=submit], form button[type=submit]").first.click()
        page.wait_for_url("**/releases/")
        return page

    yield arrive
    for context in contexts:
        context.close()
    assert complaints == []


def start(page: Any, name: str) -> str:
    """Starts a release by the pages; its address."""
    page.goto("/releases/start/")
    page.get_by_role("link", name="Shop", exact=True).click()
    page.get_by_label("Name of the release").fill(name)
    page.get_by_label(re.compile("^Version")).fill("1.4")
    page.get_by_role("button", name="Start release").click()
    sync_api.expect(page.locator("[role=alert]")).to_contain_text("1 field needs your attention")
    page.get_by_label(re.compile("^Version")).fill("1.4.0")
    page.get_by_role("button", name="Start release").click()
    page.wait_for_url(re.compile(r"/releases/\d+/$"))
    return str(page.url)


def sign_off(page: Any, address: str) -> None:
    """From the release's panel to the sign-off page, and approve."""
    page.goto(address)
    page.get_by_role("link", name="Review and sign").click()
    page.locator("input[name=decision][value=approve]").check()
    page.locator("form button[type=submit]:visible").filter(has_text=re.compile("Approve|Sign off")).first.click()
    page.wait_for_load_state()


def no_wider(page: Any) -> None:
    """Nothing sticks out at the side."""
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_from_the_start_to_success_without_reloading(visitor: Visitor, size: tuple[int, int]) -> None:
    olga = visitor("olga", size)
    address = start(olga, f"Shop on {size[0]} px")
    expect = sync_api.expect
    head = olga.locator("#release-head")
    expect(head).to_contain_text("Running")
    olga.evaluate("window.sameDocument = true")
    olga.locator("#run-compile").click()
    drawer = olga.locator("#drawer")
    expect(drawer).to_contain_text("compiling part 2", timeout=15_000)
    no_wider(olga)
    expect(drawer.locator(".badge")).to_contain_text("Succeeded", timeout=15_000)
    olga.locator("[data-close]").click()
    expect(olga.locator("aside#drawer")).to_have_count(0)
    expect(head).to_contain_text("Waiting for people", timeout=15_000)
    expect(olga.locator("#release-waiting")).to_contain_text("Release sign-off", timeout=10_000)
    no_wider(olga)
    for name in ("quinn", "paula"):
        sign_off(visitor(name, size), address)
    expect(head).to_contain_text("Succeeded", timeout=15_000)
    expect(olga.locator("#release-progress")).to_contain_text("4 of 4 done")
    expect(olga.get_by_role("link", name="Abort…")).to_have_count(0)
    assert olga.evaluate("window.sameDocument") is True
    olga.goto("/releases/?view=finished")
    expect(olga.locator("#releases")).to_contain_text(f"Shop on {size[0]} px")
    no_wider(olga)


def test_without_script_everything_is_there_too(visitor: Visitor) -> None:
    olga = visitor("olga", script=False)
    address = start(olga, "Shop without script")
    expect = sync_api.expect
    olga.locator("#run-compile").click()
    expect(olga.locator("#drawer-title")).to_have_text("Compile")
    olga.locator("#verbs a", has_text="Stop…").click()
    expect(olga.locator("main")).to_contain_text("The running attempt is told to end")
    olga.get_by_label("Reason").fill("It takes too long")
    olga.get_by_role("button", name="Stop activity").click()
    expect(olga.locator("#drawer .badge").first).to_contain_text("Needs a decision")
    olga.goto(address)
    expect(olga.locator("#release-decisions")).to_contain_text("ended badly")
    olga.get_by_role("link", name="Abort…").click()
    olga.locator("#reason").fill("Tried enough")
    olga.get_by_role("button", name="Abort release").click()
    expect(olga.locator("#release-head")).to_contain_text("Aborted")


@pytest.mark.parametrize("pushed", [True, False], ids=["pushed", "polled"])
def test_what_another_person_does_is_on_the_open_page(visitor: Visitor, pushed: bool) -> None:
    olga, reader = visitor("olga"), visitor("olga")
    address = start(olga, "Shop seen by two")
    if not pushed:
        reader.route("**/live/?*", lambda route: route.abort())
        reader.goto(address)
        within = 6_000
    else:
        with reader.expect_response(lambda response: "/live/?" in response.url and response.status == 200):
            reader.goto(address)
        reader.wait_for_timeout(1_000)  # the question on opening is answered; by the clock the page now asks every 15 s only
        within = 2_500
    reader.evaluate("window.sameDocument = true")
    olga.get_by_role("link", name="Abort…").click()
    olga.locator("#reason").fill("Seen at once")
    olga.get_by_role("button", name="Abort release").click()
    sync_api.expect(reader.locator("#release-head")).to_contain_text("Aborted", timeout=within)
    assert reader.evaluate("window.sameDocument") is True


def test_a_draft_is_written_as_yaml_with_comments(visitor: Visitor) -> None:
    """The editor under the strict content policy: problems come while one types, keys save, comments are there again."""
    olga, expect = visitor("olga"), sync_api.expect
    olga.goto("/processes/shop/edit/")
    editor = olga.locator(".cm-content")
    editor.click()
    olga.keyboard.press("Control+Home")
    olga.keyboard.type("# by Olga\nouputs: {a: b}\n")
    expect(olga.locator("#problems")).to_contain_text('"ouputs" is not a key of a process')
    expect(olga.locator("#problems")).to_contain_text("line 2")
    expect(olga.locator(".cm-lintRange-error")).to_have_text("ouputs: {a: b}")
    olga.keyboard.press("ArrowUp")
    olga.keyboard.press("Control+Shift+k")
    expect(olga.locator("#problems")).not_to_contain_text("ouputs")
    offered, first = olga.locator(".cm-tooltip-autocomplete"), olga.locator(".cm-line").nth(1)
    for key in ("Control+Home", "End", "Enter"):
        olga.keyboard.press(key)
    olga.keyboard.type("cat")
    expect(offered).to_contain_text("category")
    olga.wait_for_timeout(150)  # an offer is not taken in the instant in which it appears
    olga.keyboard.press("Enter")
    expect(first).to_have_text(re.compile("^category: "))
    olga.keyboard.type("hot")
    expect(offered).to_contain_text("hotfix")
    olga.wait_for_timeout(150)
    olga.keyboard.press("Tab")
    expect(first).to_have_text(re.compile("^category: hotfix"))
    olga.keyboard.press("Control+Shift+k")
    with olga.expect_navigation():
        olga.keyboard.press("Control+s")
    expect(olga.locator(".toast").first).to_contain_text("is saved")
    expect(olga.locator(".cm-line").first).to_have_text("# by Olga")
    expect(olga.locator("textarea[name=text]")).to_be_hidden()
