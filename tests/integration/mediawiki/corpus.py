"""Write a small invented wiki: `python corpus.py FOLDER STUBS` makes films.xml and posters/.

Every page is one case: plots under several headings, titles that need escaping, images that are free, not free,
missing and below the lead, redirects to a page, to no page and in a circle, categories that contain each other.
The stubs make more pages than one query may request.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw

TEMPLATES = {
    "Infobox film": "<includeonly>{{#if:{{{image|}}}|[[File:{{{image}}}|frameless]]}} {{{released|}}}</includeonly>",
    "Film date": "{{{1}}}-{{{2}}}-{{{3}}}",
    "Lang": "<span lang=\"{{{1}}}\">''{{{2}}}''</span>",
    "Cite web": "[{{{url}}} {{{title}}}]",
    "Short description": "<includeonly>[[Category:Articles with short description]]</includeonly>",
    "Era": "<includeonly>[[Category:{{{1}}} adventure films]]</includeonly>",
    "Disambiguation": "''This page lists articles of one title.''[[Category:Disambiguation pages]]",
    "Category redirect": "See [[:{{{1}}}]].",
    "Non-free poster": "Non-free media: a poster.",
}
POSTERS = {
    "Lantern Row poster.jpg": (259, 384, "{{Non-free poster}}"),
    "Café Aurore.jpg": (250, 370, "{{Non-free poster}}"),
    "Glass Orchard.png": (1200, 1800, "Free."),
    "Wide Water.jpg": (900, 600, "Free."),
    "Still.jpg": (800, 600, "Free."),
    "Reel.jpg": (250, 370, "{{Non-free poster}}"),
}
CATEGORIES = {
    "2021 films": ["Films by year"],
    "2022 films": ["Films by year"],
    "2022 drama films": ["2022 films"],
    "2022 films shot twice": ["2022 drama films"],
    "Circular films": ["2022 films shot twice", "Round films"],
    "Round films": ["Circular films"],
    "Films by year": ["Films"],
}
KINDS = ("drama", "comedy", "thriller")


def film(title: str, year: int, image: str, body: str, *categories: str, lead: str = "") -> tuple[str, str]:
    box = f"{{{{Infobox film\n| name = {title}\n| image = {image}\n| released = {{{{Film date|{year}|05|06}}}}\n}}}}\n"
    named = "".join(f"[[Category:{name}]]\n" for name in (f"{year} films", *categories))
    return title, f"{{{{Short description|film}}}}\n{box}'''''{title}''''' is a film.{lead}\n\n{body}\n\n{named}"


FILMS = [
    film(
        "Lantern Row", 2022, "Lantern Row poster.jpg",
        "== Plot ==\nA lamplighter finds that one lamp is lit before he comes.<ref name=\"a\">{{Cite web|"
        "url=http://e.org|title=Review}}</ref>\n\n=== The second night ===\n"
        "He waits beneath it with [[Anna (lamplighter)|Anna]], and it "
        "is she who strikes the match.\n\n== Cast ==\n* Somebody as the lamplighter",
        "2022 drama films", "Films set at night",
    ),
    film("Café Aurore", 2021, "Café Aurore.jpg", "==Plot summary==\nRosa sells the {{Lang|fr|café}} to buy it back."),
    film("What Is Owed?", 2021, "", "== Synopsis ==\nA debt passes from hand to hand until nobody knows whose it is."),
    film("Salt & Ember", 2021, "Not there.jpg", "==Plot==\n<!-- short -->\nTwo cooks share one stove, then one flat."),
    film("Glass Orchard", 2021, "Glass Orchard.png", "==Plot==\nThe trees ring when it snows; a mute girl tunes them."),
    film("Wide Water", 2021, "Wide Water.jpg", "==Plot==\nA ferry crosses a lake for forty years without arriving."),
    film("Quiet Static", 2021, "", "== Cast ==\n* Asha as the operator"),
    film("Moving House", 2021, "Reel.jpg", "==Plot==\nA house is carried off on a lorry with its family inside."),
    film("Doomed Picture", 2021, "Reel.jpg", "==Plot==\nNobody who saw this picture remembers how it ended."),
    film("Merged Picture", 2021, "Reel.jpg", "==Plot==\nTwo films of one story are shown at once on one screen."),
    film("Recut", 2021, "Reel.jpg", "==Plot==\nAn editor cuts herself out of a film, frame by frame."),
    film("Evergreen", 2021, "Reel.jpg", "{{Era|2020s}}\n==Plot==\nA forester counts to the last tree and goes on."),
    film("Only Below", 2022, "Reel.jpg", "==Plot==\nSomething stirs under the third cellar, and asks for its rent."),
]  # fmt: skip
OTHERS = {
    "Late Picture": "'''Late Picture''' is not here yet.\n[[Category:Drafts]]",
    "Night Bridge": "'''Night Bridge''' is a film.\n\n==Plot==\nAn inspector counts those who cross.\n"
    "[[File:Still.jpg|thumb|A still]]\n[[Category:2021 films]]",
    "Lantern": "'''Lantern''' may refer to:\n* [[Lantern Row]]\n{{Disambiguation}}",
    "List of lantern films": "A list.\n[[Category:2021 films]]\n[[Category:Lists of films]]",
    "Blank reel": "",
    "Row of Lanterns": "#REDIRECT [[Lantern Row]]",
    "Lanterns": "#REDIRECT [[Row of Lanterns]]",
    "Lost Reel": "#REDIRECT [[Nowhere Reel]]",
    "Ouroboros": "#REDIRECT [[Ouroboros (film)]]",
    "Ouroboros (film)": "#REDIRECT [[Ouroboros]]",
    "Category:2020 films": "{{Category redirect|Category:2021 films}}",
    "Category:Articles with short description": "__HIDDENCAT__",
}


def stub(number: int) -> tuple[str, str]:
    """Return a film with so many categories that those of fifty films do not fit into one response."""
    kind = KINDS[number % 3]
    more = (f"2022 {kind} films", f"American {kind} films", *(f"Harbour {n} films" for n in range(9)))
    body = f"==Plot==\nReel {number} opens on the harbour. A watchman counts the boats and finds one too many."
    return film(f"Harbour Reel {number:03d}", 2022, "Reel.jpg" if number % 2 else "", body, *more)


def export(stubs: int) -> str:
    pages = [(f"Template:{name}", 10, text) for name, text in TEMPLATES.items()]
    for name, parents in CATEGORIES.items():
        pages.append((f"Category:{name}", 14, "".join(f"[[Category:{parent}]]" for parent in parents)))
    for title, text in [*FILMS, *OTHERS.items(), *map(stub, range(stubs))]:
        # one film is three categories below the year's, and not in the year's category
        deep = text.replace("Category:2022 films", "Category:Circular films") if title == "Only Below" else text
        pages.append((title, 14 if title.startswith("Category:") else 0, deep))
    return "<mediawiki>" + "".join(page(*p) for p in pages) + "</mediawiki>"


def page(title: str, namespace: int, text: str) -> str:
    return (
        f"<page><title>{escape(title)}</title><ns>{namespace}</ns><revision><timestamp>2024-01-02T08:00:00Z</timestamp>"
        "<contributor><username>Fixture</username><id>0</id></contributor><model>wikitext</model>"
        f'<format>text/x-wiki</format><text xml:space="preserve">{escape(text)}</text></revision></page>'
    )


def main(folder: Path, stubs: int) -> None:
    (folder / "posters").mkdir(parents=True, exist_ok=True)
    (folder / "films.xml").write_text(export(stubs), encoding="utf-8")
    for name, (width, height, licence) in POSTERS.items():
        image = Image.new("RGB", (width, height), (40, 60, 90))
        ImageDraw.Draw(image).ellipse((width // 4, height // 4, width // 2, height // 2), fill=(220, 180, 90))
        image.save(folder / "posters" / name)
        (folder / "posters" / f"{Path(name).stem}.txt").write_text(licence)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
