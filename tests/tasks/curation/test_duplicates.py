"""No recording stands on two sides of the split, nor under two films."""

from tasks.curation.curate import curate
from tasks.curation.settings import CurationSettings

DEFAULT = CurationSettings()


def test_a_recording_of_two_films_stays_with_the_earlier_one(small_lake, exclusions):
    small_lake.tracks["wiki-09", "folder:9-0"]["audio_sha256"] = "the same"
    small_lake.tracks["wiki-02", "folder:2-1"]["audio_sha256"] = "the same"
    lake = small_lake.committed()
    out = exclusions(lake, curate(lake, DEFAULT, "run", charts=False).version)
    assert out["track", "wiki-09/folder:9-0"] == ("same_audio", "wiki-02/folder:2-1")
    assert ("track", "wiki-02/folder:2-1") not in out


def test_one_upload_taken_for_two_films_belongs_to_one(small_lake, column):
    small_lake.add_track("wiki-09", "folder:2-0", 6)
    lake = small_lake.committed()
    tracks = column(lake, curate(lake, DEFAULT, "run", charts=False).version, "tracks", "track_id")
    assert len(tracks) == len(set(tracks))


def test_a_film_whose_recordings_all_belong_to_others_leaves_the_version(small_lake, exclusions):
    for position in range(2):
        sound = small_lake.tracks["wiki-02", f"folder:2-{position}"]["audio_sha256"]
        small_lake.tracks["wiki-09", f"folder:9-{position}"]["audio_sha256"] = sound
    lake = small_lake.committed()
    out = exclusions(lake, curate(lake, DEFAULT, "run", charts=False).version)
    assert out["film", "wiki-09"][0] == "only_duplicates"
    assert out["track", "wiki-09/folder:9-0"][0] in ("same_audio", "film_excluded")


def test_a_recording_goes_back_to_the_film_that_stays(small_lake, column):
    small_lake.films["wiki-02"]["tags"] = ["Lone films"]
    small_lake.tracks["wiki-02", "folder:2-1"]["audio_sha256"] = "the same"
    small_lake.tracks["wiki-09", "folder:9-0"]["audio_sha256"] = "the same"
    lake = small_lake.committed()
    kept = column(lake, curate(lake, DEFAULT, "run", charts=False).version, "tracks", "film_id || '/' || track_id")
    assert "wiki-09/folder:9-0" in kept
