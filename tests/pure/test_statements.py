"""The hot path's statements as texts."""

from __future__ import annotations

from psycopg import _queries

from releases import statements


def test_psycopg_keeps_what_it_finds_out_of_the_step() -> None:
    """Above its bound it would read the whole text again for each step of each release."""
    assert len(statements.STEP) <= _queries.MAX_CACHED_STATEMENT_LENGTH
