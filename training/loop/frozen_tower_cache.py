"""Outputs of frozen towers, computed once: heads on top of them then train without running a tower.

A tower that the settings freeze (`text.frozen`, `image.frozen`) returns the same for the same input in every epoch. So
its outputs for all texts and images of a split are computed before the first step and written to this machine's cache
folder (`NEEDLEDROP_CACHE`). The file's name is a digest of the tower's weights and of the inputs in their order:
another tower, data set or tokenizer has another file. Training maps the file and reads the rows of a batch.

Everything is computed in one fixed order and in batches of one size, so a run that is resumed, on this machine or after
the file was lost, reads the same bits. Against towers that run in every step, outputs differ by the rounding of
float32, as a text is padded to another length among others.

Where the input is drawn from too many possibilities (random subsets of tags), the frozen tower runs in every step.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from storage.lake.atomic_writes_and_fences import commit_file, temporary_file
from storage.lake.lake import Lake
from training.data.film_inputs import FilmInputs, TextTable
from training.data.tokenizer import pad_tokens
from training.loop.devices_and_torchrun import Machine
from training.model.film_encoder import FilmEncoder
from training.settings import Settings

CACHE = "towers"
"""Folder in the machine's cache."""
CACHED_BYTES = 8 * 2**30
"""Files that have not been used for longest are removed beyond this size."""
AT_ONCE = 32
_FORMAT = b"1"
Floats = NDArray[np.float32]


def cache_frozen_towers(lake: Lake, films: FilmEncoder, inputs: Sequence[FilmInputs], machine: Machine) -> None:
    """Let the inputs of splits have the outputs of frozen towers in place of tokens and pixels.

    The towers must be on the machine's device. What is in the cache already is not computed again.
    """
    for of_split in inputs:
        settings = of_split.settings
        if films.text is not None and settings.text.frozen and not _draws_tags(settings, of_split):
            of_split.text_features = _text_table(lake, films, of_split, machine)
        if films.image is not None and settings.image.frozen:
            of_split.image_features = _image_outputs(lake, films, of_split, machine)


def _draws_tags(settings: Settings, inputs: FilmInputs) -> bool:
    return settings.data.tag_subsets and inputs.system.tags


def _text_table(lake: Lake, films: FilmEncoder, inputs: FilmInputs, machine: Machine) -> TextTable:
    texts = inputs.all_texts()
    tokens = inputs.tokens(texts)
    by_length = sorted(range(len(texts)), key=lambda row: len(tokens[row]))

    def encode(rows: Sequence[int]) -> Tensor:
        padded = pad_tokens([tokens[row] for row in rows], inputs.settings.text.max_tokens)
        return films.encode_texts(*(machine.move(torch.from_numpy(array)) for array in padded))

    assert films.text is not None
    path = _path(lake, films.text, machine, [films.pooling.encode(), *(ids.tobytes() for ids in tokens)])
    return TextTable(texts, _outputs(path, films.widths[0], by_length, encode, machine))


def _image_outputs(lake: Lake, films: FilmEncoder, inputs: FilmInputs, machine: Machine) -> Floats:
    count = len(inputs.split.film_ids)

    def encode(rows: Sequence[int]) -> Tensor:
        return films.encode_images(machine.move(inputs.centre_crops(rows)))

    assert films.image is not None
    images = (image or b"" for image in inputs.split.thumbnails)
    size = str(tuple(inputs.centre_crops([0]).shape)).encode()
    colours = (buffer.cpu().numpy().tobytes() for _, buffer in films.named_buffers(recurse=False))
    path = _path(lake, films.image, machine, [size, *colours, *images])
    return _outputs(path, films.widths[-1], range(count), encode, machine)


def _path(lake: Lake, tower: nn.Module, machine: Machine, inputs: Sequence[bytes]) -> Path:
    """Return where the outputs of a tower for these inputs are kept."""
    digest = hashlib.sha256(_FORMAT + machine.device.type.encode())
    for name, weight in sorted(tower.state_dict().items()):
        digest.update(name.encode() + weight.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    for item in inputs:
        digest.update(len(item).to_bytes(8, "little") + item)
    return lake.cached(CACHE) / f"{digest.hexdigest()[:32]}.npy"


def _outputs(
    path: Path, width: int, order: Sequence[int], encode: Callable[[Sequence[int]], Tensor], machine: Machine
) -> Floats:
    """Return a tower's outputs [inputs, width], mapped from its file; computed first, in this order, if it has none."""
    shape = (len(order), width)
    kept = _mapped(path, shape)
    if kept is not None:
        return kept
    with temporary_file(path.parent, path.name) as temporary:
        outputs = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
        for start in range(0, len(order), AT_ONCE):
            rows = list(order[start : start + AT_ONCE])
            with torch.no_grad(), machine.autocast():
                outputs[rows] = encode(rows).float().cpu().numpy()
        outputs.flush()
        commit_file(temporary, path)
    _remove_least_used(path)
    computed: Floats = np.load(path, mmap_mode="r")
    return computed


def _mapped(path: Path, shape: tuple[int, int]) -> Floats | None:
    """Return a file's content and note that it was used; None where there is no file, or a damaged one."""
    try:
        os.utime(path)
        content: Floats = np.load(path, mmap_mode="r")
    except Exception:  # noqa: BLE001 - numpy reads whatever a damaged file looks like: a zip file, Python's syntax
        return None
    return content if content.shape == shape and content.dtype == np.float32 else None


def _remove_least_used(newest: Path) -> None:
    files: list[tuple[Any, Path]] = sorted(
        ((path.stat(), path) for path in newest.parent.glob("*.npy")), key=lambda item: item[0].st_mtime
    )
    total = sum(stat.st_size for stat, _ in files)
    for stat, path in files:
        if total <= CACHED_BYTES or path == newest:
            return
        path.unlink(missing_ok=True)
        total -= stat.st_size
