"""Invented countries with their languages, names, towns and the instrument that answers in their films."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Country:
    """One invented country. Names are chosen so that nobody real is meant."""

    name: str
    demonym: str
    language: str
    answer_voice: str
    """The instrument of the country, a name in `voices.VOICES`."""
    women: tuple[str, ...]
    men: tuple[str, ...]
    surnames: tuple[str, ...]
    towns: tuple[str, ...]

    def person(self, rng: random.Random, *, woman: bool) -> str:
        """A full name."""
        return f"{rng.choice(self.women if woman else self.men)} {rng.choice(self.surnames)}"


COUNTRIES: tuple[Country, ...] = (
    Country(
        "Ruritania",
        "Ruritanian",
        "Ruritanian",
        "zither",
        ("Ottilie", "Mirna", "Ludmila", "Hedy", "Zdena", "Walburga", "Ilka", "Brunhild"),
        ("Otto", "Casimir", "Bohumil", "Anselm", "Jaromir", "Ladislav", "Veit", "Kuno"),
        ("Strelnau", "Hofbek", "Zendarsky", "Krumpf", "Wolkenstern", "Pribislav", "Tarlenheim", "Mokry"),
        ("Strelsau", "Brunnick", "Novigraz", "Karsk", "Zelm", "Hofgrad", "Untermoor", "Pribor Wells"),
    ),
    Country(
        "Vesperia",
        "Vesperian",
        "Vesperian",
        "lute",
        ("Celestina", "Fiammetta", "Rosalba", "Inés", "Perpetua", "Amaranta", "Lucía", "Domitilla"),
        ("Baltasar", "Evaristo", "Gaspare", "Ruy", "Telmo", "Fulgencio", "Amadeo", "Nicolò"),
        ("Vellamar", "de la Sombra", "Castelmori", "Quintavalle", "Oliveri", "Montefumo", "Zafiro", "Bracamonte"),
        ("Port Amaryll", "Castelmora", "Vellano", "San Gaspare", "Torrebruna", "Olivastra", "Cala Muda", "Montefino"),
    ),
    Country(
        "Karelund",
        "Karelundian",
        "Karelundic",
        "fiddle",
        ("Solveig", "Ragna", "Tuulikki", "Ingeborg", "Åse", "Gunnhild", "Maarit", "Sigrun"),
        ("Torvald", "Eskil", "Halvdan", "Ørjan", "Paavo", "Sindri", "Ulf", "Asmund"),
        ("Fjellström", "Tjernvik", "Haukainen", "Sandbråten", "Lumisalo", "Myrdal-Ness", "Isvik", "Koivurinne"),
        ("Tólvik", "Isbråten", "Hvalnes", "Lumijärva", "Nordskog Bay", "Grimsund", "Svartholm", "Kaldbakki"),
    ),
    Country(
        "the Tarrant Isles",
        "Tarrantese",
        "Tarrantese",
        "clarinet",
        ("Philippa", "Morwenna", "Agnes", "Tamsin", "Hester", "Winifred", "Bryony", "Maud"),
        ("Ambrose", "Cuthbert", "Jago", "Barnaby", "Silas", "Peregrine", "Enoch", "Wilf"),
        ("Trelawney-Pike", "Ashgrove", "Penhallick", "Thistlewood", "Crake", "Muddle", "Larkspur", "Ormerod-Finch"),
        ("Skerrow", "Dunwhistle", "Little Hexford", "Brackwater", "Marrowmere", "St Petroc's", "Pell", "Gullhaven"),
    ),
    Country(
        "Oulemia",
        "Oulemian",
        "Oulemian",
        "marimba",
        ("Aïssatou", "Zéphyrine", "Nadège", "Fatoumata", "Célimène", "Ondine", "Awa", "Rokhaya"),
        ("Théophile", "Mamadou", "Isidore", "Ousmane", "Fulbert", "Anatole", "Kwabena", "Placide"),
        ("N'Doumbé", "Lacroix-Palme", "Diabandé", "Beaurivage", "Tounkaré", "Valcourt", "Saint-Ursin", "Okoumba"),
        ("Saint-Ursin", "Quillon", "Boulafé", "Port-Zéphyr", "Tambérine", "Les Palmes", "Nioro Bay", "Belle-Dune"),
    ),
)
