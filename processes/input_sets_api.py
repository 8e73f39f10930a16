"""Input sets in the API."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from processes import input_sets
from processes.access import Permission, may
from processes.models import InputSet, Process
from processes.serializers import InputSetPatchShape, InputSetShape, InputSetWriteShape
from relorch.lib.rest import Resources, allow, found


class InputSets(Resources):
    """Named values for the inputs of a process. Who may start or edit the process may change them."""

    queryset = InputSet.objects.select_related("process", "updated_by")
    serializer_class = InputSetShape

    @extend_schema(operation_id="input_sets_list", parameters=[OpenApiParameter("process", OpenApiTypes.STR, description="The id of a process.")])
    def list(self, request: Request) -> Response:
        """The input sets of processes this person may see."""
        rows = self.get_queryset()
        if "process" in request.query_params:
            rows = rows.filter(process__identifier=request.query_params["process"])
        return self.get_paginated_response(self._shown(self.page_of(rows)))

    @extend_schema(operation_id="input_sets_create", request=InputSetWriteShape, responses={201: InputSetShape})
    def create(self, request: Request) -> Response:
        """A new input set."""
        body = InputSetWriteShape(data=request.data)
        body.is_valid(raise_exception=True)
        process = found(Process.objects.visible_to(request.user).filter(identifier=body.validated_data.pop("process")).first())
        self._allow(process)
        default = body.validated_data.pop("default", False)
        saved = input_sets.save(process, actor=request.user, door="api", **body.validated_data)
        input_sets.choose_default(saved, chosen=default, actor=request.user, door="api")
        return Response(self._shown([saved])[0], status=201)

    @extend_schema(operation_id="input_sets_retrieve")
    def retrieve(self, request: Request, pk: int) -> Response:
        """One input set."""
        return Response(self._shown([self.get_object()])[0])

    @extend_schema(operation_id="input_sets_partial_update", request=InputSetPatchShape)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change what is given; `values` are replaced as a whole, and `{"$secret": true}` keeps a secret."""
        input_set = self.get_object()
        self._allow(input_set.process)
        body = InputSetPatchShape(data=request.data)
        body.is_valid(raise_exception=True)
        default = body.validated_data.pop("default", input_set.is_default)
        if body.validated_data:
            input_set = input_sets.save(input_set.process, actor=request.user, input_set=input_set, door="api", **body.validated_data)
        input_sets.choose_default(input_set, chosen=default, actor=request.user, door="api")
        return Response(self._shown([input_set])[0])

    @extend_schema(operation_id="input_sets_destroy", responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete it; releases that were started with it keep their values."""
        input_set = self.get_object()
        self._allow(input_set.process)
        input_sets.delete(input_set, actor=request.user, door="api")
        return Response(status=204)

    def _allow(self, process: Process) -> None:
        user = self.request.user
        allow(may(user, Permission.START, process) or may(user, Permission.AUTHOR, process), "change the input sets of this process")

    def _shown(self, rows: Any) -> Any:
        asked = input_sets.asked_by(row.process for row in rows)
        problems = {row.pk: input_sets.problems_of(row, asked[row.process_id]) for row in rows}
        return InputSetShape(rows, many=True, context={"problems": problems}).data


routes = [
    path("input_sets/", InputSets.as_view({"get": "list", "post": "create"}), name="input-sets"),
    path("input_sets/<int:pk>/", InputSets.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}), name="input-set"),
]
