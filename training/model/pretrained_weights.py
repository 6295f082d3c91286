"""Load the weights of pretrained text, image and audio models, complete or not at all.

A model is a folder with config.json and model.safetensors, or a name on the Hugging Face hub. Only safetensors are
read, as pickled weights can run code when they are opened, and no code that a model brings is executed. What the
library would pass over in silence is refused: weights that are missing, and a type whose output we cannot pool.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, HTTPError, StrictDataclassError
from safetensors import SafetensorError, safe_open
from torch.nn import ModuleList
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import cached_file
from transformers.utils.logging import disable_progress_bar

from storage.errors import InputError

HUB_SECONDS = 5.0
"""Timeout of the request that asks whether the hub answers; without an answer, only cached files are used."""
_OPTIONAL_WEIGHTS = ("pooler.", "embeddings.position_ids", "masked_spec_embed")
"""Weights that a checkpoint may lack: no tower uses its pooler, position ids are counted, and the vector of an audio
model's masked frames is used in its own training alone."""
_MAX_KEYS_SHOWN = 3
IF_PRESENT: dict[str, Any] = {
    "_raise_exceptions_for_missing_entries": False,
    "_raise_exceptions_for_connection_errors": False,
}
"""With these the library returns None for a file that a model does not have."""
_UNUSABLE = (
    OSError, ValueError, ImportError, SafetensorError,
    TypeError, KeyError, IndexError, AttributeError, ArithmeticError, AssertionError, RuntimeError,
    StrictDataclassError,
)  # fmt: skip
"""What the library raises for files that it cannot read; the other lines where they are no more than well-formed."""
_WHOLE_NUMBERS = ("I", "U", "BOOL")
"""How safetensors begins the names of their types."""
_WITH_POOLER = ("bert", "roberta", "xlm-roberta", "mpnet", "vit")
"""Types whose pooler, a layer on the summary token trained for another task, is left out."""


@dataclass(frozen=True)
class Modality:
    """The model types that can be the tower of one modality, and the words of its messages."""

    noun: str
    option: str
    types: Mapping[str, str]
    """Each supported `model_type` of a config.json, with the attribute that holds the tower in a model of several."""


TEXT = Modality(
    "text",
    "--text-model",
    {"bert": "", "roberta": "", "xlm-roberta": "", "mpnet": "", "modernbert": "", "clip_text_model": ""}
    | {"clip": "text_model"},
)
IMAGE = Modality(
    "image",
    "--image-model",
    {"vit": "", "dinov2": "", "clip_vision_model": "", "siglip_vision_model": ""}
    | {"clip": "vision_model", "siglip": "vision_model"},
)


def tower_from(stored: Mapping[str, Any]) -> PreTrainedModel:
    """Return a model of a stored configuration, without its pooler, with random weights."""
    config = AutoConfig.for_model(**stored)
    return AutoModel.from_config(config, **_without_pooler(config.model_type))


def pretrained_tower(name: str, modality: Modality) -> PreTrainedModel:
    """Return a pretrained tower with all its weights, in float32.

    Raises `InputError` for a name or folder that holds no model, weights that are pickled, damaged or whole numbers,
    code that the model brings, an unsupported type, missing weights, which the library would draw at random, and
    weights of more layers than the configuration has, which it would leave out.
    """
    options: dict[str, Any] = {"output_loading_info": True, "ignore_mismatched_sizes": True, "use_safetensors": True}
    options |= {"dtype": torch.float32, "trust_remote_code": False}

    def load(**where: Any) -> tuple[str, PreTrainedModel, dict[str, Any]]:
        declared = checked_type(name, modality, where)
        loaded = AutoModel.from_pretrained(name, **options, **where, **_without_pooler(declared))
        _check_numbers(name, modality, where)  # only now has this machine the files of a model of the hub
        return declared, *loaded

    declared, model, report = read_model(name, modality, load)
    part = modality.types[declared]
    mismatched = (key for key, *_shapes in report["mismatched_keys"])
    lacking = {*report["missing_keys"], *mismatched}
    own = (key.removeprefix(f"{part}.") for key in lacking if key.startswith(f"{part}." if part else ""))
    missing = sorted(key for key in own if not key.startswith(_OPTIONAL_WEIGHTS))
    if missing:
        raise InputError(
            f"The pretrained model {name!r} lacks {len(missing)} of its weights, such as "
            f"{', '.join(missing[:_MAX_KEYS_SHOWN])}, which would be random; "
            f"give a complete model with {modality.option}"
        )
    if beyond := _weights_beyond(model, part, report["unexpected_keys"]):
        raise InputError(
            f"The pretrained model {name!r} has weights of more layers than its config.json says, such as {beyond[0]}, "
            "which would be left out; restore the config.json that belongs to the weights"
        )
    tower: PreTrainedModel = getattr(model, part) if part else model
    if damaged := next((key for key, weight in tower.named_parameters() if not weight.isfinite().all()), None):
        raise InputError(
            f"The weights in {name!r} are damaged ({damaged} has values that are no numbers); "
            f"give a complete model with {modality.option}"
        )
    return tower


def folder_of_card(name: str, modality: Modality) -> Path:
    """Return the folder with a pretrained model's config.json and, where it has one, its model card (README.md)."""

    def load(**where: Any) -> Path:
        cached_file(name, "README.md", **IF_PRESENT, **where)
        return Path(cached_file(name, "config.json", **where)).parent

    folder: Path = read_model(name, modality, load)
    return folder


def _check_numbers(name: str, modality: Modality, where: Mapping[str, Any]) -> None:
    """Raise `InputError` for weights that are whole numbers, whose fractions the library would take for zeros."""
    config = cached_file(name, "config.json", **IF_PRESENT, **where)
    for path in sorted(Path(config).parent.glob("*.safetensors")) if config else ():
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118
                dtype = file.get_slice(key).get_dtype()
                if key.endswith((".weight", ".bias")) and dtype.startswith(_WHOLE_NUMBERS):
                    raise InputError(
                        f"The weights in {name!r} are whole numbers ({key} is {dtype}), as of a quantised model; give "
                        f"one whose weights are float32, float16 or bfloat16 with {modality.option}"
                    )


def _weights_beyond(model: PreTrainedModel, part: str, unexpected: Iterable[str]) -> list[str]:
    """Return the weights of layers that a tower has not; those of a head, for the task it was trained on, are none."""
    lists = [name for name, module in model.named_modules() if isinstance(module, ModuleList) and name.startswith(part)]
    starts = [f"{base}{name}." for name in lists for base in ("", f"{model.base_model_prefix}.")]
    return sorted(
        key
        for key in unexpected
        for start in starts
        if key.startswith(start) and key.removeprefix(start).partition(".")[0].isdecimal()
    )


def _without_pooler(model_type: str) -> dict[str, bool]:
    return {"add_pooling_layer": False} if model_type in _WITH_POOLER else {}


def checked_type(name: str, modality: Modality, where: Mapping[str, Any]) -> str:
    """Return a model's type. Raises `InputError` for one that cannot be this tower, and for code that it brings."""
    config, _ = PreTrainedConfig.get_config_dict(name, **where)
    if not config:
        raise FileNotFoundError("there is no config.json")
    declared: str = config.get("model_type") or "not given"
    if declared not in modality.types:
        raise InputError(
            f"The pretrained model {name!r} is of type {declared}, which cannot be the {modality.noun} tower; "
            f"give one of {', '.join(modality.types)} with {modality.option}"
        )
    if {"AutoConfig", "AutoModel"} & set(config.get("auto_map", {})):
        raise InputError(
            f"The pretrained model {name!r} brings its own code (auto_map in config.json), which is never executed; "
            f"give a model that needs none with {modality.option}"
        )
    return declared


def read_model(name: str, modality: Modality, load: Callable[..., Any]) -> Any:
    """Return what `load` returns, called with whether only local files may be read.

    Raises `InputError` for a hub without an answer, and for a folder that holds no model or files that mean nothing.
    """
    if Path(name).is_file():  # the library would open it as weights, pickled or not
        raise InputError(f"{name!r} is a file; give the folder that it is in with {modality.option}")
    loggers = [logging.getLogger(library) for library in ("huggingface_hub", "transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:  # they would log each retry, and the report that is checked here
        logger.setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        disable_progress_bar()
    try:
        return load(local_files_only=not _hub_answers(name))
    except _UNUSABLE as error:
        raise InputError(_why_not_loaded(name, modality, error)) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _why_not_loaded(name: str, modality: Modality, error: Exception) -> str:
    """Return the message that says what a name or folder lacks, and what to give instead."""
    folder = Path(name)
    remedy = f"give a folder with config.json and model.safetensors with {modality.option}"
    if isinstance(error, SafetensorError):
        return f"The weights in {name!r} are damaged ({error}); {remedy}"
    if not folder.is_dir() and isinstance(error, OSError | ValueError | ImportError):
        return (
            f"The pretrained model {name!r} could not be loaded from the hub or a folder; connect this machine once, "
            f"{remedy}, or use --preset small, which needs none"
        )
    if folder.is_dir() and not (folder / "config.json").exists():
        return f"The folder {name!r} holds no model: it has no config.json; {remedy}"
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern))
    if pickled and not list(folder.glob("*.safetensors")):
        return (
            f"The model in {name!r} has only pickled weights ({pickled[0]}), which can run code when they are opened; "
            "save it again with save_pretrained, which writes model.safetensors"
        )
    return f"{name!r} holds no model that can be loaded ({_what_it_says(error)}); {remedy}"


def _what_it_says(error: Exception) -> str:
    """Return what a library says, with the kind of its error where the text alone is often one word."""
    lines = [line.strip() for line in str(error).splitlines()] or [""]
    if isinstance(error, StrictDataclassError):
        return lines[-1]  # its first says that there is an error
    kind = "" if lines[0] and isinstance(error, OSError | ValueError) else type(error).__name__
    return ": ".join(part for part in (kind, lines[0]) if part)


def _hub_answers(name: str) -> bool:
    """Return whether the hub answers a request about this model; a folder needs no hub.

    One request with a short timeout comes first: without a network the library tries five times per file, which
    takes 45 seconds in all, and longer where packets are dropped.
    """
    if Path(name).is_dir():
        return False
    try:
        timeout = min(HUB_SECONDS, constants.HF_HUB_ETAG_TIMEOUT)
        get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=timeout)
    except HfHubHTTPError:
        return True  # the hub answers with an error, which loading will report
    except (HTTPError, OSError, ValueError):  # no network, HF_HUB_OFFLINE, or a path instead of a name
        return False
    return True
