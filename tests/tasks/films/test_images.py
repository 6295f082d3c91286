"""Images of every kind, and files that are none: a JPEG with a shorter side of 224 pixels, or a reason."""

from __future__ import annotations

import io
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from storage.errors import InputError, ItemError, Retry
from tasks.films.images import MAX_BYTES, ImageDownloads, ImageFolder, make_thumbnail
from tasks.films.wiki.api_client import Wikipedia

if TYPE_CHECKING:
    from tests.tasks.films.conftest import Edge


def _bytes(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "LA", "RGBA", "I;16", "CMYK", "F", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new("RGB", (300, 400), (200, 40, 40)).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.new("I;16", (300, 400), 40_000)
    made = make_thumbnail(_bytes(image, "PNG" if mode not in ("CMYK", "F", "YCbCr") else "TIFF"))
    jpeg = Image.open(io.BytesIO(made.jpeg))
    assert (jpeg.mode, jpeg.size, made.width, made.height) == ("RGB", (224, 299), 224, 299)


def test_a_small_image_is_enlarged_and_keeps_its_aspect_ratio() -> None:
    made = make_thumbnail(_bytes(Image.new("RGB", (120, 60))))
    assert (made.width, made.height) == (448, 224)


def test_a_rotated_photograph_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    made = make_thumbnail(_bytes(Image.new("RGB", (400, 300)), "JPEG", exif=exif))
    assert (made.width, made.height) == (224, 299)


def test_transparency_becomes_white() -> None:
    made = make_thumbnail(_bytes(Image.new("RGBA", (300, 300), (0, 0, 0, 0))))
    assert Image.open(io.BytesIO(made.jpeg)).getpixel((9, 9)) == (255, 255, 255)


def test_the_first_frame_of_an_animation_is_used() -> None:
    frames = [Image.new("RGB", (300, 300), c) for c in ((250, 0, 0), (0, 250, 0))]
    made = make_thumbnail(_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    red, green, _ = Image.open(io.BytesIO(made.jpeg)).getpixel((9, 9))  # type: ignore[misc]
    assert red > 200 > green


def test_the_same_bytes_make_the_same_jpeg() -> None:
    data = _bytes(Image.effect_noise((300, 300), 50))
    assert make_thumbnail(data) == make_thumbnail(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_an_image"),
        (b"<html>404</html>", "not_an_image"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 50, "not_an_image"),
        (_bytes(Image.new("1", (8000, 8000))), "too_many_pixels"),
        (_bytes(Image.new("1", (30_000, 30_000))), "too_many_pixels"),
        (_bytes(Image.new("RGB", (4000, 20))), "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='300' height='400'/>", "not_an_image"),
    ],
)
def test_bytes_that_are_no_usable_image_have_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ItemError) as error:
        make_thumbnail(data)
    assert error.value.reason == reason


def test_no_program_is_started_for_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(ItemError, match="no image of a kind that is read; give a JPEG or PNG"):
        make_thumbnail(_bytes(Image.new("RGB", (300, 400)), "EPS"))
    assert not (tmp_path / "started").exists()


def test_a_file_with_too_many_bytes_is_refused() -> None:
    with pytest.raises(ItemError) as error:
        make_thumbnail(_bytes(Image.new("RGB", (300, 300))) + bytes(MAX_BYTES))
    assert error.value.reason == "too_large"


def test_every_real_image_gives_a_thumbnail_or_a_reason(real_images: list[Path]) -> None:
    reasons = []
    for path in real_images:
        try:
            made = make_thumbnail(path.read_bytes())
            assert min(made.width, made.height) == 224, path
        except ItemError as error:
            reasons.append(error.reason)
    assert len(reasons) < len(real_images) / 2
    assert set(reasons) <= {"not_an_image", "too_many_pixels"}


def test_a_folder_finds_images_by_the_names_that_the_wiki_uses(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "Ash_poster.jpg").write_bytes(b"x")
    folder = ImageFolder(tmp_path)
    assert folder.read("ash poster.jpg") == b"x"
    with pytest.raises(ItemError) as error:
        folder.read("Oak.jpg")
    assert error.value.reason == "missing"


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        ImageFolder(tmp_path / "absent")


@pytest.mark.parametrize("body", [b"", b"\n<!DOCTYPE html><title>Sign in to the network</title>", b"<html></html>"])
def test_a_web_page_instead_of_an_image_is_tried_again_later(body: bytes, edge: Edge) -> None:
    edge.bodies = [body]
    client = Wikipedia("https://wiki.example/w/api.php", "me@example.org", sleep=lambda seconds: None)
    with closing(client), pytest.raises(ItemError) as error:
        ImageDownloads(client, frozenset({"wiki.example"})).read("https://wiki.example/x.jpg", 10_000)
    assert (error.value.reason, error.value.retry) == ("http_error", Retry.LATER)
    assert len(edge.asked) == 3
