"""The systems of the paper's Table 1, as data: each one's inputs and its loss. Imports no torch.

The loop, the model and the evaluation read the properties of a `System` and never test for its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from storage.errors import InputError

Parts = frozenset[str]
"""Parts of a film that a query is made of."""
ALL_PARTS: Parts = frozenset({"image", "tags", "plot"})
_BY = " by "


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
