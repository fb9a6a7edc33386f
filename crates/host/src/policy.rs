//! Who may do what: the rights of the credential, and the rules of whoever runs this server.

use std::collections::{BTreeMap, BTreeSet};

use resto_core::{ActionSpec, Code, Error, Integration, Money, Result, Risk};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::{Catalog, Entry};
use crate::grants::{Grants, Standing};
use crate::host::{Caller, Host, told};

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// An agent, over MCP.
    Agent,
    /// A person at a terminal, who can be asked at once.
    Person,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It runs.
    Allow,
    /// A person approves it first.
    Ask,
    /// It does not run.
    Deny,
}

/// A standing rule. It fits a call when all that it names fits; what is left out fits every call.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// How the audit trail names it; its place in the list, from 1, if left out.
    pub name: Option<String>,
    /// `allow`, `ask` or `deny`.
    pub decide: Decision,
    /// Only for this tenant.
    pub tenant: Option<String>,
    /// Only at this integration, such as `stripe`.
    pub integration: Option<String>,
    /// Only for this tool, such as `stripe_refund_payment`.
    pub action: Option<String>,
    /// Only for actions of this risk: `read`, `write`, `outward`, `irreversible` or `spend`.
    pub risk: Option<Risk>,
    /// Only where these arguments have these values. In a text, `*` at its beginning or end stands for anything; of a
    /// list, every item must fit.
    #[serde(default)]
    pub arguments: BTreeMap<String, Value>,
    /// Only where not all of these arguments have these values: a `deny` with it pins agents to one repository or project.
    #[serde(default)]
    pub unless: BTreeMap<String, Value>,
    /// Only where the price is known and not more than this.
    pub at_most: Option<Money>,
    /// Only where an agent, up to ten minutes after it read what people outside the business may have written, does
    /// something of risk `outward` or above (`true`), or only where that is not so (`false`). An `allow` that leaves it out
    /// means `false`: what it permits was not meant for an agent that somebody else may be steering.
    pub outsiders: Option<bool>,
}

/// What the rules are held against.
pub(crate) struct Case<'a> {
    pub tenant: &'a str,
    pub entry: &'a Entry<'a>,
    pub arguments: &'a Value,
    /// As far as it is known.
    pub price: Option<&'a Money>,
    /// Whether it reaches others shortly after its caller read what outsiders may have written.
    pub outsiders: bool,
}

/// What was decided, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub decision: Decision,
    /// Such as `rule small refunds`, or `the default for spend`.
    pub rule: String,
    /// Whether somebody wrote it.
    pub is_written: bool,
    /// Whether the price, which was not told, may decide otherwise.
    pub needs_price: bool,
}

/// The first rule that fits decides; where none does, what cannot be undone or spends money is asked for, and what reaches
/// others after outsiders were read.
pub(crate) fn decide(rules: &[Rule], case: &Case<'_>) -> Verdict {
    let risk = case.entry.action.risk;
    let mut needs_price = false;
    for (place, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.fits(case)) {
        // What is free is within every amount, of whatever currency.
        let within =
            |most: &Money| case.price.is_some_and(|price| price.minor == 0 || price.within(most));
        if !rule.at_most.as_ref().is_none_or(within) {
            needs_price |= case.price.is_none();
            continue;
        }
        let name = rule.name.clone().unwrap_or_else(|| (place + 1).to_string());
        let rule_name = format!("rule {name}");
        return Verdict { decision: rule.decide, rule: rule_name, is_written: true, needs_price };
    }
    let asks = case.outsiders || risk >= Risk::Irreversible;
    let decision = if asks { Decision::Ask } else { Decision::Allow };
    let word = serde_json::to_value(risk).unwrap_or_default();
    let after = if case.outsiders { " after reading what outsiders may have written" } else { "" };
    let rule = format!("the default for {}{after}", word.as_str().unwrap_or_default());
    Verdict { decision, rule, is_written: false, needs_price }
}

impl Rule {
    /// Whether it fits but for the price.
    fn fits(&self, case: &Case<'_>) -> bool {
        let action = case.entry.action;
        let named = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|one| one == is);
        named(&self.tenant, case.tenant)
            && named(&self.integration, case.entry.integration().id)
            && named(&self.action, &action.tool)
            && self.risk.is_none_or(|risk| risk == action.risk)
            && match self.outsiders {
                Some(wanted) => wanted == case.outsiders,
                None => !case.outsiders || self.decide != Decision::Allow,
            }
            && have(case.arguments, &self.arguments)
            && (self.unless.is_empty() || !have(case.arguments, &self.unless))
    }
}

/// Whether all of these arguments have these values.
fn have(arguments: &Value, wanted: &BTreeMap<String, Value>) -> bool {
    wanted
        .iter()
        .all(|(name, wanted)| arguments.get(name).is_some_and(|value| matches(wanted, value)))
}

fn matches(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (wanted, Value::Array(items)) if !wanted.is_array() => {
            !items.is_empty() && items.iter().all(|item| matches(wanted, item))
        }
        (Value::String(pattern), Value::String(text)) => {
            match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
                (Some(end), _) => text.ends_with(end),
                (None, Some(start)) => text.starts_with(start),
                (None, None) => pattern == text,
            }
        }
        _ => wanted == value,
    }
}

/// Refuses rules that name what this server does not have, nor may come to have: a rule that never fits protects nobody.
///
/// # Errors
/// The first such rule.
pub(crate) fn check_rules(
    rules: &[Rule],
    catalog: &Catalog,
    may_come: impl Fn(&str) -> bool,
) -> Result<()> {
    for (place, rule) in rules.iter().enumerate() {
        let name = rule.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let wrong = |why: String| {
            let text = format!("Rule {}{name} of the configuration {why}", place + 1);
            Error::new(Code::InvalidInput, text)
        };
        if let Some(most) = rule.at_most.as_ref().filter(|most| !Money::is_currency(&most.currency))
        {
            let currency = &most.currency;
            return Err(wrong(format!("names the currency `{currency}`. Write it as in `EUR`.")));
        }
        let integration = rule.integration.as_deref();
        if let Some(id) = integration.filter(|id| catalog.adapter(id).is_none()) {
            return Err(wrong(format!("names the integration `{id}`, which there is not.")));
        }
        let action = rule.action.as_deref();
        // The arguments of a remote server's tools are not known before it is connected.
        let is_remote = |id: &str| catalog.adapter(id).is_some_and(|one| one.actions().is_empty());
        if integration.is_some_and(is_remote) || action.is_some_and(&may_come) {
            continue;
        }
        if let Some(tool) = action.filter(|tool| catalog.find(tool).is_none()) {
            return Err(wrong(format!("names an action: {}", catalog.unknown(tool))));
        }
        let about: Vec<Entry<'_>> = catalog
            .entries()
            .filter(|entry| action.is_none_or(|tool| tool == entry.action.tool))
            .filter(|entry| integration.is_none_or(|id| id == entry.integration().id))
            .filter(|entry| rule.risk.is_none_or(|risk| risk == entry.action.risk))
            .filter(|entry| rule.outsiders != Some(true) || entry.action.risk >= Risk::Outward)
            .collect();
        if about.is_empty() {
            return Err(wrong(
                "is about no action: there is none that is all it names.".to_owned(),
            ));
        }
        let takes = |entry: &Entry<'_>, name: &str| {
            entry.action.input_schema.get("properties").is_some_and(|all| all.get(name).is_some())
        };
        let mut named = rule.arguments.keys().chain(rule.unless.keys());
        if let Some(name) = named.find(|name| !about.iter().any(|entry| takes(entry, name))) {
            return Err(wrong(format!(
                "names the argument `{name}`, which {}.",
                match action {
                    Some(tool) => format!("{tool} does not take"),
                    None => "no action takes that it is about".to_owned(),
                }
            )));
        }
    }
    Ok(())
}

impl Host {
    /// The tenants that rules are about and that there are not; they may be yet to come.
    ///
    /// # Errors
    /// Those of the vault.
    pub(crate) async fn tenants_of_rules_only(&self) -> Result<Vec<String>> {
        let named: BTreeSet<&String> =
            self.policy.iter().filter_map(|rule| rule.tenant.as_ref()).collect();
        let mut missing = Vec::new();
        for name in named {
            if self.vault.tenant(name).await.map_err(told)?.is_none() {
                missing.push(name.clone());
            }
        }
        Ok(missing)
    }
}

/// Refuses what the credential is known to lack the right for.
///
/// # Errors
/// `permission_denied`, naming the right.
pub(crate) fn check_rights(
    caller: &Caller,
    action: &ActionSpec,
    integration: &Integration,
    grants: &Grants,
) -> Result<()> {
    if grants.standing(action) != Standing::Absent {
        return Ok(());
    }
    let needed: Vec<String> = action.permissions.iter().map(|set| set.join(" and ")).collect();
    let needed = needed.join(", or ");
    Err(Error::new(
        Code::PermissionDenied,
        format!(
            "The {} credential lacks the right for {}: it needs {needed}. A person reconnects with that right, as the tool connect_integration asks them to with `again`: {}",
            integration.name,
            action.tool,
            caller.command(&format!("connect {}", integration.id))
        ),
    )
    .missing(needed))
}

#[cfg(test)]
mod tests;
