"""Blank the embeddings of films and tracks in model folders: a takedown deletes what was computed from a recording.

Ids and their order stay, so that evaluations of older runs still find every id; a zero vector is tied with everything.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import LakeError
from storage.lake.lake import Lake

FOLDER = "models"
COLUMNS = ("id", "vector")
"""Of a file of embeddings; it may have others."""


def blank_embeddings(lake: Lake, ids: Collection[str]) -> int:
    """Replace the embeddings of these ids by zeros in every model folder; returns in how many files there were any."""
    return sum(_blank(lake, path, ids) for path in lake.list(FOLDER, suffix=".parquet"))


def _blank(lake: Lake, path: str, ids: Collection[str]) -> bool:
    """Blank one file, if it is one of embeddings: `id`, which may recur, and `vector` as a list of fixed size."""
    try:
        table = pq.read_table(lake.local_path(path)).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{path} is damaged ({error}); delete it and evaluate the model again") from error
    if not set(COLUMNS) <= set(table.schema.names):
        return False
    column = table.column("vector").combine_chunks()
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), column.type.list_size).copy()
    rows = np.isin(np.array(table.column("id").to_pylist(), dtype=object), sorted(ids))
    if not vectors[rows].any():
        return False
    vectors[rows] = 0
    blanked = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), column.type.list_size)
    lake.write_table(table.set_column(table.schema.get_field_index("vector"), "vector", blanked), path)
    return True
