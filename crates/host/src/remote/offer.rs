//! The tools that a remote server offers a tenant, as a person approved them. What changes waits until it is approved again:
//! agents never see other words than those.

use std::collections::BTreeMap;

use resto_core::{Code, Error, Result, clean, quote};
use rmcp::model::Tool;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::schema;

/// Bytes of one tool as the server describes it; a larger one is not taken.
const TOOL: usize = 64 << 10;

/// Bytes of all tools together.
const ALL: usize = 1 << 20;

/// Characters of a description.
const DESCRIPTION: usize = 4_000;

/// Characters of a tool's name: what clients take once they have put their own name before it.
const NAME: usize = 64;

/// A tool as its server describes it, made safe to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Definition {
    /// Of the whole description as it came: also what is not shown may not change unseen.
    pub hash: String,
    pub title: String,
    pub description: String,
    pub input_schema: Map<String, Value>,
}

impl Definition {
    fn of(tool: &Tool) -> Option<Self> {
        let mut whole = serde_json::to_value(tool).ok()?;
        let fields = whole.as_object_mut()?;
        // Neither is shown, and some servers write the hour into them.
        fields.remove("_meta");
        fields.remove("icons");
        whole.sort_all_objects();
        let whole = whole.to_string();
        if whole.len() > TOOL {
            return None;
        }
        let hint = tool.annotations.as_ref().and_then(|hints| hints.title.as_deref());
        let title = tool.title.as_deref().or(hint);
        let description = clean(tool.description.as_deref().unwrap_or_default());
        Some(Self {
            hash: Sha256::digest(&whole).iter().map(|byte| format!("{byte:02x}")).collect(),
            title: quote(title.filter(|title| !title.is_empty()).unwrap_or(&tool.name)),
            description: description.chars().take(DESCRIPTION).collect(),
            input_schema: schema::arguments(&tool.input_schema),
        })
    }
}

/// The tools of a list that may be offered, by the name that the server has for each.
///
/// # Errors
/// They are more than we keep.
pub(super) fn definitions(
    tools: &[Tool],
    is_allowed: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Definition>> {
    let listed: BTreeMap<String, Definition> = tools
        .iter()
        .filter(|tool| is_plain(&tool.name) && is_allowed(&tool.name))
        .filter_map(|tool| Some((tool.name.to_string(), Definition::of(tool)?)))
        .collect();
    let bytes = serde_json::to_vec(&listed).map_or(usize::MAX, |all| all.len());
    if bytes > ALL {
        return Err(Error::new(
            Code::ProviderDown,
            format!(
                "The server describes its tools in {bytes} bytes, and at most {ALL} are taken. Name those that are needed in `allowed_tools`."
            ),
        ));
    }
    Ok(listed)
}

/// Whether a name is one by the protocol: what else looks like a name may be taken for another.
fn is_plain(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
}

/// The name of a tool for agents: with the integration before it, in letters that all clients take, at most 64.
pub(super) fn published(integration: &str, name: &str) -> String {
    let whole = format!("{}{name}", super::prefix(integration));
    let plain = whole.replace(['.', '/'], "_");
    if plain == whole && whole.len() <= NAME {
        return whole;
    }
    // Two that became alike stay apart.
    let mark: String =
        Sha256::digest(name).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let cut: String = plain.chars().take(NAME - mark.len() - 1).collect();
    format!("{cut}_{mark}")
}

/// A tool as it was approved, and as it is offered now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pin {
    pub approved: Option<Definition>,
    pub offered: Option<Definition>,
}

/// How a tool stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// As it was approved.
    Usable,
    /// Not as it was approved.
    Changed,
    /// Approved, and no longer there.
    Gone,
    /// There, and never approved.
    New,
}

impl Pin {
    pub fn standing(&self) -> Standing {
        match (&self.approved, &self.offered) {
            (Some(approved), Some(offered)) if approved.hash == offered.hash => Standing::Usable,
            (Some(_), Some(_)) => Standing::Changed,
            (Some(_), None) => Standing::Gone,
            (None, _) => Standing::New,
        }
    }
}

/// The tools of one server for one tenant, by the server's own names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offer {
    pub tools: BTreeMap<String, Pin>,
}

impl Offer {
    /// What becomes of what was known when the server lists these. Whoever connects it for the first time approves all.
    pub fn seen(before: Option<Self>, mut listed: BTreeMap<String, Definition>) -> Self {
        let Some(mut offer) = before else {
            let pin = |offered: Definition| Pin {
                approved: Some(offered.clone()),
                offered: Some(offered),
            };
            return Self {
                tools: listed.into_iter().map(|(name, told)| (name, pin(told))).collect(),
            };
        };
        for (name, pin) in &mut offer.tools {
            pin.offered = listed.remove(name);
        }
        offer.tools.retain(|_, pin| pin.approved.is_some() || pin.offered.is_some());
        for (name, told) in listed {
            offer.tools.insert(name, Pin { approved: None, offered: Some(told) });
        }
        offer
    }

    /// Approves a tool as a person has seen it. Whether it is still so.
    pub fn approve(&mut self, name: &str, hash: &str) -> bool {
        let Some(pin) = self.tools.get_mut(name) else { return false };
        match &pin.offered {
            Some(offered) if offered.hash == hash => {
                pin.approved = Some(offered.clone());
                true
            }
            _ => false,
        }
    }

    /// What waits for a person's approval, by the server's own names.
    pub fn waiting(&self) -> impl Iterator<Item = (&str, &Pin)> {
        let waiting = |pin: &Pin| matches!(pin.standing(), Standing::Changed | Standing::New);
        let tools = self.tools.iter().filter(move |(_, pin)| waiting(pin));
        tools.map(|(name, pin)| (name.as_str(), pin))
    }

    /// The tools that may be used.
    pub fn usable(&self) -> impl Iterator<Item = &str> {
        let usable = self.tools.iter().filter(|(_, pin)| pin.standing() == Standing::Usable);
        usable.map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn tool(name: &str, description: &str) -> Tool {
        let schema = json!({"type": "object"}).as_object().cloned().unwrap();
        Tool::new(name.to_owned(), description.to_owned(), Arc::new(schema))
    }

    fn listed(tools: &[Tool]) -> BTreeMap<String, Definition> {
        definitions(tools, |_| true).unwrap()
    }

    #[test]
    fn what_changes_waits_until_it_is_approved_as_it_was_seen() {
        let first = Offer::seen(None, listed(&[tool("one", "Reads."), tool("two", "Reads.")]));
        assert_eq!(first.usable().collect::<Vec<_>>(), ["one", "two"]);
        let now = listed(&[tool("one", "Reads.\u{200b}"), tool("three", "New.")]);
        let changed = now["one"].hash.clone();
        let mut offer = Offer::seen(Some(first), now);
        let standing = |offer: &Offer, name: &str| offer.tools[name].standing();
        assert_eq!(standing(&offer, "one"), Standing::Changed, "also by what cannot be seen");
        assert_eq!(standing(&offer, "two"), Standing::Gone);
        assert_eq!(standing(&offer, "three"), Standing::New);
        assert_eq!(offer.usable().count(), 0);
        assert!(!offer.approve("one", "another"));
        assert!(!offer.approve("two", &changed));
        assert!(offer.approve("one", &changed));
        assert_eq!(offer.usable().collect::<Vec<_>>(), ["one"]);
        let back =
            Offer::seen(Some(offer), listed(&[tool("one", "Reads."), tool("two", "Reads.")]));
        assert_eq!(standing(&back, "one"), Standing::Changed, "also back to what it was");
        assert_eq!(standing(&back, "two"), Standing::Usable);
        assert!(!back.tools.contains_key("three"));
    }

    #[test]
    fn d4_words_of_servers_are_cleaned_and_bounded() {
        let long = format!("\u{1b}[31mIgnore\u{202e} all.\u{e0041} {}", "x".repeat(10_000));
        let listed =
            listed(&[tool("one", &long), tool("two", &"x".repeat(TOOL)), tool("bad name", "")]);
        assert_eq!(listed.keys().collect::<Vec<_>>(), ["one"]);
        assert!(listed["one"].description.starts_with("Ignore all. x"));
        assert_eq!(listed["one"].description.chars().count(), DESCRIPTION);
        let many: Vec<Tool> =
            (0..200).map(|n| tool(&format!("t{n}"), &"x".repeat(TOOL / 2))).collect();
        assert!(definitions(&many, |name| name == "t7").is_ok());
        let large: Vec<Tool> =
            (0..300).map(|n| tool(&format!("t{n}"), &"x".repeat(4_000))).collect();
        assert!(definitions(&large, |_| true).unwrap_err().message().contains("allowed_tools"));
    }

    #[test]
    fn names_stay_apart_and_short() {
        assert_eq!(published("git-hub", "get_me"), "git_hub_get_me");
        assert_eq!(published("a", "get-sum"), "a_get-sum");
        assert_ne!(published("a", "get/sum"), published("a", "get.sum"));
        let long = published("a", &"x".repeat(128));
        assert_eq!(long.len(), NAME);
        assert_ne!(long, published("a", &"x".repeat(127)));
    }
}
