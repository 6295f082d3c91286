"""Read templates: their parameters, and the words that they contribute to a sentence.

"He boards the {{nowrap|Orient Express}}" loses its train when templates are simply deleted, while
{{citation needed}} must leave nothing. So templates with words are listed here by name, and every other one is
removed. Names are compared in lower case, with single spaces for underscores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_FIRST_HEADING = re.compile(r"\n==[^=]")
_TOKEN = re.compile(r"\{\{|\}\}|\[\[|\]\]|\|")
_NAMED = re.compile(r"\s*[\w -]+=")


def _names(text: str) -> frozenset[str]:
    """Split a list of names at bars and line ends."""
    return frozenset(name.strip() for name in text.replace("\n", "|").split("|") if name.strip())


FIRST = _names("""
    nowrap|nobr|nobreak|nowraplinks|nwr|nowrap begin|small|smaller|smalldiv|big|bigger|larger|large|em|strong
    avoid wrap|no bold|as written|abbr|abbrv|abbrlink|tooltip|hover|visible anchor|vanchor|visanc|nihongo2|ill|illm
    interlanguage link|interlanguage link multi|link-interwiki|link interwiki|iw|char|key|press|key press|keypress
    mono|monospace|code|tt|var|samp|kbd|math|mvar|nobold|noitalic|normal|ruby|ruby-ja|tq|tqi|inline quote|sup|sub
    overline|underline|u|smallcaps|sc|sc2|allcaps|caps|nocaps|lc|uc|clarify span|citation needed span|cnspan|cn span
    explain span|proper name|translation|gloss|center|centre|centered|bold|italic|italics|plain text
    wikt|unlinked|unlink|nolink|mention|m|ins|highlight|mark|columns-list|block indent|blockindent|indented
    plainlist|flatlist|plain list|nihongo foot|nihongo-foot|nihongo krt|nihongo title|text|script/nastaliq|nastaliq
    character|spoken|thinsp|nospam|title|film title|family name|fname|wiktionary|flag|flagu
    flagcountry|longitem|font|iast|iast3|chem2|smallcaps all|sc1
""")
"""Templates whose first argument is part of the sentence."""

SECOND = _names("""
    lang|langx|wikt-lang|wt|color|colour|font color|font colour|fontcolor|colored text|coloured text|resize|font size
    rtl-lang|plain link|plainlink|bg|background color|abbr color|link color
    h:title|script
""")
"""Templates whose second argument is part of the sentence; the first is a language, colour, size or address."""

LAST = _names("transliteration|transl|tlit|translit|script transliteration")
"""Templates whose last argument is part of the sentence."""

JOINED = _names(
    "hlist|ubl|unbulleted list|cslist|comma separated entries|bulleted list|bulletedlist|ordered list|ulist"
)
"""Lists: their entries are joined with commas."""

CONCATENATED = _names("linktext|not a typo|typo|notatypo|nat|sic|chem")
"""Templates whose arguments are concatenated, as in {{not a typo|left|over}}."""

QUOTED = _names("""
    quote|blockquote|quotation|cquote|bquote|poem|poemquote|poem quote|verse translation|quote block|block quote
""")
"""Templates whose argument is a separate paragraph."""

LITERAL = {
    "'": "'", "`": "‘", '"': '"', "'s": "'s", "'\"": "'\"", "\"'": "\"'", "' \"": "' \"", "\" '": "\" '", "-'": "'",
    "snd": " – ", "snds": " – ", "spnd": " – ", "sndash": " – ", "spaced ndash": " – ", "spaced en dash": " – ",
    "dash": " – ", "ndash": "–", "en dash": "–", "endash": "–", "mdash": "—", "em dash": "—", "emdash": "—",
    "spaced mdash": " — ", "spaced em dash": " — ", "smd": " — ", "nbsp": " ", "spc": " ", "space": " ", "spaces": " ",
    "sp": " ", "nnbsp": " ", "thin space": " ", "thinspace": " ", "hair space": " ", "hairsp": " ", "hsp": " ",
    "!": "|", "=": "=", "·": " · ", "*": " · ", "•": " • ", "dot": " · ", "middot": " · ", "bullet": " • ",
    "--": "–", "–": "–", "—": "—", "---": "—", "hyphen": "-", "nbhyph": "-", "nbhyphen": "-", "half": "½", "1/2": "½",
    "degree": "°", "°": "°", "usa": "United States", "co2": "CO2", "pound": "£",
    "...": "…", "ellipsis": "…", "times": "×", "okina": "ʻ", "deg": "°", "ampersand": "&",
    "pipe": "|", "colon": ":", "number sign": "#",
    "br": "\n", "break": "\n", "crlf": "\n", "paragraph": "\n\n", "pb": "\n\n", "paragraph break": "\n\n",
}  # fmt: skip
"""Templates that are replaced by a character."""

MONEY = {
    "us$": "US$", "usd": "US$", "us dollar": "US$", "gbp": "£", "£": "£", "pound sterling": "£", "eur": "€", "€": "€",
    "euro": "€", "inr": "₹", "₹": "₹", "rupee": "₹", "indian rupee": "₹", "inrconvert": "₹", "yen": "¥", "jpy": "¥",
    "¥": "¥", "cad": "C$", "c$": "C$", "aud": "A$", "a$": "A$", "krw": "₩", "rub": "₽", "$": "$",
    "can$": "CA$", "nz$": "NZ$", "nzd": "NZ$", "hk$": "HK$", "hkd": "HK$",
    "cny": "CN¥", "rmb": "CN¥", "sek": "SEK ", "nok": "NOK ",
    "dkk": "DKK ", "chf": "CHF ", "gbpconvert": "£",
    "sgd": "S$", "s$": "S$", "mxn": "MX$", "mx$": "MX$", "thb": "฿", "฿": "฿", "php": "₱", "₱": "₱",
    "brl": "R$", "r$": "R$", "twd": "NT$", "ntd": "NT$", "nt$": "NT$", "myr": "RM", "idr": "Rp ", "bdt": "৳", "৳": "৳",
    "pln": "PLN ", "czk": "CZK ", "ars": "AR$", "pkr": "PKR ", "lkr": "LKR ", "vnd": "₫", "₫": "₫", "₩": "₩", "₺": "₺",
    "ils": "₪", "₪": "₪", "₽": "₽",
}  # fmt: skip
"""Currencies: {{US$|5 million}} reads "US$5 million"."""

CALCULATED = "\ue028"
"""A private character for an amount that only the wiki can calculate, such as one adjusted for inflation."""
_CALCULATED = _names("inflation|inflation-year|inflation/year|inflationyear|inflation year|inflation-fn year")

QUOTED_SECOND = _names("rquote|rquotation")
"""Quotations whose first argument is the side of the page."""

SHIPS = _names("uss|hms|ss|rms|mv|ms|hmcs|hmas|hmnzs|ins|rfa|gts|mts|rv|sv|usns|uscgc|hmt|hmhs|sms|ss|css|hnoms|hdms")
"""Ship prefixes: {{USS|Nimitz|CVN-68}} reads "USS Nimitz"."""

_RANGE = {"to": " to ", "-": "–", "–": "–", "and": " and ", "or": " or ", "x": " × ", "by": " by ", "+/-": " ± "}
"""What may be between two values of {{convert}}."""

FIRST_YEARS = ("circa", "c.", "ca.", "c")
FRAMED = {
    **dict.fromkeys(FIRST_YEARS, "c. {}"),
    **dict.fromkeys(("nee", "née"), "née {}"),
    **dict.fromkeys(("interp", "interpolation", "bracket"), "[{}]"),
    **dict.fromkeys(("lit", "literally", "literal", "literal translation"), "lit. '{}'"),
}
"""Templates that put something around their first argument."""

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July",
    "August", "September", "October", "November", "December",
)  # fmt: skip

INDIAN_UNITS = {"k": " thousand", "l": " lakh", "c": " crore", "m": " million", "b": " billion", "t": " trillion"}
"""The abbreviations of numbers in {{INRConvert|5|c}}."""


def words(name: str, positional: Sequence[str], named: dict[str, str]) -> str:  # noqa: PLR0911  one return per kind
    """Return the words that a template contributes to a sentence, or an empty string.

    `name` is the template's name as written; `positional` and `named` are its arguments as plain text.
    """
    key = " ".join(name.replace("_", " ").lower().split())
    if key in LITERAL:
        return LITERAL[key] * (int(positional[0]) if key in ("spaces", "nbsp") and _is_count(positional) else 1)
    if key in CONCATENATED:
        return "".join(positional)
    if key in JOINED:
        return ", ".join(p.strip() for p in positional if p.strip())
    if key in LAST:
        return _at(positional, -1)
    if key in SECOND:
        return _at(positional, 1) or named.get("text", "")
    if key.startswith("script/"):
        return _at(positional, 0)
    if key.startswith("lang-"):  # {{lang-fr|texte}}, the older form of {{langx|fr|texte}}
        return _at(positional, 0)
    if key in QUOTED_SECOND:
        return f"\n\n{named.get('2') or named.get('quote') or _at(positional, 1)}\n\n"
    if key in QUOTED:
        return f"\n\n{_first(positional, named)}\n\n"
    if key in FIRST:
        return _first(positional, named)
    if key in SHIPS and positional:
        return f"{key.upper()} {positional[0].strip()}"
    return _composed(key, positional, named)


def _composed(key: str, positional: Sequence[str], named: dict[str, str]) -> str:
    if key in _CALCULATED:
        return CALCULATED
    if key in FRAMED and not (key in FIRST_YEARS and _at(positional, 1)):
        return FRAMED[key].format(_at(positional, 0)).strip()
    if key in MONEY:  # without an argument only the sign
        unit = INDIAN_UNITS.get(_at(positional, 1).lower(), "") if key.endswith("convert") else ""
        return MONEY[key] + _at(positional, 0) + unit
    compose = next((function for names, function in _COMPOSED.items() if key in names), None)
    return compose(positional, named) if compose else ""


def _as_of(positional: Sequence[str], named: dict[str, str]) -> str:
    """`{{as of|2010|7|5|lc=y}}` reads "as of 5 July 2010"."""
    if named.get("alt", "").strip():
        return named["alt"].strip()
    shown = _date(positional, day_first=named.get("df", "").strip().lower() != "us")
    if named.get("bare", "").strip():
        return shown
    word = "Since" if named.get("since", "").strip() else "As of"
    return f"{word[0].lower() if named.get('lc', '').strip() else word[0]}{word[1:]} {shown}"


def _date(positional: Sequence[str], *, day_first: bool) -> str:
    """Return year, month and day as a reader sees them; what is no number stays as it is."""
    year, month, day = (_at(positional, index) for index in range(3))
    name = _MONTHS[int(month) - 1] if month.isdecimal() and 1 <= int(month) <= len(_MONTHS) else month
    day = day.lstrip("0")
    if not day or not name:
        return f"{name} {year}".strip()
    return f"{day} {name} {year}" if day_first else f"{name} {day}, {year}"


def _ordinal(number: str) -> str:
    if not number.isdecimal():
        return number
    teens = 10 < int(number) % 100 < 20
    return number + ("th" if teens else {1: "st", 2: "nd", 3: "rd"}.get(int(number) % 10, "th"))


def grouped(number: str) -> str:
    """Return a number as {{formatnum:…}} shows it: with a comma between thousands."""
    whole, point, fraction = number.strip().partition(".")
    digits = whole.lstrip("-")
    return (
        f"{whole[: -len(digits)]}{int(digits):,}{point}{fraction}"
        if digits.isdecimal() and len(digits) < 40
        else number
    )


def _at(positional: Sequence[str], index: int) -> str:
    return positional[index].strip() if -len(positional) <= index < len(positional) else ""


def _first(positional: Sequence[str], named: dict[str, str]) -> str:
    for key in ("lt", "text", "quote"):
        if named.get(key, "").strip():
            return named[key].strip()
    return positional[0].strip("\t ") if positional else named.get("content", "")


def _is_count(positional: Sequence[str]) -> bool:
    return bool(positional) and positional[0].strip().isdecimal() and int(positional[0]) <= 9


def _converted(positional: Sequence[str]) -> str:
    """`{{convert|5|mi|km}}` reads "5 mi", `{{convert|3|to|5|km}}` "3 to 5 km", `{{convert|6|ft|2|in}}` "6 ft 2 in"."""
    parts = [p.strip() for p in positional]
    if len(parts) >= 4 and parts[1] in _RANGE:
        return f"{parts[0]}{_RANGE[parts[1]]}{parts[2]} {parts[3]}"
    if len(parts) >= 4 and parts[0].isdecimal() and parts[2].isdecimal() and parts[3].isalpha():
        return " ".join(parts[:4])
    return " ".join(parts[:2])


def _fraction(parts: list[str]) -> str:
    """`{{frac|2}}` is one half, `{{frac|1|3}}` a third, `{{frac|5|1|2}}` five and a half."""
    if len(parts) >= 3:
        return f"{parts[0]} {parts[1]}/{parts[2]}"
    return "/".join(parts if len(parts) == 2 else ["1", *parts])


def _currency(positional: Sequence[str], named: dict[str, str]) -> str:
    """`{{currency|5|USD}}` reads "US$5"."""
    code = _at(positional, 1) or named.get("code", "").strip() or "US$"
    return MONEY.get(code.lower(), f"{code} ") + _at(positional, 0)


def _height(_positional: Sequence[str], named: dict[str, str]) -> str:
    return " ".join(f"{value} {unit}" for unit, value in named.items() if unit in ("ft", "in", "m", "cm", "lb", "kg"))


def _start_date(positional: Sequence[str], named: dict[str, str]) -> str:
    return _date(positional, day_first=named.get("df", "").strip().lower() in ("y", "yes", "1"))


def _joined(count: int) -> Callable[[Sequence[str], dict[str, str]], str]:
    """Return a function that joins the first `count` arguments: the kind and name of a ship, book and verse."""
    return lambda positional, _named: " ".join(p.strip() for p in positional[:count] if p.strip())


_COMPOSED: dict[tuple[str, ...], Callable[[Sequence[str], dict[str, str]], str]] = {
    ("nihongo", "nihongo4", "nihongo5"): lambda p, _: _at(p, 0) or _at(p, 2) or _at(p, 1),
    ("nihongo3",): lambda p, _: _at(p, 2) or _at(p, 0),  # the transcription is first, the meaning last
    ("convert", "cvt", "conv"): lambda p, _: _converted(p),
    ("height", "weight"): _height,
    FIRST_YEARS: lambda p, _: f"c. {_at(p, 0)} – c. {_at(p, 1)}",
    ("currency",): _currency,
    ("no.", "numero"): lambda p, _: f"No. {_at(p, 0)}".strip(),
    ("gaps",): lambda p, _: "".join(part.strip() for part in p),
    ("frac", "fraction", "sfrac", "fract"): lambda p, _: _fraction([part.strip() for part in p]),
    ("as of", "asof"): _as_of,
    ("ship", "sclass", "sclass2", "sortname", "sort name"): _joined(2),
    ("bibleverse", "bibleref", "bible verse"): _joined(3),
    ("start date", "film date", "release date", "dts"): _start_date,
    ("val",): lambda p, named: f"{_at(p, 0)} {named.get('u', '').strip()}".strip(),
    ("ordinal", "ord"): lambda p, _: _ordinal(_at(p, 0)),
    ("formatnum", "num", "number", "nts", "date", "format price", "formatprice"): lambda p, _: _at(p, 0),
}
"""How other templates are read, by their names. After a date comes its format."""


def template_parameters(text: str, start: int) -> dict[str, str]:
    """Return the named parameters of a template, as wikitext by lower-case name; `start` is just after its name."""
    return named_parameters(template_body(text, start))[0]


def template_items(text: str, start: int) -> list[str]:
    """Return the unnamed and the numbered parameters of a template in its order; `start` is just after its name."""
    pieces, _ = _split_at_bars(template_body(text, start))
    parts = [re.sub(r"^\s*[1-9]\d{0,3}\s*=", "", piece) for piece in pieces]
    return [part.strip() for part in parts if part.strip() and not _NAMED.match(part)]


def template_body(text: str, start: int) -> str:
    """Return the text from a position in a template to the next heading, where an unclosed one ends."""
    heading = _FIRST_HEADING.search(text, start)
    return text[start : heading.start() if heading else len(text)]


def named_parameters(body: str) -> tuple[dict[str, str], bool]:
    """Return the named parameters that have a value, and whether the template is closed."""
    pieces, is_closed = _split_at_bars(body)
    parameters: dict[str, str] = {}
    for piece in pieces:
        key, _, value = piece.partition("=")
        if value.strip():
            parameters.setdefault(key.strip().lower(), value.strip())
    return parameters, is_closed


def _split_at_bars(body: str) -> tuple[list[str], bool]:
    """Split a box's text at the bars that are not inside links or templates; return also whether the box is closed."""
    depth, start, is_closed = 0, None, False
    pieces: list[str] = []
    for token in _TOKEN.finditer(body):
        if token[0] in ("{{", "[["):
            depth += 1
        elif token[0] == "|" and depth == 0:
            if start is not None:
                pieces.append(body[start : token.start()])
            start = token.end()
        elif token[0] != "|":
            if depth == 0 and token[0] == "}}":
                pieces.append(body[start : token.start()] if start is not None else "")
                is_closed = True
                break
            depth = max(0, depth - 1)
    if not is_closed and start is not None:
        pieces.append(body[start:])
    return pieces, is_closed


def first_parameter(parameters: dict[str, str], *keys: str) -> str:
    """Return the first of these parameters that is given, or an empty string."""
    return next((parameters[key] for key in keys if key in parameters), "")
