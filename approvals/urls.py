"""Addresses of the inbox and the sign-off pages."""

from __future__ import annotations

from django.urls import path, re_path

from approvals import bulk_views, code_views, delegation_views, link_views, people_views, views

app_name = "approvals"
_ACTIVITY = r"^approvals/(?P<release>[0-9]{1,18})/(?P<activity>[a-z][a-z0-9_]{0,62})/"
urlpatterns = [
    path("", views.inbox, name="inbox"),
    *code_views.urlpatterns,
    *link_views.urlpatterns,
    path("approvals/", views.done, name="done"),
    path("approvals/together/", bulk_views.together, name="together"),
    path("approvals/together/decide/", bulk_views.decide, name="decide_together"),
    path("approvals/count/", views.count, name="count"),
    path("approvals/waiting/<int:release>/", views.panel, name="panel"),
    re_path(rf"{_ACTIVITY}$", views.show, name="show"),
    re_path(rf"{_ACTIVITY}sign_off/$", views.sign_off, name="sign_off"),
    path("stand-ins/", delegation_views.delegations, name="delegations"),
    path("stand-ins/<int:pk>/end/", delegation_views.end, name="end_delegation"),
    re_path(rf"{_ACTIVITY}delegate/$", delegation_views.delegate_one, name="delegate"),
    re_path(rf"{_ACTIVITY}reassign/$", people_views.reassign, name="reassign"),
    re_path(rf"{_ACTIVITY}nudge/$", people_views.nudge, name="nudge"),
    re_path(rf"{_ACTIVITY}challenge/$", views.challenge, name="challenge"),
    re_path(rf"{_ACTIVITY}fill/$", views.fill, name="fill"),
    re_path(rf"{_ACTIVITY}tasks/(?P<task>[a-z][a-z0-9_]{{0,62}})/$", views.task, name="task"),
]
