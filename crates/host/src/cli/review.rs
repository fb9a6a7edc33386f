//! `resto review`: tools of others' servers that changed since they were approved, and the approval of one as it was shown.

use resto_core::{Error, Result};
use serde_json::json;

use super::Session;
use super::print::{Out, Tone};
use crate::remote::Definition;

#[derive(clap::Args)]
pub(super) struct ReviewArgs {
    /// The server, such as github-mcp; all of them if left out
    integration: Option<String>,
    /// Approve this tool
    #[arg(long, value_name = "TOOL", requires_all = ["integration", "hash"])]
    approve: Option<String>,
    /// As it was shown under this hash
    #[arg(long, requires = "approve")]
    hash: Option<String>,
}

pub(super) async fn review(session: &Session, args: ReviewArgs) -> Result<()> {
    let (host, caller) = session.owner().await?;
    let out = session.out;
    if let (Some(id), Some(tool), Some(hash)) = (&args.integration, &args.approve, &args.hash) {
        let integration = host.integration(id)?;
        let report = host.approve_tool(&caller, integration, tool, hash).await?;
        if out.json {
            return out.value(&report);
        }
        out.remark(format!("Agents can use {tool} of {} as you saw it.", integration.name));
        return Ok(());
    }
    let integrations = match &args.integration {
        Some(id) => vec![host.integration(id)?],
        None => host.remote_integrations().collect(),
    };
    let mut waiting = Vec::new();
    for integration in integrations {
        let Some(offer) = host.offer_of(&caller, integration).await? else { continue };
        for (tool, pin) in offer.waiting() {
            waiting.push((integration, tool.to_owned(), pin.clone()));
        }
    }
    if out.json {
        let all = waiting.iter().map(|(integration, tool, pin)| {
            json!({"integration": integration.id, "tool": tool, "approved": pin.approved, "offered": pin.offered})
        });
        return out.value(&all.collect::<Vec<_>>());
    }
    if waiting.is_empty() {
        out.line("No tool waits for an approval.");
    }
    for (integration, tool, pin) in &waiting {
        out.line(out.tone(Tone::Strong, &format!("{}: {tool}", integration.name)));
        if let Some(approved) = &pin.approved {
            show(out, "As it was approved", approved)?;
        }
        if let Some(offered) = &pin.offered {
            show(out, "As it is now", offered)?;
            let approve =
                format!("review {} --approve {tool} --hash {}", integration.id, offered.hash);
            out.line(format!("  If that is right: {}", caller.command(&approve)));
        }
    }
    Ok(())
}

fn show(out: Out, when: &str, definition: &Definition) -> Result<()> {
    let arguments = serde_json::to_string(&definition.input_schema)
        .map_err(|error| Error::new(resto_core::Code::Internal, error.to_string()))?;
    out.line(format!("  {when}: {}", definition.title));
    // A line of theirs is not to be taken for one of ours.
    for line in definition.description.lines() {
        out.line(format!("    | {line}"));
    }
    out.line(format!("    | {arguments}"));
    Ok(())
}
