"""The systems of the paper's Table 1, as data: each one's inputs and its loss, and their names. Imports no torch.

The loop, the model and the evaluation read the properties of a `System` and never test for its name. A user names a
measured system SYSTEM, SYSTEM@PRESET, SYSTEM@DIGEST or SYSTEM@SETTINGS, where that is enough to find one.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any, Literal

from storage.errors import InputError

Parts = frozenset[str]
"""Parts of a film that a query is made of."""
ALL_PARTS: Parts = frozenset({"image", "tags", "plot"})
_BY = " by "
SHOWN_OF_SETTINGS = 60
"""Characters of a system's settings in a list of those that can be named; their digest is complete."""


@dataclass(frozen=True)
class System:
    """One row of Table 1: the parts of a film that form the query, and the loss it is trained with."""

    name: str
    image: bool = False
    tags: bool = False
    plot: bool = False
    loss: Literal["info_nce", "triplet"] = "info_nce"
    frozen: bool = False
    """The text and image towers keep their pretrained weights."""

    @property
    def text(self) -> bool:
        """Return whether the system has a text tower."""
        return self.tags or self.plot

    @property
    def triplet(self) -> bool:
        """Return whether the system is trained with the triplet loss."""
        return self.loss == "triplet"

    @property
    def contrastive(self) -> bool:
        """Return whether the system is trained with InfoNCE, and so has a temperature."""
        return self.loss == "info_nce"

    @property
    def trains_text(self) -> bool:
        """Return whether the system has a text tower whose weights are trained."""
        return self.text and not self.frozen

    @property
    def trains_image(self) -> bool:
        """Return whether the system has an image tower whose weights are trained."""
        return self.image and not self.frozen

    @property
    def parts(self) -> Parts:
        """Return the parts of a film that form the query."""
        return frozenset(part for part in ALL_PARTS if getattr(self, part))

    @property
    def several_parts(self) -> bool:
        """Return whether the system has several parts and a loss with which it can do without some of them."""
        return len(self.parts) > 1 and self.contrastive

    @property
    def markers(self) -> bool:
        """Return whether marker tokens separate tags and plot: only where both are given (paper, section 4)."""
        return self.tags and self.plot


SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System("All", image=True, tags=True, plot=True),
        System("AVCA", image=True, tags=True, plot=True, loss="triplet", frozen=True),
        System("AVCA-tuned", image=True, tags=True, plot=True, loss="triplet"),
        System("Im", image=True),
        System("Plo", plot=True),
        System("Ta", tags=True),
        System("ImPlo", image=True, plot=True),
        System("ImTa", image=True, tags=True),
        System("TaPlo", tags=True, plot=True),
    )
}
"""Table 1, with its AVCA baseline twice: towers frozen as released, and fine-tuned like every other row."""


def part_subsets(system: System) -> list[Parts]:
    """Return every choice of a system's parts: all of them first, then as Table 1 lists them."""
    rows = (row.parts for row in SYSTEMS.values() if row.contrastive and row.parts < system.parts)
    return [system.parts, *rows]


def row_of_parts(system: System, parts: Parts) -> str:
    """Return the leaderboard's name of what a system reaches from fewer parts, as in "Im by All"."""
    (name,) = (row.name for row in SYSTEMS.values() if row.contrastive and row.parts == parts)
    return f"{name}{_BY}{system.name}"


def parts_of_row(name: str) -> tuple[System, Parts] | None:
    """Return the system of a leaderboard's row and the parts that it was measured with; None for a baseline's row."""
    subset, _, system = name.rpartition(_BY)
    if system not in SYSTEMS or (subset and subset not in SYSTEMS):
        return None
    return SYSTEMS[system], SYSTEMS[subset or system].parts


def chosen_systems(names: list[str]) -> list[System]:
    """Return the systems of these names; "all" (in small letters) is the whole table, "All" the trimodal row.

    Raises `InputError` for a name that is not in the table, and for an empty list.
    """
    requested = list(SYSTEMS) if "all" in names else list(dict.fromkeys(names))
    unknown = [name for name in requested if name not in SYSTEMS]
    if unknown or not requested:
        raise InputError(
            f"There is no system {', '.join(unknown) or '(none was named)'}; choose from {', '.join(SYSTEMS)}, "
            "or 'all' for every one of them"
        )
    return [SYSTEMS[name] for name in requested]


def named_system(rows: list[dict[str, Any]], name: str, version: str) -> dict[str, dict[str, Any]]:
    """Return policy -> row of the one system that is meant. Raises `InputError` if it is none or several."""
    system, _, which = name.partition("@")
    meant = [
        row
        for row in rows
        if row["system"] == system and which in ("", row["preset"], row["settings"], row["settings_digest"])
    ]
    exact = [row for row in meant if row["settings"] == which]
    meant = exact if len({row["settings_digest"] for row in exact}) == 1 else meant
    if len({(row["preset"], row["settings_digest"]) for row in meant}) == 1:
        return {row["policy"]: row for row in meant}
    choices = sorted({shown_name(row, SHOWN_OF_SETTINGS) for row in meant or rows})
    problem = "is several systems" if meant else "is not a measured system"
    raise InputError(f"{name} {problem} of {version}; give one of {'; '.join(choices)}, by its name or its digest")


def shown_name(row: dict[str, Any], longest: int | None = None) -> str:
    """Return a system's name with its settings and their digest, as in All@1f3c9a2b (paper, text=ModernBERT-base)."""
    if not row["settings_digest"]:
        return str(row["system"])
    settings = row["settings"] or row["preset"]
    shown = settings if longest is None else textwrap.shorten(settings, longest, placeholder=" …")
    return f"{row['system']}@{row['settings_digest']} ({shown})"
