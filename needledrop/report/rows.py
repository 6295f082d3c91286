"""Rows of a query as plain dictionaries."""

from __future__ import annotations

from typing import Any

import duckdb

Row = dict[str, Any]


def rows(connection: duckdb.DuckDBPyConnection, query: str, *values: Any) -> list[Row]:
    """What a query with its values gives, a dictionary a row."""
    cursor = connection.execute(query, list(values))
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
