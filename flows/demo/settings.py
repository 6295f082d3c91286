"""Where the invented films happen: a place, somebody's work there, a thing to want, and what goes on.

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


SETTINGS: tuple[Setting, ...] = (
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
        "Films about bakers",
        "a bakery in {town}",
        "an apprentice baker",
        "the hundred-year-old sourdough",
        ("Loaf", "Crust", "Four in the Morning"),
        (
            "The oven was built by {hero}'s grandfather and [answers only to {hero}|leans a little to the left].",
            "{friend} delivers the rolls on a bicycle with one brake and strong opinions about it.",
            "A letter from the ministry asks for [four thousand poppy-seed rolls by Sunday|the recipe, in triplicate].",
            "The flour is weighed on scales that {rival} has sworn are crooked.",
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
            "Brother {friend} has taken a vow of silence and breaks it only for wasps.",
            "{rival} brings a contract for [nine hundred jars|the meadow, the orchard and the road between].",
            "One hive weighs [twice|half] what it should, and nobody dares to open it.",
        ),
    ),
    Setting(
        "Films about radio",
        "the radio station at {town}",
        "a late-night announcer",
        "the lost recording",
        ("Long Wave", "Dead Air", "Frequency"),
        (
            "Between two and three in the morning the station has exactly one listener, who telephones.",
            "{friend} reads the shipping forecast [backwards, for a bet|as though it were a poem].",
            "A tape marked DO NOT PLAY is [played|found to be blank on one side].",
            "The mast sways [a metre|more than the engineer likes] in the east wind.",
        ),
    ),
    Setting(
        "Films about chess",
        "the chess club of {town}",
        "a chess prodigy of forty-four",
        "the ivory bishop",
        ("Ivory Bishop", "Zugzwang", "Pawn to Herring Four"),
        (
            "The club meets above a fishmonger's and the boards smell of [herring|mackerel and varnish].",
            "{rival} has not lost a game [since the flood|in public].",
            "{friend} plays the whole second round [blindfold|with a hen under one arm].",
            "A postcard arrives from abroad with a single move on it.",
        ),
    ),
    Setting(
        "Films about the postal service",
        "the sorting office of {town}",
        "a postal clerk",
        "the undelivered letter",
        ("Dead Letter", "Return to Sender", "By Second Post"),
        (
            "In the basement are [six thousand|eleven sacks of] letters that never found their address.",
            "{friend} knows every dog on the round by its middle name.",
            "One envelope has come back [seven times|from three different countries], each time a little heavier.",
            "{rival}, the inspector, counts the stamps at closing time and [smiles at the result|counts them again].",
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
        "Films about puppetry",
        "the puppet theatre of {town}",
        "a puppet maker",
        "the marionette of the old king",
        ("Wooden King", "Strings", "Head in the Soup"),
        (
            "The theatre seats ninety, or [two hundred children|sixty in winter coats].",
            "The old king has been carved [from a ship's rudder|by three generations of one family].",
            "{friend} plays all seven dwarfs and [the weather|the stepmother].",
            "On the morning of the première the head of the hero is found [in the soup|facing the wall].",
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
        "Films about clocks",
        "the clock tower of {town}",
        "a clockmender",
        "the thirteenth wheel",
        ("Thirteenth Wheel", "Seven Minutes Slow", "Pendulum"),
        (
            "The clock is [seven minutes|half a day] slow, and the town has agreed to live by it.",
            "There is one wheel too many on the workbench when the clock is put together again.",
            "{friend} winds the weights with a donkey called [Tuesday|the Treasurer].",
            "{rival}, the mayor, promises the right time by the election.",
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
        "Films about opera",
        "the opera house of {town}",
        "a prompter",
        "the manuscript of the lost aria",
        ("Second Soprano", "Box Five", "Pianissimo"),
        (
            "The chandelier has been lowered for cleaning and [will not go up again|swings when nobody sings].",
            "{friend} has understudied the same part for [fourteen seasons|longer than the tenor has lived].",
            "Box five is let to [the estate of a man who hated music|somebody who pays in foreign coin].",
            "{rival} conducts with a fork, having broken every baton in the house.",
        ),
    ),
    Setting(
        "Films about cartography",
        "the map archive of {town}",
        "an archivist",
        "the map with the missing corner",
        ("Missing Corner", "Terra Incognita Street", "Here Be Herring"),
        (
            "On one map there is a village that [no other map shows|has moved since the last inventory].",
            "{friend} has measured the coast in [paces|lengths of the same herring net].",
            "The catalogue is kept on cards, and the cards are kept by {rival}.",
            "The missing corner turns up [as a bookmark|in the lining of a coat].",
        ),
    ),
    Setting(
        "Films about circuses",
        "the winter quarters of a circus at {town}",
        "a rope walker",
        "the silver hoop",
        ("Silver Hoop", "No Net", "Winter Quarters"),
        (
            "The elephant is retired and [does the accounts with her trunk|lives in the villa].",
            "{friend} has been shot from the same cannon nine hundred times.",
            "The net has been [pawned|mended with curtain cord].",
            "{rival}, the ringmaster, owns the tent, the horses and [everybody's contracts|the only umbrella].",
        ),
    ),
    Setting(
        "Films about hotels",
        "the Grand Hotel at {town}",
        "a night porter",
        "the key to room 33",
        ("Night Porter", "Room 33", "Off Season"),
        (
            "There is no room 33, but the key hangs on its hook [and is warm|every morning].",
            "{friend} has lived on the third floor since [a honeymoon that went wrong|the lift broke].",
            "The season has ended and only [four guests and a parrot|an orchestra without a conductor] remain.",
            "{rival} has bought the hotel [at cards|by letter, unseen].",
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
        "Films about schools",
        "the village school at {town}",
        "a substitute teacher",
        "the school bell",
        ("Last Bell", "Long Division", "Back Row"),
        (
            "There are nineteen pupils, of whom [eleven are cousins|one is the mayor].",
            "{friend} has repeated the fourth form [out of loyalty|three times].",
            "The globe in the classroom shows [two countries too many|an ocean where the town should be].",
            "{rival}, the inspector, sits in the last row and writes [a great deal|nothing down].",
        ),
    ),
    Setting(
        "Films about cooking",
        "the station restaurant of {town}",
        "a cook",
        "the recipe for the green soup",
        ("Green Soup", "Salt and Vinegar", "Two Days' Soup"),
        (
            "The soup takes two days and [a key that hangs round the cook's neck|eleven herbs, one of them forbidden].",
            "{friend} tastes everything and approves of [nothing|the spoons].",
            "A critic has reserved a table under [a false name|the name of a dead emperor].",
            "{rival} has opened a restaurant across the platform with [a neon lobster|larger portions].",
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
