//! What a person's words say of a business: what it needs, what it has, what it goes without, and what was not
//! understood.

use std::collections::BTreeSet;

use resto_core::quote;

use super::accounts::Accounts;
use super::language::is_foreign;
use super::rules::{Account, Application, Level, Need, Rules};
use super::words::{Hit, Stance, Text};

/// What a person says of a business. All texts are free.
#[derive(Debug)]
pub(crate) struct Business<'a> {
    pub application: Application,
    pub description: &'a str,
    pub features: &'a [String],
    pub go_to_market: &'a str,
    pub existing_accounts: &'a [String],
}

/// What its words say.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    /// In the order in which a person connects them.
    pub wanted: Vec<Wanted<'a>>,
    /// Integration ids, and the words for which they are left out.
    pub left_out: Vec<(&'a str, String)>,
    /// What no integration does, and the words that ask for it.
    pub missing: Vec<(&'a Need, Vec<String>)>,
    /// Accounts that the business has.
    pub existing: Vec<&'a Account>,
    /// Accounts that nobody here knows, cleaned.
    pub unknown_accounts: Vec<String>,
    /// What was not understood, cleaned and cut.
    pub not_understood: Vec<String>,
    /// Whether some of it does not look like English.
    pub foreign: bool,
}

/// An integration that a business needs or may want.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub integration: &'a str,
    pub level: Level,
    /// Why, the strongest first.
    pub needs: Vec<&'a Need>,
    /// The words that showed it.
    pub heard: Vec<String>,
    /// The account there that the business has already.
    pub account: Option<&'a Account>,
    /// What does the same for the business already.
    pub elsewhere: Option<&'a Account>,
    /// The words that put it off.
    pub later: Option<String>,
    /// The words that speak against it, where others ask for it.
    pub doubted: Option<String>,
}

/// One of the texts.
struct Said<'a> {
    raw: &'a str,
    text: Text,
    is_description: bool,
}

/// A hit, and in which text.
type Found = (usize, Hit);

/// Reads what is said. `category` tells what an integration of the catalogue does, as accounts name it.
pub(crate) fn findings<'a>(
    rules: &'a Rules,
    business: &Business<'a>,
    category: impl Fn(&str) -> Option<&'static str>,
) -> Findings<'a> {
    let texts: Vec<Said<'_>> = [(business.description, true)]
        .into_iter()
        .chain(business.features.iter().map(|feature| (feature.as_str(), false)))
        .chain([(business.go_to_market, false)])
        .filter(|(raw, _)| !raw.trim().is_empty())
        .map(|(raw, is_description)| Said { raw, text: Text::read(raw), is_description })
        .collect();
    let mut understood = BTreeSet::new();
    let read: Vec<&Text> = texts.iter().map(|said| &said.text).collect();
    let Accounts { existing, leaving, naming, unknown } =
        Accounts::read(rules, business.existing_accounts, &read);
    understood.extend(naming);

    let found: Vec<(&Need, Vec<Found>)> = rules
        .needs
        .iter()
        .map(|need| {
            let hits = hits(need, &texts);
            understood.extend(hits.iter().map(|(text, _)| *text));
            (need, hits)
        })
        .collect();
    let (mut wanted, mut left_out) = (Vec::new(), Vec::new());
    for integration in rules.integrations() {
        let Some(serves) = category(integration) else { continue };
        let own: Vec<&(&Need, Vec<Found>)> = found
            .iter()
            .filter(|(need, _)| need.integration.as_deref() == Some(integration))
            .collect();
        let account = existing.iter().find(|one| one.integration.as_deref() == Some(integration));
        let elsewhere = existing.iter().find(|one| {
            one.integration.is_none() && one.serves.iter().any(|served| served == serves)
        });
        let is_left = leaving.iter().any(|one| one.serves.iter().any(|served| served == serves));
        match judged(integration, business.application, &own) {
            Judged::Wanted(mut one) => {
                one.account = account.copied();
                one.elsewhere = elsewhere.filter(|_| account.is_none() && !is_left).copied();
                if one.elsewhere.is_some() {
                    one.level = Level::Optional;
                }
                wanted.push(one);
            }
            Judged::LeftOut(words) => left_out.push((integration, words)),
            Judged::Nothing => wanted.extend(account.map(|account| Wanted {
                account: Some(*account),
                ..Wanted::of(integration, Level::Optional)
            })),
        }
    }
    let missing = found
        .iter()
        .filter(|(need, _)| match need.integration.as_deref() {
            None => true,
            Some(id) => category(id).is_none(),
        })
        .filter_map(|(need, hits)| {
            let asked = hits.iter().filter(|(text, hit)| {
                hit.stance != Stance::Not
                    && !texts.get(*text).is_some_and(|said| is_product(said, hit))
            });
            let heard = heard(asked.map(|(_, hit)| hit));
            (!heard.is_empty()).then_some((*need, heard))
        })
        .collect();
    let not_understood = texts
        .iter()
        .enumerate()
        .filter(|(index, said)| !understood.contains(index) && says_something(said))
        .map(|(_, said)| short(said.raw))
        .collect();
    let unknown_accounts = unknown.into_iter().map(short).collect();
    let foreign = texts
        .iter()
        .enumerate()
        .any(|(index, said)| is_foreign(&said.text, understood.contains(&index)));
    Findings { wanted, left_out, missing, existing, unknown_accounts, not_understood, foreign }
}

impl<'a> Wanted<'a> {
    fn of(integration: &'a str, level: Level) -> Self {
        Self {
            integration,
            level,
            needs: Vec::new(),
            heard: Vec::new(),
            account: None,
            elsewhere: None,
            later: None,
            doubted: None,
        }
    }
}

enum Judged<'a> {
    Wanted(Wanted<'a>),
    LeftOut(String),
    Nothing,
}

/// Weighs what is said of one integration against what its type of application needs anyway.
fn judged<'a>(
    integration: &'a str,
    application: Application,
    own: &[&(&'a Need, Vec<Found>)],
) -> Judged<'a> {
    let all = || own.iter().flat_map(|(need, hits)| hits.iter().map(move |hit| (*need, hit)));
    let stands = |stance: Stance| all().filter(move |(_, (_, hit))| hit.stance == stance);
    let wants = || stands(Stance::Wants);
    let base = own.iter().filter_map(|(need, _)| need.base.get(&application)).max().copied();
    let spoken = wants().map(|(need, _)| need.level).max();
    let later = stands(Stance::Later).next();

    let denial = stands(Stance::Not).find(|(need, _)| need.whole).map(|(_, found)| found);
    let doubted = match denial {
        // Elsewhere in the text it is asked for: a wrong exclusion would do more harm than a question.
        Some((text, hit)) => {
            if !wants().any(|(_, (other, wanted))| other != text || !wanted.shares_sentence(hit)) {
                return Judged::LeftOut(hit.words.clone());
            }
            Some(hit.words.clone())
        }
        None => None,
    };
    let Some(mut level) = base.max(spoken).or(later.map(|_| Level::Optional)) else {
        return Judged::Nothing;
    };
    let put_off = later.filter(|(need, _)| need.whole || spoken.is_none());
    if put_off.is_some() || doubted.is_some() {
        level = Level::Optional;
    }
    let mut needs: Vec<&Need> = own
        .iter()
        .filter(|(need, hits)| {
            need.base.contains_key(&application)
                || hits.iter().any(|(_, hit)| hit.stance != Stance::Not)
        })
        .map(|(need, _)| *need)
        .collect();
    // What was said tells more than what holds for everybody.
    needs.sort_by_key(|need| need.whole || !need.base.is_empty());
    Judged::Wanted(Wanted {
        needs,
        heard: heard(wants().map(|(_, (_, hit))| hit)),
        later: put_off.map(|(_, (_, hit))| hit.words.clone()),
        doubted,
        ..Wanted::of(integration, level)
    })
}

/// Where the words of a need stand.
fn hits(need: &Need, texts: &[Said<'_>]) -> Vec<Found> {
    let mut found = Vec::new();
    for (index, said) in texts.iter().enumerate() {
        let unless = need.unless.find(&said.text);
        let hits = need.words.find(&said.text);
        found.extend(
            hits.into_iter()
                .filter(|hit| !unless.iter().any(|other| other.overlaps(hit)))
                .map(|hit| (index, hit)),
        );
        let denials = need.denied_by.find(&said.text).into_iter();
        found.extend(denials.map(|hit| (index, hit.denied())));
    }
    found
}

/// The different words of some hits, at most five.
fn heard<'h>(hits: impl Iterator<Item = &'h Hit>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for hit in hits {
        if !words.contains(&hit.words) && words.len() < 5 {
            words.push(hit.words.clone());
        }
    }
    words
}

/// Whether a hit names what the business sells and not what it needs: `A help desk for hotels`.
fn is_product(said: &Said<'_>, hit: &Hit) -> bool {
    const KINDS: &[&str] =
        &["for", "software", "product", "platform", "tool", "company", "agency", "startup"];
    let next = said.text.after(hit, 1);
    said.is_description && Text::opens(hit) && next.first().is_some_and(|next| KINDS.contains(next))
}

/// Whether a text says enough that it should have been understood.
fn says_something(said: &Said<'_>) -> bool {
    said.text.words().next().is_some() && (!said.is_description || said.text.words().count() > 2)
        || said.raw.chars().any(|letter| letter.is_alphabetic() && !letter.is_ascii())
}

/// Somebody's words as part of ours: cleaned, and not many.
fn short(words: &str) -> String {
    quote(words).chars().take(80).collect()
}
