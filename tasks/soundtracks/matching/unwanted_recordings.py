"""Reject recordings of a kind that is no film's own music, by their words: trailers, covers, compilations, other media.

Also those by artists who record covers, and those that are not available or not of a usual length. Every pattern is
matched against text without case and accents (`plain`). Raise `verdict.RULE_VERSION` when a pattern changes.
"""

from __future__ import annotations

import re
import unicodedata

from tasks.soundtracks.candidate_recordings import Decision, Film
from tasks.soundtracks.matching.normalise import plain
from tasks.soundtracks.matching.official_evidence import Agreement
from tasks.soundtracks.matching.other_films_and_years import names_as_album
from tasks.soundtracks.matching.scoring import (
    Case,
    Guard,
    duration_part,
)

OTHER_MEDIUM = re.compile(
    r"\b(?:(?:video\s?)?game\s+(?:sound\s?track|score|music|ost)|original\s+game|video\s?game"
    r"|(?:tv|television|(?<!film )(?<!movie )\w*series|season|anime|show)\s+(?:sound\s?track|score|music|ost)"
    r"|(?:tv|television|netflix|original|limited|animated|drama|web|mini|docu)[\s-]?series"
    r"|(?:from(?:\s+the)?|(?:to|for)\s+the)\s+(?:[^\s()\[\]]+\s+){0,4}"
    r"(?:(?<!film )(?<!movie )\w*series|(?:tv|television)\s+show)"
    r"|(?:seasons?|saison|staffel|stagione|temporada|sezon|seizoen|sasong|series?)\s+(?:\d+|[ivx]+|one|two|three|four|five|six)"
    r"|(?:de\s+la|della|dalla|da|aus\s+der|zur|uit\s+de|fran|ur)\s+(?:saison|stagione|temporada|serien?|fiction|novela)"
    r"|ze?\s+serialu|(?:first|second|third|final)\s+season"
    r"|\d+\.\s*(?:staffel|sezon)|episodes?\s+\d+"
    r"|tv[\s-]?serien?|serie\s+(?:tv|televis\w+|originale?)|telenovela|fernsehserie|dizi(?:si|nin)?\s+muzi(?:gi|kleri)"
    r"|broadway|west\s+end|(?:original\s+)?(?:london\s+|musical\s+)?cast\s+recording|stage\s+(?:musical|play)"
    r"|original\s+(?!film|movie|motion)(?:\w+\s+)?cast(?=\s*(?:$|[()\[\]|]))"
    r"|(?:from|for|to)\s+the\s+(?:stage|ballet|opera|theat(?:re|er))"
    r"|audio\s?book|podcast|(?:audio|radio)\s+(?:play|drama)|\w*horspiel|horbuch|livre\s+audio|audio\s?libro|luisterboek)\b"
    r"|[:–—-]\s*the\s+(?:game|series)(?=\s*(?:$|[()\[\]|,]))"
    r"|\bсериал\w*|电视剧|電視劇|网剧|드라마|(?:tv|テレビ)\s?(?:アニメ|ドラマ)|连续剧|連續劇"
    r"|ゲーム・?\s?(?:ミュージック|音楽|サウンド)|(?:游戏|遊戲)原[声聲]|게임\s?(?:ost|음악|사운드)"
)
"""A recording of a game, a series, a stage play or a book that is read, which may have the film's name."""

_UNWANTED_IN_OTHER_LANGUAGES = unicodedata.normalize(
    "NFC",
    # French, German, Italian, Spanish, Portuguese
    r"\b(?:bandes?[\s-]+annonces?|coulisses|entretiens?\s+avec|en\s+concert|film\s+integral|film\s+entier"
    r"|extraits?\s+(?:vf|vo|vost\w*|exclusif)|kinotrailer|(?:film)?ausschnitte?|im\s+konzert|hinter\s+den\s+kulissen"
    r"|klavier(?:version|fassung|cover)|dietro\s+le\s+quinte|intervista|dal\s+vivo|spezzone"
    r"|(?:como|asi)\s+se\s+hizo|detras\s+de\s+(?:las\s+)?camaras|entrevista|en\s+(?:vivo|directo|concierto)"
    r"|(?:escena|cena|scena|szene)s?\s+(?:de|del|do|da|dal|aus|z)|bastidores|ao\s+vivo|filme\s+completo"
    # Turkish, Polish, Indonesian, Vietnamese
    r"|fragmani?|kamera\s+arkasi|roportaji?|canli\s+(?:performans|yayin)|konseri?|film\s+sahnesi|tek\s+parca"
    r"|zwiastun|wywiad|na\s+zywo|cuplikan|di\s+balik\s+layar|hau\s+truong|phong\s+van"
    # Russian, Ukrainian
    r"|трейлер\w*|тизер\w*|отрыв(?:ок|ки)|фрагменты?|сцен[аы]\s+из|концерт\w*\s+(?:в|на)|на\s+концерте|вживую|интервью"
    r"|за\s+кадром|кавер|караоке|минусовка|фильм\s+(?:о\s+фильме|полностью)|полный\s+фильм|как\s+снимали|обзор|реакция"
    # Greek
    r"|τρειλερ|τιζερ|συνεντευξη|ζωντανα"
    # Arabic, Persian, Hebrew
    r"|اعلان|برومو|تريلر|تریلر|تيزر|تیزر|טריילר)\b"
    # Hindi and Marathi, Bengali, Tamil, Telugu, Kannada, Malayalam
    r"|ट्रेलर|टीज़र|टीजर|इंटरव्यू|मेकिंग|रिव्यू|प्रोमो|(?:पूरी|फुल)\s+(?:फ़िल्म|फिल्म|मूवी)|ট্রেলার|টিজার|সাক্ষাৎকার"
    r"|ட்ரெய்லர்|டிரெய்லர்|டிரைலர்|டீசர்|நேர்காணல்|ట్రైలర్|టీజర్|ఇంటర్వ్యూ|ಟ್ರೇಲರ್|ಟ್ರೈಲರ್|ಟೀಸರ್"
    r"|ട്രെയിലർ|ട്രെയ്\u200c?ലർ|ടീസർ|അഭിമുഖം"
    # Korean, Japanese, Chinese, Thai
    r"|무대인사|제작보고회|쇼케이스|비하인드|예고편|티저|(?<!드)라이브(?!러리)|공연|인터뷰|메이킹|(?<!스)커버|리뷰|노래방|명장면"
    r"|舞台挨拶|完成披露|記者会見|予告|特報|本編|生演奏|作業用|(?:弾い|歌っ|叩い|吹い|演奏し)てみた"
    r"|(?<![ァ-ヺー])(?:トレーラー|ティザー|ライブ|メイキング|インタビュー|カバー|カラオケ|オルゴール|メドレー)"
    r"|首映|发布会|發布會|预告|預告|片花|花絮|幕后|幕後|现场|現場|演唱会|演唱會|音乐会|音樂會|翻唱|采访|採訪|专访|專訪|伴奏|片段|影评|影評"
    r"|ตัวอย่าง|ทีเซอร์|เบื้องหลัง|คัฟเวอร์|สัมภาษณ์|คอนเสิร์ต|แสดงสด",
)
"""Trailers, excerpts, concerts, interviews, covers; in scripts without spaces or with vowel signs without bounds."""

UNWANTED = re.compile(
    r"\b(?:trailers?|teasers?|tv\s+spots?|featurettes?|making[\s-]+of|behind\s+the\s+scenes|interviews?"
    r"|reactions?|reacts?|reacting|review(?:s|ed)?|explained|recap|breakdown|analysis|video\s+essay"
    r"|on\s+scoring|scoring\s+(?:the|of|a)|in\s+conversation|talks?\s+about|discuss(?:es|ing)|q\s*&\s*a|commentary|master\s?class"
    r"|documentary|dialogues?|promos?|motion\s+poster|first\s+look|glimpse|announcement"
    r"|gameplay|walkthrough|let'?s\s+play|full\s+(?:movie|film)|(?:movie|film)\s+complet[oe]?|pelicula\s+completa|ganzer\s+film"
    r"|full\s+(?:album|soundtrack|score|ost|cd)|complete\s+(?:album|score|soundtrack|ost)|whole\s+(?:album|score)"
    r"|\d+\s*(?:hours?|hrs?|stunden|heures|h)\b|hour\s+(?:loop|version)|loop(?:ed)?|extended\s+(?:mix|loop)"
    r"|compilations?|medleys?|mega\s?mix|mash\s?ups?|playlist|mixtape|best\s+of|greatest\s+(?:hits|themes|film|movie)"
    r"|movie\s+themes|film\s+themes|themes\s+from\s+the\s+movies|tributes?|karaoke|sing\s?along|instrumental\s+karaoke"
    r"|covers?\s+(?:versions?|by|songs?|bands?|of)|covered\s+by|re-?record(?:ed|ing)s?|(?:orchestral|piano|jazz)\s+adaptations?|as\s+made\s+famous\s+by|in\s+the\s+style\s+of"
    r"|tutorials?|how\s+to\s+play|lessons?|sheet\s+music|synthesia|guitar\s+tab"
    r"|(?:piano|guitar|violin|cello|flute|ukulele|orchestral|epic|metal|rock|lo-?fi|8-?\s?bit|16-?\s?bit|acoustic|music\s+box|jazz|synthwave)"
    r"\s+(?:version|cover|arrangement|remake|rendition|remix)"
    r"|re-?mix(?:es|ed)?|slowed|sped\s+up|reverb(?:ed)?|night\s?core|8\s?d(?:\s+audio)?|bass\s+boosted|lo-?fi"
    r"|image\s+album|type\s+beat|beat\s+tape|asmr|ambience|meme|parody|fan\s?made|fan\s+edit|amv|edit\s+audio|lyrics?\s+breakdown"
    r"|live\s+(?:at|in|from|on|performance|concert|orchestra|session|to\s+projection)|\(live\)|in\s+concert|concerts?|philharmoni[ck]\s+live"
    r"|scene\s+pack|(?:movie|film|best|deleted|full)\s+(?:scenes?|clips?)|audition|premiere|press\s+conference|unboxing|ringtone|city\s+of\s+prague\s+philharmonic"
    rf")\b|{_UNWANTED_IN_OTHER_LANGUAGES}"
)
"""Never the film's own music, whoever uploads it."""

DOUBTFUL = re.compile(
    r"\b(?:scenes?|clips?|mix|covers?|medley|live|concert|cut|edit|loop|version|h[dq]\s+full|\d+\s*min(?:ute)?s?"
    # how the music was made, and what advertises it
    r"|(?:recording|scoring)\s+(?:sessions?|stage|day)|(?:day|week)\s+of\s+recording|(?:orchestra|choir|strings)\s+recording"
    r"|(?:behind|inside|making|creating|composing|recording|how)\s+(?:of\s+)?the\s+(?:music|score|song|soundtrack)"
    r"|in\s+the\s+studio|(?:studio|acoustic)\s+session|meet\s+the\s+composer|composer'?s?\s+diary|track\s+by\s+track"
    r"|vlog|epk|footage|rehearsals?|demo|piano\s+sketch(?:es)?|play-?along|unused|sampler|previews?|snippets?|sneak\s+peek"
    r"|(?:out|available|streaming)\s+(?:now|today)|coming\s+soon|pre-?(?:order|save)|vinyl)\b"
)
"""Unwanted in the title of an unofficial upload, but ordinary in the track list of an official album."""

OWN_VERSION = re.compile(
    r"\b(?:movie|film|soundtrack|ost|original|album|single|radio|title)\s+(?:edit|version|mix|cut)\b"
    r"|\b(?:special|video|music)\s+clip\b|\bclip\s+officiel\b"
)
"""How a label names the recording itself: not doubtful."""
OWN_ALBUM = re.compile(r"\b(?:complete\s+(?:album|score|soundtrack|ost)|documentary)\b")
"""An edition, or the kind of film, in the name of an album that a label delivered; elsewhere another recording."""

INSPIRED = re.compile(
    r"\b(?:inspired\s+by|inspirad[ao]s?\s+(?:en|por|n[ao])|inspiree?s?\s+(?:par|du|de)|ispirat[aeio]\s+a\w*|inspiriert\s+von)\b"
)
FROM_AND_INSPIRED = re.compile(r"\bfrom\s+(?:and|&)\s+inspired\s+by\b")


def unavailable(case: Case) -> Guard:  # noqa: PLR0911  one return per reason
    """Reject what has no complete public recording of a usual length."""
    candidate = case.candidate
    if re.fullmatch(r"\[(?:deleted|private) video\]", candidate.title.strip(), re.IGNORECASE):
        return Decision.REJECTED, "not_available"
    if candidate.live_status in ("is_live", "is_upcoming", "was_live", "post_live"):
        return Decision.REJECTED, "live"
    if candidate.is_short:
        return Decision.REJECTED, "short_video"
    if candidate.availability not in (None, "public", "unlisted"):
        return Decision.REJECTED, "not_public"
    if candidate.categories and "Music" not in candidate.categories and not candidate.album:
        return Decision.REJECTED, "not_music"
    if candidate.duration_seconds is not None and duration_part(candidate) == 0.0:
        return Decision.REJECTED, "too_short" if candidate.duration_seconds < 60 else "too_long"
    return None


def other_artist(case: Case) -> Guard:
    """Reject recordings by artists who deliver covers, unless they are the film's own people."""
    if case.candidate.source != "music_folder" and case.evidence.people is Agreement.AGAINST:
        return Decision.REJECTED, "other_artist"
    return None


def unwanted(case: Case) -> Guard:
    """Reject trailers, covers, compilations and other media, by words outside the film's title.

    The name of an official track is not searched for such words: "Audition (The Fools Who Dream)" is a song.
    """
    is_trusted = (case.evidence.is_delivered and names_as_album(case)) or case.evidence.listed is Agreement.FOR
    title = "" if is_trusted else _without_title(case.texts.title, case.film)
    album = _without_title(case.texts.album, case.film)
    both = f"{title} | {OWN_ALBUM.sub(' ', album) if case.evidence.is_delivered else album}"
    if OTHER_MEDIUM.search(both):
        return Decision.REJECTED, "other_medium"
    if INSPIRED.search(both) and not FROM_AND_INSPIRED.search(both):
        return Decision.REJECTED, "inspired_by"
    match = UNWANTED.search(f"{both} | {plain(case.candidate.artist)}")
    if match is None and case.candidate.source != "music_folder":
        match = DOUBTFUL.search(OWN_VERSION.sub(" ", title))
    return (Decision.REJECTED, "unwanted_" + _one_word(match.group())) if match else None


def _without_title(text: str, film: Film) -> str:
    """Return a text without the film's title, so that "The Interview" is not rejected for its name."""
    own = re.escape(plain(film.title).split(" (")[0])
    return re.sub(rf"(?<!\w){own}(?!\w)", " ", plain(text))


def _one_word(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text).strip("_") or "word"
