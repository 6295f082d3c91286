"""Convert wikitext to plain paragraphs: the words that a reader of a section sees, and nothing else.

Three passes, each over one section only. What is not prose (references, tables, galleries, comments) is
removed by regular expressions, since these survive unbalanced markup; then mwparserfromhell resolves what
nests (links and templates); then what an unclosed bracket left behind is removed. Quote marks are left to the
last pass, because the parser loses the rest of a section at an unbalanced ''.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import mwparserfromhell
from mwparserfromhell import nodes

from tasks.films.parsing.templates import CALCULATED, LITERAL, grouped, words

_DROPPED_TAGS = (
    "gallery|table|math|chem|ce|score|timeline|imagemap|syntaxhighlight|source|pre|references|templatedata|hiero|graph|"
    "mapframe|maplink|categorytree|inputbox|indicator|includeonly|style|script|rt|rp|del|s|strike|section|templatestyles|ref"
)
_NOWIKI = re.compile(r"<nowiki\s*>(.*?)</nowiki\s*>", re.DOTALL | re.IGNORECASE)
_DROPPED = re.compile(rf"<({_DROPPED_TAGS})\b[^<>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_PARAGRAPH_TAG = re.compile(r"</?(?:p|div|blockquote|poem|center|li|ul|ol|dl|dd|dt|h[1-6]|hr)\b[^<>]*>", re.IGNORECASE)
_BREAKS = re.compile(r"(?:<br\b[^<>]*>\s*){2,}", re.IGNORECASE)
_BREAK = re.compile(r"<[/\\]?br\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*|/)?>")
_TABLE_MARK = re.compile(r"^[ \t:*#]*(\{\||\|\}(?!\}))", re.MULTILINE)
_TABLE_LEFTOVER = re.compile(r"^[ \t:]*(?:\{\||\|[-}+]|[|!](?!\})).*$", re.MULTILINE)
_STRAY_ROW = re.compile(r"^[ \t:]*\|[-}+].*$", re.MULTILINE)
_HEADING = re.compile(r"^=+.*=+[ \t]*$", re.MULTILINE)
_SIMPLE_LINK = re.compile(r"\[\[(?:[^\[\]|{}<>:#\n]+\|)?([^\[\]|{}<>:#\n]+)\]\]")
_SWITCH = re.compile(r"__[A-Z]{3,}__|~{3,5}")
_VARIANT = re.compile(r"-\{(?P<flags>[A-Za-z-]*\|)?(?P<text>[^{}]*)\}-")
_HALF_CLOSED = re.compile(r"\{\{[^{}\n]{1,120}\}(?!\})")
_UNCLOSED_CITE = re.compile(r"\{\{\s*(?:cite|citation|efn|refn|sfn|harv|r\|)[^\n]*", re.IGNORECASE)
_UNCLOSED_TEMPLATE = re.compile(r"\{\{+[^{}|\n\[\]]{0,60}\|?")
FILE_NAMESPACES = (
    "file|image|media|fichier|datei|bild|immagine|archivo|imagen|ficheiro|imagem|bestand|plik|fil|tiedosto|файл"
)
_UNCLOSED_FILE = re.compile(rf"(?:\[\[\s*(?:{FILE_NAMESPACES})\s*:|\b(?:file|image):[^|\n]*\|)[^\n]*", re.IGNORECASE)
_FILE_OPTION = re.compile(r"\|(?:thumb|frame|left|right|center)(?=\|)", re.IGNORECASE)
_FILE_OR_CATEGORY = re.compile(
    rf"\s*(?:{FILE_NAMESPACES}|category|kategorie|catégorie|categoria|categoría|категория)\s*:", re.IGNORECASE
)
_OTHER_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]+)?:")
_PIPE_TRICK = re.compile(r"\s*\([^()]*\)\s*$|,.*$|^[^:]*:")
_EMPTY_BRACKETS = re.compile(r"[(\[][\s,;:/–—-]*[)\]]")
_OPENING_JUNK = re.compile(r"\(\s*[,;:]\s*|\( +")
_CLOSING_JUNK = re.compile(r"[,;:] *\)")
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"
_APOSTROPHE = "\ue027"
"""A private character for an apostrophe that is no markup, which next to '' would be read as '''."""
_APOSTROPHE_ENTITY = re.compile(r"&(?:#0*39|#[xX]0*27|apos);")
_WITH_CALCULATED = re.compile(
    rf"\s*\([^()\n]*{CALCULATED}[^()\n]*\)|,? (?:or )?equivalent to [^,.;()\n]*{CALCULATED}[^,.;()\n]*|\S?{CALCULATED}"
)
"""What an amount without its number leaves: "(equivalent to $ in )"."""
_STRAY_REF = re.compile(r"</?ref\b(?:\s+\w+\s*=\s*(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s<>\"'/]+))*\s*/?>?", re.IGNORECASE)
_MARKS = ("''", "[[", "]]", "{{", "}}")
_BRACKETS = re.compile(r"\[\[(?:[^\[\]|\n]*\|)?|\]\]|\{\{+|\}\}+")
_SPACE_BEFORE = re.compile(r" ([,.)])(?=[\s\"')\]]|$)")
_LIST_MARKS = "*#:;"
_HATNOTE = re.compile(
    r"^[ \t:]*''+[ \t]*(?:see also|see|main articles?|further information|for (?:the|a|an|other"
    r"|more)\b[^\n]*\b(?:see|visit)"
    r"|this article)\b[^\n]*''+[.\s]*$",
    re.MULTILINE | re.IGNORECASE,
)
MAX_UNCLOSED_BRACKETS = 50
"""A section with more unclosed brackets is vandalised; the parser would take minutes over it."""
MIN_LIST_ITEM_WORDS = 8
"""A list item with so many words, or one that ends as a sentence, is prose; others are names and credits."""
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_UNCLOSED_COMMENT = re.compile(r"<!--[^\n]*")
_REF_TAG = re.compile(r"<ref(?=[\s>/])(?:(?:[^<>\"]|\"[^\"<\n]*\")*|[^<>]*)>", re.IGNORECASE)
_REF_END = re.compile(r"</ref\s*>", re.IGNORECASE)
_STRAY_CITATION = re.compile(r"\s*(?:\{\{(?:[^{}]|\{\{[^{}]*\}\})*\}\}|\[https?:[^\]\n]*\])|[^\n]*")


def paragraphs(section: str) -> list[str]:
    """Return the paragraphs of prose in a section of wikitext (without its heading) as plain text."""
    return _split_paragraphs(_without_leftovers(_resolved(_without_non_prose(section))))


def plain(wikitext: str) -> str:
    """Return a short piece of wikitext, such as a heading, as one line of plain text."""
    return _tidied(_without_leftovers(_resolved(_without_non_prose(wikitext))))


def _without_non_prose(text: str) -> str:
    """Remove references, tables, galleries, hatnotes and headings by regular expressions."""
    if "<" in text:
        text = without_references(without_comments(text))
    if "<" in text:  # other tags are left
        if "</nowiki" in text:
            text = _NOWIKI.sub(_literal, text)
        last = text.rfind("</") + 40
        text = _DROPPED.sub("", text[:last]) + text[last:] if last >= 40 else text
        text = _BREAK.sub(" ", _PARAGRAPH_TAG.sub("\n\n", _BREAKS.sub("\n\n", text)))
    if "{|" in text:
        text = _without_tables(text)
    if "''" in text:
        text = _HATNOTE.sub("", text)
    if "-{" in text:
        text = _VARIANT.sub(_one_variant, text)
    return _HEADING.sub("\n", text) if "\n=" in text else text


def _literal(nowiki: re.Match[str]) -> str:
    return re.sub(r"[\[\]{}|<>=]|''+", "", nowiki[1]).replace("'", _APOSTROPHE)


def _without_tables(text: str) -> str:
    """Remove {| … |} with nested tables; of an unclosed table only the rows are removed, not the text after it."""
    outside, depth, start = [], 0, 0
    for mark in _TABLE_MARK.finditer(text):
        if mark[1] == "{|":
            if depth == 0:
                outside.append(text[start : mark.start()])
                start = mark.start()
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                start = mark.end()
    rest = _TABLE_LEFTOVER.sub("", text[start:]) if depth else text[start:]
    return "".join(outside) + rest


def _one_variant(match: re.Match[str]) -> str:
    """Return the first variant of `-{zh-hans:A;zh-hant:B}-`: A; nothing for a rule that shows nothing."""
    if match["flags"] and set(match["flags"].upper()) & set("HT-"):
        return ""
    first = match["text"].split(";")[0]
    return first.split(":", 1)[-1].split("=>")[-1]


def _resolved(text: str) -> str:
    """Replace templates, files and links by their words; only what nests needs the parser, plain links do not."""
    text = _SIMPLE_LINK.sub(r"\1", text)
    if "{{" not in text and "[[" not in text and "//" not in text:
        return text
    if text.count("{{") - text.count("}}") + text.count("[[") - text.count("]]") > MAX_UNCLOSED_BRACKETS:
        return text  # the parser would try every pairing; the last pass removes the brackets
    return _words_of(mwparserfromhell.parse(text, skip_style_tags=True))


def _words_of(code: Any) -> str:
    return "".join(_node_words(node) for node in code.nodes) if code is not None else ""


def _node_words(node: Any) -> str:
    to_words = _WORDS_OF_NODE.get(type(node))
    return to_words(node) if to_words else ""


def _link_words(link: Any) -> str:
    title = _words_of(link.title)
    if _FILE_OR_CATEGORY.match(title) and not (title.strip().lower().startswith("media:")):
        return ""
    if link.text is None:
        target = title.strip()
        if _OTHER_LANGUAGE.match(target) and not target.startswith(":"):
            return ""
        return target.removeprefix(":").split("#")[0].replace("_", " ") or target.lstrip("#")
    label = _words_of(link.text)
    return label if label.strip() else _PIPE_TRICK.sub("", title.strip().removeprefix(":"))


def _template_words(template: Any) -> str:
    name = _words_of(template.name).strip()
    positional: list[str] = []
    named: dict[str, str] = {}
    for parameter in template.params:
        value = _words_of(parameter.value)
        key = str(parameter.name).strip()
        if not parameter.showkey or key == str(len(positional) + 1):
            positional.append(value)
        else:
            named[key.lower()] = value
    if ":" in name and not positional:
        function, _, argument = name.partition(":")
        if function.strip().lower() == "formatnum":
            return grouped(argument)
        return argument if function.strip().lower() in ("lc", "uc", "lcfirst", "ucfirst") else ""
    shown = words(name, positional, named)
    return shown.replace("'", _APOSTROPHE) if name.lower() in LITERAL else shown


def _without_leftovers(text: str) -> str:
    """Remove what unbalanced markup left behind; resolve entities and quote marks."""
    if "{" in text:
        text = _UNCLOSED_TEMPLATE.sub("", _UNCLOSED_CITE.sub("", _HALF_CLOSED.sub("", text)))
    if "[[" in text or "|" in text:
        text = _UNCLOSED_FILE.sub("", text)
    if "&" in text:
        text = html.unescape(_APOSTROPHE_ENTITY.sub(_APOSTROPHE, text))
    if "<" in text:
        text = _STRAY_REF.sub("", _TAG.sub("", text))
    while any(mark in text for mark in _MARKS):  # the text around a removed mark may form another
        text = "\n".join(
            _without_quotes(line) if "''" in line else line for line in _BRACKETS.sub("", text).split("\n")
        )
    if "|" in text:
        text = _FILE_OPTION.sub("", _STRAY_ROW.sub("", text))
    if not text.isascii():
        text = (_WITH_CALCULATED.sub("", text) if CALCULATED in text else text).replace(_APOSTROPHE, "'")
        for character in _INVISIBLE:
            if character in text:
                text = text.replace(character, "")
    return _SWITCH.sub("", text) if "__" in text or "~~~" in text else text


def _without_quotes(line: str) -> str:
    """Remove '' and ''' as MediaWiki parses them: in an unbalanced line one ''' is an apostrophe and a ''."""
    runs = [len(run) for run in re.findall(r"'{2,}", line)]
    italic = sum(1 for n in runs if n == 2 or n >= 5)
    bold = sum(1 for n in runs if n in (3, 4) or n >= 5)
    if italic % 2 and bold % 2:
        line = re.sub(r"(?<=\w)'''(?!')", "'", line, count=1)
    return re.sub(r"'{2,}", lambda run: "'" if len(run[0]) == 4 else "", line)


def _split_paragraphs(text: str) -> list[str]:
    """Split text into paragraphs at blank lines and list items; a single line break does not end a paragraph."""
    raw: list[str] = []
    lines: list[str] = []
    for line in [*text.split("\n"), ""]:
        if line.strip() and line[0] not in _LIST_MARKS and not line.startswith("----"):
            lines.append(line)
            continue
        raw.append(" ".join(lines))
        lines = []
        if line and line[0] in _LIST_MARKS:
            raw.append(_list_item(line.lstrip(_LIST_MARKS)))
    tidied = (_tidied(paragraph) for paragraph in raw if paragraph)
    return [paragraph for paragraph in tidied if any(character.isalnum() for character in paragraph)]


def _tidied(text: str) -> str:
    """Remove what removed markup leaves: empty brackets, double spaces, a space before a full stop."""
    if "(" in text or "[" in text:
        text = _CLOSING_JUNK.sub(")", _OPENING_JUNK.sub("(", _EMPTY_BRACKETS.sub("", text)))
    text = " ".join(text.split())
    return _SPACE_BEFORE.sub(r"\1", text) if " ," in text or " ." in text or " )" in text else text


def _list_item(text: str) -> str:
    """Return the text of a list item if it is prose, else nothing."""
    is_prose = len(text.split()) >= MIN_LIST_ITEM_WORDS or text.rstrip("\"')” ").endswith((".", "!", "?", "…"))
    return text if is_prose else ""


def _tag_words(tag: Any) -> str:
    if tag.wiki_markup and tag.self_closing:  # a list item or a rule, which later splits paragraphs
        return str(tag.wiki_markup)
    return "" if str(tag.tag).lower() in _DROPPED_TAGS.split("|") else _words_of(tag.contents)


_WORDS_OF_NODE: dict[type, Callable[[Any], str]] = {
    nodes.Text: lambda node: str(node.value),
    nodes.HTMLEntity: str,
    nodes.Wikilink: _link_words,
    nodes.Template: _template_words,
    nodes.ExternalLink: lambda node: _words_of(node.title),
    nodes.Argument: lambda node: _words_of(node.default),
    nodes.Tag: _tag_words,
}
"""How the words of each kind of node are found; other nodes (comments, headings) have none."""


def without_comments(text: str) -> str:
    """Return the text without comments; an unclosed comment ends at the end of its line."""
    if "<!--" not in text:
        return text
    last = text.rfind("-->") + 3  # nothing closes after it; searching from every opening would be quadratic
    text = _COMMENT.sub("", text[:last]) + text[last:]
    return _UNCLOSED_COMMENT.sub("", text) if "<!--" in text else text


def without_references(text: str) -> str:
    """Return the text without <ref>…</ref>; an unclosed one ends after its citation, else at the end of its line."""
    if "<ref" not in text and "<REF" not in text and "<Ref" not in text:
        return text
    outside: list[str] = []
    position = 0
    while opening := _REF_TAG.search(text, position):
        outside.append(text[position : opening.start()])
        position = opening.end() if opening[0].endswith("/>") else _reference_end(text, opening.end())
    outside.append(text[position:])
    return _REF_END.sub("", "".join(outside))


def _reference_end(text: str, start: int) -> int:
    """Return where a reference ends: at its closing tag, unless another reference or a heading comes first."""
    closing = _REF_END.search(text, start)
    inner = _REF_TAG.search(text, start, closing.start()) if closing else None
    heading = text.find("\n==", start, closing.start()) if closing else 0
    if closing and not inner and heading < 0:
        return closing.end()
    stray = _STRAY_CITATION.match(text, start)
    return stray.end() if stray else start
