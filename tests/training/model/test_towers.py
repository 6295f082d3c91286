"""The towers: dequantised mels, a resampled ViT, pretrained weights that cannot be loaded."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import BertConfig, BertForMaskedLM, BertModel, ViTConfig, ViTForImageClassification, ViTModel

from storage.errors import InputError
from storage.mels.reader import decibels as stored_decibels
from storage.mels.settings_and_shard_format import MelSettings
from training.model.audio_tower import AudioTower, channels_last, decibels
from training.model.image_tower import image_tower, resampled_kernel
from training.model.text_tower import pretrained_tokenizer, text_tower
from training.presets import PRESETS
from training.settings import ImageSettings, TextSettings


def test_the_tower_computes_the_same_decibels_as_storage() -> None:
    mels = np.arange(2 * 128 * 995, dtype=np.uint32).astype(np.uint8).reshape(2, 128, 995)
    ref_db = np.array([-3.5, 20.0], np.float32)
    ours = decibels(torch.from_numpy(mels), torch.from_numpy(ref_db)).numpy()
    assert np.abs(ours - stored_decibels(mels, ref_db, MelSettings())).max() < 1e-4
    half = torch.full((1, 128, 995), -12.5, dtype=torch.float16)
    assert (decibels(half, torch.zeros(1)) == -12.5).all()


def test_one_channel_has_the_strides_that_several_have_in_channels_last() -> None:
    x = torch.randn(2, 1, 8, 12)
    named = channels_last(x)
    assert torch.equal(named, x) and named.data_ptr() == x.data_ptr()
    assert (
        named.stride() == (96, 1, 12, 1) and x.contiguous(memory_format=torch.channels_last).stride() != named.stride()
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_an_audio_tower_returns_one_vector_per_segment(preset: str) -> None:
    settings = PRESETS[preset].audio
    with torch.device("meta"):
        tower, mels = AudioTower(settings), torch.zeros(2, 128, 995, dtype=torch.uint8)
        assert tower(mels, torch.zeros(2)).shape == (2, settings.width)


def test_the_released_audio_tower_has_the_number_of_weights_of_the_release() -> None:
    size = sum(weight.numel() for weight in AudioTower(PRESETS["released"].audio).parameters())
    unused_positions = (513 - 63) * 256  # the release keeps 513 and reads 63
    assert (size + unused_positions) / 1e6 == pytest.approx(4.59, abs=0.005)


def test_an_enlarged_patch_and_kernel_have_the_same_product() -> None:
    torch.manual_seed(0)
    kernel, patch = torch.randn(5, 3, 16, 16), torch.randn(1, 3, 16, 16)
    enlarged = F.interpolate(patch, (28, 28), mode="bilinear")
    product = F.conv2d(enlarged, resampled_kernel(kernel, 28))
    assert torch.allclose(product, F.conv2d(patch, kernel), atol=1e-3)


def test_a_pretrained_vit_is_resampled_to_64_patches_and_six_blocks(tmp_path: Path) -> None:
    config = ViTConfig(hidden_size=24, num_hidden_layers=12, num_attention_heads=2, intermediate_size=24)
    source = ViTModel(config, add_pooling_layer=False)
    source.save_pretrained(tmp_path)
    tower, _ = image_tower(ImageSettings(pretrained=str(tmp_path), adapt=True, patch_pixels=28, layers=6))
    assert (len(tower.layers), tower.embeddings.position_embeddings.shape) == (6, (1, 65, 24))
    last_block = tower.state_dict()["layers.5.mlp.fc1.weight"]
    assert torch.equal(last_block, source.state_dict()["layers.5.mlp.fc1.weight"])
    assert tower(pixel_values=torch.zeros(1, 3, 224, 224)).last_hidden_state.shape == (1, 65, 24)


def test_a_pretrained_vit_of_the_configured_shape_is_unchanged(tmp_path: Path) -> None:
    config = ViTConfig(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24)
    source = ViTModel(config, add_pooling_layer=False)
    source.save_pretrained(tmp_path)
    tower, _ = image_tower(ImageSettings(pretrained=str(tmp_path), patch_pixels=16, layers=2))
    assert all(torch.equal(a, b) for a, b in zip(tower.parameters(), source.parameters(), strict=True))


def test_a_pretrained_bert_gets_embeddings_for_the_markers(tmp_path: Path) -> None:
    config = BertConfig(vocab_size=30, hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24)
    source = BertModel(config, add_pooling_layer=False)
    source.save_pretrained(tmp_path)
    tower = text_tower(TextSettings(pretrained=str(tmp_path)), 32)
    assert tower.config.vocab_size == 32
    assert torch.equal(tower.get_input_embeddings().weight[:30], source.get_input_embeddings().weight)


SMALL_TEXT = {"vocab_size": 30, "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
SMALL_IMAGE = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
SMALL_IMAGE |= {"image_size": 224, "patch_size": 16}


def test_a_bert_with_a_head_gives_all_its_weights(tmp_path: Path) -> None:
    source = BertForMaskedLM(BertConfig(**SMALL_TEXT, intermediate_size=24))
    source.save_pretrained(tmp_path)
    tower = text_tower(TextSettings(pretrained=str(tmp_path)), 30)
    assert all(torch.equal(value, source.bert.state_dict()[name]) for name, value in tower.state_dict().items())


def test_a_vit_with_a_head_gives_all_its_weights(tmp_path: Path) -> None:
    source = ViTForImageClassification(ViTConfig(**SMALL_IMAGE))
    source.save_pretrained(tmp_path)
    tower, _ = image_tower(ImageSettings(pretrained=str(tmp_path), patch_pixels=16, layers=2))
    assert all(torch.equal(value, source.vit.state_dict()[name]) for name, value in tower.state_dict().items())


@pytest.mark.parametrize("build", [lambda name: text_tower(TextSettings(pretrained=name), 9),
                                   lambda name: image_tower(ImageSettings(pretrained=name))[0]])  # fmt: skip
def test_weights_that_cannot_be_loaded_are_an_error_that_names_the_options(
    build: Callable[[str], object], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="use --preset small, which needs none"):
        build(str(tmp_path / "missing" / "model"))


def test_a_hub_that_accepts_connections_but_never_answers_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/{{repo_id}}/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_ETAG_TIMEOUT", 0.2)  # as by the variable of that name
        started = time.monotonic()
        with pytest.raises(InputError, match="connect this machine once"):
            text_tower(TextSettings(pretrained="nobody/has-fetched-this"), 9)
        with pytest.raises(InputError, match="connect this machine once"):
            pretrained_tokenizer("nobody/has-fetched-this")
    assert time.monotonic() - started < 5
