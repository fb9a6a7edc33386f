//! Whether words want the thing that they name, want it later, or deny it.

/// How something is spoken of. In this order: the last one that is said of a thing counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stance {
    /// As part of the business.
    Wants,
    /// As something for another day.
    Later,
    /// As something that the business goes without.
    Not,
}

/// Says that what follows is not so.
const NEGATIONS: &[&str] = &[
    "no",
    "not",
    "without",
    "never",
    "neither",
    "nor",
    "nobody",
    "nothing",
    "dont",
    "doesnt",
    "wont",
    "cant",
    "cannot",
    "didnt",
    "isnt",
    "arent",
    "avoid",
    "avoiding",
    "skip",
    "skipping",
    "exclude",
    "excluding",
    "except",
];
/// After `not`, these deny nothing.
const HARMLESS: &[&str] = &["only", "just", "sure", "least", "matter", "problem", "longer"];
/// Says that what stands before it is not so.
const DENIALS: &[&str] = &[
    "not needed",
    "not required",
    "not planned",
    "not wanted",
    "not necessary",
    "not part of",
    "not yet",
    "not now",
    "not included",
    "not used",
    "arent needed",
    "isnt needed",
    "wont be needed",
    "unnecessary",
    "out of scope",
    "off the table",
];
/// Says that what stands beside it is for another day.
const DELAYS: &[&str] = &[
    "later",
    "can wait",
    "some day",
    "someday",
    "one day",
    "eventually",
    "in the future",
    "in future",
    "next year",
    "maybe",
    "perhaps",
    "might",
    "phase two",
    "phase 2",
    "version two",
    "version 2",
    "nice to have",
    "further down",
    "down the road",
    "at some point",
];
/// Where a denial ends.
const TURNS: &[&str] = &[
    "but", "however", "although", "though", "because", "since", "so", "just", "only", "instead",
    "until", "while", "yet", "then", "who", "whose",
];
/// Shortly before a denial, these make it one of some people or cases only.
const CONDITIONS: &[&str] = &["who", "whoever", "if", "when", "unless", "those", "once"];
/// After `and`, these begin something new.
const STARTS: &[&str] = &[
    "we",
    "i",
    "they",
    "it",
    "you",
    "our",
    "a",
    "an",
    "the",
    "with",
    "will",
    "can",
    "want",
    "need",
    "use",
    "sell",
    "get",
    "be",
    "have",
    "then",
    "only",
    "users",
    "customers",
    "people",
    "readers",
    "pay",
    "charge",
];

/// The stance of each word of a sentence; `commas` tells before which of them one stands.
pub(super) fn stances(texts: &[&str], commas: &[bool]) -> Vec<Stance> {
    let text = |at: usize| texts.get(at).copied().unwrap_or_default();
    let comma = |at: usize| commas.get(at).copied().unwrap_or(false);
    let says = |at: usize, phrase: &str| {
        let count = phrase.split(' ').count();
        let fits = phrase.split(' ').enumerate().all(|(index, part)| text(at + index) == part);
        fits.then_some(count)
    };
    let is_condition = |at: usize| {
        let before = texts.get(at.saturating_sub(3)..at).unwrap_or_default();
        before.iter().any(|word| CONDITIONS.contains(word))
    };
    let mut stances = vec![Stance::Wants; texts.len()];
    let mut set = |range: std::ops::Range<usize>, stance: Stance| {
        for place in stances.get_mut(range).into_iter().flatten() {
            *place = stance.max(*place);
        }
    };
    for at in 0..texts.len() {
        let is_denied = |phrase: &&str| says(at, phrase);
        if let Some(length) = DENIALS.iter().find_map(is_denied) {
            set(part_start(&comma, at)..at + length, Stance::Not);
        } else if NEGATIONS.contains(&text(at)) && is_condition(at) {
            // `Users who do not pay lose access` tells that the others pay.
        } else if NEGATIONS.contains(&text(at)) && !HARMLESS.contains(&text(at + 1)) {
            set(at..denied_until(texts, &comma, at + 1), Stance::Not);
        } else if says(at, "instead of").or(says(at, "rather than")).is_some() {
            set(at..denied_until(texts, &comma, at + 2), Stance::Not);
        }
        if DELAYS.iter().any(|phrase| says(at, phrase).is_some()) {
            let end = (at + 1..texts.len()).find(|next| comma(*next)).unwrap_or(texts.len());
            set(part_start(&comma, at)..end, Stance::Later);
        }
    }
    stances
}

/// Where the part of the sentence begins, between commas, in which a word stands. A part of one or two words says
/// something of the part before it: `Payments, perhaps later`.
fn part_start(comma: &impl Fn(usize) -> bool, at: usize) -> usize {
    let start = |at: usize| (0..=at).rev().find(|place| *place == 0 || comma(*place)).unwrap_or(0);
    match start(at) {
        found if found > 0 && at - found < 2 => start(found - 1),
        found => found,
    }
}

/// Where a denial that begins before this word ends.
fn denied_until(texts: &[&str], comma: &impl Fn(usize) -> bool, from: usize) -> usize {
    let text = |at: usize| texts.get(at).copied().unwrap_or_default();
    for at in from..texts.len() {
        let list_goes_on = || {
            // `no payments, ads or mail`, but not `no payments, mail and chat`.
            let rest = texts.get(at..).unwrap_or_default().iter().take(5);
            rest.clone().any(|word| ["or", "nor"].contains(word))
                && !rest.clone().any(|word| TURNS.contains(word))
        };
        let ends = TURNS.contains(&text(at))
            || (comma(at) && !list_goes_on())
            || (text(at) == "and" && STARTS.contains(&text(at + 1)));
        if ends {
            return at;
        }
    }
    texts.len()
}
