//! The plan as agents and people get it: what to connect, in which order, why, and what it takes.

use std::sync::Arc;

use resto_core::{ActionSpec, Auth, Integration, Provider, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::findings::{Business, Wanted, findings};
use super::rules::{Application, Cost, Level, Rules, fits};
use super::serves;
use super::words::Text;
use crate::connect::Report;
use crate::host::{Caller, Host};
use crate::provider_keys::least_rights;
use crate::tools::status;

/// Plans which services a business should connect to this server, in which order and why, what they cost and what is
/// missing, from what it says of itself in English. Call it before connecting anything; show the plan to the person.
#[derive(Deserialize, Serialize, JsonSchema)]
pub(crate) struct PlanIntegrations {
    /// `content`: a site that is read; `mobile_backend`: for an app on phones; `internal_tool`: for the business's own
    /// people.
    pub application: Application,
    /// What it is and does, in English; also what it goes without.
    #[serde(default)]
    #[schemars(length(max = 4000))]
    pub description: String,
    /// One each.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(max = 300)))]
    pub features: Vec<String>,
    /// How it finds customers.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    pub go_to_market: String,
    /// Names of services; `detect_integrations` finds some.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(max = 100)))]
    pub existing_accounts: Vec<String>,
    /// Country or region.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub region: String,
}

/// A plan.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Plan {
    /// All of it in a sentence or two.
    pub summary: String,
    /// What the business cannot go without, in the order in which to connect.
    pub needed: Vec<Planned>,
    /// What would help, in the order in which to connect.
    pub optional: Vec<Planned>,
    /// What the business said it goes without.
    pub left_out: Vec<LeftOut>,
    /// What the business asks for and no service here does.
    pub missing: Vec<Missing>,
    /// Accounts that the business has.
    pub existing_accounts: Vec<Existing>,
    /// What was said and showed nothing; ask the person what it means.
    pub not_understood: Vec<String>,
    /// How far to trust this plan.
    pub caution: String,
}

/// A service to connect.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Planned {
    /// Names it to the other tools.
    pub integration: String,
    pub name: String,
    /// Why, in a sentence.
    pub why: String,
    /// The words that showed it; none where every application of this type needs it.
    pub heard: Vec<String>,
    /// What to know besides.
    pub notes: Vec<String>,
    /// `not_connected`, `active`, `expired`, `frozen`, `needs_reauth` or `revocation_pending`.
    pub status: String,
    /// Whose account is connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What it costs there, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The companies to choose from, and how one connects there.
    pub ways: Vec<Way>,
    /// Tools that serve what was said.
    pub tools: Vec<String>,
    /// How many tools it has besides.
    pub more_tools: usize,
}

/// How a service is connected.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Way {
    /// The company.
    pub provider: String,
    /// What a person does.
    pub how: String,
    /// The least rights that the tools above need there.
    pub rights: Vec<Right>,
}

/// A right at a provider.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Right {
    /// The provider's name of it.
    pub right: String,
    /// What it allows.
    pub allows: String,
}

/// A service that the business goes without.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct LeftOut {
    pub integration: String,
    /// Why.
    pub why: String,
}

/// Something that no service here does.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Missing {
    /// What.
    pub what: String,
    /// The words that ask for it.
    pub heard: Vec<String>,
    /// What to do meanwhile.
    pub instead: String,
}

/// An account that the business has.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Existing {
    pub name: String,
    /// What it means for the plan.
    pub says: String,
}

impl Host {
    /// Plans which integrations a business should connect.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn plan(
        self: &Arc<Self>,
        caller: &Caller,
        input: &PlanIntegrations,
    ) -> Result<Plan> {
        let reports = self.connections(caller).await?;
        let rules = &self.rules;
        let business = Business {
            application: input.application,
            description: &input.description,
            features: &input.features,
            go_to_market: &input.go_to_market,
            existing_accounts: &input.existing_accounts,
        };
        let found = findings(rules, &business, |id| {
            self.catalog.adapter(id).map(|adapter| serves(adapter.integration.category))
        });
        let region = Text::read(&input.region);
        let (mut needed, mut optional) = (Vec::new(), Vec::new());
        for wanted in &found.wanted {
            let Ok(integration) = self.integration(wanted.integration) else { continue };
            let report = reports.iter().find(|report| report.integration == integration.id);
            let mut planned = self.planned(rules, integration, wanted, report)?;
            planned.notes.extend(about_region(rules, integration.id, &region));
            match wanted.level {
                Level::Needed => needed.push(planned),
                Level::Optional => optional.push(planned),
            }
        }
        let left_out = found
            .left_out
            .iter()
            .filter_map(|(id, words)| {
                let integration = self.integration(id).ok()?;
                let name = integration.name;
                let why = format!("What you say of `{words}` means that you go without {name}.");
                Some(LeftOut { integration: integration.id.to_owned(), why })
            })
            .collect();
        let missing: Vec<Missing> = found
            .missing
            .into_iter()
            .map(|(need, heard)| Missing {
                what: need.missing.clone().unwrap_or_else(|| need.id.clone()),
                heard,
                instead: need.instead.clone(),
            })
            .collect();
        let known = found.existing.iter().map(|account| {
            let operated = account.integration.as_deref().and_then(|id| self.integration(id).ok());
            let says = match operated {
                Some(integration) => {
                    format!("Connect it as {}; no new account is needed.", integration.name)
                }
                None => "This server cannot operate it; you go on using it yourself.".to_owned(),
            };
            Existing { name: account.name.clone(), says }
        });
        let unknown = found.unknown_accounts.into_iter().map(|name| Existing {
            name,
            says: "Nobody here knows it; the plan does not count on it.".to_owned(),
        });
        let mut caution = "The plan comes from rules that look for English words: they do not understand sentences. Go through it with the person before anything is connected.".to_owned();
        if found.foreign {
            caution.insert_str(0, "Some of what was said does not look like English and was probably not understood: say it again in English. ");
        }
        Ok(Plan {
            summary: summary(&needed, &optional, missing.len()),
            needed,
            optional,
            left_out,
            missing,
            existing_accounts: known.chain(unknown).collect(),
            not_understood: found.not_understood,
            caution,
        })
    }

    fn planned(
        &self,
        rules: &Rules,
        integration: &'static Integration,
        wanted: &Wanted<'_>,
        report: Option<&Report>,
    ) -> Result<Planned> {
        let all = self.catalog.adapter(integration.id).map(resto_core::Adapter::actions);
        let all = all.unwrap_or_default();
        let patterns = || wanted.needs.iter().flat_map(|need| &need.tools);
        let serving: Vec<&ActionSpec> =
            all.iter().filter(|one| patterns().any(|pattern| fits(pattern, &one.tool))).collect();
        let has_oauth = self.has_oauth(integration)?;
        let of_account = wanted.account.and_then(|account| account.provider.as_deref());
        let ways = integration
            .providers
            .iter()
            .filter(|provider| of_account.is_none_or(|id| provider.id == id))
            .map(|provider| Way {
                provider: provider.name.to_owned(),
                how: how(provider, has_oauth),
                rights: least_rights(integration, provider, serving.iter().copied())
                    .into_iter()
                    .map(|(right, allows)| Right { right, allows: allows.to_owned() })
                    .collect(),
            })
            .collect();
        Ok(Planned {
            integration: integration.id.to_owned(),
            name: integration.name.to_owned(),
            why: why(integration.name, wanted),
            heard: wanted.heard.clone(),
            notes: notes(integration.name, wanted),
            status: status(report),
            account: report.map(|report| report.account.clone()),
            cost: rules.costs.iter().find(|cost| cost.integration == integration.id).cloned(),
            ways,
            more_tools: all.len() - serving.len(),
            tools: serving.iter().map(|action| action.tool.clone()).collect(),
        })
    }
}

/// The most reasons that a sentence gives.
const MAX_REASONS: usize = 3;

fn why(name: &str, wanted: &Wanted<'_>) -> String {
    let reasons: Vec<&str> =
        wanted.needs.iter().take(MAX_REASONS).map(|need| need.you.as_str()).collect();
    let reasons = listed(&reasons);
    match (wanted.level, wanted.elsewhere, reasons.is_empty()) {
        (_, Some(other), _) => format!(
            "{other} does this for you already, and this server cannot operate it: connect {name} only to move there, or for something new.",
            other = other.name
        ),
        (_, None, true) => "You have an account there already.".to_owned(),
        (Level::Needed, None, false) => format!("You {reasons}."),
        (Level::Optional, None, false) => format!("It helps if you {reasons}."),
    }
}

fn notes(name: &str, wanted: &Wanted<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(account) = wanted.account {
        notes.push(format!("You have an account at {} already: connect that one.", account.name));
    }
    if let Some(words) = &wanted.later {
        notes.push(format!("You put `{words}` off: connect {name} when the day comes."));
    }
    if let Some(words) = &wanted.doubted {
        notes.push(format!(
            "In one place you go without `{words}` and in another you ask for it: say which holds."
        ));
    }
    notes
}

/// What a person does to connect.
fn how(provider: &Provider, has_oauth: bool) -> String {
    let name = provider.name;
    let key = provider.auth.iter().find_map(|auth| match auth {
        Auth::Key(key) => Some(key),
        Auth::OAuth(_) => None,
    });
    match (key, has_oauth) {
        (_, true) => {
            format!("A person signs in at {name} in a browser; connect_integration gives the link.")
        }
        (Some(key), false) => format!(
            "A person creates a {} at {} and enters it on a page of this server; connect_integration gives the link.",
            key.name, key.create_url
        ),
        (None, false) => format!(
            "A person signs in at {name} in a browser, once the operator of this server has registered an OAuth client there."
        ),
    }
}

fn about_region<'a>(
    rules: &'a Rules,
    integration: &'a str,
    region: &'a Text,
) -> impl Iterator<Item = String> + 'a {
    let own = move || rules.regions.iter().filter(move |rule| rule.integration == integration);
    let fitting = move || own().filter(|rule| !rule.words.find(region).is_empty());
    let is_told = region.words().next().is_some();
    let elsewhere =
        own().filter(move |rule| rule.elsewhere && is_told && fitting().next().is_none());
    fitting().chain(elsewhere).map(|rule| rule.says.clone())
}

fn summary(needed: &[Planned], optional: &[Planned], missing: usize) -> String {
    let names = |services: &[Planned]| {
        let names: Vec<&str> = services.iter().map(|planned| planned.name.as_str()).collect();
        listed(&names)
    };
    let first = if needed.is_empty() {
        "Nothing has to be connected.".to_owned()
    } else {
        format!("Connect {}, in this order.", names(needed))
    };
    let second = (!optional.is_empty()).then(|| format!("{} would help.", names(optional)));
    let third = match missing {
        0 => None,
        1 => Some("One thing that you ask for is not in the catalogue.".to_owned()),
        count => Some(format!("{count} things that you ask for are not in the catalogue.")),
    };
    [Some(first), second, third].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// `a, b and c`.
fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
