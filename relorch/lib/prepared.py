"""Reading that is asked all the time: the queryset is compiled once, and the database keeps its plan.

For a read with joins, writing the SQL and planning it cost several times what running it does. What is asked and what comes back are a queryset's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache, partial
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

import psycopg
from django.db import connection
from django.db.models import Model, QuerySet

AFTER = 3
"""Uses of a statement on a connection before it is prepared: planning costs more than running for most of ours."""

T = TypeVar("T")
T_Model = TypeVar("T_Model", bound=Model)


def raw_cursor() -> Any:
    """psycopg's own cursor on Django's connection, with parameters bound by the server and statements prepared after some uses.

    The ORM's cursor writes parameters into the text, which costs more than the statement for arrays of a batch.
    """
    connection.ensure_connection()
    connection.connection.prepare_threshold = AFTER
    return psycopg.Cursor(connection.connection)


class Prepared(Generic[T]):
    """A queryset (of models, or `values_list` of plain fields), built from named values.

    `build` is called once, with `probes`: a value for each name that occurs in the query just as often as the name is used in it, and is of the type that the
    field stores. Calling it takes the values and gives the rows. Raises what the database raises, as Django's errors.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, T]], **probes: Any) -> None:
        self._build = build
        self._probes = probes

    def __call__(self, **values: Any) -> list[T]:
        """The rows for these values, as the queryset would give them."""
        if values.keys() != self._probes.keys():
            raise TypeError(f"asked with {sorted(values)}, built for {sorted(self._probes)}")
        rows, compiler, text, parameters = self._compiled
        given = [values[name] if name else constant for name, constant in parameters]
        found = _rows(text, given)
        asked = SimpleNamespace(get_compiler=lambda using: _Answered(compiler, found))
        return list(rows(SimpleNamespace(db=connection.alias, query=asked, _fields=(), _known_related_objects={})))

    @cached_property
    def _compiled(self) -> tuple[Any, Any, str, list[tuple[str, Any]]]:
        """What makes rows, the compiler, the text, and for each parameter the name of its value, or "" and a constant."""
        asked = self._build(**self._probes)
        compiler = asked.query.get_compiler(using=connection.alias)
        text, parameters = compiler.as_sql()
        names = {probe: name for name, probe in self._probes.items()}
        found = [(names.get(value, "") if isinstance(value, int | str) else "", value) for value in parameters]
        if {name for name, _ in found if name} != self._probes.keys():
            raise TypeError(f"the query does not ask for all of {sorted(self._probes)}")
        return asked._iterable_class, compiler, text, found


def insert(row: T_Model) -> T_Model:
    """Write a new row with all its values (none is left to a default of the database), as `save(force_insert=True)` without signals; it gets its key."""
    text, fields = _insertion(type(row))
    values = [field.get_db_prep_save(field.pre_save(row, add=True), connection) for field in fields]
    ((row.pk,),) = _rows(text, values)
    row._state.adding, row._state.db = False, connection.alias
    return row


@lru_cache
def _insertion(model: type[Model]) -> tuple[str, list[Any]]:
    meta, quote = model._meta, connection.ops.quote_name
    fields = [field for field in meta.concrete_fields if not field.primary_key]
    columns, marks = ", ".join(quote(str(field.column)) for field in fields), ", ".join(["%s"] * len(fields))
    return f"INSERT INTO {quote(meta.db_table)} ({columns}) VALUES ({marks}) RETURNING {quote(str(meta.pk.column))}", fields  # noqa: S608 (names are the models')


def _rows(text: str, values: list[Any]) -> list[Any]:
    """What the statement gives. Whoever counts, logs or hinders Django's own statements gets ours too."""

    def execute(sql: str, parameters: list[Any], *_: Any) -> Any:
        return cursor.execute(sql, parameters)

    with connection.wrap_database_errors, raw_cursor() as cursor:
        run: Callable[..., Any] = execute
        for wrapper in reversed(connection.execute_wrappers):
            run = partial(wrapper, run)
        run(text, values, False, {"connection": connection, "cursor": cursor})
        if connection.queries_logged:
            connection.queries_log.append({"sql": text, "time": "0.000"})
        return cursor.fetchall()  # type: ignore[no-any-return]


class _Answered:
    """A compiler whose statement has been executed."""

    def __init__(self, compiler: Any, rows: list[Any]) -> None:
        self._compiler = compiler
        self._rows = rows
        self.select, self.klass_info, self.annotation_col_map = compiler.select, compiler.klass_info, compiler.annotation_col_map

    def execute_sql(self, **_: Any) -> list[list[Any]]:
        return [self._rows]

    def results_iter(self, results: list[list[Any]] | None = None, *, tuple_expected: bool = False, **_: Any) -> Iterator[Any]:
        return iter(self._compiler.results_iter(results or [self._rows], tuple_expected=tuple_expected))
