//! Who may do what: the rights of the credential, and the rules of whoever runs this server.

use std::collections::BTreeMap;

use resto_core::{ActionSpec, Code, Error, Integration, Money, Result, Risk};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::{Catalog, Entry};
use crate::grants::{Grants, Standing};
use crate::host::Caller;

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
        let within = |most: &Money| case.price.is_some_and(|price| price.within(most));
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
            && self.arguments.iter().all(|(name, wanted)| {
                case.arguments.get(name).is_some_and(|value| matches(wanted, value))
            })
    }
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
        let wrong = |why: String| {
            Error::new(Code::InvalidInput, format!("Rule {} of the configuration {why}", place + 1))
        };
        if let Some(id) = &rule.integration
            && catalog.adapter(id).is_none()
        {
            return Err(wrong(format!("names the integration `{id}`, which there is not.")));
        }
        let Some(tool) = &rule.action else { continue };
        let Some(entry) = catalog.find(tool) else {
            // The arguments of a remote server's tool are not known before it is connected.
            if may_come(tool) {
                continue;
            }
            return Err(wrong(format!("names an action: {}", catalog.unknown(tool))));
        };
        let properties = entry.action.input_schema.get("properties").and_then(Value::as_object);
        let unknown = rule
            .arguments
            .keys()
            .find(|name| properties.is_none_or(|known| !known.contains_key(*name)));
        if let Some(name) = unknown {
            return Err(wrong(format!("names the argument `{name}`, which {tool} does not take.")));
        }
    }
    Ok(())
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
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(toml: &str) -> Vec<Rule> {
        #[derive(Deserialize)]
        struct Rules {
            rules: Vec<Rule>,
        }
        toml::from_str::<Rules>(toml).unwrap().rules
    }

    fn verdict(rules: &[Rule], tool: &str, arguments: &Value, price: Option<&Money>) -> Verdict {
        let catalog = Catalog::new(crate::host::adapters()).unwrap();
        let entry = catalog.find(tool).unwrap();
        decide(rules, &Case { tenant: "acme", entry: &entry, arguments, price, outsiders: false })
    }

    #[test]
    fn without_rules_only_what_is_dangerous_is_asked_for() {
        for (tool, decision) in [
            ("github_get_repository", Decision::Allow),
            ("gmail_send_message", Decision::Allow),
            ("github_delete_repository", Decision::Ask),
            ("stripe_refund_payment", Decision::Ask),
        ] {
            assert_eq!(verdict(&[], tool, &json!({}), None).decision, decision, "{tool}");
        }
        let spend = verdict(&[], "stripe_refund_payment", &json!({}), None);
        assert_eq!(spend.rule, "the default for spend");
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = rules(
            r#"
            [[rules]]
            name = "small refunds"
            decide = "allow"
            action = "stripe_refund_payment"
            at_most = { minor = 2000, currency = "EUR" }
            [[rules]]
            decide = "deny"
            integration = "stripe"
            risk = "spend"
            [[rules]]
            decide = "allow"
            risk = "outward"
            arguments = { to = "*@acme.com" }
            [[rules]]
            decide = "ask"
            risk = "outward"
            [[rules]]
            decide = "deny"
            tenant = "other"
        "#,
        );
        let euros = |minor| Money { minor, currency: "EUR".into() };
        let refund = |price: Option<Money>| {
            verdict(&rules, "stripe_refund_payment", &json!({}), price.as_ref())
        };
        assert_eq!(refund(Some(euros(2000))).rule, "rule small refunds");
        assert_eq!(refund(Some(euros(2000))).decision, Decision::Allow);
        for price in [Some(euros(2001)), Some(Money { minor: 1, currency: "USD".into() }), None] {
            let refused = refund(price.clone());
            assert_eq!((refused.decision, &*refused.rule), (Decision::Deny, "rule 2"), "{price:?}");
            assert_eq!(refused.needs_price, price.is_none());
        }
        let mail =
            |to: Value| verdict(&rules, "gmail_send_message", &json!({ "to": to }), None).decision;
        assert_eq!(mail(json!(["a@acme.com", "b@acme.com"])), Decision::Allow);
        assert_eq!(mail(json!(["a@acme.com", "b@evil.example"])), Decision::Ask);
        assert_eq!(mail(json!([])), Decision::Ask);
        let read = verdict(&rules, "github_get_repository", &json!({}), None);
        assert_eq!(read.decision, Decision::Allow);
    }

    #[test]
    fn a_rule_that_can_never_fit_is_refused() {
        let catalog = Catalog::new(crate::host::adapters()).unwrap();
        for (rule, words) in [
            ("integration = \"strip\"", "`strip`"),
            ("action = \"stripe_refund_paymen\"", "Did you mean stripe_refund_payment?"),
            (
                "action = \"stripe_refund_payment\"\narguments = { amout = 1 }",
                "the argument `amout`",
            ),
        ] {
            let rules = rules(&format!("[[rules]]\ndecide = \"deny\"\n{rule}"));
            let error = check_rules(&rules, &catalog, |_| false).unwrap_err();
            assert!(error.message().contains(words), "{error}");
        }
        assert!(toml::from_str::<Rule>("decide = \"allow\"\nrisky = 1").is_err());
    }

    #[test]
    fn d7_what_was_allowed_is_asked_for_once_the_agent_may_be_steered() {
        let catalog = Catalog::new(crate::host::adapters()).unwrap();
        let after = |rules: &[Rule], tool: &str| {
            let entry = catalog.find(tool).unwrap();
            let arguments = json!({ "to": ["a@acme.com"] });
            let price = Money { minor: 500, currency: "EUR".into() };
            let case = Case {
                tenant: "acme",
                entry: &entry,
                arguments: &arguments,
                price: Some(&price),
                outsiders: entry.action.risk >= Risk::Outward,
            };
            let verdict = decide(rules, &case);
            (verdict.decision, verdict.rule)
        };
        let (decision, rule) = after(&[], "gmail_send_message");
        assert_eq!(decision, Decision::Ask);
        assert_eq!(rule, "the default for outward after reading what outsiders may have written");
        assert_eq!(after(&[], "github_create_label").0, Decision::Allow);

        let plain = "[[rules]]\nname = \"mine\"\n";
        let known = format!("{plain}decide = \"allow\"\narguments = {{ to = \"*@acme.com\" }}\n");
        assert_eq!(after(&rules(&known), "gmail_send_message").0, Decision::Ask);
        let meant = rules(&format!("{known}outsiders = true\n"));
        assert_eq!(after(&meant, "gmail_send_message"), (Decision::Allow, "rule mine".to_owned()));
        assert_eq!(
            verdict(&meant, "stripe_refund_payment", &json!({}), None).decision,
            Decision::Ask
        );
        let lockdown = rules(&format!("{plain}decide = \"deny\"\noutsiders = true\n"));
        for tool in ["gmail_send_message", "stripe_refund_payment"] {
            assert_eq!(after(&lockdown, tool), (Decision::Deny, "rule mine".to_owned()));
        }
        assert_eq!(after(&lockdown, "github_get_repository").0, Decision::Allow);
        let sent = verdict(&lockdown, "gmail_send_message", &json!({}), None);
        assert_eq!(sent.decision, Decision::Allow);
    }
}
