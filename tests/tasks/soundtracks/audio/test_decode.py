"""Decoding equals librosa.load for every container, rate and layout, and has a reason for what is no audio."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import librosa
import numpy as np
import pytest
import soundfile

from storage.errors import ItemError
from tasks.soundtracks.audio.decode import AudioFile, Samples

RATE = 22_050
Music = Callable[..., Samples]
WriteAudio = Callable[..., str]


def decode(path: str) -> Samples:
    return np.concatenate(list(AudioFile(path, RATE).blocks()))


@pytest.mark.parametrize(("rate", "channels"), [(22_050, 1), (44_100, 2), (48_000, 2), (8_000, 1), (96_000, 6)])
def test_samples_equal_those_of_librosa(tmp_path: Path, music: Music, rate: int, channels: int) -> None:
    path = str(tmp_path / "music.wav")
    soundfile.write(path, music(5, rate, channels).T, rate, subtype="FLOAT")
    ours, theirs = decode(path), librosa.load(path, sr=RATE)[0]
    assert len(ours) == len(theirs)
    assert np.abs(ours - theirs).max() < 1e-5


@pytest.mark.parametrize("source_rate", [16_000, 44_100, 48_000])
def test_copies_at_other_rates_equal_decoding_at_these_rates(
    write_audio: WriteAudio, music: Music, source_rate: int
) -> None:
    path = write_audio("music.wav", music(5, source_rate), source_rate)
    copies: dict[int, list[Samples]] = {48_000: [], 16_000: []}
    audio = AudioFile(path, RATE, copies={rate: parts.append for rate, parts in copies.items()})
    assert np.array_equal(np.concatenate(list(audio.blocks())), decode(path))
    for rate, parts in copies.items():
        assert np.array_equal(np.concatenate(parts), np.concatenate(list(AudioFile(path, rate).blocks())))


def test_a_click_is_at_the_same_time_in_every_copy(write_audio: WriteAudio) -> None:
    samples = np.zeros((1, 44_100 * 21), np.float32)
    samples[0, round(44_100 * 9.92 * 2)] = 1
    copies: dict[int, list[Samples]] = {48_000: [], 16_000: []}
    audio = AudioFile(
        write_audio("click.wav", samples, 44_100), RATE, copies={rate: parts.append for rate, parts in copies.items()}
    )
    own = np.concatenate(list(audio.blocks()))
    assert np.argmax(own) / RATE == pytest.approx(19.84, abs=0.001)
    for rate, parts in copies.items():
        assert np.argmax(np.concatenate(parts)) / rate == pytest.approx(19.84, abs=0.001)


@pytest.mark.parametrize(("subtype", "error"), [("PCM_U8", 1e-5), ("PCM_16", 1e-5), ("PCM_24", 1e-5), ("DOUBLE", 1e-5)])
def test_every_sample_format_has_the_same_full_scale(tmp_path: Path, music: Music, subtype: str, error: float) -> None:
    path = str(tmp_path / "music.wav")
    soundfile.write(path, music(2, 44_100, 2).T, 44_100, subtype=subtype)
    assert np.abs(decode(path) - librosa.load(path, sr=RATE)[0]).max() < error


@pytest.mark.parametrize(
    ("name", "codec"), [("a.webm", "libopus"), ("a.m4a", "aac"), ("a.mp3", "libmp3lame"), ("a.flac", "flac")]
)
def test_every_codec_decodes_to_its_length(write_audio: WriteAudio, music: Music, name: str, codec: str) -> None:
    path = write_audio(name, music(7, 48_000, 2), 48_000, codec, "stereo")
    file = AudioFile(path, RATE)
    seconds = sum(map(len, file.blocks())) / RATE
    assert seconds == pytest.approx(7, abs=0.1)
    assert file.decoded_seconds == pytest.approx(seconds, abs=0.01)
    assert file.source_rate_hz == 48_000


def test_downmix_is_the_mean_of_the_channels(write_audio: WriteAudio, music: Music) -> None:
    left = music(3, RATE)[0]
    path = write_audio("stereo.wav", np.stack([left, left]), RATE, "pcm_f32le", "stereo")
    assert np.abs(decode(path) - left).max() < 1e-6


def test_sample_rate_may_change_within_a_file(tmp_path: Path, write_audio: WriteAudio, music: Music) -> None:
    first = Path(write_audio("1.mp3", music(4, 44_100), 44_100, "libmp3lame")).read_bytes()
    second = Path(write_audio("2.mp3", music(4, 24_000), 24_000, "libmp3lame")).read_bytes()
    (tmp_path / "both.mp3").write_bytes(first + second)
    assert len(decode(str(tmp_path / "both.mp3"))) / RATE == pytest.approx(8, abs=0.3)


def test_wrong_length_in_the_header_is_ignored(tmp_path: Path, music: Music) -> None:
    path = tmp_path / "wrong.wav"
    soundfile.write(str(path), music(3).T, RATE, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    start = data.index(b"data") + 4
    data[start : start + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(data)
    assert len(decode(str(path))) == 3 * RATE


def test_only_broken_packets_are_lost(tmp_path: Path, write_audio: WriteAudio, music: Music) -> None:
    data = bytearray(Path(write_audio("a.mp3", music(8, 44_100), 44_100, "libmp3lame")).read_bytes())
    data[20_000:20_400] = b"\x00" * 400
    (tmp_path / "broken.mp3").write_bytes(data)
    assert len(decode(str(tmp_path / "broken.mp3"))) / RATE == pytest.approx(8, abs=0.3)


def write_two_streams(path: Path, music: Samples) -> None:
    """Write a FLAC and an MP3 stream into one file; FFmpeg would play the MP3."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream(codec, rate=44_100, layout="mono") for codec in ("flac", "libmp3lame")]
        packets = []  # encoded before the first is written, since the header describes both streams
        for stream in streams:
            context = stream.codec_context
            frame = av.AudioFrame.from_ndarray(music, "fltp", "mono")
            frame.sample_rate, frame.pts = 44_100, 0
            shape = av.AudioResampler(context.format, "mono", 44_100, context.frame_size or 4096)
            for piece in [*shape.resample(frame), *shape.resample(None), None]:
                packets += [packet for packet in stream.encode(piece) if packet.pts is not None]
        container.mux(sorted(packets, key=lambda packet: packet.pts * packet.time_base))


@pytest.mark.parametrize("is_broken", [False, True])
def test_next_stream_is_decoded_if_the_best_does_not_decode(tmp_path: Path, music: Music, is_broken: bool) -> None:
    path = tmp_path / "two.mka"
    write_two_streams(path, music(6, 44_100))
    if is_broken:  # every frame of mp3 begins with these two bytes, and a few of FLAC happen to hold them
        path.write_bytes(path.read_bytes().replace(b"\xff\xfb", b"\x00\x00"))
    file = AudioFile(str(path), RATE)
    assert sum(map(len, file.blocks())) / RATE == pytest.approx(6, abs=0.8)
    assert file.codec == ("flac" if is_broken else "mp3float")


def test_file_name_may_contain_a_colon_and_a_percent_sign(
    write_audio: WriteAudio, music: Music, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_audio("K.G.F: Chapter 1 %03d.wav", music(1))
    monkeypatch.chdir(tmp_path)
    assert len(decode("K.G.F: Chapter 1 %03d.wav")) == RATE


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.mp3", b"", "not_audio"),
        ("text.mp3", b"no audio here " * 100, "not_audio"),
        ("noise.m4a", bytes(range(256)) * 40, "not_audio"),
        ("playlist.m4a", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n", "not_audio"),
        ("list.mp3", b"ffconcat version 1.0\nfile other.mp3\n", "not_audio"),
    ],
)
def test_file_without_audio_has_a_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ItemError) as caught:
        decode(str(tmp_path / name))
    assert caught.value.reason == reason
    assert "Errno" not in str(caught.value)  # FFmpeg's numbers tell nobody anything


def test_named_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    with pytest.raises(ItemError) as caught:
        decode(str(tmp_path / "pipe.mp3"))
    assert caught.value.reason == "missing_file"


@pytest.mark.parametrize("rate", [0, 1, 999, 4_000_000_000])
def test_impossible_sample_rate_has_a_reason(tmp_path: Path, music: Music, rate: int) -> None:
    path = tmp_path / "rate.wav"
    soundfile.write(str(path), music(1).T, RATE, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(ItemError) as caught:
        decode(str(path))
    assert caught.value.reason in ("not_audio", "no_audio", "undecodable")


@pytest.mark.parametrize("limits", [{"max_cpu_seconds": 0.0}, {"max_wall_seconds": 0.0}], ids=str)
def test_recording_beyond_its_time_limit_is_abandoned(
    write_audio: WriteAudio, music: Music, limits: dict[str, float]
) -> None:
    file = AudioFile(write_audio("a.wav", music(5)), RATE, **limits)
    with pytest.raises(ItemError) as caught:
        list(file.blocks())
    assert caught.value.reason == "timeout"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_one_hour_decodes_within_200_mb_of_memory(write_audio: WriteAudio, music: Music, tmp_path: Path) -> None:
    minute = Path(write_audio("a.mp3", music(60, 44_100), 44_100, "libmp3lame")).read_bytes()
    (tmp_path / "hour.mp3").write_bytes(minute * 60)
    code = (
        "import sys; from tasks.soundtracks.audio.decode import AudioFile\n"
        "seconds = sum(map(len, AudioFile(sys.argv[1], 22050).blocks())) / 22050\n"
        "assert 3590 < seconds < 3610, seconds\n"
        "print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path / "hour.mp3")], capture_output=True, check=True)
    assert int(run.stdout) * 1024 < 200e6
