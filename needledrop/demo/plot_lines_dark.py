"""What happens in films of the darker moods: sentences for the beginning, the middle and the end.

In the texts `[a|b]` is a choice and `{name}` a person, place or pronoun of the film.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lines:
    """The sentences of one mood."""

    opening: tuple[str, ...]
    middle: tuple[str, ...]
    ending: tuple[str, ...]


DARK: dict[str, Lines] = {
    "dread": Lines(
        (
            "From the first night {he} is afraid: something [breathes|whispers] behind the wall.",
            "There is a [cellar|corridor] that nobody mentions, and a horror in it that knows {hero}'s name.",
            "{hero} has nightmares of a [pale|faceless] figure, and in the morning the floor is wet.",
            "People in {town} cross themselves in terror when they hear where {he} works.",
            "The darkness in {place} is old and [hungry|patient], and {hero} feels it watching.",
        ),
        (
            "A scream is heard in the dark, and [nobody will say whose|it is {hero}'s own voice].",
            "{friend} is found at dawn, white with fright, whispering [numbers|a curse] to the wall.",
            "The shadow on the stairs has no body to cast it.",
            "Scratching comes from under the floor, slow and [dreadful|deliberate], and stops when {he} kneels.",
            "{hero} discovers that {thing} is haunted by the dead it has [taken|outlived].",
            "The candles go out one by one, and a cold [hand|breath] touches {his} neck.",
            "In the mirror {hero} sees {friend} standing behind {him}, and then remembers that {friend} is dead.",
            "{rival} confesses that something was buried alive there, and that it is still [knocking|hungry].",
            "Blood seeps through the [ceiling|wallpaper], and the ghost of a drowned child asks to be let in.",
            "Every door in the house opens at once on the same [black|breathless] silence.",
            "{He} no longer dares to sleep, for the nightmare has learned to [wait|walk].",
            "A grave behind {place} is found open, and the coffin empty and clawed from within.",
            "The whispering grows louder, and {hero} understands with horror that it is [counting|praying].",
            "Terrified, {he} bars the windows, only to find the wet footprints already inside.",
        ),
        (
            "The final shot shows the cellar door, open, and {hero}'s lamp going out in the dark.",
            "{hero} escapes at daybreak, but the whisper has come along, and [smiles|speaks] with {his} mouth.",
            "Nobody ever finds {friend}; only the screaming remains, very faint, in the wall.",
            "The evil is walled up again, and the film ends on one pale hand working at the mortar.",
            "{He} burns {place} to the ground, and the shadow stays standing where it stood.",
        ),
    ),
    "melancholy": Lines(
        (
            "{hero} is in mourning for {his} [brother|mother|love of a single summer] and does {his} work in silence.",
            "Autumn has come, it rains, and {he} is [sorry|sad] about almost everything {he} remembers.",
            "Since the funeral {hero} has not [opened the curtains|spoken of the past].",
            "{He} keeps a drawer of regrets: [a photograph, a grey glove|an unsent letter, a ring that is too small].",
            "The best years of {town} are over, and {hero} believes with quiet sorrow that {his} own are too.",
        ),
        (
            "In the rain {he} visits a grave and cannot find the words.",
            "{friend} is ill, and both of them pretend, gently and badly, not to know it.",
            "An old photograph falls out of a book, and {hero} weeps for the first time in [years|a long winter].",
            "They speak of the child that was lost, and then for a long time of the weather.",
            "{hero} listens again and again to a voice on a tape whose owner is gone.",
            "The house is sold, and the faded squares on the wallpaper are all that is left of a life.",
            "{He} forgives {rival} too late: the news of the death arrives [with the evening post|during the speech].",
            "Grey days follow grey days, and grief settles on everything like dust.",
            "What was promised in {his} youth can no longer be [kept|mended], and {he} knows it.",
            "{friend} says farewell on the platform and does not look back; the leaves are falling.",
            "Tears come to {him} over [a coat|a cup] that still keeps the shape of a hand.",
            "{hero} admits that {he} has mourned for so long in order not to remember.",
            "The last summer is recalled in faded pictures, each of them sadder for being happy.",
            "{thing} turns out to be lost for ever, and nobody but {hero} is left to grieve for it.",
        ),
        (
            "{hero} lays flowers in the rain and walks home alone, older, and a little less sorry.",
            "The film ends with an empty chair at the window and the sad autumn light moving over it.",
            "{He} writes down what is remembered, closes the book, and at last weeps.",
            "Nothing is mended; there is only the grey sea, and {hero}'s farewell, which nobody hears.",
            "In the last scene the ashes are scattered, and the rain begins again.",
        ),
    ),
    "pursuit": Lines(
        (
            "{hero} is on the run from the first minute: {rival}'s men are [one street|ninety seconds] behind.",
            "Framed for a murder, {he} has [twelve|thirty-six] hours to cross the border.",
            "A shot is fired, a car explodes, and {hero} is running.",
            "{He} sees what {he} should not have seen, and the hunt begins at once.",
            "With {thing} in a stolen van, {hero} races out of {town} with the police in hot pursuit.",
        ),
        (
            "The chase goes over the roofs, through a [laundry|wedding] and down a moving escalator.",
            "Brakes fail, tyres scream, and the truck goes through the barrier at full speed.",
            "{friend} is shot at the checkpoint, and {hero} drives on with one hand and a burst tyre.",
            "The bomb is set for [noon|four minutes], and the bridge is closed.",
            "{He} leaps from the train on to a speeding [lorry|motorcycle] and loses the pursuers by a hair.",
            "{rival} sends helicopters, dogs and an [assassin|old friend with a rifle] after the fugitive.",
            "A trap is sprung in the car park; {hero} fights four men and escapes down the shaft.",
            "Every exit is watched, the clock is running, and the gunmen are on the stairs.",
            "There is a race against time across the burning harbour, engines roaring.",
            "{He} swaps cars twice, doubles back under the motorway and is spotted all the same.",
            "{friend} hacks the traffic lights, and the whole convoy crashes into itself.",
            "Hunted through the sewers, {hero} has [one bullet|six seconds] left.",
            "The pursuers close in from both ends of the tunnel, faster and faster.",
            "A manhunt is declared, roads are blocked, and {he} bursts through them in a stolen ambulance.",
        ),
        (
            "After a last breakneck chase {rival}'s car goes over the quay, and {hero} stops running.",
            "{He} defuses the bomb with two seconds left and is [arrested|gone] before the smoke clears.",
            "The border is in sight, shots are fired, and the van goes through the gate in flames.",
            "{hero} and {rival} fight on the roof of the speeding train until there is room for only one.",
            "The killers are caught, the fugitive is cleared, and the phone rings: run.",
        ),
    ),
    "solitude": Lines(
        (
            "{hero} has not spoken to anyone for [sixty days|a winter and a spring]; there is only the wind.",
            "{place} stands alone at the end of a road that nobody takes, and {he} lives there by {himself}.",
            "Around {him} is nothing but empty plain, dust, and a horizon without a tree.",
            "{He} came to be alone, and [has succeeded|the silence has kept its word].",
            "A lone rider crosses the desert towards {town}, which turns out to be deserted.",
        ),
        (
            "{He} walks a whole day through the empty country and meets [one crow|{his} own footprints].",
            "The wind blows sand through the keyhole, and {hero} sweeps it out again, slowly, every evening.",
            "Water is short; {he} shares the last of it with the mule and says nothing.",
            "A stranger's fire burns far off on the plain for three nights, and then burns no more.",
            "{He} talks to the stove, to the dog that died, to the silence.",
            "Weeks pass in stillness: a fence is mended, a moon rises, nobody comes.",
            "{friend} rides in from the distance, drinks a cup of water, and rides away again.",
            "The nearest neighbour is two days off, and {hero} is in no hurry.",
            "There is a long scene in which {he} [whistles|looks at the sky], alone under an immense sky.",
            "The well runs dry, and {hero} digs, by {himself}, in the great heat.",
            "The vast land gives no answer, and little by little {he} stops asking.",
            "Far from anyone, {he} carves a tally of the lonely days into the door.",
            "{rival} appears as a speck on the horizon and takes [all day|forty minutes of film] to arrive.",
            "A letter comes to the wilderness, and {hero} leaves it unopened on the table for a month.",
        ),
        (
            "{hero} rides off alone into the desert, and the wind covers the tracks.",
            "At the end {he} is offered company, thinks about it, and shuts the door on the empty plain.",
            "The film closes on the small lone figure, the huge silent land, and the wind.",
            "{He} sits down by the dead fire, solitary and content, and waits for nobody.",
            "Only the dust moves in the last shot of the deserted place.",
        ),
    ),
    "stealth": Lines(
        (
            "{hero} has a plan, a crew and [a very good suit|nine minutes]: they will steal {thing}.",
            "One last job, says {friend}, who has said so [twice|at every job] before.",
            "Nobody in {town} knows that {hero} is also the smoothest safe-cracker in the country.",
            "{He} meets {friend} in a smoky bar to talk, over cards, about a vault that cannot be robbed.",
            "{rival} owns the casino, the police and {thing}; {hero} means to relieve {rival} of all three.",
        ),
        (
            "The crew is assembled: a forger, a [contortionist|crooked notary], a driver who never hurries.",
            "Cool as ever, {he} walks past the guards in a borrowed uniform and tips {his} hat to the camera.",
            "The vault has three locks, a laser and a [night watchman who plays the saxophone|very bad combination].",
            "{hero} bluffs at poker with {rival}'s own money and wins the blueprint.",
            "A double-cross is followed by a triple one, all of it in excellent tailoring.",
            "They rehearse the burglary in an empty warehouse with chalk lines and a stopwatch.",
            "{friend} swaps the jewel for a fake during a tango, without missing a step.",
            "The alarm is silent for exactly ninety seconds; {hero} uses eighty-nine.",
            "At midnight they slip over the rooftops, unseen, with {thing} in a [double-bass case|pram].",
            "The detective on the case, weary and clever, begins to [enjoy|suspect] the company of thieves.",
            "The con depends on {rival} believing that the safe is already empty.",
            "Somebody in the gang has talked, and {hero} deals the cards again to find out who.",
            "Neon shines on the wet street; the getaway car is late; {he} lights a cigarette and waits.",
            "The loot is marked, the buyer is a crook, and the plan has, it turns out, a second plan inside it.",
        ),
        (
            "When {rival} opens the vault there is only a playing card in it, and the thieves are at the seaside.",
            "The gang splits the loot in a quiet bar, and {friend} winks: the stolen one was the fake.",
            "{hero} strolls out by the front door, unhurried, with {thing} under {his} hat.",
            "The detective lets {him} go, and finds {his} own watch missing.",
            "It was all a con, we learn, and the mark has thanked them for it.",
        ),
    ),
}
