"""Settings by name: from text, mappings and TOML files; wrong names, types and values; systems that do not use them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.errors import InputError
from training.presets import PRESETS, chosen_settings
from training.settings import answers_any_parts
from training.settings_checks import checked
from training.settings_parsing import all_settings, read_changes, shown
from training.systems import SYSTEMS, chosen_systems


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[[str | bytes], str]:
    def write(content: str | bytes) -> str:
        path = tmp_path / "recipe.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("optimiser.rate=3e-4", 3e-4),
        (" optimiser.rate = 1 ", 1.0),
        ("training.batch=256", 256),
        ("data.keep_years=yes", True),
        ("data.keep_years=False", False),
        ("audio.stem=4,8", (4, 8)),
        ("audio.stem=[4, 8]", (4, 8)),
        ("data.fixed_paragraph=All", ("All",)),
        ('data.fixed_paragraph=["All", "Plo"]', ("All", "Plo")),
        ("data.fixed_paragraph=", ()),
        ("optimiser.clip_norm=none", None),
        ("training.micro_batch=8", 8),
        ("text.pretrained=/models/a=b", "/models/a=b"),
        ("text.pooling=summary", "summary"),
    ],
)
def test_text_is_read_by_the_type_of_its_setting(entry: str, value: Any) -> None:
    name = entry.partition("=")[0].strip()
    found = chosen_settings("small", set=[entry]).by_name()[name]
    assert (found, type(found)) == (value, type(value))


def test_a_form_states_the_narrowest_bound_alone() -> None:
    assert all(setting.form.count("of at most") <= 1 for setting in all_settings().values())


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("training.batch=many", "training.batch is 'many'; give a whole number of at least 2"),
        ("training.batch=1", "training.batch is 1; give a whole number of at least 2"),
        ("training.batch=2.5", "training.batch is '2.5'"),
        ("training.batch=none", "training.batch is 'none'"),
        ("training.batch=", "training.batch is ''"),
        ("optimiser.rate=nan", "optimiser.rate is nan; give a number above 0"),
        ("optimiser.rate=inf", "optimiser.rate is inf"),
        ("optimiser.rate=-1e-4", "optimiser.rate is -0.0001"),
        ("optimiser.rate=1e300", r"optimiser.rate is 1e\+300; give a number above 0 and of at most 1,000"),
        ("optimiser.head_rate=1e38", "optimiser.head_rate is 1e\\+38; .* of at most 1,000, or none"),
        (f"data.segments={10**20}", "give a whole number of at least 1 and of at most 1,000,000"),
        (f"head.embedding={10**20}", "of at most 1,000,000"),
        (f"text.max_tokens={10**20}", "of at most 1,000,000"),
        ("optimiser.clip_norm=0", "optimiser.clip_norm is 0.0; give a number above 0, or none"),
        ("data.keep_years=2", "data.keep_years is '2'; give true or false"),
        ("text.pooling=max", "text.pooling is 'max'; give one of summary, mean"),
        ("audio.stem=4", "audio.stem is 4; give 2 values with a comma between them"),
        ("audio.stem=0,8", "audio.stem is 0,8"),
        ("audio.blocks=9", "leave nothing of a mel-spectrogram"),
        ("text.heads=5", "text.width is 96 and text.heads 5"),
        ("image.patch_pixels=60", "give a divisor of the image's 224 pixels"),
        ("data.fixed_paragraph=Everything", "data.fixed_paragraph names Everything"),
        ("training.batch", "'training.batch' sets nothing; write NAME=VALUE"),
    ],
)
def test_a_value_of_another_type_or_out_of_bounds_is_a_sentence(entry: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        chosen_settings("small", set=[entry])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("optimizer.rate", r"did you mean optimiser\.rate\?"),
        ("Optimiser.Rate", r"There is no setting Optimiser\.Rate; did you mean optimiser\.rate\?"),
        ("training.weight_decay", r"did you mean optimiser\.weight_decay\?"),
        ("batch", "called training.batch"),
        ("learning_rate", "called optimiser.rate"),
        ("optimiser", "optimiser is a group of settings; name one of them, such as optimiser.name"),
        ("text.pretrained_", r"did you mean text\.pretrained\?"),
        ("preset", "choose it with --preset"),
        ("zzzzzz", "There is no setting 'zzzzzz'; needledrop train --show-settings lists all"),
        ("", "There is no setting ''"),
    ],
)
def test_a_name_that_no_setting_has_is_a_sentence_with_the_nearest(name: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_changes([f"{name}=1"])


@pytest.mark.parametrize(
    ("systems", "entry", "sentence"),
    [
        (["Plo"], "image.width=64", r"image.width has no effect: none of the systems to train \(Plo\) reads an image"),
        (["Im"], "text.max_tokens=64", "reads text"),
        (["Plo", "Im"], "data.keep_years=true", "reads tags"),
        (["All"], "data.triplet_negatives=one", "is trained with the triplet loss"),
        (["AVCA"], "data.mask_same_film=false", "is trained with InfoNCE"),
    ],
)
def test_a_setting_that_no_system_of_the_job_uses_is_a_sentence(systems: list[str], entry: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        chosen_settings("small", chosen_systems(systems), set=[entry])
    chosen_settings("small", chosen_systems([*systems, "all"]), set=[entry])


@pytest.mark.parametrize(
    ("entry", "voids", "effective"),
    [
        ("data.max_paragraphs=4", "data.paragraphs=one", "data.paragraphs=all"),
        ("text.paragraph_pooling=attention", "data.paragraphs=one", "data.paragraphs=all"),
        ("audio.segment_pooling=attention", "data.segments=1", "data.segments=2"),
        ("head.dropout=0.5", "head.form=linear", "head.form=paper"),
        ("optimiser.text_rate=1e-4", "text.frozen=true", "text.frozen=false"),
        ("optimiser.image_rate=1e-4", "image.frozen=true", "image.frozen=false"),
        ("audio.channels=8", "audio.encoder=clap", "audio.encoder="),
    ],
)
def test_a_setting_that_another_one_makes_void_is_a_sentence(entry: str, voids: str, effective: str) -> None:
    name, other = entry.partition("=")[0], voids.partition("=")[0]
    with pytest.raises(InputError, match=f"{name} has no effect with {other} = .*; leave it out or change {other}"):
        chosen_settings("small", set=[entry, voids])
    chosen_settings("small", set=[entry, effective])
    chosen_settings("small", set=[voids, {name: all_settings()[name].default}])  # as a file that turns it off


def test_sizes_that_pretrained_weights_have_already_are_a_sentence() -> None:
    with pytest.raises(InputError, match=r"text.width has no effect: the pretrained tower has sizes of its own"):
        chosen_settings("paper", set=["text.width=96"])
    assert chosen_settings("paper", set=["text.width=96", "text.pretrained="]).text.width == 96


def test_a_name_that_is_set_counts_over_the_file_and_the_file_over_the_preset(write_file: Callable[..., str]) -> None:
    file = write_file("[optimiser]\nrate = 2e-4\nweight_decay = 0.5\nclip_norm = 'none'\n\n[audio]\nstem = [2, 4]\n")
    settings = chosen_settings("small", settings=file, set=["optimiser.rate=3e-4"])
    assert (settings.optimiser.rate, settings.optimiser.weight_decay, settings.optimiser.clip_norm) == (3e-4, 0.5, None)
    assert (settings.audio.stem, settings.training.batch) == ((2, 4), PRESETS["small"].training.batch)


def test_a_path_may_begin_at_the_home_folder(write_file: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    file = write_file("[image]\npretrained = '~/vit'\n")
    settings = chosen_settings("small", settings=file, set=["text.pretrained=~/minilm"])
    assert (settings.text.pretrained, settings.image.pretrained) == ("/home/somebody/minilm", "/home/somebody/vit")


def test_the_last_value_of_a_name_counts() -> None:
    assert read_changes(["training.batch=8", {"training": {"batch": 9}}]) == {"training.batch": 9}


def test_an_option_and_a_name_that_disagree_are_a_sentence() -> None:
    assert chosen_settings("small", set=["training.batch=64"], batch=64).training.batch == 64
    with pytest.raises(InputError, match=r"training.batch has two values"):
        chosen_settings("small", set=["training.batch=64"], batch=32)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[optimizer]\nrate = 1e-4", r"recipe.toml: There is no setting optimizer.rate; did you mean optimiser.rate"),
        ("rate = 1e-4", r"recipe.toml: There is no setting rate; did you mean optimiser.rate"),
        ("[training]\nbatch = '64'", "training.batch is '64'; give a whole number"),
        ("[training]\nbatch = 64.5", "training.batch is 64.5"),
        ("[training]\nbatch = true", "training.batch is true"),
        ("[training]\nbatch = [64]", "training.batch is 64"),
        ("[optimiser]\nrate = nan", "optimiser.rate is nan"),
        ("[optimiser]\nrate = -inf", "optimiser.rate is -inf"),
        ("[optimiser]\nrate = 2020-01-01", "optimiser.rate is 2020-01-01"),
        ("[optimiser.rate]\npeak = 1", "There is no setting optimiser.rate.peak"),
        ("optimiser = 3", "optimiser is a group of settings"),
        ("[data]\nkeep_years = 1", "data.keep_years is 1; give true or false"),
        ("[optimiser\n", "is no TOML file"),
        (b"\xff\xfe\x00", "is no TOML file"),
        ("a = " + "[" * 5000 + "]" * 5000, "is no TOML file"),
        ("#" * 1_000_001, "has more than 1,000,000 bytes, so it is no file of settings"),
    ],
)
def test_a_settings_file_with_a_wrong_name_or_type_is_a_sentence(
    content: str | bytes, sentence: str, write_file: Callable[..., str]
) -> None:
    with pytest.raises(InputError, match=sentence):
        chosen_settings("small", settings=write_file(content))


@pytest.mark.parametrize("path", ["missing.toml", ".", "a\0b", "~nobody-of-this-name/recipe.toml"])
def test_a_settings_file_that_cannot_be_read_is_a_sentence(path: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read .*; give a TOML file"):
        chosen_settings("small", settings=path if path.startswith("~") else str(tmp_path / path))


def test_every_setting_says_what_it_does_and_which_property_a_system_needs() -> None:
    for setting in all_settings().values():
        assert setting.help.endswith("."), setting.name
        assert setting.form
        assert all(hasattr(SYSTEMS["All"], need) for need in setting.own_needs), setting.name


@pytest.mark.parametrize("preset", PRESETS)
def test_every_value_of_a_preset_can_be_typed_as_it_is_shown(preset: str) -> None:
    shown_as = {name: shown(value).strip("'") for name, value in PRESETS[preset].by_name().items()}
    typed = [f"{name}={'' if text == '(empty)' else text}" for name, text in shown_as.items()]
    assert checked(PRESETS["small"].changed(read_changes(typed))).by_name() == PRESETS[preset].by_name()


def test_the_example_of_strong_needs_no_pretrained_weights_and_answers_for_any_parts() -> None:
    file = Path(__file__).parents[2] / "examples" / "strong_small.toml"
    settings = chosen_settings("strong", [SYSTEMS["All"]], settings=str(file))
    assert (settings.text.pretrained, settings.image.pretrained, settings.optimiser.text_rate) == ("", "", None)
    assert answers_any_parts(SYSTEMS["All"], settings) and settings.data.paragraphs == "all"
