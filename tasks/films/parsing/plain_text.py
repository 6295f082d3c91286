"""From wikitext to plain paragraphs: the words that a reader of the section sees, and nothing else.

Three passes, each over one section only. What is not prose (references, tables, galleries, comments) is
cut by pattern, since that survives unbalanced markup; then mwparserfromhell resolves what nests (links
and templates); then what an unclosed bracket left behind is swept. Quote marks are left to the sweep:
the parser's own reading of an unbalanced '' loses the rest of a section.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import mwparserfromhell
from mwparserfromhell import nodes

from tasks.films.parsing.templates import words

_DROPPED_TAGS = (
    "gallery|table|math|chem|ce|score|timeline|imagemap|syntaxhighlight|source|pre|references|templatedata|hiero|graph|"
    "mapframe|maplink|categorytree|inputbox|indicator|includeonly|style|script|rt|rp|del|s|strike|section|templatestyles|ref"
)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_UNCLOSED_COMMENT = re.compile(r"<!--[^\n]*")
_NOWIKI = re.compile(r"<nowiki\s*>(.*?)</nowiki\s*>", re.DOTALL | re.IGNORECASE)
_REF_TAG = re.compile(r"<ref(?=[\s>/])(?:(?:[^<>\"]|\"[^\"<\n]*\")*|[^<>]*)>", re.IGNORECASE)
_REF_END = re.compile(r"</ref\s*>", re.IGNORECASE)
_STRAY_CITATION = re.compile(r"\s*(?:\{\{(?:[^{}]|\{\{[^{}]*\}\})*\}\}|\[https?:[^\]\n]*\])|[^\n]*")
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
_STRAY_REF = re.compile(r"</?ref\b(?:\s+\w+\s*=\s*(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s<>\"'/]+))*\s*/?>?", re.IGNORECASE)
_MARKS = ("''", "[[", "]]", "{{", "}}")
_BRACKETS = re.compile(r"\[\[(?:[^\[\]|\n]*\|)?|\]\]|\{\{+|\}\}+")
_SPACE_BEFORE = re.compile(r" ([,.)])(?=[\s\"')\]]|$)")
_LIST_MARKS = "*#:;"
_HATNOTE = re.compile(
    r"^[ \t:]*''+[ \t]*(?:see also|see|main articles?|further information|for (?:the|a|an|other|more)|this article)\b"
    r"[^\n]*''+[.\s]*$",
    re.MULTILINE | re.IGNORECASE,
)
MOST_UNCLOSED = 50
"""A section with more brackets left open than this is vandalised, not written."""
LIST_ITEM_WORDS = 8
"""A list item of so many words, or one that ends as a sentence, is told prose; others are names and credits."""


def without_comments(text: str) -> str:
    """The text without comments; one that is never closed takes its line, not the rest of the page."""
    if "<!--" not in text:
        return text
    last = text.rfind("-->") + 3  # beyond it nothing closes, and looking for it from each opening would take long
    text = _COMMENT.sub("", text[:last]) + text[last:]
    return _UNCLOSED_COMMENT.sub("", text) if "<!--" in text else text


def without_references(text: str) -> str:
    """The text without <ref>…</ref>; one that is never closed takes its citation, or its line."""
    if "<ref" not in text and "<REF" not in text and "<Ref" not in text:
        return text
    kept: list[str] = []
    at = 0
    while opening := _REF_TAG.search(text, at):
        kept.append(text[at : opening.start()])
        at = opening.end() if opening[0].endswith("/>") else _reference_end(text, opening.end())
    kept.append(text[at:])
    return _REF_END.sub("", "".join(kept))


def _reference_end(text: str, start: int) -> int:
    """Where a reference's content ends: at its closing tag, unless another reference or a heading comes first."""
    closing = _REF_END.search(text, start)
    inner = _REF_TAG.search(text, start, closing.start()) if closing else None
    heading = text.find("\n==", start, closing.start()) if closing else 0
    if closing and not inner and heading < 0:
        return closing.end()
    stray = _STRAY_CITATION.match(text, start)
    return stray.end() if stray else start


def paragraphs(section: str) -> list[str]:
    """The paragraphs of prose in a section of wikitext (without its own heading), as plain text."""
    return _paragraphs(_swept(_resolved(_cut(section))))


def plain(wikitext: str) -> str:
    """One line of plain text from a short piece of wikitext, such as a heading."""
    return _tidied(_swept(_resolved(_cut(wikitext))))


def _cut(text: str) -> str:
    """Remove what is no prose, by pattern."""
    if "<" in text:
        text = without_references(without_comments(text))
    if "<" in text:  # still
        if "</nowiki" in text:
            text = _NOWIKI.sub(lambda match: re.sub(r"[\[\]{}|<>=]|''+", "", match[1]), text)
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


def _without_tables(text: str) -> str:
    """Remove {| … |} with whatever nests in it; an unclosed table loses its rows, not the text after it."""
    kept, depth, start = [], 0, 0
    for mark in _TABLE_MARK.finditer(text):
        if mark[1] == "{|":
            if depth == 0:
                kept.append(text[start : mark.start()])
                start = mark.start()
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                start = mark.end()
    return "".join(kept) + _TABLE_LEFTOVER.sub("", text[start:]) if depth else "".join(kept) + text[start:]


def _one_variant(match: re.Match[str]) -> str:
    """Language conversion `-{zh-hans:A;zh-hant:B}-` reads A; a rule that shows nothing reads nothing."""
    if match["flags"] and set(match["flags"].upper()) & set("HT-"):
        return ""
    first = match["text"].split(";")[0]
    return first.split(":", 1)[-1].split("=>")[-1]


def _resolved(text: str) -> str:
    """Let the parser read what nests (templates, files, odd links) and write down its words; plain links need none."""
    text = _SIMPLE_LINK.sub(r"\1", text)
    if "{{" not in text and "[[" not in text and "//" not in text:
        return text
    if text.count("{{") - text.count("}}") + text.count("[[") - text.count("]]") > MOST_UNCLOSED:
        return text  # the parser would try every pairing; the sweep takes what it finds
    return _words_of(mwparserfromhell.parse(text, skip_style_tags=True))


def _words_of(code: Any) -> str:
    return "".join(_node_words(node) for node in code.nodes) if code is not None else ""


def _node_words(node: Any) -> str:
    reader = _READERS.get(type(node))
    return reader(node) if reader else ""


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
        return argument if function.strip().lower() in ("formatnum", "lc", "uc", "lcfirst", "ucfirst") else ""
    return words(name, positional, named)


def _swept(text: str) -> str:
    """Remove what unbalanced markup left, then resolve entities and quote marks."""
    if "{" in text:
        text = _UNCLOSED_TEMPLATE.sub("", _UNCLOSED_CITE.sub("", _HALF_CLOSED.sub("", text)))
    if "[[" in text or "|" in text:
        text = _UNCLOSED_FILE.sub("", text)
    if "&" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _STRAY_REF.sub("", _TAG.sub("", text))
    while any(mark in text for mark in _MARKS):  # what stood round a removed mark may be one again
        text = "\n".join(
            _without_quotes(line) if "''" in line else line for line in _BRACKETS.sub("", text).split("\n")
        )
    if "|" in text:
        text = _FILE_OPTION.sub("", _STRAY_ROW.sub("", text))
    if not text.isascii():
        for character in _INVISIBLE:
            if character in text:
                text = text.replace(character, "")
    return _SWITCH.sub("", text) if "__" in text or "~~~" in text else text


def _without_quotes(line: str) -> str:
    """Remove '' and ''' as MediaWiki reads them: in an unbalanced line one ''' is an apostrophe and a ''."""
    runs = [len(run) for run in re.findall(r"'{2,}", line)]
    italic = sum(1 for n in runs if n == 2 or n >= 5)
    bold = sum(1 for n in runs if n in (3, 4) or n >= 5)
    if italic % 2 and bold % 2:
        line = re.sub(r"(?<=\w)'''(?!')", "'", line, count=1)
    return re.sub(r"'{2,}", lambda run: "'" if len(run[0]) == 4 else "", line)


def _paragraphs(text: str) -> list[str]:
    """Blank lines part paragraphs, and so does every list item; a single line break does not."""
    found: list[str] = []
    lines: list[str] = []
    for line in [*text.split("\n"), ""]:
        if line.strip() and line[0] not in _LIST_MARKS and not line.startswith("----"):
            lines.append(line)
            continue
        found.append(" ".join(lines))
        lines = []
        if line and line[0] in _LIST_MARKS:
            found.append(_list_item(line.lstrip(_LIST_MARKS)))
    cleaned = (_tidied(p) for p in found if p)
    return [p for p in cleaned if any(c.isalnum() for c in p)]


def _tidied(text: str) -> str:
    """Close the gaps that removed markup left: empty brackets, double spaces, a space before a full stop."""
    if "(" in text or "[" in text:
        text = _CLOSING_JUNK.sub(")", _OPENING_JUNK.sub("(", _EMPTY_BRACKETS.sub("", text)))
    text = " ".join(text.split())
    return _SPACE_BEFORE.sub(r"\1", text) if " ," in text or " ." in text or " )" in text else text


def _list_item(text: str) -> str:
    told = len(text.split()) >= LIST_ITEM_WORDS or text.rstrip("\"')” ").endswith((".", "!", "?", "…"))
    return text if told else ""


def _tag_words(tag: Any) -> str:
    if tag.wiki_markup and tag.self_closing:  # the mark of a list item or a rule, which parts paragraphs later
        return str(tag.wiki_markup)
    return "" if str(tag.tag).lower() in _DROPPED_TAGS.split("|") else _words_of(tag.contents)


_READERS: dict[type, Callable[[Any], str]] = {
    nodes.Text: lambda node: str(node.value),
    nodes.HTMLEntity: str,
    nodes.Wikilink: _link_words,
    nodes.Template: _template_words,
    nodes.ExternalLink: lambda node: _words_of(node.title),
    nodes.Argument: lambda node: _words_of(node.default),
    nodes.Tag: _tag_words,
}
"""How each kind of node reads; the others (comments, headings) read as nothing."""
