"""List the words for a soundtrack, a film's song, a reissue, a language, and those that change nothing next to a title.

Kept apart from the rule, so that a word can be added without touching it. Every pattern is matched against text
without case and accents (`plain`). Raise `verdict.RULE_VERSION` when a pattern changes.
"""

from __future__ import annotations

import re
import unicodedata

from tasks.soundtracks.matching.normalise import plain

_MEDIUM = r"(?:motion\s?picture|movie|film|picture|documentary)s?"

SOUNDTRACK = re.compile(
    unicodedata.normalize(
        "NFC",
        rf"""\b(?:
      (?:original|official|complete)?\s*{_MEDIUM}\s*(?:sound\s?tracks?|scores?|musics?|ost|albums?)
    | (?:original|official|complete)\s+(?:sound\s?tracks?|scores?|ost|cast\s+sound\s?track)
    | sound\s?tracks?
    | (?:music|songs?|themes?|selections?|score|highlights)\s+(?:from|to|for|of|composed\s+for)\s+
      (?:and\s+inspired\s+by\s+)?(?:the\s+)?(?:(?:original|netflix|disney|hbo|pixar|paramount|feature)\s+)*{_MEDIUM}
    | music\s+from\s+and\s+inspired\s+by
    | o\.?s\.?t\b | film\s+score | original\s+score
    # French
    | bande[\s-]+(?:originale|son) | b\.?o\.?f?\b(?=\s+(?:du|de|d')) | b\.?o\.?f\b
    | musiques?\s+(?:originales?\s+)?(?:du|de|d'un)\s+film | musique\s+originale
    # Italian, Spanish, Portuguese
    | colonna\s+sonora | music(?:a|he)\s+originali?(?:\s+del\s+film)? | music(?:a|he)\s+d(?:al|el)\s+film | dal\s+film
    | banda\s+sonora | b\.?s\.?o\b | musica\s+(?:original\s+)?de\s+la\s+pelicula | canciones\s+de\s+la\s+pelicula
    | trilha\s+(?:sonora|original) | musicas?\s+(?:original\s+)?do\s+filme
    # German, Dutch, the Nordic languages, Polish, Turkish, Indonesian, Vietnamese
    | (?:original)?film\s?musik | original[\s-]?(?:soundtrack|musik)
    | musik\s+(?:aus\s+dem|zum|zu\s+dem)\s+(?:kino)?film
    | filmmuziek | muziek\s+(?:uit|van)\s+de\s+film | film(?:musikk|musiken) | musiken\s+(?:fran|ur)\s+filmen
    | muzyka\s+(?:filmowa|z\s+filmu) | sciezka\s+dzwiekowa
    | (?:orijinal\s+)?film(?:i|inin)?\s+muzi(?:gi|kleri)
    | lagu\s+(?:tema\s+)?film | nhac\s+phim
    # Russian, Ukrainian
    | саундтреки? | (?:музыка|песни|песня)\s+(?:из|к)\s+(?:кино|теле|мульт|художественного\s+)?фильм[ау]
    | из\s+(?:(?:кино|мульт)?фильма|[кхм]/ф) | музика\s+(?:з|до)\s+(?:кіно)?фільму
    # Hindi, Bengali, Tamil, Telugu, Kannada, Malayalam
    | साउंडट्रैक | साउंड\s?ट्रैक | (?:फ़िल्म|फिल्म|मूल)\s+(?:का\s+)?संगीत | फ़िल्म\s+के\s+गाने
    | সাউন্ডট্র্যাক | চলচ্চিত্রের\s+গান
    | ஒலிப்பதிவு | இசைத்தொகுப்பு | (?:திரைப்பட|அசல்)\s*(?:பாடல்கள்|இசை|ஒலிப்பதிவு)
    | సౌండ్[\s\u200c]?ట్రాక్ | (?:సినిమా|చిత్రం)\s*(?:పాటలు|సంగీతం)
    | (?:ಚಲನ)?ಚಿತ್ರ\s*(?:ಗೀತೆಗಳು|ಸಂಗೀತ) | ಸೌಂಡ್[\s\u200c]?ಟ್ರ್ಯಾಕ್
    | സൗണ്ട്[\s\u200c]?ട്രാക്ക് | സൗണ്ട്ട്രാക്ക് | (?:ചലച്ചിത്ര|സിനിമാ?)\s*(?:ഗാനങ്ങൾ|ഗാനം|സംഗീതം)
    ) | サントラ | サウンド・?\s?トラック | 映画音楽 | 音楽集 | 劇伴
    | 原[声聲] | 电影配乐 | 電影配樂 | 电影音乐 | 電影音樂 | (?:电影|電影)(?:主题曲|主題曲|插曲)
    | (?:电影|電影)[《「『【][^》」』】]{{1,40}}[》」』】](?:\w{{0,4}}曲|原[声聲])
    | 映画[「『《][^」』》]{{1,40}}[」』》](?:主題歌|挿入歌|劇中歌)
    | 영화\s?[<'‘「『《\[][^>'’」』》\]]{{1,40}}[>'’」』》\]]\s?(?:주제[곡가]|삽입곡)
    | 사운드\s?트랙 | 영화\s?음악 | เพลงประกอบภาพยนตร์ | موسيقى\s+فيلم | موسیقی\s+(?:متن\s+)?فیلم | פסקול""",
    ),
    re.VERBOSE,
)
"""A soundtrack, in the languages whose films an encyclopaedia lists most."""

THEME = re.compile(
    r"\b(?:(?:main|opening|closing|love|end(?:ing)?)\s+(?:theme|titles?|credits)|theme(?:\s+song)?|(?:film\s+)?score|suite"
    r"|(?:songs?|music|highlights|selections)\s+from|the\s+album|complete\s+musical\s+experience|awesome\s+mix)\b"
    r"|\b(?:tema\s+(?:principal|original|central|do\s+filme)|cancion\s+original|titel(?:musik|thema|song))\b"
    r"|主題歌|挿入歌|劇中歌|メイン(?:テーマ|タイトル)|(?:主题|主題|片尾|片头|片頭|推广|推廣)曲|插曲|주제[곡가]|삽입곡|메인\s?테마"
    r"|संगीत|गाने|गीत|சங்கீதம்|பாடல்கள்|இசை|సంగీతం|పాటలు|ಹಾಡುಗಳು|ಸಂಗೀತ|ഗാനങ്ങൾ|പാട്ടുകൾ|സംഗീതം|গান"
)
"""Weaker evidence of a soundtrack: songs and games have themes too, and albums of songs have other names."""

SONG_VIDEO = re.compile(
    r"\b(?:(?:full\s+)?(?:video|audio)\s+songs?|songs?\s+(?:video|with\s+lyrics)|full\s+(?:song|video|audio)|lyrical(?:\s+video)?"
    r"|lyrics?\s+video)\b|\((?:video|audio|lyrical|official\s+(?:video|audio))\)"
)
"""A label's video of one song, whose title has the film's name next to the song's."""
FILM_WORDS = frozenset(
    {"film", "films", "movie", "kinofilm", "pelicula", "filme", "filmen", "filmu", "phim", "ost", "ταινια", "ταινιας"}
    | {"фильм", "фильма", "фильму", "кинофильма", "映画", "电影", "電影", "영화", "فيلم", "فیلم", "הסרט"}
)
"""Words for a film: a song is from the title after one, and an album that has one in brackets is a film's."""

JUKEBOX = re.compile(r"\b(?:juke\s?box|all\s+songs)\b")
"""A label's video of all songs of a film."""

REISSUE = re.compile(
    r"\b(?:re-?master\w*|rimasteri\w+|director'?s\s+cut|re-?issued?|anniversary|expanded|deluxe|collector'?s?|archival|restored|(?:special|complete)\s+edition|complete\s+recordings?)\b"
)
"""Why an album may be younger than its film."""

EDITION = re.compile(r"\b(?:edi(?:tion|zione|cion|cao)|ausgabe|release|explicit|clean|mono|stereo|atmos|dis[ck]|cd)\b")
"""What an album's name has in brackets of the same recordings."""

LANGUAGES = frozenset(
    {"bengali", "bhojpuri", "gujarati", "hindi", "kannada", "malayalam", "marathi", "punjabi", "tamil", "telugu"}
    | {"urdu"}
)
"""Languages that stand in the names of albums of remakes and dubbings."""

# fmt: off
NEUTRAL_WORDS = frozenset(
    plain(word) for word in (
        "4k", "album", "and", "anniversary", "archival", "artists", "audio", "aus", "b", "background", "banda",
        "bande", "bengali", "bgm", "bo", "bof", "bonus", "bros", "bso", "by", "cast", "closing", "collection",
        "collectors", "colonna", "complete", "composed", "composer", "conducted", "credits", "dal", "dc", "de",
        "definitive", "del", "deluxe", "dem", "der", "disney", "disneys", "do", "dreamworks", "du", "edition",
        "el", "end", "english", "entertainment", "expanded", "experience", "extended", "f", "feat", "feature",
        "featuring", "film", "filme", "filmmusik", "for", "french", "from", "ft", "full", "german", "hd",
        "highlights", "hindi", "hq", "il", "in", "inspired", "italian", "japanese", "jukebox", "kannada",
        "kinofilm", "korean", "la", "le", "les", "limited", "lyric", "lyrical", "lyrics", "main", "malayalam",
        "marathi", "marvel", "marvels", "motion", "movie", "music", "musica", "musical", "musicas", "musiche",
        "musik", "musique", "muzigi", "muzikleri", "netflix", "o", "of", "official", "on", "opening",
        "orchestra", "original", "originale", "originalmusik", "orijinal", "os", "ost", "pelicula",
        "performed", "picture", "pixar", "pixars", "punjabi", "recordings", "records", "reissue", "release",
        "remaster", "remastered", "russian", "score", "selections", "series", "sessions", "song", "songs",
        "sonora", "soundtrack", "soundtracks", "spanish", "special", "studios", "suite", "t", "tamil",
        "telugu", "theme", "themes", "title", "titles", "to", "track", "tracks", "trilha", "ultimate",
        "universal", "various", "version", "video", "visualiser", "visualizer", "warner", "with", "zum", "из",
        "к", "кинофильма", "кинофильму", "музыка", "мультфильма", "оригинальный", "песни", "песня",
        "саундтрек", "фильм", "фильма", "фильму", "художественного", "का", "के", "गाने", "फ़िल्म", "फिल्म",
        "मूल", "संगीत", "साउंडट्रैक", "அசல்", "இசை", "ஒலிப்பதிவு", "திரைப்பட", "பாடல்கள்", "చిత్రం", "పాటలు",
        "సంగీతం", "సినిమా", "ഗാനങ്ങൾ", "ചലച്ചിത്ര", "സംഗീതം", "സിനിമ", "オリジナル", "サウンド",
        "サウンドトラック", "サントラ", "トラック", "主題曲", "主題歌", "主题曲", "劇場版", "原声", "原声大碟",
        "原声带", "原聲", "原聲大碟", "原聲帶", "插曲", "映画", "映画音楽", "电影", "配乐", "配樂", "電影",
        "音楽集", "사운드트랙", "영화", "영화음악", "오리지널", "음악",
        # what labels call a song of a film
        "cancion", "canciones", "cancao", "tema", "da", "dalla", "della", "tratto", "tratta", "extrait", "extraits",
        "des", "filmi", "filminin", "filminden", "muzik", "jenerik", "zu", "offizieller", "titelmusik", "titelthema",
        "titelsong", "ф", "mv", "主題", "挿入歌", "劇中歌", "メインテーマ", "メインタイトル", "テーマ", "テーマ曲",
        "エンディング", "より", "片尾曲", "片头曲", "片頭曲", "推广曲", "推廣曲",
        "주제곡", "주제가", "삽입곡", "메인", "테마", "엔딩",
    )
)
# fmt: on
"""Words next to a film's title that do not make it another title."""
