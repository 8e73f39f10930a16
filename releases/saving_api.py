"""Saved filters of the list of releases in the API."""

from __future__ import annotations

from typing import Any

from django.urls import re_path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from processes.problems import Problem, did_you_mean
from releases import finding, listing, saving
from releases.models import SavedFilter
from releases.serializers import Body
from relorch.lib.errors import Invalid
from relorch.lib.rest import Resources


class SavedFilterBody(Body):
    """What is kept."""

    name = serializers.CharField(max_length=saving.LONGEST_NAME)
    query = serializers.DictField(child=serializers.CharField(), help_text="`view` and what the list of releases can be filtered by.")
    groups = serializers.ListField(child=serializers.CharField(), required=False, help_text="Groups that you are in.")
    is_default = serializers.BooleanField(required=False, help_text="Your list opens with it.")


class SavedFilterShape(SavedFilterBody):
    """A saved filter."""

    id = serializers.IntegerField()
    owner = serializers.EmailField()
    groups = serializers.ListField(child=serializers.CharField())
    is_default = serializers.BooleanField()


def shape_of(saved: SavedFilter, user: Any) -> dict[str, Any]:
    """As it is shown to this person."""
    groups = sorted(group.name for group in saved.groups.all())
    default = any(person.pk == user.pk for person in saved.default_of.all())
    return {"id": saved.pk, "name": saved.name, "query": saved.query, "owner": saved.owner.email, "groups": groups, "is_default": default}


class SavedFilters(Resources):
    """Filters: one's own, and those shared with one's groups."""

    queryset = SavedFilter.objects.select_related("owner").prefetch_related("groups", "default_of")
    serializer_class = SavedFilterShape
    lookup_url_kwarg = "id"

    @extend_schema(operation_id="release_filters_list", responses=SavedFilterShape(many=True))
    def list(self, request: Request) -> Response:
        """Your own, and those shared with groups that you are in."""
        return self.get_paginated_response([shape_of(row, request.user) for row in self.page_of(self.get_queryset(), ("name", "pk"))])

    @extend_schema(operation_id="release_filters_create", request=SavedFilterBody, responses={201: SavedFilterShape})
    def create(self, request: Request) -> Response:
        """Keep a filter."""
        return self._answer(saving.save(user=request.user, **_given(request)), 201)

    @extend_schema(operation_id="release_filters_retrieve", responses=SavedFilterShape)
    def retrieve(self, request: Request, id: str) -> Response:
        """One of them."""
        return self._answer(self.get_object())

    @extend_schema(operation_id="release_filters_update", request=SavedFilterBody, responses=SavedFilterShape)
    def update(self, request: Request, id: str) -> Response:
        """Change your own, whole."""
        return self._answer(saving.save(user=request.user, saved=self.get_object(), **_given(request)))

    @extend_schema(operation_id="release_filters_destroy", responses={204: None})
    def destroy(self, request: Request, id: str) -> Response:
        """Delete your own."""
        saving.delete(user=request.user, saved=self.get_object())
        return Response(status=204)

    def _answer(self, saved: SavedFilter, status: int = 200) -> Response:
        return Response(shape_of(self.get_queryset().get(pk=saved.pk), self.request.user), status=status)


def _given(request: Request) -> dict[str, Any]:
    body = SavedFilterBody(data=request.data)
    body.is_valid(raise_exception=True)
    given = dict(body.validated_data)
    known = ("view", *finding.WORDS)
    unknown = [name for name in given["query"] if name not in known]
    said = [Problem("unknown_key", f'There is no filter "{name}".{did_you_mean(name, list(known))}', f"/query/{name}") for name in unknown]
    if (view := given["query"].get("view")) and view not in listing.VIEWS:
        said.append(Problem("unknown_view", f'There is no view "{view}".{did_you_mean(view, list(listing.VIEWS))}', "/query/view"))
    if said:
        raise Invalid("invalid", "The filter cannot be saved so.", said)
    return given | {"query": saving.words_in(given["query"], list(listing.VIEWS))}


_ID = rf"(?P<id>[0-9]{{1,{finding.MOST_DIGITS}}})"
routes: list[Any] = [
    re_path(r"^release_filters/$", SavedFilters.as_view({"get": "list", "post": "create"}), name="release_filters"),
    re_path(rf"^release_filters/{_ID}/$", SavedFilters.as_view({"get": "retrieve", "put": "update", "delete": "destroy"}), name="release_filter"),
]
