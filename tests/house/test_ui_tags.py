"""The tags of the pages: escaped, fitting the content policy, saying in words what they show in colour."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django import forms
from django.template import Context, RequestContext, Template
from django.test import RequestFactory
from django.utils import timezone

from releases.graph import GraphActivity, GraphPhase, layout


def render(source: str, **context: object) -> str:
    return Template("{% load ui %}" + source).render(Context(context))


def test_icons_say_something_only_with_a_title() -> None:
    assert 'aria-hidden="true"><use href="/static/img/icons.svg' in render('{% icon "check" %}')
    assert 'role="img"><title>A &lt;b&gt;</title>' in render('{% icon "check" "i--sm" text %}', text="A <b>")


def test_a_state_is_icon_and_word() -> None:
    badge = render('{% state_badge "on_hold" %}')
    assert 'data-state="on_hold"' in badge
    assert "#circle-alert" in badge
    assert "Needs a decision" in badge
    assert "badge--lg" in render('{% state_badge "held" large=True %}')
    assert "&lt;i&gt;" in render('{% state_badge "failed" text %}', text="<i>")
    assert render('{% state_badge "partially_succeeded" %}').count("<svg") == 2
    assert "<title>Running</title>" in render('{% state_icon "running" %}')
    assert "<title>" not in render('{% state_icon "running" title="" %}')


@pytest.mark.parametrize(
    ("who", "options", "said"),
    [
        (SimpleNamespace(display_name="Lena Okafor", email="lena@example.com"), "", ">Lena Okafor<"),
        (SimpleNamespace(display_name="Lena Okafor", email="lena@example.com"), "short=True", ">Lena<"),
        (SimpleNamespace(display_name="Lena Okafor", email="lena@example.com"), "you=True", "<b>You</b>"),
        (SimpleNamespace(name="release managers"), "short=True", ">release managers<"),
        ("group:qa", "", ">qa<"),
        ("user:tomas@example.com", "", ">tomas<"),
        ("<script>", "", "&lt;script&gt;"),
    ],
)
def test_people(who: object, options: str, said: str) -> None:
    assert said in render("{% person who " + options + " %}", who=who)


def test_nobody_is_nothing() -> None:
    assert render('{% person who %}{% avatar who "Owner" %}{% when at %}', who=None, at=None) == ""
    assert "Owner Lena" in render('{% avatar who "Owner" %}', who=SimpleNamespace(display_name="Lena", email="l@example.com"))


def test_times_are_relative_with_the_whole_time_in_the_title() -> None:
    at = timezone.now() - timedelta(minutes=24, seconds=5)
    said = render("{% when at %}", at=at)
    assert ">24 min ago</time>" in said
    assert "data-relative" in said
    assert f'title="{at:%a} {at.day} {at:%b} {at.year}' in said
    whole = render('{% when at "absolute" %}', at=at)
    assert f"{at.year}, " in whole.partition(">")[2]
    assert "data-relative" not in whole


def test_a_bar_is_svg_with_words() -> None:
    said = render("{% bar counts %}", counts={"succeeded": 3, "failed": 1, "pending": 0})
    assert 'aria-label="3 succeeded, 1 failed"' in said
    assert 'class="f-succeeded" x="0.0" y="0" width="744.0"' in said
    assert 'class="f-failed" x="750.0" y="0" width="250.0"' in said
    assert "3 succeeded" in render("{% legend counts %}", counts={"succeeded": 3})


def test_the_theme_is_of_the_cookie_then_of_the_profile() -> None:
    request = RequestFactory().get("/")
    request.user = SimpleNamespace(theme="dark")  # type: ignore[assignment]
    assert render("{% theme %}", request=request) == "dark"
    assert render("{% theme %}", request=request, problem={"status": 500}) == ""
    request.COOKIES["theme"] = "light"
    assert render("{% theme %}", request=request) == "light"
    request.COOKIES["theme"] = '"><script>'
    assert render("{% theme %}", request=request) == ""
    assert render("{% theme %}") == ""


def test_the_navigation_has_no_dead_links() -> None:
    assert render('{% nav_group "Later" %} {% nav_link "nowhere:list" "rocket" "Nowhere" %} {% endnav_group %}') == ""
    request = RequestFactory().get("/healthz")
    request.resolver_match = SimpleNamespace(view_name="healthz")  # type: ignore[assignment]
    said = render(
        '{% nav_group "Now" %}{% nav_link "healthz" "rocket" "Health" count=3 %}{% nav_link "readyz" "rocket" "Ready" %}{% endnav_group %}', request=request
    )
    assert '<div class="nav__label">Now</div>' in said
    assert 'href="/healthz" aria-current="page"' in said
    assert 'href="/readyz">' in said
    assert "waiting for you" in said


class Form(forms.Form):
    version = forms.CharField(help_text="As in 1.2.3")
    region = forms.ChoiceField(choices=[("eu", "EU")], required=False)
    start = forms.ChoiceField(choices=[("now", "Now")], widget=forms.RadioSelect)
    tell = forms.BooleanField(required=False)


def test_a_field_has_its_hint_or_its_error_never_both() -> None:
    calm = render("{% form_field form.version mono=True %}", form=Form())
    assert 'class="input input--mono"' in calm
    assert 'aria-describedby="id_version_helptext"' in calm
    assert 'id="id_version_helptext">As in 1.2.3' in calm
    wrong = render("{% form_field form.version %}", form=Form({}))
    assert 'aria-invalid="true"' in wrong
    assert 'aria-describedby="id_version_error"' in wrong
    assert "This field is required." in wrong
    assert "As in 1.2.3" not in wrong
    assert 'class="select"' in render("{% form_field form.region %}", form=Form())
    assert "<fieldset" in render("{% form_field form.start %}", form=Form())
    assert 'class="check"' in render("{% form_field form.tell %}", form=Form())


def test_messages_and_questions() -> None:
    said = render('{% callout "error" role="alert" %}<div><b>{{ text }}</b></div>{% endcallout %}', text="<x>")
    assert '<div class="callout" data-state="error" role="alert">' in said
    assert "&lt;x&gt;" in said
    asked = render(
        '{% include "components/_confirm.html" with id="abort" title=title text="Nothing is rolled back." action="/abort/" verb="Abort release" danger=True %}',
        title="Abort <1>?",
    )
    assert '<dialog class="dialog" id="abort" popover aria-labelledby="abort-title">' in asked
    assert "Abort &lt;1&gt;?" in asked
    assert 'name="reason"' in asked
    assert "btn--destroy" in asked


def test_the_graph_is_drawn_without_style_attributes() -> None:
    phases = [GraphPhase("a", "A & B", "running"), GraphPhase("b", "B", "pending", ("a",))]
    steps = [GraphActivity("x", "a", "<Compile>", "running", url="/x/"), GraphActivity("y", "b", "Sign", "pending", kind="sign_off")]
    request = RequestFactory().get("/releases/1/", {"view": "graph"})
    page = Template('{% include "components/_graph.html" with label="Phases" drawer="#drawer" %}')
    said = page.render(RequestContext(request, {"graph": layout(phases, steps)}))
    assert "style" not in said
    assert "&lt;Compile&gt;" in said
    assert 'hx-get="/x/"' in said
    assert '<path class="edge" d="M' in said
    assert "Sign · Sign-off" in said
    assert 'href="?view=graph&amp;open=b#phase-b"' in said


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 500, 503])
def test_every_refusal_has_a_page_that_asks_the_database_nothing(status: int) -> None:
    """This test has no access to the database."""
    request = RequestFactory().get("/x/")
    problem = {
        "status": status,
        "title": "Refused",
        "detail": "Because.",
        "code": "wrong_state",
        "state": "held",
        "problems": [{"message": "No", "place": "/inputs/a"}],
    }
    page = Template('{% include "errors/problem.html" %}').render(Context({"problem": problem, "request": request}))
    assert f"Error {status}" in page
    assert "Because." in page
    assert "wrong_state" in page
    assert "On hold" in page
    toast = Template('{% include "errors/_toast.html" %}').render(Context({"problem": problem}))
    assert toast.startswith("\n<hx-partial") or toast.strip().startswith("<hx-partial")
