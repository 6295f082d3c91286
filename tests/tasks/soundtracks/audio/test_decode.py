"""Decoding gives what librosa.load gives, whatever the container, rate and layout."""

import os
import subprocess
import sys
from pathlib import Path

import av
import librosa
import numpy as np
import pytest
import soundfile

from storage.errors import ItemError
from tasks.soundtracks.audio import decode as audio
from tasks.soundtracks.audio.decode import AudioFile

RATE = 22_050


def decode(path: str) -> np.ndarray:
    return np.concatenate(list(AudioFile(path, RATE).blocks()))


@pytest.mark.parametrize(("rate", "channels"), [(22_050, 1), (44_100, 2), (48_000, 2), (8_000, 1), (96_000, 6)])
def test_samples_are_those_of_librosa(tmp_path, music, rate, channels):
    path = str(tmp_path / "music.wav")
    soundfile.write(path, music(5, rate, channels).T, rate, subtype="FLOAT")
    ours, theirs = decode(path), librosa.load(path, sr=RATE)[0]
    assert len(ours) == len(theirs)
    assert np.abs(ours - theirs).max() < 1e-5


@pytest.mark.parametrize(("subtype", "error"), [("PCM_U8", 1e-5), ("PCM_16", 1e-5), ("PCM_24", 1e-5), ("DOUBLE", 1e-5)])
def test_every_sample_format_has_the_same_full_scale(tmp_path, music, subtype, error):
    path = str(tmp_path / "music.wav")
    soundfile.write(path, music(2, 44_100, 2).T, 44_100, subtype=subtype)
    assert np.abs(decode(path) - librosa.load(path, sr=RATE)[0]).max() < error


@pytest.mark.parametrize(
    ("name", "codec"), [("a.webm", "libopus"), ("a.m4a", "aac"), ("a.mp3", "libmp3lame"), ("a.flac", "flac")]
)
def test_every_codec_of_a_soundtrack_decodes_to_its_length(write_audio, music, name, codec):
    path = write_audio(name, music(7, 48_000, 2), 48_000, codec, "stereo")
    file = AudioFile(path, RATE)
    seconds = sum(map(len, file.blocks())) / RATE
    assert seconds == pytest.approx(7, abs=0.1)
    assert file.decoded_seconds == pytest.approx(seconds, abs=0.01)
    assert file.source_rate_hz == 48_000


def test_a_mixdown_is_the_mean_and_not_three_decibels_louder(write_audio, music):
    left = music(3, RATE)[0]
    path = write_audio("stereo.wav", np.stack([left, left]), RATE, "pcm_f32le", "stereo")
    assert np.abs(decode(path) - left).max() < 1e-6


def test_the_rate_may_change_in_the_middle(tmp_path, write_audio, music):
    first = Path(write_audio("1.mp3", music(4, 44_100), 44_100, "libmp3lame")).read_bytes()
    second = Path(write_audio("2.mp3", music(4, 24_000), 24_000, "libmp3lame")).read_bytes()
    (tmp_path / "both.mp3").write_bytes(first + second)
    assert len(decode(str(tmp_path / "both.mp3"))) / RATE == pytest.approx(8, abs=0.3)


def test_a_header_that_lies_about_length_is_not_believed(tmp_path, music):
    path = tmp_path / "lying.wav"
    soundfile.write(str(path), music(3).T, RATE, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(data)
    assert len(decode(str(path))) == 3 * RATE


def test_a_broken_packet_costs_only_itself(tmp_path, write_audio, music):
    data = bytearray(Path(write_audio("a.mp3", music(8, 44_100), 44_100, "libmp3lame")).read_bytes())
    data[20_000:20_400] = b"\x00" * 400
    (tmp_path / "hurt.mp3").write_bytes(data)
    assert len(decode(str(tmp_path / "hurt.mp3"))) / RATE == pytest.approx(8, abs=0.3)


def write_two_streams(path: Path, music: np.ndarray) -> None:
    """FLAC and mp3 side by side; FFmpeg would play the mp3."""
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


@pytest.mark.parametrize("is_hurt", [False, True])
def test_another_stream_takes_the_place_of_one_that_does_not_decode(tmp_path, music, is_hurt):
    path = tmp_path / "two.mka"
    write_two_streams(path, music(6, 44_100))
    if is_hurt:  # every frame of mp3 begins with these two bytes, and a few of FLAC happen to hold them
        path.write_bytes(path.read_bytes().replace(b"\xff\xfb", b"\x00\x00"))
    file = AudioFile(str(path), RATE)
    assert sum(map(len, file.blocks())) / RATE == pytest.approx(6, abs=0.8)
    assert file.codec == ("flac" if is_hurt else "mp3float")


def test_a_colon_or_a_percent_sign_in_a_name_is_only_a_name(write_audio, music, monkeypatch, tmp_path):
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
def test_what_is_no_audio_says_so(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ItemError) as caught:
        decode(str(tmp_path / name))
    assert caught.value.reason == reason


def test_a_pipe_or_a_device_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp3")
    with pytest.raises(ItemError) as caught:
        decode(str(tmp_path / "pipe.mp3"))
    assert caught.value.reason == "missing_file"


@pytest.mark.parametrize("rate", [0, 1, 999, 4_000_000_000])
def test_an_impossible_sample_rate_ends_as_a_reason(tmp_path, music, rate):
    path = tmp_path / "rate.wav"
    soundfile.write(str(path), music(1).T, RATE, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(ItemError) as caught:
        decode(str(path))
    assert caught.value.reason in ("not_audio", "no_audio", "undecodable")


@pytest.mark.parametrize("limit", ["RECORDING_LIMIT_SECONDS", "RECORDING_WALL_SECONDS"])
def test_a_recording_past_its_time_is_given_up(write_audio, music, monkeypatch, limit):
    monkeypatch.setattr(audio, limit, 0.0)
    with pytest.raises(ItemError) as caught:
        decode(write_audio("a.wav", music(5)))
    assert caught.value.reason == "timeout"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_hour_needs_little_memory(write_audio, music, tmp_path):
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
