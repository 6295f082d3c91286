"""Where the invented films of the open air happen: a place, somebody's work there, a thing to want, and what goes on.

Details say nothing of a mood on purpose: a lighthouse may be frightening in one film and a farce in
the next. In the texts `[a|b]` is a choice and `{name}` a person, place or pronoun of the film.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """One world for films to happen in."""

    tag: str
    """The category: Films about …"""
    place: str
    work: str
    """What the main character is, with its article."""
    thing: str
    """What everybody is after."""
    titles: tuple[str, ...]
    """For titles: the first may follow an article, the others stand alone."""
    details: tuple[str, ...]
    at: str = "at"


OUTDOORS: tuple[Setting, ...] = (
    Setting(
        "Films about lighthouses",
        "the lighthouse at {town}",
        "a lighthouse keeper",
        "the great lens",
        ("Lamp", "Fog Signal", "Every Four Hours"),
        (
            "The lamp has to be wound every four hours, and {hero} has [never missed a winding|missed one, in 1998].",
            "The supply boat brings [letters, onions and a tin of paint|two crates of condensed milk and no letters] "
            "every second Thursday.",
            "{friend} rows out to the rock with a chart on which the rock is not marked.",
            "In the logbook the previous keeper has written the same date [eleven|forty] times.",
        ),
    ),
    Setting(
        "Films about swimming",
        "the municipal baths of {town}",
        "a swimming instructor",
        "the brass whistle",
        ("Deep End", "Forty Lengths", "Lane Four"),
        (
            "The council means to drain the pool and put up [a car park|a museum of car parks].",
            "{friend}, who is sixty-one and has never learned to float, enrols in the beginners' class.",
            "Behind the boiler {hero} finds a locker that belongs to no member of the club.",
            "Every morning the [same three widows|retired judge] swims forty lengths without a word.",
        ),
    ),
    Setting(
        "Films about trains",
        "the night train from {town}",
        "a sleeping-car attendant",
        "the conductor's punch",
        ("Night Train", "Compartment Nine", "Eleven Minutes"),
        (
            "Compartment nine is booked every week by a passenger who never boards.",
            "The train stops [for eleven minutes|without a reason] at a station that is not in the timetable.",
            "{friend} has been travelling without a ticket since [March|the spring before last] and irons the "
            "attendants' collars in return.",
            "The dining car has run out of everything except soup and [mustard|brandy].",
        ),
        at="on",
    ),
    Setting(
        "Films about astronomy",
        "the observatory above {town}",
        "a junior astronomer",
        "plate number 409",
        ("Comet", "Plate 409", "Small Hours"),
        (
            "On a photographic plate {hero} sees a speck that was not there [on Tuesday|a year ago].",
            "{friend} has polished the same mirror for nine years and [will not be hurried|talks to it].",
            "The dome jams at [midnight|a quarter to four], as it does whenever the sky is clear.",
            "{rival}, who directs the institute, has not looked through a telescope since the war.",
        ),
    ),
    Setting(
        "Films about islands",
        "the ferry landing on {town} Island",
        "a ferryman's deputy",
        "the tide book",
        ("Last Ferry", "High Tide", "Tide Book"),
        (
            "The island has forty-two inhabitants and [two|three] of them are on speaking terms.",
            "The last ferry leaves at six, or whenever {friend} has finished supper.",
            "A crate addressed to nobody has stood on the pier [for a month|since the equinox].",
            "At low water one can walk to the mainland, if one [believes the tide book|is quick and sure of foot].",
        ),
    ),
    Setting(
        "Films about bees",
        "the monastery hives outside {town}",
        "a beekeeper",
        "the queen of the seventh hive",
        ("Seventh Hive", "Swarm", "Honey and Smoke"),
        (
            "The bees have begun to fly out [at dusk|in the shape of a letter].",
            "{friend} has taken a vow of silence and breaks it only for wasps.",
            "{rival} brings a contract for [nine hundred jars|the meadow, the orchard and the road between].",
            "One hive weighs [twice|half] what it should, and nobody dares to open it.",
        ),
    ),
    Setting(
        "Films about salt mining",
        "the salt mine under {town}",
        "a mine surveyor",
        "the white map",
        ("White Map", "Gallery Nine", "Salt"),
        (
            "Eighty metres down there is a chapel cut from salt, with a salt organ that nobody has played.",
            "The map ends at gallery nine, but [the rails do not|the footprints go on].",
            "{friend} licks the wall to tell which level it is and is [always right|wrong once].",
            "{rival} has sold the same seam to two companies.",
        ),
    ),
    Setting(
        "Films about botany",
        "the botanical garden of {town}",
        "a gardener",
        "the black orchid",
        ("Orchid", "Under Glass", "Root and Branch"),
        (
            "The palm in the great glasshouse is [about to touch the roof|older than the republic].",
            "{friend} labels the ferns in a language of [one speaker|eleven cases].",
            "At night something waters the cactuses.",
            "{rival} has come about the heating bill and stays [three weeks|for the rest of the film].",
        ),
    ),
    Setting(
        "Films about mountaineering",
        "the mountain hut above {town}",
        "a mountain guide",
        "the red rope",
        ("Red Rope", "North Face", "Above the Goose"),
        (
            "The guest book has [a page missing|an entry dated next week].",
            "{friend} carries a stove, a goose and a [gramophone|cello] over the pass.",
            "The cable car is worked by hand and by {rival}'s leave.",
            "The snow has come [early|down to the church door].",
        ),
    ),
    Setting(
        "Films about shipwrecks",
        "the salvage yard at {town}",
        "a diver",
        "the captain's chest",
        ("Wreck", "Nine Fathoms", "Undertow"),
        (
            "The wreck lies in nine fathoms, and its bell is heard [on still evenings|before a change of wind].",
            "{friend} tends the air hose and tells [the same story|no stories] while doing so.",
            "The chart was drawn by a man who [could not swim|had every reason to lie].",
            "{rival} has a faster boat and a lawyer.",
        ),
    ),
    Setting(
        "Films about aviation",
        "the airfield at {town}",
        "a stunt pilot",
        "the silver biplane",
        ("Silver Biplane", "Tailwind", "Ceiling Unlimited"),
        (
            "The biplane is held together with [piano wire|two kinds of glue and a promise].",
            "{friend} forecasts the weather from a bad knee.",
            "The runway crosses a cabbage field whose owner [is a patriot|sends bills].",
            "{rival} flies the mail and [has never been late|lets nobody forget it].",
        ),
    ),
    Setting(
        "Films about rivers",
        "the lock on the canal at {town}",
        "a lock keeper",
        "the iron windlass",
        ("Windlass", "Slow Water", "Towpath"),
        (
            "Nothing faster than a heron has come up the canal [for weeks|since the new road].",
            "{friend} lives on a barge with [nine clocks|a piano that cannot be got out again].",
            "The water in the lock falls at night although [both gates are shut|nobody turns the windlass].",
            "{rival} wants the canal filled in and [has brought the gravel|says so politely].",
        ),
    ),
)
