"""Addresses below /processes/<id>/ that need nothing of releases; `relorch/process_pages.py` adds the rest."""

from __future__ import annotations

from django.urls import path, re_path

from processes import edit_views, input_set_views, sharing_views, storing_views, version_views, views

ID = r"^(?P<id>[a-z][a-z0-9_]{0,62})/"
urlpatterns = [
    path("", views.index, name="list"),
    *storing_views.urlpatterns,
    *sharing_views.urlpatterns,
    *input_set_views.urlpatterns,
    re_path(rf"{ID}versions/$", views.versions, name="versions"),
    re_path(rf"{ID}source/$", views.source, name="source"),
    re_path(rf"{ID}export/$", views.export, name="export"),
    *edit_views.patterns(ID),
    *version_views.patterns(ID),
    re_path(rf"{ID}publish/$", views.publish, name="publish"),
]
