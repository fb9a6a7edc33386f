//! `resto plan`.

use resto_core::{Code, Error, Result};
use serde_json::{Value, json};

use super::Session;
use super::print::{Out, Tone};
use crate::around::Line;
use crate::plan::{Application, Plan, PlanIntegrations, Planned};
use crate::policy::Calls;

#[derive(clap::Args)]
pub(super) struct PlanArgs {
    /// The type of application
    #[arg(value_name = "TYPE")]
    application: Application,
    /// What the business is and does, in English; say also what it goes without
    #[arg(default_value = "")]
    description: String,
    /// A planned feature; may be repeated
    #[arg(long, value_name = "TEXT")]
    feature: Vec<String>,
    /// How it is going to find customers
    #[arg(long, value_name = "TEXT", default_value = "")]
    go_to_market: String,
    /// A service at which the business has an account; may be repeated
    #[arg(long, value_name = "NAME")]
    account: Vec<String>,
    /// Country or region of the business
    #[arg(long, value_name = "NAME", default_value = "")]
    region: String,
    /// A domain of the business: what its DNS shows counts as accounts that it has
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
}

pub(super) async fn plan(session: &Session, args: PlanArgs) -> Result<()> {
    let mut existing_accounts = args.account;
    if let Some(domain) = args.domain {
        let detected = call(session, "detect_integrations", json!({ "domain": domain })).await?;
        let found = detected.get("existing_accounts").and_then(Value::as_array);
        let found: Vec<String> =
            found.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        session.out.remark(format!(
            "The DNS of {domain} shows: {}",
            if found.is_empty() {
                "nothing that is known here".to_owned()
            } else {
                found.join(", ")
            }
        ));
        existing_accounts.extend(found);
    }
    let input = PlanIntegrations {
        application: args.application,
        description: args.description,
        features: args.feature,
        go_to_market: args.go_to_market,
        existing_accounts,
        region: args.region,
    };
    let planned =
        call(session, "plan_integrations", unreadable(serde_json::to_value(&input))?).await?;
    if session.out.json {
        return session.out.value(&planned);
    }
    show(session.out, &unreadable(serde_json::from_value(planned))?);
    Ok(())
}

async fn call(session: &Session, tool: &str, arguments: Value) -> Result<Value> {
    let (host, caller) = session.owner().await?;
    let called = host.call(&caller, tool, arguments, Line::new(Calls::Person)).await;
    called.map(|called| called.output).map_err(|failed| failed.error())
}

fn unreadable<T>(value: serde_json::Result<T>) -> Result<T> {
    value.map_err(|error| Error::new(Code::Internal, format!("The plan cannot be read: {error}")))
}

fn show(out: Out, plan: &Plan) {
    out.line(out.tone(Tone::Strong, &plan.summary));
    for (heading, services) in [("Needed", &plan.needed), ("Optional", &plan.optional)] {
        for (index, planned) in services.iter().enumerate() {
            if index == 0 {
                out.line(format!("\n{}", out.tone(Tone::Strong, heading)));
            }
            out.line(format!(
                "{}. {} ({})",
                index + 1,
                planned.name,
                planned.status.replace('_', " ")
            ));
            service(out, planned);
        }
    }
    let rest: [(&str, Vec<String>); 4] = [
        (
            "Not in the catalogue",
            plan.missing.iter().map(|one| format!("{}. {}", one.what, one.instead)).collect(),
        ),
        ("Left out", plan.left_out.iter().map(|one| one.why.clone()).collect()),
        (
            "Accounts",
            plan.existing_accounts
                .iter()
                .map(|one| format!("{}: {}", one.name, one.says))
                .collect(),
        ),
        ("Not understood", plan.not_understood.clone()),
    ];
    for (heading, lines) in rest.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        out.line(format!("\n{}", out.tone(Tone::Strong, heading)));
        for line in lines {
            out.line(format!("- {line}"));
        }
    }
    out.line(format!("\n{}", plan.caution));
}

fn service(out: Out, planned: &Planned) {
    out.line(format!("   {}", planned.why));
    for note in &planned.notes {
        out.line(format!("   {note}"));
    }
    if let Some(cost) = &planned.cost {
        let source = [&cost.source, &cost.as_of].into_iter().flatten().cloned().collect::<Vec<_>>();
        let source =
            if source.is_empty() { String::new() } else { format!(" ({})", source.join(", ")) };
        out.line(format!("   Cost: {}{source}", cost.says));
    }
    for way in &planned.ways {
        let rights: Vec<&str> = way.rights.iter().map(|right| right.right.as_str()).collect();
        out.line(format!("   Connect: {}", way.how));
        out.line(format!("   Rights at {}: {}", way.provider, rights.join(", ")));
    }
    out.line(format!("   Tools: {} and {} more", planned.tools.join(", "), planned.more_tools));
}
