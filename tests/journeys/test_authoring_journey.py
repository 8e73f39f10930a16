"""Authors in the admin, in a real browser: every key of the format without a line of YAML; a process from its first phase to its second version."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processes import reading
from tests.house.installation import Served, manage

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the journeys were NOT tried")]

FLAGS = ["--no-sandbox", "--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PASSWORD = "correct horse battery staple"
EVERYTHING = Path(__file__).with_name("everything.yaml")
SET_UP = f"""
from django.contrib.auth.models import Group
from guardian.shortcuts import assign_perm
from processes import editing, publishing
from relorch.accounts.models import User
people = {{name: User.objects.create_user(name + "@example.com", {PASSWORD!r}, name=name.capitalize()) for name in ("olga", "quinn", "petra", "paul")}}
User.objects.filter(email="olga@example.com").update(is_staff=True)
assign_perm("processes.author", people["olga"])
for group, members in (("qa", ("quinn", "petra", "paul")), ("empty", ())):
    made = Group.objects.create(name=group)
    made.user_set.set([people[name] for name in members])
document = {{
    "apiVersion": "relorch/v1", "kind": "Process", "id": "deploy_region", "name": "Deploy a region", "owners": ["user:olga@example.com"],
    "inputs": {{"image": {{"type": "string", "required": True}}, "port": {{"type": "integer"}}}},
    "phases": [{{"id": "deploy", "activities": [{{"id": "place", "type": "automated", "connector": "noop"}}]}}],
}}
publishing.publish(editing.create_process(document, actor=people["olga"]), actor=people["olga"])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("authoring") / "home", RELORCH_ALLOW_SCRIPTS="1")
    try:
        made = manage(served.home, "shell", "-v", "0", "-c", SET_UP)
        assert made.returncode == 0, made.stderr
        yield served
    finally:
        served.stop()


@pytest.fixture
def olga(server: Served) -> Iterator[Any]:
    """Her page, logged in; nothing may have gone wrong in it."""
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 960}, base_url=server.address)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/accounts/login/?next=/admin/")
        page.locator("input[name=login]").fill("olga@example.com")
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("main form button[type=submit], form button[type=submit]").first.click()
        page.wait_for_url("**/admin/")
        yield page
        browser.close()
    assert complaints == []


def unfolded(box: Any) -> None:
    """What is seldom said is folded away: a click on its heading shows it."""
    while (folds := box.locator("xpath=ancestor::details[not(@open)]")).count():
        folds.first.locator(":scope > summary").click()


def picked(box: Any, names: list[str]) -> None:
    """Names typed into a picker, each ended by Enter."""
    unfolded(box)
    for name in names:
        box.locator(".pk-in").fill(name)
        box.locator(".pk-in").press("Enter")


def given(box: Any, value: Any) -> None:
    """Say a value with the controls in the box, whichever they are."""
    case = box.locator(":scope > .st-case:not([hidden])")
    if case.count():
        return given(case, value)
    if isinstance(value, dict) and (struct := box.locator(":scope > .st-struct")).count():
        for key, inner in value.items():
            folds = ("", "> details ", "> .st-part ", "> .st-part > details ")
            found = struct.locator(", ".join(f':scope {fold}> .st-key[data-key="{key}"]' for fold in folds)).locator(":scope > .st-body")
            unfolded(found)
            given(found, inner)
        return None
    rows = box.locator(":scope > .st-rows")
    if rows.count():
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            rows.locator(":scope > [data-add]").click()
            item = rows.locator(":scope > .st-row:not([data-blank]) > .st-item").last
            if isinstance(value, dict):
                item.locator(":scope > .st-name").fill(key)
            given(item, inner)
        return None
    if isinstance(value, list):
        return picked(box, value) if box.locator(":scope > .pk").count() else box.locator(":scope > textarea").fill("\n".join(value))
    return one(box, value)


def one(box: Any, value: Any) -> None:
    """The same for what is neither mapping nor list."""
    together = box.locator(":scope > .st-value")
    if together.count():
        kinds = together.locator("option").evaluate_all("options => options.map((option) => option.value)")
        kind = (
            ("yes" if "yes" in kinds else "truth") if isinstance(value, bool) else "when" if "when" in kinds else "text" if isinstance(value, str) else "number"
        )
        together.locator("select").select_option(kind)
        if kind != "yes":
            together.locator(":scope > input, :scope > textarea").fill({True: "yes", False: "no"}[value] if kind == "truth" else str(value))
    elif box.locator(":scope > input[type=checkbox]").count():
        box.locator(":scope > input[type=checkbox]").set_checked(value)
    elif box.locator(":scope > select").count():
        options = box.locator("option").evaluate_all("options => options.map((option) => option.value)")
        wanted = value if isinstance(value, str) else "true" if value else ""
        assert wanted in options, (wanted, options)
        box.locator(":scope > select").select_option(wanted)
    else:
        box.locator(":scope > input[type=text], :scope > textarea").fill(str(value))


def field(page: Any, name: str) -> Any:
    """A field of the page that holds a mapping or list."""
    return page.locator(f'.st[data-field="{name}"]')


def saved(page: Any, button: str = "Save and continue editing") -> None:
    with page.expect_navigation():
        page.get_by_role("button", name=button, exact=True).click()
    sync_api.expect(page.locator(".st-error, .errornote")).to_have_count(0)


def row(page: Any, identifier: str) -> Any:
    """The row of an activity, or the card of a phase."""
    find = "(all, wanted) => all.find((one) => one.value === wanted)?.closest('[data-form]').dataset.form"
    until = time.monotonic() + 15
    while not (prefix := page.locator('#plan [name$="-identifier"]').evaluate_all(find, identifier)):  # the page may still be building its rows
        assert time.monotonic() < until, identifier
        page.wait_for_timeout(50)
    return page.locator(f'[data-form="{prefix}"]')


def opened(page: Any, identifier: str) -> None:
    """The page of an activity."""
    with page.expect_navigation():
        row(page, identifier).get_by_role("link", name="Open").click()


def test_every_key_is_said_in_forms(olga: Any) -> None:
    """No field of the complete example needs JSON or YAML, and its export means what the file means."""
    wanted = reading.read(EVERYTHING.read_text())
    document = wanted.document
    olga.goto("/admin/processes/process/add/")
    olga.locator("#id_name").fill(document["name"])
    olga.locator("#id_identifier").fill(document["id"])
    olga.locator("#id_description").fill(document["description"])
    olga.locator("#id_category").select_option(document["category"])
    picked(olga.locator("#id_owners").locator("xpath=.."), document["owners"])
    for key in ("inputs", "rules", "variables", "outputs"):
        given(field(olga, key), document[key])
    for phase in document["phases"]:
        olga.get_by_role("button", name="Add phase").click()
        card = olga.locator("#plan [data-phase]").last
        prefix = card.get_attribute("data-form")
        card.locator(f'[name="{prefix}-name"]').fill(phase.get("name", ""))
        card.locator(f'[name="{prefix}-identifier"]').fill(phase["id"])
        for key in ("depends_on", "owners"):
            picked(card.locator(f'[name="{prefix}-{key}"]').locator("xpath=.."), phase.get(key, []))
        for key, name in (("if", "condition"), ("lock", "lock")):
            if key in phase:
                unfolded(card.locator(f'[name="{prefix}-{name}"]'))
                card.locator(f'[name="{prefix}-{name}"]').fill(phase[key])
        if "outputs" in phase:
            unfolded(field(card, f"{prefix}-outputs"))
            given(field(card, f"{prefix}-outputs"), phase["outputs"])
        for activity in phase["activities"]:
            card.get_by_role("button", name="Add activity").click()
            line = card.locator("[data-activity]").last
            line.get_by_label("Name", exact=True).fill(activity.get("name", ""))
            line.get_by_label("Id", exact=True).fill(activity["id"])
            line.get_by_label("Type").select_option(activity["type"])
            picked(line.locator(".pl-after"), activity.get("depends_on", []))
    saved(olga)
    for activity in (activity for phase in document["phases"] for activity in phase["activities"]):
        opened(olga, activity["id"])
        given(field(olga, "activity"), {key: value for key, value in activity.items() if key not in ("id", "name", "type", "depends_on")})
        assert olga.get_by_label("YAML").count() == 0
        saved(olga, "Save")
    answer = olga.request.get(f"/api/v1/processes/{document['id']}/draft/?format=yaml")
    assert answer.status == 200
    exported = reading.read(answer.text())
    assert reading.document(exported.blueprint) == reading.document(wanted.blueprint)
    assert reading.digest(exported.blueprint) == reading.digest(wanted.blueprint)


def test_from_nothing_to_the_second_version(olga: Any) -> None:
    """Two phases, an activity of the store, an approval and a subprocess; a mend by a click, a circle and its end, moving, a comparison."""
    expect = sync_api.expect
    problems = olga.locator("#problems")
    olga.goto("/admin/processes/process/add/")
    olga.locator("#id_name").fill("Shop release")
    expect(olga.locator("#id_identifier")).to_have_value("shop_release")
    owners = olga.locator("#id_owners").locator("xpath=..")
    owners.locator(".pk-in").fill("olga")
    owners.get_by_role("option", name="user:olga@example.com").click()
    owners.locator(".pk-in").click()
    expect(owners.get_by_role("option", name="group:qa")).to_be_visible()
    expect(owners.get_by_role("option", name="group:empty")).to_have_count(0)  # nobody is in it
    for phase, activities in (("Build", (("Unit tests", "automated"),)), ("Ship", (("Sign-off", "manual"), ("Roll out", "subprocess")))):
        olga.get_by_role("button", name="Add phase").click()
        card = olga.locator("#plan [data-phase]").last
        olga.keyboard.type(phase)
        for name, kind in activities:
            card.get_by_role("button", name="Add activity").click()
            olga.keyboard.type(name)
            card.locator("[data-activity]").last.get_by_label("Type").select_option(kind)
    picked(row(olga, "roll_out").locator(".pl-after"), ["sign_off"])
    expect(row(olga, "roll_out").locator(".st-mark")).to_contain_text("process", timeout=15_000)  # a subprocess that names none: said at its row, before saving
    with olga.expect_navigation():
        row(olga, "unit_tests").get_by_role("button", name="Save and open").click()

    box = field(olga, "activity")
    box.locator('[data-key="uses"] > .st-body > input').fill("run_tests@1")
    for name, value in (("folder", "/srv/shop"), ("command", "make test")):
        box.get_by_role("button", name=f"{name} (required)").click()
        olga.keyboard.type(value)
    expect(box.locator('[data-key="uses"] .st-mark')).to_have_count(0, timeout=15_000)
    saved(olga, "Save")
    opened(olga, "sign_off")
    given(field(olga, "activity"), {"approval": {"requires": [{"count": 2, "of": ["group:qa"]}]}})
    saved(olga, "Save")
    opened(olga, "roll_out")
    box.locator('[data-key="process"] > .st-body > input').fill("deploy_region")
    box.locator('[data-key="process"] > .st-body > input').blur()
    box.get_by_role("button", name="image (required)").click()
    olga.keyboard.type("registry.example/shop:1")
    expect(problems).not_to_contain_text("image", timeout=15_000)
    saved(olga, "Save")

    expect(problems).to_contain_text("with 1 warning")
    with olga.expect_navigation():
        problems.get_by_role("button", name="Put them in order").click()
    expect(row(olga, "ship").locator(".pl-head .pk-chip")).to_have_text("build")
    expect(problems).to_contain_text("Nothing is wrong with it")

    after = row(olga, "build").locator(".pl-head .pk")
    after.locator(".pk-in").click()
    expect(after.get_by_role("option")).to_have_count(0)  # the other phase comes after this one, so it is not offered
    picked(after, ["ship"])
    expect(problems.locator("li[data-severity=error]").first).to_contain_text("circle", timeout=15_000)
    expect(row(olga, "build").locator(".pl-head .st-mark, :scope > .pl-head ~ .st-mark").first).to_contain_text("build")
    saved(olga)
    olga.get_by_role("link", name="Publish…").first.click()
    expect(olga.locator("#content, main, body").first).to_contain_text("errors keep it from being published")
    with olga.expect_navigation():
        olga.get_by_role("link", name="Back to the draft").click()
    row(olga, "build").get_by_role("button", name="Remove ship").click()
    expect(problems).to_contain_text("Nothing is wrong with it", timeout=15_000)

    first = row(olga, "sign_off")
    first.get_by_role("button", name="Move activity up").focus()
    olga.keyboard.press("Enter")
    expect(olga.locator("#plan [data-said]")).to_have_text("Sign-off is 2 of 2 in Build.")
    row(olga, "roll_out").evaluate("row => row.scrollIntoView({block: 'center'})")  # not behind the bar with the buttons
    first.locator("[data-grip]").hover()
    olga.mouse.down()
    for height in (24, 4):  # over it, then to its upper half: before it
        row(olga, "roll_out").hover(position={"x": 60, "y": height}, force=True)
    olga.mouse.up()
    order = "rows => rows.map((row) => row.querySelector('[name$=-identifier]').value)"
    expect(row(olga, "ship").locator("[data-activity]").first.locator("[name$=-identifier]")).to_have_value("sign_off")
    assert row(olga, "ship").locator("[data-activity]").evaluate_all(order) == ["sign_off", "roll_out"]
    saved(olga)
    expect(problems).to_contain_text("Nothing is wrong with it")

    def published(note: str) -> None:
        olga.get_by_role("link", name="Publish…").first.click()
        olga.get_by_label("What is new").fill(note)
        with olga.expect_navigation():
            olga.get_by_role("button", name="Publish", exact=True).click()

    published("First")
    expect(olga.locator("body")).to_contain_text("Published as version 1.")
    opened(olga, "sign_off")
    olga.locator('[data-rows="activity.approval.requires"] [data-key="count"] input').first.fill("1")
    saved(olga, "Save")
    published("One is enough")
    expect(olga.locator("body")).to_contain_text("Published as version 2.")
    olga.get_by_role("link", name="Versions and differences").click()
    expect(olga.locator("main")).to_contain_text("weakens a control")
    expect(olga.locator("main del")).to_contain_text("2")
    expect(olga.locator("main ins")).to_contain_text("1")
