"""List the words that identify a soundtrack, the channel of a label, and unwanted kinds of recordings.

Kept apart from the rule, so that a word can be added without touching it. Every pattern is matched against text
without case and accents (`plain`). Raise `rule.RULE_VERSION` when a pattern changes.
"""

from __future__ import annotations

import re
import unicodedata

from tasks.soundtracks.matching.normalise import plain

_MEDIUM = r"(?:motion\s?picture|movie|film|picture)s?"

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
    | banda\s+sonora | bso\b | musica\s+(?:original\s+)?de\s+la\s+pelicula | canciones\s+de\s+la\s+pelicula
    | trilha\s+(?:sonora|original) | musicas?\s+(?:original\s+)?do\s+filme
    # German, Dutch, the Nordic languages, Polish, Turkish, Indonesian, Vietnamese
    | (?:original)?film\s?musik | original[\s-]?(?:soundtrack|musik)
    | musik\s+(?:aus\s+dem|zum|zu\s+dem)\s+(?:kino)?film
    | filmmuziek | muziek\s+(?:uit|van)\s+de\s+film | film(?:musikk|musiken) | musiken\s+(?:fran|ur)\s+filmen
    | muzyka\s+(?:filmowa|z\s+filmu) | sciezka\s+dzwiekowa
    | (?:orijinal\s+)?film\s+muzi(?:gi|kleri)
    | lagu\s+(?:tema\s+)?film | nhac\s+phim
    # Russian, Ukrainian
    | саундтреки? | (?:музыка|песни|песня)\s+(?:из|к)\s+(?:кино|теле|мульт|художественного\s+)?фильм[ау]
    | из\s+(?:кино|мульт)?фильма | музика\s+(?:з|до)\s+(?:кіно)?фільму
    # Hindi, Bengali, Tamil, Telugu, Kannada, Malayalam
    | साउंडट्रैक | साउंड\s?ट्रैक | (?:फ़िल्म|फिल्म|मूल)\s+(?:का\s+)?संगीत | फ़िल्म\s+के\s+गाने
    | সাউন্ডট্র্যাক | চলচ্চিত্রের\s+গান
    | ஒலிப்பதிவு | இசைத்தொகுப்பு | (?:திரைப்பட|அசல்)\s*(?:பாடல்கள்|இசை|ஒலிப்பதிவு)
    | సౌండ్[\s\u200c]?ట్రాక్ | (?:సినిమా|చిత్రం)\s*(?:పాటలు|సంగీతం)
    | ಚಲನಚಿತ್ರ\s*(?:ಗೀತೆಗಳು|ಸಂಗೀತ) | ಸೌಂಡ್[\s\u200c]?ಟ್ರ್ಯಾಕ್
    | സൗണ്ട്[\s\u200c]?ട്രാക്ക് | സൗണ്ട്ട്രാക്ക് | (?:ചലച്ചിത്ര|സിനിമാ?)\s*(?:ഗാനങ്ങൾ|ഗാനം|സംഗീതം)
    ) | サントラ | サウンド・?\s?トラック | 映画音楽 | 音楽集 | 劇伴
    | 原[声聲] | 电影配乐 | 電影配樂 | 电影音乐 | 電影音樂 | (?:电影|電影)(?:主题曲|主題曲|插曲)
    | 사운드\s?트랙 | 영화\s?음악 | เพลงประกอบภาพยนตร์ | موسيقى\s+فيلم | موسیقی\s+(?:متن\s+)?فیلم | פסקול""",
    ),
    re.VERBOSE,
)
"""A soundtrack, in the languages whose films an encyclopaedia lists most."""

THEME = re.compile(
    r"\b(?:(?:main|opening|closing|love|end(?:ing)?)\s+(?:theme|titles?|credits)|theme(?:\s+song)?|(?:film\s+)?score|suite"
    r"|(?:songs?|music|highlights|selections)\s+from|the\s+album|complete\s+musical\s+experience|awesome\s+mix)\b"
    r"|संगीत|गाने|गीत|சங்கீதம்|பாடல்கள்|இசை|సంగీతం|పాటలు|ಹಾಡುಗಳು|ಸಂಗೀತ|ഗാനങ്ങൾ|പാട്ടുകൾ|സംഗീതം|গান"
)
"""Weaker evidence of a soundtrack: songs and games have themes too, and albums of songs have other names."""

OTHER_MEDIUM = re.compile(
    r"\b(?:(?:video\s?)?game\s+(?:sound\s?track|score|music|ost)|original\s+game|video\s?game"
    r"|(?:tv|television|series|season|anime|show)\s+(?:sound\s?track|score|music|ost)|original\s+series"
    r"|(?:tv|television|netflix|original|mini)\s+series|seasons?\s+\d+|episodes?\s+\d+"
    r"|broadway|west\s+end|(?:original\s+)?(?:london\s+|musical\s+)?cast\s+recording|stage\s+musical|audio\s?book|podcast)\b"
)
"""A recording of a game, a series or a stage play, which may have the film's name."""

UNWANTED = re.compile(
    r"\b(?:trailers?|teasers?|tv\s+spots?|featurettes?|making\s+of|behind\s+the\s+scenes|interviews?"
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
    r")\b"
)
"""Never the film's own music, whoever uploads it."""

DOUBTFUL = re.compile(
    r"\b(?:scenes?|clips?|mix|covers?|medley|live|concert|cut|edit|loop|version|h[dq]\s+full|\d+\s*min(?:ute)?s?)\b"
)
"""Unwanted in the title of an unofficial upload, but ordinary in the track list of an official album."""

SONG_VIDEO = re.compile(
    r"\b(?:(?:full\s+)?(?:video|audio)\s+songs?|songs?\s+(?:video|with\s+lyrics)|full\s+(?:song|video|audio)|lyrical(?:\s+video)?"
    r"|lyrics?\s+video)\b|\((?:video|audio|lyrical|official\s+(?:video|audio))\)"
)
"""A label's video of one song, whose title has the film's name next to the song's."""

INSPIRED = re.compile(r"\b(?:inspired\s+by)\b")
FROM_AND_INSPIRED = re.compile(r"\bfrom\s+(?:and|&)\s+inspired\s+by\b")

REISSUE = re.compile(
    r"\b(?:re-?master(?:ed|s)?|re-?issued?|anniversary|expanded|deluxe|collector'?s?|archival|restored|(?:special|complete)\s+edition|complete\s+recordings?)\b"
)
"""Why an album may be younger than its film."""

# fmt: off
LABELS = (
    "WaterTower Music", "Milan Records", "Lakeshore Records", "Varèse Sarabande", "Sony Music",
    "Sony Soundtracks", "Sony Classical", "Hollywood Records", "Walt Disney Records", "Disney Music",
    "Back Lot Music", "La-La Land Records", "Netflix Music", "Universal Pictures", "Universal Music",
    "Warner Records", "Warner Music", "Warner Classics", "Decca Records", "Deutsche Grammophon",
    "Capitol Records", "Island Records", "Interscope Records", "Columbia Records", "Atlantic Records", "Mondo",
    "Intrada", "Quartet Records", "Fox Music", "Paramount Music", "A24 Music", "Invada Records",
    "Nonesuch Records", "Silva Screen Records", "MovieScore Media", "Music Box Records", "T-Series",
    "Zee Music Company", "Saregama", "YRF", "Eros Now Music", "Lahari Music", "Aditya Music", "Think Music",
    "Tips Official", "Tips Industries", "Muzik247", "Manorama Music", "Mango Music", "Madhura Audio",
    "Anand Audio", "Jhankar Music", "Venus", "Shemaroo Filmi Gaane", "Ultra Bollywood", "Junglee Music",
    "Star Music India", "Satyam Audios", "Goodwill Entertainments", "Millennium Audios", "SVF Music",
    "Amara Muzik", "Sun Music", "Divo Music", "Jio Studios", "Stone Music Entertainment", "Genie Music",
    "Kakao Entertainment", "Danal Entertainment", "Pony Canyon", "King Records", "Avex", "Toho Animation",
    "Aniplex", "Victor Entertainment", "Nippon Columbia", "VAP", "Because Music", "Wagram Music",
    "Cristal Records", "22D Music", "CAM Sugar", "Sugar Music", "Digitmovies", "Colosseum Records", "Muyap",
    "DMC", "Kalan Müzik", "Pasaj Müzik", "Мелодия", "Союз Мьюзик", "Som Livre", "Rock Records", "滾石唱片",
)
# fmt: on
"""Labels that publish soundtracks; a channel of theirs is weaker evidence than a delivery."""

COVER_ARTISTS = re.compile(
    r"\b(?:geek\s+music|just\s+kosher|alala|l'?orchestra\s+cinematique|grissini\s+project|city\s+of\s+prague"
    r"|hollywood\s+(?:studio|prime|pictures?|movie|film|star)\w*\s+orchestra\w*|studio\s+orchestra|movie\s+sounds\s+unlimited"
    r"|(?:movie|film|cinema|soundtrack|score|theme)s?\s+(?:music\s+)?(?:orchestra|ensemble|band|singers|players|factory|experts"
    r"|masters|stars|project|crew|club|unlimited|heroes|wonder\s+band|geeks?|kings?|lovers)"
    r"|(?:the\s+)?(?:tribute|karaoke|cover|lullaby|piano|ukulele|8[\s-]?bit|chiptune|string\s+quartet|saxophone|guitar)\s+"
    r"(?:band|players|tribute|crew|kings?|all[\s-]?stars|guys|dreamers|lounge|project|arcade|ensemble|girl|man|brothers)"
    r"|vitamin\s+string\s+quartet|rockabye\s+baby|twinkle\s+twinkle|samuel\s+kim|piano\s+dreamers|ameritz|sound-?a-?like"
    r"|(?:made\s+)?famous\s+by|party\s+tyme|zzang|sing\s+king|fandom|baltic\s+house\s+orchestra|voidoid|london\s+music\s+works"
    r"|silva\s+screen\s+orchestra|royal\s+philharmonic\s+pops|cinematic\s+(?:pops|orchestra\s+of)|epic\s+(?:orchestra|music\s+world)"
    r"|relaxing\s+\w+|nightcore\w*)\b"
)
"""Artists that record the music of other people's films for delivery."""

# fmt: off
CHANNEL_WORDS = frozenset(
    {
        "audio", "bengali", "bhojpuri", "bollywood", "carnatic", "channel", "classics", "co", "company", "corp",
        "corporation", "east", "entertainment", "evergreen", "films", "global", "gmbh", "group", "gujarati",
        "hindi", "hits", "inc", "india", "industries", "international", "intl", "japan", "kannada", "korea",
        "label", "limited", "llc", "ltd", "malayalam", "marathi", "movies", "music", "north", "official",
        "private", "productions", "punjab", "punjabi", "pvt", "recordings", "records", "regional", "russia",
        "songs", "soundtracks", "south", "studio", "studios", "tamil", "telugu", "the", "tv", "uk", "us", "vevo",
        "video", "walt", "worldwide",
    }
)
# fmt: on
"""Words that do not make a channel or a company another one: "Aditya Music India" is "Aditya Music"."""

LANGUAGES = frozenset(
    {
        "hindi",
        "tamil",
        "telugu",
        "malayalam",
        "kannada",
        "bengali",
        "marathi",
        "punjabi",
        "gujarati",
        "urdu",
        "bhojpuri",
    }
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
    )
)
# fmt: on
"""Words next to a film's title that do not make it another title."""
