//! Measures the rules on businesses as their founders describe them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Deserialize;

use super::rules::fits;
use super::*;
use crate::catalog::Catalog;
use crate::host::adapters;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    tuned: Vec<Case>,
    held_out: Vec<Case>,
    hard: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    application: Application,
    description: String,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    go_to_market: String,
    #[serde(default)]
    existing_accounts: Vec<String>,
    #[serde(default)]
    needed: BTreeSet<String>,
    #[serde(default)]
    optional: BTreeSet<String>,
    #[serde(default)]
    missing: BTreeSet<String>,
}

/// How many were right, too many, and forgotten.
#[derive(Default)]
struct Score {
    right: usize,
    wrong: usize,
    forgotten: usize,
}

impl Score {
    fn add(&mut self, found: &BTreeSet<String>, expected: &BTreeSet<String>) {
        self.right += found.intersection(expected).count();
        self.wrong += found.difference(expected).count();
        self.forgotten += expected.difference(found).count();
    }

    /// Of a hundred that are told, how many are right.
    fn precision(&self) -> usize {
        100 * self.right / (self.right + self.wrong).max(1)
    }

    /// Of a hundred that are expected, how many are told.
    fn recall(&self) -> usize {
        100 * self.right / (self.right + self.forgotten).max(1)
    }
}

/// The scores of what is needed, of what is planned at all, and of what is missing; how many plans are right in
/// everything; and what differs. A deaf one hears nothing but the type of application.
fn measure(cases: &[Case], deaf: bool) -> ([Score; 3], usize, String) {
    let rules = Rules::read().unwrap();
    let catalog = Catalog::new(adapters());
    let category =
        |id: &str| catalog.adapter(id).map(|adapter| serves(adapter.integration.category));
    let (mut scores, mut whole, mut differences) = (<[Score; 3]>::default(), 0, String::new());
    for case in cases {
        let business = Business {
            application: case.application,
            description: &case.description,
            features: &case.features,
            go_to_market: &case.go_to_market,
            existing_accounts: &case.existing_accounts,
        };
        let nothing = Business {
            application: case.application,
            description: "",
            features: &[],
            go_to_market: "",
            existing_accounts: &[],
        };
        let found = findings(&rules, if deaf { &nothing } else { &business }, category);
        let of = |level: Level| -> BTreeSet<String> {
            let wanted = found.wanted.iter().filter(|one| one.level == level);
            wanted.map(|one| one.integration.to_owned()).collect()
        };
        let (needed, optional) = (of(Level::Needed), of(Level::Optional));
        let missing: BTreeSet<String> =
            found.missing.iter().map(|(need, _)| need.id.clone()).collect();
        let [of_needed, of_planned, of_missing] = &mut scores;
        of_needed.add(&needed, &case.needed);
        of_planned.add(&(&needed | &optional), &(&case.needed | &case.optional));
        of_missing.add(&missing, &case.missing);
        if needed == case.needed && optional == case.optional && missing == case.missing {
            whole += 1;
            continue;
        }
        writeln!(differences, "{}", case.description).unwrap();
        for (word, is, should) in [
            ("needed", &needed, &case.needed),
            ("optional", &optional, &case.optional),
            ("missing", &missing, &case.missing),
        ] {
            if is != should {
                writeln!(differences, "  {word}: {is:?}, expected {should:?}").unwrap();
            }
        }
    }
    (scores, whole, differences)
}

fn cases() -> Cases {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plans.toml");
    toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[expect(clippy::print_stderr, reason = "the figures are what this is for")]
fn told(name: &str, cases: &[Case]) -> [Score; 3] {
    let (scores, whole, differences) = measure(cases, false);
    if std::env::var_os("RESTO_SHOW_PLANS").is_some() || name == "tuned" {
        eprintln!("{differences}");
    }
    let (deaf, whole_deaf, _) = measure(cases, true);
    eprintln!(
        "{name}: {whole} of {} plans are right in everything, {whole_deaf} by the type alone",
        cases.len()
    );
    let all = ["needed", "needed or optional", "missing"].iter().zip(scores.iter().zip(&deaf));
    for (what, (score, deaf)) in all {
        let (precision, recall) = (score.precision(), score.recall());
        let by_type = format!("{} % and {} %", deaf.precision(), deaf.recall());
        eprintln!("  {what}: precision {precision} %, recall {recall} %; by the type {by_type}");
    }
    scores
}

/// The least that the sets have to reach: precision and recall of what is needed, of what is planned at all, and of what
/// is missing.
const TUNED: [(usize, usize); 3] = [(98, 100), (98, 100), (100, 100)];
const HELD_OUT: [(usize, usize); 3] = [(97, 98), (97, 98), (95, 95)];
const HARD: [(usize, usize); 3] = [(88, 92), (92, 95), (90, 10)];

#[test]
fn plans_what_a_person_with_experience_would() {
    let Cases { tuned, held_out, hard } = cases();
    assert!(held_out.len() + hard.len() >= 60.max(2 * tuned.len()));
    for (name, cases, least) in
        [("tuned", tuned, TUNED), ("held out", held_out, HELD_OUT), ("hard", hard, HARD)]
    {
        let scores = told(name, &cases);
        for (score, (precision, recall)) in scores.iter().zip(least) {
            assert!(score.precision() >= precision && score.recall() >= recall, "{name}");
        }
    }
}

#[test]
fn every_rule_names_what_there_is() {
    let rules = Rules::read().unwrap();
    let catalog = Catalog::new(adapters());
    let mut ids = BTreeSet::new();
    for need in &rules.needs {
        assert!(ids.insert(&need.id), "{} is there twice", need.id);
        assert!(!need.words.is_empty(), "{} is shown by nothing", need.id);
        let Some(id) = &need.integration else {
            assert!(need.missing.is_some() && !need.instead.is_empty(), "{}", need.id);
            continue;
        };
        let adapter = catalog.adapter(id).unwrap_or_else(|| panic!("{}: no {id}", need.id));
        assert!(!need.you.is_empty() && !need.tools.is_empty(), "{}", need.id);
        for pattern in &need.tools {
            let serves = adapter.actions().iter().any(|action| fits(pattern, &action.tool));
            assert!(serves, "{}: no tool is called {pattern}", need.id);
        }
    }
    for adapter in catalog.adapters() {
        let id = adapter.integration.id;
        let planned = rules.needs.iter().any(|need| need.integration.as_deref() == Some(id));
        assert!(planned, "no rule leads to {id}");
        assert!(rules.costs.iter().any(|cost| cost.integration == id), "{id}: no word of its cost");
    }
    for account in &rules.accounts {
        let Some(id) = &account.integration else {
            assert!(account.provider.is_none(), "{}", account.name);
            continue;
        };
        let integration = catalog.adapter(id).unwrap().integration;
        assert!(account.serves.iter().any(|one| one == serves(integration.category)));
        if let Some(provider) = &account.provider {
            assert!(integration.providers.iter().any(|one| one.id == provider), "{provider}");
        }
    }
}

fn said(application: Application, description: &str) -> (Vec<String>, bool) {
    let rules = Rules::read().unwrap();
    let business = Business {
        application,
        description,
        features: &[],
        go_to_market: "",
        existing_accounts: &[],
    };
    let found = findings(&rules, &business, |_| None);
    (found.not_understood, found.foreign)
}

#[test]
fn says_what_it_did_not_understand() {
    for foreign in [
        "Wir verkaufen Kerzen und verschicken sie in ganz Europa",
        "Nous vendons des bougies avec une newsletter",
        "私たちはろうそくを売っています",
        "Мы продаем свечи по всей Европе",
        "Vendemos velas para os clientes com uma newsletter",
    ] {
        assert!(said(Application::Ecommerce, foreign).1, "{foreign}");
    }
    for english in [
        "",
        "Newsletter",
        "We sell candles",
        "SEO, ads, blog, shop, newsletter",
        "A café in Zürich",
    ] {
        assert!(!said(Application::Ecommerce, english).1, "{english}");
    }
    let (not_understood, _) = said(Application::Saas, "Frobnicates\u{202e} the \u{1b}[31mwidgets");
    assert_eq!(not_understood, ["Frobnicates the widgets"]);
    let (not_understood, _) = said(Application::Saas, &"Frobnicates the widgets. ".repeat(1000));
    assert!(not_understood[0].chars().count() <= 80);
}
