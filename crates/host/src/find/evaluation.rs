//! Measures the finding of actions on what people ask of their agents.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Deserialize;

use super::*;
use crate::host::adapters;

/// What is said, and the tools of which any is right.
type Said = BTreeMap<String, Vec<String>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    tuned: Said,
    held_out: Said,
}

fn cases() -> Cases {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/utterances.toml");
    toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Of a thousand, for how many a right tool is the first, and among the first five; and which were not the first.
fn measure(finder: &Finder, said: &Said) -> (usize, usize, String) {
    let (mut first, mut fifth, mut others) = (0, 0, String::new());
    for (text, right) in said {
        let found = finder.find(text);
        let place = found.iter().position(|tool| right.iter().any(|right| right == tool));
        first += usize::from(place == Some(0));
        fifth += usize::from(place.is_some_and(|place| place < 5));
        if place != Some(0) {
            let place = place.map_or("nowhere".to_owned(), |place| format!("{}.", place + 1));
            writeln!(others, "  {place} {text}: {right:?}, found {:?}", found.first()).unwrap();
        }
    }
    (1000 * first / said.len(), 1000 * fifth / said.len(), others)
}

#[test]
#[expect(clippy::print_stdout, reason = "what was not found is looked for with --nocapture")]
fn finds_what_people_ask_for() {
    let catalog = Catalog::new(adapters());
    let finder = Finder::new(&catalog).unwrap();
    let cases = cases();
    let mut all = cases.tuned.clone();
    all.extend(cases.held_out.clone());
    assert_eq!(all.len(), cases.tuned.len() + cases.held_out.len(), "said twice");
    assert!(all.len() >= 300 && cases.held_out.len() * 3 >= all.len() - 2);
    let mut figures = Vec::new();
    for (name, said) in [("tuned", &cases.tuned), ("held out", &cases.held_out), ("all", &all)] {
        let (first, fifth, others) = measure(&finder, said);
        if name != "all" {
            print!("{others}");
        }
        // Past the test runner, which tells what a test that passes prints to nobody.
        let line = format!(
            "{name}: {} said, recall at 1 {first} of 1000, at 5 {fifth} of 1000\n",
            said.len()
        );
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
        figures.push((first, fifth));
    }
    let [_, held_out, all] = figures[..] else { unreachable!() };
    assert!(all.0 >= 850 && all.1 >= 970, "{all:?}");
    assert!(held_out.0 >= 780 && held_out.1 >= 945, "{held_out:?}");
}

#[test]
fn no_phrase_is_one_of_the_questions() {
    let catalog = Catalog::new(adapters());
    let cases = cases();
    let said: Vec<(&String, &Vec<String>)> = cases.tuned.iter().chain(&cases.held_out).collect();
    let asked: BTreeSet<&str> =
        said.iter().flat_map(|(_, right)| right.iter().map(String::as_str)).collect();
    let tools: BTreeSet<&str> = catalog.entries().map(|entry| entry.action.tool.as_str()).collect();
    assert!(asked.is_subset(&tools), "{:?}", asked.difference(&tools));
    assert!(asked.len() * 10 >= tools.len() * 9, "{:?}", tools.difference(&asked));
    for entry in catalog.entries() {
        let phrases = entry.action.phrases;
        assert!((1..=16).contains(&phrases.len()), "{}: {phrases:?}", entry.action.tool);
        for phrase in phrases {
            let is_said = said.iter().any(|(text, _)| text.to_lowercase() == phrase.to_lowercase());
            assert!(!is_said, "{phrase} is a phrase and a question");
        }
    }
}

#[test]
fn finds_nothing_in_what_says_nothing() {
    let catalog = Catalog::new(adapters());
    let finder = Finder::new(&catalog).unwrap();
    for said in ["", "…", "the", "please would you", "\u{202e}\u{0}", "日本語"] {
        assert_eq!(finder.find(said), [""; 0], "{said}");
    }
}
