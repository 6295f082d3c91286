"""Where the invented films under a roof happen; see `settings_outdoors` for how they are written."""

from __future__ import annotations

from needledrop.demo.settings_outdoors import Setting

INDOORS: tuple[Setting, ...] = (
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
)
