"""List the words that identify a soundtrack, the channel of a label, and unwanted kinds of recordings.

Kept apart from the rule, so that a word can be added without touching it. Every pattern is matched against text
without case and accents (`plain`). Raise `rule.RULE_VERSION` when a pattern changes.
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

SONG_VIDEO = re.compile(
    r"\b(?:(?:full\s+)?(?:video|audio)\s+songs?|songs?\s+(?:video|with\s+lyrics)|full\s+(?:song|video|audio)|lyrical(?:\s+video)?"
    r"|lyrics?\s+video)\b|\((?:video|audio|lyrical|official\s+(?:video|audio))\)"
)
"""A label's video of one song, whose title has the film's name next to the song's."""
OWN_ALBUM = re.compile(r"\b(?:complete\s+(?:album|score|soundtrack|ost)|documentary)\b")
"""An edition, or the kind of film, in the name of an album that a label delivered; elsewhere another recording."""

FILM_WORDS = frozenset(
    {"film", "films", "movie", "kinofilm", "pelicula", "filme", "filmen", "filmu", "phim", "ost", "ταινια", "ταινιας"}
    | {"фильм", "фильма", "фильму", "кинофильма", "映画", "电影", "電影", "영화", "فيلم", "فیلم", "הסרט"}
)
"""Words for a film: a song is from the title after one, and an album that has one in brackets is a film's."""

JUKEBOX = re.compile(r"\b(?:juke\s?box|all\s+songs)\b")
"""A label's video of all songs of a film."""

INSPIRED = re.compile(
    r"\b(?:inspired\s+by|inspirad[ao]s?\s+(?:en|por|n[ao])|inspiree?s?\s+(?:par|du|de)|ispirat[aeio]\s+a\w*|inspiriert\s+von)\b"
)
FROM_AND_INSPIRED = re.compile(r"\bfrom\s+(?:and|&)\s+inspired\s+by\b")
REISSUE = re.compile(
    r"\b(?:re-?master\w*|rimasteri\w+|director'?s\s+cut|re-?issued?|anniversary|expanded|deluxe|collector'?s?|archival|restored|(?:special|complete)\s+edition|complete\s+recordings?)\b"
)
"""Why an album may be younger than its film."""

EDITION = re.compile(r"\b(?:edi(?:tion|zione|cion|cao)|ausgabe|release|explicit|clean|mono|stereo|atmos|dis[ck]|cd)\b")
"""What an album's name has in brackets of the same recordings."""

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
        "africa", "arabia", "asia", "australia", "brasil", "brazil", "canada", "china", "deutschland", "espana",
        "europe", "france", "germany", "hong", "indonesia", "italia", "italy", "kong", "latin", "malaysia", "mexico",
        "nordic", "philippines", "poland", "polska", "portugal", "scandinavia", "singapore", "spain", "taiwan",
        "thailand", "turkey", "turkiye", "ukraine", "usa", "vietnam",
        "discos", "disques", "dischi", "musica", "musik", "musique", "muzik", "oficial", "officiel", "offiziell",
        "plak", "resmi", "schallplatten", "ufficiale",
        "公式", "官方", "唱片", "音乐", "音樂", "音楽", "頻道", "频道", "チャンネル", "ミュージック", "レコード",
        "공식", "뮤직", "채널", "музыка", "официальный", "канал", "фирма", "студия",
    }
)
# fmt: on
"""Words that do not make a channel or a company another one: "Sony Music Taiwan" is "Sony Music"."""

CHANNEL_ENDING = re.compile(
    r"(?:music|official|records|soundtracks?|channel|staff|india|south|公式|官方|唱片|音乐|音樂|頻道|频道|チャンネル|뮤직|공식|채널)+$"
)
"""The same words at the end of a name that is written as one word."""

LABEL_IN_TWO_SCRIPTS = re.compile(
    r"[^\W_a-zA-Z]*(?:唱片|音乐|音樂|レコード|ミュージック|뮤직|레코드|엔터테인먼트)\s+([a-zA-Z][\w&.'\- ]+)"
)
"""A channel of a label in its own script and in Latin letters, which are the group."""

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
