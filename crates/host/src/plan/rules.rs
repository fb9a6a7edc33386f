//! The rules of planning, as the two data files beside this one hold them.

use std::collections::BTreeMap;

use resto_core::{Code, Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::words::{Phrase, Text};

/// The kind of application that a business builds.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum Application {
    /// Software that customers use in the browser.
    Saas,
    /// A shop.
    Ecommerce,
    /// Buyers and sellers meet.
    Marketplace,
    /// A site that is read: blog, magazine, documentation, portfolio.
    Content,
    /// What an app on phones talks to.
    MobileBackend,
    /// For the people of the business alone.
    InternalTool,
}

/// How much an integration is wanted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// It helps.
    Optional,
    /// The business cannot do what it describes without it.
    #[default]
    Needed,
}

/// Something that a business may need. The data file says what each field is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Need {
    pub id: String,
    pub integration: Option<String>,
    #[serde(default)]
    pub you: String,
    pub missing: Option<String>,
    #[serde(default)]
    pub instead: String,
    #[serde(default)]
    pub base: BTreeMap<Application, Level>,
    #[serde(default)]
    pub level: Level,
    #[serde(default)]
    pub whole: bool,
    #[serde(default)]
    pub words: Phrases,
    #[serde(default)]
    pub unless: Phrases,
    #[serde(default)]
    pub denied_by: Phrases,
    #[serde(default)]
    pub tools: Vec<String>,
}

/// An account that a business may have. The data file says what each field is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    pub name: String,
    pub serves: Vec<String>,
    pub integration: Option<String>,
    pub provider: Option<String>,
    #[serde(default)]
    pub words: Phrases,
    #[serde(default)]
    pub mx: Vec<String>,
    #[serde(default)]
    pub ns: Vec<String>,
    #[serde(default)]
    pub site: Vec<String>,
    #[serde(default)]
    pub spf: Vec<String>,
    #[serde(default)]
    pub txt: Vec<String>,
}

/// What an integration costs at its provider, as a source said on a day.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Cost {
    #[serde(default, skip_serializing)]
    pub integration: String,
    /// What it costs.
    pub says: String,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When it said so; look there again before relying on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// What a country or region means for an integration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Region {
    pub integration: String,
    #[serde(default)]
    pub words: Phrases,
    #[serde(default)]
    pub elsewhere: bool,
    pub says: String,
}

/// Everything that planning goes by.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(super) needs: Vec<Need>,
    pub(super) costs: Vec<Cost>,
    pub(super) regions: Vec<Region>,
    pub(super) accounts: Vec<Account>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    need: Vec<Need>,
    cost: Vec<Cost>,
    region: Vec<Region>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountsFile {
    account: Vec<Account>,
}

impl Rules {
    /// Reads the rules of this build.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn read() -> Result<Self> {
        let wrong = |file: &str, error: toml::de::Error| {
            Error::new(Code::Internal, format!("{file} cannot be read: {error}"))
        };
        let rules: RulesFile = toml::from_str(include_str!("rules.toml"))
            .map_err(|error| wrong("rules.toml", error))?;
        let accounts: AccountsFile = toml::from_str(include_str!("accounts.toml"))
            .map_err(|error| wrong("accounts.toml", error))?;
        Ok(Self {
            needs: rules.need,
            costs: rules.cost,
            regions: rules.region,
            accounts: accounts.account,
        })
    }

    /// The integrations that the rules know, in the order in which a person connects them.
    pub(super) fn integrations(&self) -> Vec<&str> {
        let mut known: Vec<&str> = Vec::new();
        for id in self.needs.iter().filter_map(|need| need.integration.as_deref()) {
            if !known.contains(&id) {
                known.push(id);
            }
        }
        known
    }
}

/// Phrases of a rule.
#[derive(Debug, Default)]
pub(super) struct Phrases(Vec<Phrase>);

impl<'de> Deserialize<'de> for Phrases {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        Ok(Self(texts.iter().map(|text| Phrase::read(text)).collect()))
    }
}

impl Phrases {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where one of them stands in the text.
    pub fn find(&self, text: &Text) -> Vec<super::words::Hit> {
        self.0.iter().flat_map(|phrase| text.find(phrase)).collect()
    }
}

/// Whether a name fits a pattern in which `*` stands for anything.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            let ends = || name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends().any(|at| name.get(at..).is_some_and(|name| fits(rest, name)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, does) in [
            ("a_*_b", "a_x_b", true),
            ("a_*_b", "a_x_y_b", true),
            ("a_*b*", "a_bc", true),
            ("a_*_b", "a_b", false),
            ("a", "ab", false),
            ("*", "", true),
            ("76.76.21.*", "76.76.21.98", true),
        ] {
            assert_eq!(fits(pattern, name), does, "{pattern} {name}");
        }
    }
}
