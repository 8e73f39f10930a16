"""The tags of the pages: icons, states, people, times, bars, the navigation. `{% load ui %}`.

They return escaped HTML that fits the content policy: no style attribute, no script; geometry is in SVG attributes, colour in `data-state`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django import template
from django.conf import settings
from django.forms import CheckboxInput, CheckboxSelectMultiple, RadioSelect, Select, Textarea
from django.forms.boundfield import BoundField
from django.template.context import Context
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from relorch.lib import words
from relorch.lib.look import KINDS, bar_parts, in_bar_order, look

register = template.Library()

Counts = Mapping[str, int] | Iterable[tuple[str, int]]
BAR_WIDTH = 1000
BAR_GAP = 6


@lru_cache(maxsize=1)
def _sprite() -> str:
    return static("img/icons.svg")


@lru_cache(maxsize=4096)
def _icon(name: str, css: str, title: str) -> SafeString:
    said = format_html('role="img"><title>{}</title>', title) if title else mark_safe('aria-hidden="true">')
    return format_html('<svg class="{}" {}<use href="{}#{}"/></svg>', f"i {css}".rstrip(), said, _sprite(), name)


@register.simple_tag
def icon(name: str, css: str = "", title: str = "") -> SafeString:
    """An icon of the sprite. With a title it says something; without it is decoration beside words."""
    return _icon(name, css, str(title))


@register.simple_tag
def state_icon(state: str, css: str = "", title: str | None = None) -> SafeString:
    """The icon of a state, which says the state's name (or `title`; "" for an icon beside the word). Its colour comes from the nearest `data-state`."""
    it = look(state)
    return _icon(it.icon, f"sti {css} {'spin' if it.spins else ''}".strip(), it.label if title is None else str(title))


@register.simple_tag
def state_label(state: str) -> str:
    """The word of a state."""
    return look(state).label


def _in_words(state: str, text: str, css: str) -> SafeString:
    it = look(state)
    extra = _icon(it.extra, "", "") if it.extra else ""
    main = _icon(it.icon, "spin" if it.spins else "", "")
    return format_html('<span class="{}" data-state="{}">{}{}{}</span>', css, state, main, extra, str(text) or it.label)


@register.simple_tag
def state_badge(state: str, text: str = "", large: bool = False) -> SafeString:
    """The pill with icon and word of a state; `large` in page heads."""
    return _in_words(state, text, "badge badge--lg" if large else "badge")


@register.simple_tag
def state_text(state: str, text: str = "") -> SafeString:
    """Icon and word without the pill."""
    return _in_words(state, text, "st")


@register.simple_tag
def kind_icon(kind: str, css: str = "i--sm muted") -> SafeString:
    """The icon of a kind of activity, which says the kind."""
    name, label = KINDS.get(kind, KINDS["automated"])
    return _icon(name, css, label)


@register.simple_tag
def kind_label(kind: str) -> str:
    """The word of a kind of activity."""
    return KINDS.get(kind, KINDS["automated"])[1]


def _who(person: Any) -> tuple[str, str, bool]:
    """Name, key of the tint, and whether it is a group, of a user, a group or an owner as written in a process."""
    if isinstance(person, str):
        kind, colon, rest = person.partition(":")
        if colon and kind == "group":
            return rest, rest, True
        address = rest if colon and kind == "user" else person
        return address.partition("@")[0], address, False
    email = getattr(person, "email", "")
    return getattr(person, "display_name", "") or getattr(person, "name", "") or str(person), email or str(person), not email


@register.simple_tag
def person(who: Any, short: bool = False, you: bool = False, size: str = "") -> SafeString:
    """The chip of a user or group, or of `user:<e-mail>`, `group:<name>`. `short` is the first name, for tables; `you` says You; size md or lg."""
    if not who:
        return SafeString("")
    name, key, group = _who(who)
    said = mark_safe("<b>You</b>") if you else name.split()[0] if short and not group and name.split() else name
    return format_html('<span class="who" title="{}">{}<span class="trunc">{}</span></span>', name, _avatar(name, key, group, size), said)


@register.simple_tag
def avatar(who: Any, label: str = "", size: str = "") -> SafeString:
    """The initials alone; `label` ("Owner") and the name are said to those who do not see them."""
    if not who:
        return SafeString("")
    name, key, group = _who(who)
    return format_html('<span title="{0}">{1}<span class="vh">{0}</span></span>', f"{label} {name}".strip(), _avatar(name, key, group, size))


def _avatar(name: str, key: str, group: bool, size: str) -> SafeString:
    css = f"av av--{size}" if size else "av"
    inner: str = _icon("users-round", "", "") if group else words.initials(name)
    return format_html('<span class="{}" data-tint="{}" aria-hidden="true">{}</span>', css, 0 if group else words.tint(key), inner)


@register.simple_tag
def when(at: datetime | None, how: str = "relative") -> SafeString:
    """A time: "relative" for scanning (the whole time in the title), "absolute" for what is decided on, "seconds" in audit and logs, "clock" for the hour."""
    if at is None:
        return SafeString("")
    at = timezone.localtime(at)
    whole = words.absolute(at, with_seconds=how == "seconds")
    if how == "relative":
        said = words.relative(at, timezone.now())
        return format_html('<time datetime="{}" title="{}" data-relative>{}</time>', at.isoformat(), whole, said)
    said = f"{at:%H:%M}" if how == "clock" else whole
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), whole, said)


@register.simple_tag
def now_said() -> SafeString:
    """The present, whole: for error pages."""
    return when(timezone.now(), "seconds")


@register.filter
def duration(value: timedelta | float | None) -> str:
    """`41 min`, `2 h 25 min`; nothing for None."""
    return "" if value is None else words.duration(value)


@register.filter
def short_duration(value: timedelta | float | None) -> str:
    """`4 m 12 s`, for the graph; nothing for None."""
    return "" if value is None else words.short_duration(value)


@register.filter
def short_hash(value: str) -> str:
    """A digest shortened in the middle: `9c1f…e27a`."""
    return f"{value[:4]}…{value[-4:]}" if len(value) > 12 else value


@register.simple_tag
def bar(counts: Counts, label: str = "", small: bool = False) -> SafeString:
    """The segmented bar of numbers by state; `label` is what it says in words."""
    parts = bar_parts(counts)
    total = sum(number for _, number in parts) or 1
    x, rects = 0.0, []
    for index, (part, number) in enumerate(parts):
        width = BAR_WIDTH * number / total
        gap = BAR_GAP if index < len(parts) - 1 else 0
        rects.append((part, f"{x:.1f}", f"{max(width - gap, 2):.1f}"))
        x += width
    inner = format_html_join("", '<rect class="f-{}" x="{}" y="0" width="{}" height="10"/>', rects)
    css = "prog prog--sm" if small else "prog"
    said = label or ", ".join(f"{number} {look(state).label.lower()}" for state, number in in_bar_order(counts))
    return format_html('<svg class="{}" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>', css, said or "nothing", inner)


@register.simple_tag
def legend(counts: Counts) -> SafeString:
    """What the bar's colours mean, with icon, number and word, in the bar's order."""
    shown = [(state, _icon(look(state).icon, "sti", ""), number, look(state).label.lower()) for state, number in in_bar_order(counts)]
    return format_html_join("", '<span data-state="{}">{}{} {}</span>', shown)


@register.simple_tag(takes_context=True)
def theme(context: Context) -> str:
    """`light`, `dark` or "" (as the system): of the cookie, else of the person's profile."""
    request = context.get("request")
    if request is None:
        return ""
    chosen = request.COOKIES.get("theme", "")
    if not chosen and not context.get("problem"):  # an error page asks the database nothing
        chosen = getattr(getattr(request, "user", None), "theme", "")
    return chosen if chosen in {"light", "dark"} else ""


@register.simple_tag(takes_context=True)
def nav_link(context: Context, name: str, icon_name: str, label: str, exact: bool = False, count: int = 0, key: str = "", counter: str = "") -> SafeString:
    """An entry of the sidebar, or nothing while nobody serves that URL name.

    It is current where the view sets `nav` to its name, else in its whole namespace (`exact`: on that page alone). `key` is its shortcut after `g`;
    `counter` is the id of the number, which a fragment may replace.
    """
    try:
        address = reverse(name)
    except NoReverseMatch:
        return SafeString("")
    match = getattr(context.get("request"), "resolver_match", None)
    here: str = context.get("nav") or getattr(match, "view_name", "") or ""
    same_area = not context.get("nav") and not exact and ":" in name and here.rpartition(":")[0] == name.rpartition(":")[0]
    current = mark_safe(' aria-current="page"') if here == name or same_area else ""
    hot = waiting_count(count, counter)
    shortcut = format_html(' data-key="g {}"', key) if key else ""
    return format_html('<a href="{}"{}{}>{}{}{}</a>', address, current, shortcut, _icon(icon_name, "", ""), label, hot)


@register.simple_tag
def waiting_count(count: int, element_id: str = "") -> SafeString:
    """How much waits for the reader; with an id also where nothing does, so that it can be replaced."""
    own = format_html(' id="{}"', element_id) if element_id else SafeString("")
    if not count:
        return format_html("<span{} hidden></span>", own) if own else SafeString("")
    return format_html('<span class="count count--hot"{}>{}<span class="vh"> waiting for you</span></span>', own, count)


@register.simple_block_tag
def nav_group(content: str, label: str = "") -> SafeString:
    """A group of the sidebar; nothing when none of its pages is there."""
    if not content.strip():
        return SafeString("")
    head = format_html('<div class="nav__label">{}</div>', label) if label else ""
    return format_html('<div class="nav">{}{}</div>', head, content)


@register.inclusion_tag("components/_field.html")
def form_field(
    bound: BoundField, good: str = "", changed: str = "", undo_url: str = "", wide: bool = False, mono: bool = False, mark: bool = True
) -> dict[str, Any]:
    """A field of a form: its label, its control, below it the error, a note or the hint (components/_field.html). `mark=False` leaves "required" out."""
    widget = bound.field.widget
    attrs: dict[str, Any] = {}
    if isinstance(widget, CheckboxSelectMultiple | RadioSelect):
        shape = "group"
    elif isinstance(widget, CheckboxInput):
        shape = "check"
    else:
        shape = "line"
        kind = "textarea" if isinstance(widget, Textarea) else "select" if isinstance(widget, Select) else "input"
        attrs["class"] = f"{widget.attrs.get('class', '')} {kind}{' input--mono' if mono else ''}".strip()
    if bound.errors:  # the hint is not shown then, and is not pointed to
        attrs["aria-describedby"] = f"{bound.auto_id}_error"
    said = {"field": bound, "widget": bound.as_widget(attrs=attrs), "shape": shape}
    return said | {"good": good, "changed": changed, "undo_url": undo_url, "wide": wide, "marked": mark and bound.field.required}


@register.simple_block_tag
def callout(content: str, state: str = "info", icon_name: str = "", role: str = "") -> SafeString:
    """A tinted message: state info, ok, warn, error, held …; the bold first sentence is the caller's `<b>`; actions in `<span class="callout__end">`."""
    said = format_html(' role="{}"', role) if role else ""
    return format_html('<div class="callout" data-state="{}"{}>{}{}</div>', state, said, _icon(icon_name or look(state).icon, "", ""), content)


@register.simple_block_tag
def dialog(content: str, id: str, title: str, text: str = "") -> SafeString:
    """A question before something that matters, opened by `<button popovertarget="{id}">`: `title` names the object, `text` the consequences; a form inside."""
    said = format_html('<p class="small soft mt-2">{}</p>', text) if text else ""
    return format_html(
        '<dialog class="dialog" id="{0}" popover aria-labelledby="{0}-title"><div><h2 class="h2" id="{0}-title">{1}</h2>{2}</div>{3}</dialog>',
        id,
        title,
        said,
        content,
    )


@register.simple_tag
def mail_codes() -> bool:
    """Whether people may decide from a mail with a one-time code."""
    return bool(settings.RELORCH_MAIL_CODES)
