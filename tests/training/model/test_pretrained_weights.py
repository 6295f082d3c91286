"""Pretrained towers: every supported type complete and prepared as it expects, everything else a sentence."""

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertForMaskedLM,
    CLIPConfig,
    CLIPModel,
    GPT2Config,
    GPT2Model,
    ViTConfig,
    ViTModel,
)

from storage.errors import InputError
from storage.lake.lake import Lake
from tests.training.pretrained_models import (
    PREPROCESSORS,
    SIZES,
    TOKENIZERS,
    TOKENS,
    image_config,
    save_image_model,
    save_text_model,
    text_config,
)
from training.data.batches import TrainingBatches
from training.data.film_inputs import Draw, FilmInputs
from training.data.tokenizer import encode_texts, highest_id, pad_tokens
from training.evaluation.embed_films_and_tracks import embed_films
from training.loop.checkpoint import BEST, Job, load_model, save_best, save_config
from training.loop.devices_and_torchrun import Machine, gather
from training.loop.optimiser_and_early_stopping import build_optimiser
from training.model.image_tower import image_summary, image_tower
from training.model.pretrained_weights import IMAGE, TEXT, pretrained_tower
from training.model.retrieval_model import batch_loss, build_model
from training.model.text_tower import complete_mask, pretrained_tokenizer, text_summary, text_tower
from training.settings import ImageSettings, Settings, TextSettings
from training.systems import SYSTEMS
from training.training_runs import Data

TEXTS = ["<TAG> fear <PLOT> night", "a letter in the rain, then a race. " * 2]


def _text_settings(folder: Path) -> TextSettings:
    return TextSettings(pretrained=str(folder), max_tokens=TOKENS)


def _equal(ours: Any, source: Any) -> bool:
    """Whether all tensors are those of the checkpoint; a table of words may have new rows behind them."""
    theirs = source.state_dict()
    return all(torch.equal(value[: len(theirs[name])], theirs[name]) if value.ndim else torch.equal(value, theirs[name])
               for name, value in ours.state_dict().items())  # fmt: skip


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_text_tower_has_the_tensors_and_the_output_of_its_checkpoint(kind: str, tmp_path: Path) -> None:
    source = save_text_model(kind, tmp_path).eval()
    tokenizer = pretrained_tokenizer(str(tmp_path))
    tower = text_tower(_text_settings(tmp_path), highest_id(tokenizer) + 1).eval()
    assert _equal(tower, source)
    plain = [*TEXTS[1:], "night"]
    theirs = source(**AutoTokenizer.from_pretrained(tmp_path)(plain, padding=True, max_length=TOKENS, truncation=True,
                                                              return_tensors="pt"))  # fmt: skip
    expected = theirs.pooler_output if kind == "clip" else theirs.last_hidden_state[:, 0]
    tokens, mask = map(torch.from_numpy, pad_tokens(encode_texts(tokenizer, plain, TOKENS), TOKENS))
    assert torch.allclose(text_summary(tower, tokens, mask, "summary"), expected, atol=1e-5)


@pytest.mark.parametrize("kind", PREPROCESSORS)
def test_an_image_tower_has_the_tensors_and_the_output_of_its_checkpoint(kind: str, tmp_path: Path) -> None:
    source = save_image_model(kind, tmp_path).eval()
    tower, form = image_tower(ImageSettings(pretrained=str(tmp_path)))
    assert _equal(tower, source)
    preprocessor = PREPROCESSORS[kind]()
    assert (form.pixels, form.mean) == (48, tuple(preprocessor.image_mean))
    assert form.deviation == tuple(preprocessor.image_std)
    pixels = torch.rand(2, 3, 48, 48)
    theirs = source(pixel_values=pixels)
    expected = theirs.last_hidden_state[:, 0] if kind == "vit" else theirs.pooler_output
    assert torch.allclose(image_summary(tower.eval(), pixels), expected, atol=1e-6)


@pytest.mark.parametrize(("text", "image"), [("bert", "vit"), ("roberta", "clip"), ("mpnet", "siglip"),
                                             ("modernbert", "dinov2"), ("clip", "vit")])  # fmt: skip
def test_pretrained_towers_take_a_gradient_step_and_are_evaluated(
    text: str, image: str, lake: Lake, shared: tuple[Lake, Data], quick: Settings, tmp_path: Path
) -> None:
    save_text_model(text, tmp_path / "text")
    save_image_model(image, tmp_path / "image")
    data, system = shared[1], SYSTEMS["All"]
    settings = dataclasses.replace(
        quick, text=_text_settings(tmp_path / "text"), image=ImageSettings(pretrained=str(tmp_path / "image"))
    )
    built = build_model(system, settings, data.train, 0)
    inputs = FilmInputs(data.train, system, settings, built.tokenizer, built.image_format.pixels)
    batch = TrainingBatches(data.train, inputs, settings, 0, (0, 1)).make(0, 0)
    loss = batch_loss(built.model, settings, built.model(batch), batch, partial(gather, Machine(torch.device("cpu"))))
    loss.backward()  # type: ignore[no-untyped-call]
    first_layers = [weight for name, weight in built.model.named_parameters() if "0." in name and ".weight" in name]
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in first_layers)
    build_optimiser(built.model, settings, torch.device("cpu")).step()

    job = Job("run", system, settings, 0, data.version)
    save_config(lake, job, built)
    save_best(lake, "run", built.model, 0, 1.0)
    _, rebuilt = load_model(lake, "run", BEST)
    machine = Machine(torch.device("cpu"))
    ours, theirs = (embed_films(model, data.train, inputs, machine).vectors for model in (built.model, rebuilt.model))
    assert rebuilt.image_format == built.image_format and np.array_equal(ours, theirs)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_texts_have_their_markers_and_ends_and_padding_changes_nothing(kind: str, tmp_path: Path) -> None:
    save_text_model(kind, tmp_path)
    tokenizer = pretrained_tokenizer(str(tmp_path))
    ends = {"bert": ("[CLS]", "[SEP]"), "modernbert": ("[CLS]", "[SEP]"), "clip": ("<|startoftext|>", "<|endoftext|>")}
    tokens = tokenizer.encode(TEXTS[0]).tokens
    assert (tokens[0], tokens[-1]) == ends.get(kind, ("<s>", "</s>"))
    plot = [token.strip() for token in tokens].index("<PLOT>")
    assert tokens[1] == "<TAG>" and tokens[plot - 1] not in ("Ġ", "Ġ</w>")
    tower = text_tower(_text_settings(tmp_path), highest_id(tokenizer) + 1).eval()
    rows = encode_texts(tokenizer, TEXTS, TOKENS)
    alone, both = (tuple(map(torch.from_numpy, pad_tokens(some, TOKENS))) for some in (rows[:1], rows))
    for pooling in ("summary", "mean"):
        in_batch, by_itself = text_summary(tower, *both, pooling)[0], text_summary(tower, *alone, pooling)[0]
        assert torch.allclose(in_batch, by_itself, atol=1e-5)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_complete_mask_changes_no_output(kind: str, tmp_path: Path) -> None:
    save_text_model(kind, tmp_path)
    tokenizer = pretrained_tokenizer(str(tmp_path))
    tower = text_tower(_text_settings(tmp_path), highest_id(tokenizer) + 1).eval()
    tokens, mask = map(torch.from_numpy, pad_tokens(encode_texts(tokenizer, TEXTS, TOKENS), TOKENS))
    by_two, by_four = (
        tower(input_ids=tokens, attention_mask=given).last_hidden_state for given in (mask, complete_mask(tower, mask))
    )
    assert not mask.all() and torch.allclose(by_four[mask], by_two[mask], atol=1e-6)
    ignored = torch.ones_like(mask)  # a mask that hides nothing gives something else
    changed = tower(input_ids=tokens, attention_mask=complete_mask(tower, ignored)).last_hidden_state
    assert not torch.allclose(changed[0, 0], by_two[0, 0], atol=1e-6) or kind == "clip"


def test_positions_of_a_roberta_are_counted_from_behind_its_padding_id(tmp_path: Path) -> None:
    save_text_model("roberta", tmp_path)
    tokenizer = pretrained_tokenizer(str(tmp_path))
    tower, seen = text_tower(_text_settings(tmp_path), highest_id(tokenizer) + 1), []
    tower.embeddings.position_embeddings.register_forward_hook(lambda _module, args, _output: seen.append(args[0]))
    text_summary(tower, torch.tensor([[0, 7, 2, 0]]), torch.tensor([[True, True, True, False]]), "summary")
    assert seen[0].tolist() == [[2, 3, 4, 1]]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_more_tokens_than_a_model_has_positions_for_are_refused(kind: str, tmp_path: Path) -> None:
    save_text_model(kind, tmp_path)
    size = highest_id(pretrained_tokenizer(str(tmp_path))) + 1
    with pytest.raises(InputError, match=rf"at most {TOKENS} tokens, .* 33; give --set text.max_tokens={TOKENS}$"):
        text_tower(TextSettings(pretrained=str(tmp_path), max_tokens=TOKENS + 1), size)


@pytest.mark.parametrize("modality", ["text", "image"])
def test_a_clip_of_both_halves_gives_the_half_that_is_asked_for(modality: str, tmp_path: Path) -> None:
    text = text_config("clip", 40, {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 3})
    model = CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=image_config("clip").to_dict()))
    model.save_pretrained(tmp_path)
    settings = TextSettings(pretrained=str(tmp_path), max_tokens=TOKENS)
    tower = text_tower(settings, 42) if modality == "text" else image_tower(ImageSettings(pretrained=str(tmp_path)))[0]
    assert _equal(tower, model.text_model if modality == "text" else model.vision_model)


@pytest.mark.parametrize(("kind", "pixels", "red"), [("vit", 48, 0.5), ("clip", 48, 0.48145466), ("siglip", 48, 0.5),
                                                     ("dinov2", 64, 0.485)])  # fmt: skip
def test_a_model_without_preprocessor_has_the_documented_values_of_its_type(
    kind: str, pixels: int, red: float, tmp_path: Path
) -> None:
    save_image_model(kind, tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    _, form = image_tower(ImageSettings(pretrained=str(tmp_path)))
    assert (form.pixels, form.mean[0]) == (pixels, red)


def test_a_vit_of_384_pixels_keeps_its_size_and_sees_pictures_of_it(shared: tuple[Lake, Data], quick: Settings,
                                                                    tmp_path: Path) -> None:  # fmt: skip
    ViTModel(ViTConfig(image_size=384, patch_size=64, **SIZES)).save_pretrained(tmp_path)
    settings = dataclasses.replace(quick, image=ImageSettings(pretrained=str(tmp_path)))
    built = build_model(SYSTEMS["Im"], settings, shared[1].train, 0)
    inputs = FilmInputs(shared[1].test, SYSTEMS["Im"], settings, None, built.image_format.pixels)
    embedded = embed_films(built.model, shared[1].test, inputs, Machine(torch.device("cpu")))
    assert built.image_format.pixels == 384 and len(embedded.vectors) == 8


def test_colours_are_shifted_and_scaled_as_the_model_expects(shared: tuple[Lake, Data], quick: Settings,
                                                             tmp_path: Path) -> None:  # fmt: skip
    save_image_model("vit", tmp_path)
    settings = dataclasses.replace(quick, image=ImageSettings(pretrained=str(tmp_path)))
    built, seen = build_model(SYSTEMS["Im"], settings, shared[1].train, 0), []
    built.model.films.image.register_forward_pre_hook(lambda _m, _args, given: seen.append(given), with_kwargs=True)
    inputs = FilmInputs(shared[1].train, SYSTEMS["Im"], settings, None, 48)
    films = inputs.gather(np.arange(1), [Draw()])
    built.model.films(films)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (films.pixels / 255 - mean[:, None, None]) / deviation[:, None, None]
    assert torch.allclose(seen[0]["pixel_values"], expected, atol=1e-5)


def _pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _edit(file: str, **values: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        stored = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(stored | values))

    return edit


def _without(*keys: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        save_file({name: value for name, value in weights.items() if name not in keys}, folder / "model.safetensors")

    return remove


def _overflowed(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = next(name for name, value in weights.items() if value.ndim == 2 and not name.startswith("pooler"))
    weights[name][0, 0] = torch.inf
    save_file(weights, folder / "model.safetensors")


SENTENCES: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: (folder / "config.json").unlink(), "holds no model: it has no config.json; give a folder"),
    (_pickled, r"only pickled weights \(pytorch_model.bin\), which can run code .* save_pretrained"),
    (lambda folder: (folder / "model.safetensors").unlink(), "holds no model that can be loaded"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b"\x80broken"), "are damaged"),
    (_overflowed, r"are damaged \(.*weight has values that are no numbers\)"),
    (_edit("config.json", auto_map={"AutoModel": "code.Own"}), "brings its own code .* never executed"),
    (_edit("config.json", model_type="clap"), "is of type clap, which cannot be the .* tower; give one of .*clip"),
    (_edit("config.json", model_type=None), "is of type not given, which cannot be"),
    (_edit("config.json", model_type="gpt2"), "is of type gpt2"),
    (_edit("config.json", model_type=["bert"]), "holds no model that can be loaded .*unhashable"),
    (_edit("config.json", hidden_size="wide"), "holds no model that can be loaded .*'hidden_size' expected int"),
    (_edit("config.json", hidden_size=0), "holds no model that can be loaded .*ZeroDivisionError"),
    (_edit("config.json", hidden_act="loud"), "holds no model that can be loaded .*loud"),
    (lambda folder: (folder / "config.json").write_text('"bert"'), "holds no model that can be loaded"),
]


@pytest.mark.parametrize(("change", "sentence"), SENTENCES)
@pytest.mark.parametrize("modality", ["text", "image"])
def test_a_folder_that_is_no_model_we_can_use_is_a_sentence(
    modality: str, change: Callable[[Path], object], sentence: str, tmp_path: Path
) -> None:
    save_text_model("bert", tmp_path) if modality == "text" else save_image_model("vit", tmp_path)
    change(tmp_path)
    with pytest.raises(InputError, match=f"{sentence}.*"):
        text_tower(_text_settings(tmp_path), 80) if modality == "text" else image_tower(
            ImageSettings(pretrained=str(tmp_path))
        )


def test_missing_weights_are_named_and_those_of_a_pooler_are_not_missed(tmp_path: Path) -> None:
    save_image_model("vit", tmp_path)
    _without("pooler.dense.weight", "pooler.dense.bias")(tmp_path)
    image_tower(ImageSettings(pretrained=str(tmp_path)))
    _without("encoder.layer.1.layernorm_after.bias")(tmp_path)
    with pytest.raises(InputError, match=r"lacks 1 of its weights, such as layers\.1\.layernorm_after\.bias"):
        image_tower(ImageSettings(pretrained=str(tmp_path)))


def _with_a_layer_less(folder: Path) -> None:
    """Have the configuration say one layer less than the weights have, in each half of a model of two."""
    config = json.loads((folder / "config.json").read_text())
    for part in (config, config.get("text_config"), config.get("vision_config")):
        if part:
            part["num_hidden_layers"] = 1
    for name in ("stage_names", "out_features", "out_indices", "layer_types"):  # which say the number of layers again
        config.pop(name, None)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("kind", [*TOKENIZERS, *PREPROCESSORS])
def test_weights_of_more_layers_than_the_configuration_has_are_not_left_out_in_silence(
    kind: str, tmp_path: Path
) -> None:
    modality = TEXT if kind in TOKENIZERS else IMAGE
    save_text_model(kind, tmp_path) if modality is TEXT else save_image_model(kind, tmp_path)
    pretrained_tower(str(tmp_path), modality)
    _with_a_layer_less(tmp_path)
    with pytest.raises(InputError, match=r"more layers than its config.json says, such as (encoder\.)?layers?\.1\."):
        pretrained_tower(str(tmp_path), modality)


def test_the_head_of_the_task_that_a_model_was_trained_on_is_left_out(tmp_path: Path) -> None:
    BertForMaskedLM(text_config("bert", 80, {})).save_pretrained(tmp_path)
    pretrained_tower(str(tmp_path), TEXT)


def test_weights_of_another_size_count_as_missing(tmp_path: Path) -> None:
    save_text_model("roberta", tmp_path)
    _edit("config.json", intermediate_size=48)(tmp_path)
    with pytest.raises(InputError, match="lacks 6 of its weights"):
        text_tower(_text_settings(tmp_path), 300)


def test_a_pooling_layer_that_siglip_was_trained_with_may_not_be_missing(tmp_path: Path) -> None:
    save_image_model("siglip", tmp_path)
    _without("head.probe")(tmp_path)
    with pytest.raises(InputError, match=r"such as head\.probe"):
        image_tower(ImageSettings(pretrained=str(tmp_path)))


def test_a_model_of_the_other_modality_is_refused_with_the_types_that_can_be_used(tmp_path: Path) -> None:
    GPT2Model(GPT2Config(vocab_size=30, n_positions=8, n_embd=8, n_layer=1, n_head=1)).save_pretrained(tmp_path)
    with pytest.raises(
        InputError, match=r"gpt2, which cannot be the text tower; give one of bert, roberta, .*modernbert"
    ):
        pretrained_tokenizer(str(tmp_path))
    with pytest.raises(InputError, match=r"the image tower; give one of vit, dinov2, .* with --image-model"):
        image_tower(ImageSettings(pretrained=str(tmp_path)))


@pytest.mark.parametrize("kind", PREPROCESSORS)
def test_pictures_that_patches_do_not_divide_are_read_as_the_model_reads_them(kind: str, tmp_path: Path) -> None:
    config = image_config(kind)
    config.image_size = 50  # as 384 pixels in patches of 14, which is the best known SigLIP
    source = AutoModel.from_config(config).eval()
    source.save_pretrained(tmp_path)
    tower, form = image_tower(ImageSettings(pretrained=str(tmp_path)))
    pixels = torch.rand(2, 3, 50, 50)
    theirs = source(pixel_values=pixels)
    expected = theirs.last_hidden_state[:, 0] if kind == "vit" else theirs.pooler_output
    assert form.pixels == 50 and torch.allclose(image_summary(tower.eval(), pixels), expected, atol=1e-6)


def test_an_image_tower_without_colours_is_refused(tmp_path: Path) -> None:
    ViTModel(ViTConfig(image_size=48, num_channels=1, **SIZES)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"pictures of 1 channels, .* give a model of colours with --image-model"):
        image_tower(ImageSettings(pretrained=str(tmp_path)))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"pad_token_id": 999}, "holds no model that can be loaded"),
        ({"pad_token_id": -1}, "pad_token_id -1, which is none of its .* tokens; restore the model's own config.json"),
        ({"vocab_size": -1}, "holds no model that can be loaded"),
    ],
)
def test_a_configuration_of_which_no_model_can_be_built_is_a_sentence(
    values: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    save_text_model("bert", tmp_path)
    _edit("config.json", **values)(tmp_path)
    with pytest.raises(InputError, match=sentence):
        text_tower(_text_settings(tmp_path), 73)


def test_weights_that_are_whole_numbers_are_refused(tmp_path: Path) -> None:
    save_text_model("bert", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({name: value.to(torch.int8) for name, value in weights.items()}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"are whole numbers \(.* is I8\), as of a quantised model; .* --text-model"):
        pretrained_tower(str(tmp_path), TEXT)


def test_pictures_of_another_size_than_the_model_reads_are_a_sentence(tmp_path: Path) -> None:
    save_image_model("vit", tmp_path)
    _edit("preprocessor_config.json", size={"height": 64, "width": 64})(tmp_path)
    with pytest.raises(InputError, match="makes pictures of 64 pixels, and the model reads 48 in patches of 16"):
        image_tower(ImageSettings(pretrained=str(tmp_path)))
    _edit("preprocessor_config.json", size={"height": 48, "width": 64})(tmp_path)
    with pytest.raises(InputError, match="not square"):
        image_tower(ImageSettings(pretrained=str(tmp_path)))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"image_mean": [0.5, 0.5]}, r"the image_mean .* is \[0.5, 0.5\], not a number per colour"),
        ({"image_mean": [float("nan"), 0.5, 0.5]}, "not a number per colour"),
        ({"image_std": [float("nan"), 0.5, 0.5]}, "not a number per colour"),
        ({"image_std": [0, 0, 0]}, "divides colours by .* correct image_std"),
        ({"size": 48.5}, "holds no model that can be loaded"),
    ],
)
def test_a_preprocessor_that_makes_no_pictures_is_a_sentence(
    values: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    save_image_model("vit", tmp_path)
    _edit("preprocessor_config.json", **values)(tmp_path)
    with pytest.raises(InputError, match=sentence):
        image_tower(ImageSettings(pretrained=str(tmp_path)))


@pytest.mark.parametrize("file", ["config.json", "pytorch_model.bin"])
def test_a_file_in_the_place_of_a_folder_is_never_opened_as_weights(file: str, tmp_path: Path) -> None:
    save_image_model("vit", tmp_path)
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=f"{file}' is a file; give the folder that it is in with --image-model"):
        image_tower(ImageSettings(pretrained=str(tmp_path / file)))


def test_a_model_without_tokenizer_files_is_refused(tmp_path: Path) -> None:
    save_text_model("bert", tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"has no tokenizer\.json, vocab\.txt or"):
        pretrained_tokenizer(str(tmp_path))


def test_tokenizer_files_that_mean_nothing_are_a_sentence(tmp_path: Path) -> None:
    save_text_model("bert", tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds no model that can be loaded .*added_tokens"):
        pretrained_tokenizer(str(tmp_path))


def test_a_tokenizer_with_more_tokens_than_the_model_knows_is_refused(tmp_path: Path) -> None:
    save_text_model("bert", tmp_path)
    TOKENIZERS["roberta"]().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="do not belong together"):
        text_tower(_text_settings(tmp_path), highest_id(pretrained_tokenizer(str(tmp_path))) + 1)


def test_only_settings_that_say_so_cut_a_pretrained_vit(tmp_path: Path) -> None:
    save_image_model("vit", tmp_path)
    tower, _ = image_tower(ImageSettings(pretrained=str(tmp_path), patch_pixels=8, layers=1))
    assert (tower.config.patch_size, len(tower.layers)) == (16, 2)
    cut, _ = image_tower(ImageSettings(pretrained=str(tmp_path), adapt=True, patch_pixels=8, layers=1))
    assert (cut.config.patch_size, len(cut.layers)) == (8, 1)


def test_settings_that_adapt_a_tower_refuse_other_types_than_vit(tmp_path: Path) -> None:
    save_image_model("siglip", tmp_path)
    with pytest.raises(InputError, match=r"a siglip_vision_model with 2 blocks .* --set image\.adapt=false"):
        image_tower(ImageSettings(pretrained=str(tmp_path), adapt=True, patch_pixels=8, layers=1))
