"""How the mels of a lake are encoded: what its first shards say.

Training copies segments of many shards into one batch, so all shards of a lake hold values of one type.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.checksums import check_seal
from storage.mels.settings import settings_of

SHARDS_ASKED = 5
"""One is enough; the others are for a lake whose first ones are damaged, which `needledrop verify` reports."""


def encoding_of(lake: Lake) -> Literal["uint8", "float16"] | None:
    """The encoding of a lake's shards; None when it has none that can be read."""
    for shard in lake.list("mels", suffix=".parquet")[:SHARDS_ASKED]:
        try:
            with lake.local_path(shard).open("rb") as file:
                check_seal(file, shard)
                return settings_of(shard, pq.read_metadata(file).metadata or {}).encoding
        except (LakeError, OSError, pa.ArrowException):
            continue
    return None
