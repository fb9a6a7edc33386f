//! Which accounts a business has already, from the list of them and from what it says.

use std::collections::BTreeSet;

use super::rules::{Account, Rules};
use super::words::{Hit, Stance, Text};

/// The accounts of a business.
#[derive(Default)]
pub(super) struct Accounts<'a> {
    /// That it has.
    pub existing: Vec<&'a Account>,
    /// That it leaves.
    pub leaving: Vec<&'a Account>,
    /// Which of the texts name some.
    pub naming: BTreeSet<usize>,
    /// Entries of the list that nobody here knows.
    pub unknown: Vec<&'a str>,
}

impl<'a> Accounts<'a> {
    /// From the entries of the list of accounts, which are had unless they say otherwise, and from other texts.
    pub fn read(rules: &'a Rules, list: &'a [String], texts: &[&Text]) -> Self {
        let mut accounts = Self::default();
        for entry in list.iter().filter(|entry| !entry.trim().is_empty()) {
            let text = Text::read(entry);
            let found = named(rules, &text);
            if found.is_empty() {
                accounts.unknown.push(entry);
            }
            for (account, hit) in found {
                accounts.add(account, &hit, &text, true);
            }
        }
        for (index, text) in texts.iter().enumerate() {
            for (account, hit) in named(rules, text) {
                accounts.naming.insert(index);
                accounts.add(account, &hit, text, has(text, &hit));
            }
        }
        let leaving = &accounts.leaving;
        accounts.existing.retain(|one| !leaving.iter().any(|other| other.name == one.name));
        accounts
    }

    fn add(&mut self, account: &'a Account, hit: &Hit, text: &Text, has: bool) {
        let list = if leaves(text, hit) {
            &mut self.leaving
        } else if has && hit.stance != Stance::Not {
            &mut self.existing
        } else {
            return;
        };
        if !list.iter().any(|other| other.name == account.name) {
            list.push(account);
        }
    }
}

/// The accounts that a text names; of names that overlap, the longest.
fn named<'a>(rules: &'a Rules, text: &Text) -> Vec<(&'a Account, Hit)> {
    let all: Vec<(&Account, Hit)> = rules
        .accounts
        .iter()
        .flat_map(|account| account.words.find(text).into_iter().map(move |hit| (account, hit)))
        .collect();
    let longer =
        |one: &Hit| all.iter().any(|(_, other)| other.overlaps(one) && other.len() > one.len());
    all.iter().filter(|(_, hit)| !longer(hit)).cloned().collect()
}

/// Where a business that leaves one service goes: `moved from Heroku to Vercel`, `replaced Netlify with Vercel`.
const TOWARDS: &[&str] = &["to", "with", "by", "for"];

/// Whether the words before an account say that the business leaves it.
fn leaves(text: &Text, hit: &Hit) -> bool {
    const LEAVING: &[&str] =
        &["leav", "left", "away", "migrat", "mov", "switch", "replac", "quit", "former", "off"];
    let before = text.before(hit, 4);
    let is_left = before.iter().any(|word| LEAVING.iter().any(|start| word.starts_with(start)));
    let goes_there = before.last().is_some_and(|last| TOWARDS.contains(last));
    (is_left && !goes_there) || before.windows(2).any(|pair| pair == ["used", "to"])
}

/// Whether the words around an account say that the business has it.
fn has(text: &Text, hit: &Hit) -> bool {
    const HAVING: &[&str] = &[
        "use",
        "uses",
        "using",
        "have",
        "has",
        "own",
        "our",
        "host",
        "hosted",
        "hosts",
        "deploy",
        "deployed",
        "run",
        "runs",
        "running",
        "live",
        "lives",
        "already",
        "on",
        "at",
        "in",
        "registered",
        "bought",
        "through",
        "via",
        "with",
        "account",
    ];
    const OTHERWISE: &[&str] = &[
        "like",
        "alternative",
        "alternatives",
        "plugin",
        "plugins",
        "integrate",
        "integrates",
        "integration",
        "integrations",
        "export",
        "exports",
        "import",
        "imports",
        "sync",
        "syncs",
        "compete",
        "competitor",
        "for",
        "vs",
        "versus",
        "want",
        "would",
        "plan",
        "planning",
        "posted",
        "posts",
        "sign",
        "log",
        "ads",
        "built",
    ];
    // `The Shopify App Store` is another's, and so are `WordPress sites`.
    const OTHERS: &[&str] = &[
        "app", "store", "stores", "site", "sites", "shops", "users", "plugin", "plugins", "themes",
    ];
    if text.after(hit, 1).iter().any(|word| OTHERS.contains(word)) {
        return false;
    }
    let before = text.before(hit, 5);
    let moved = ["moved", "migrated", "switched"].iter().any(|word| before.contains(word));
    if moved && before.last() == Some(&"to") {
        return true;
    }
    let after = text.after(hit, 3);
    !before.iter().any(|word| OTHERWISE.contains(word))
        && (before.iter().any(|word| HAVING.contains(word))
            || after.iter().any(|word| ["already", "account", "exists"].contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_accounts_that_are_had_from_those_that_are_named_or_left() {
        let rules = Rules::read().unwrap();
        for (said, existing, leaving) in [
            ("We host on Netlify.", &["Netlify"][..], &[][..]),
            ("The code lives on GitLab, mail at Microsoft 365.", &["GitLab", "Microsoft 365"], &[]),
            ("Netlify account exists", &["Netlify"], &[]),
            ("We moved from Heroku to Vercel.", &["Vercel"], &["Heroku"]),
            ("We are leaving Netlify", &[], &["Netlify"]),
            ("We used to run on Heroku", &[], &["Heroku"]),
            ("We are moving to Vercel next week", &[], &[]),
            ("We do not use GitHub", &[], &[]),
            ("It integrates with Shopify and exports to Xero", &[], &[]),
            ("An alternative to Netlify", &[], &[]),
            ("For users of Shopify stores", &[], &[]),
            ("We want to use Vercel", &[], &[]),
            ("We deploy to Cloudflare Pages", &["Cloudflare Pages"], &[]),
        ] {
            let text = Text::read(said);
            let found = Accounts::read(&rules, &[], &[&text]);
            let names = |list: &[&Account]| -> Vec<String> {
                list.iter().map(|account| account.name.clone()).collect()
            };
            assert_eq!(names(&found.existing), existing, "{said}");
            assert_eq!(names(&found.leaving), leaving, "{said}");
        }
        let list = ["Netlify (hosting)", "not GitHub", "moving away from Wix", "Frobnicator"];
        let list = list.map(str::to_owned);
        let found = Accounts::read(&rules, &list, &[]);
        assert_eq!((found.existing.len(), found.leaving.len()), (1, 1));
        assert_eq!(
            (found.existing[0].name.as_str(), found.unknown),
            ("Netlify", vec!["Frobnicator"])
        );
    }
}
