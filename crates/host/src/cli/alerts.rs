//! `resto alerts`: what a person must look at, in the tenant and in the whole installation.

use resto_core::{Code, Error, Result};
use serde_json::json;
use uuid::Uuid;

use super::Session;
use super::print::Tone;
use crate::host::Caller;

#[derive(clap::Args)]
pub(super) struct AlertsArgs {
    /// Note that a person saw this one; it is listed no more
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    acknowledge: Option<Uuid>,
    /// Note that a person saw all that are listed
    #[arg(long)]
    all: bool,
}

pub(super) async fn alerts(session: &Session, args: AlertsArgs) -> Result<()> {
    let (host, caller) = session.owner().await?;
    // What concerns no tenant but the whole vault is for whoever runs it.
    let whole = Caller { scope: host.vault.whole(), ..caller.clone() };
    let both = [caller, whole];
    let out = session.out;
    if let Some(id) = args.acknowledge {
        let mut count = 0;
        for caller in &both {
            count += host.acknowledge(caller, id, false).await?;
        }
        if count == 0 {
            return Err(Error::new(
                Code::NotFound,
                format!("There is no open alert {id}. `resto alerts` lists them."),
            ));
        }
        return acknowledged(session, count);
    }
    let (mut alerts, mut count) = (Vec::new(), 0);
    for caller in &both {
        let (open, _) = host.open_alerts(caller).await?;
        if let (true, Some(newest)) = (args.all, open.first().and_then(|one| one.id.parse().ok())) {
            count += host.acknowledge(caller, newest, true).await?;
        }
        alerts.extend(open);
    }
    if args.all {
        return acknowledged(session, count);
    }
    if out.json {
        return out.value(&alerts);
    }
    if alerts.is_empty() {
        out.line("There is nothing to look at.");
    }
    for alert in &alerts {
        out.line(format!(
            "{}  {}  {}",
            out.tone(Tone::Strong, alert.title()),
            alert.raised_at.get(..16).unwrap_or_default().replace('T', " "),
            alert.id
        ));
        out.line(format!("  {}", alert.message));
        if alert.is_given_up() {
            out.line(out.tone(Tone::Bad, "  The webhook did not take it for days."));
        }
    }
    Ok(())
}

fn acknowledged(session: &Session, count: u64) -> Result<()> {
    if session.out.json {
        return session.out.value(&json!({"acknowledged": count}));
    }
    session.out.remark(format!("Acknowledged: {count}"));
    Ok(())
}
