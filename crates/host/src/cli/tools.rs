//! `resto tools` and `resto call`.

use std::sync::atomic::Ordering;

use resto_core::{Code, Error, Result, Risk};
use rmcp::model::Tool;
use serde_json::Value;

use super::Session;
use super::print::{INTERRUPTED, confirm, read_secret};
use crate::around::Line;
use crate::call::Failed;
use crate::mcp::{own_tool, tokens, tool};
use crate::policy::Calls;
use crate::surface::Surface;

#[derive(clap::Args)]
pub(super) struct CallArgs {
    /// The tool's name, as `resto tools` lists it
    tool: String,
    /// The arguments, a JSON object
    #[arg(default_value = "{}", value_name = "JSON")]
    arguments: String,
    /// Read the value of a secret that the tool asks for from standard input, in place of a stored one
    #[arg(long)]
    secret_stdin: bool,
}

pub(super) async fn list(session: &Session, surface: Surface) -> Result<()> {
    let (host, caller) = session.owner().await?;
    let catalog = host.catalog_of(&caller.scope).await?;
    let surface = host.surface(surface)?;
    let all = host.catalog.adapters().iter().map(|adapter| adapter.integration.id.to_owned());
    let all = all.collect();
    let entries = catalog.entries().filter(|entry| surface.lists(entry, &all));
    let own = host.own_tools().iter().filter(|own| surface.lists_own(own));
    let tools: Vec<(Tool, Risk)> = own
        .map(|own| (own_tool(own), own.risk))
        .chain(entries.map(|entry| (tool(&entry), entry.action.risk)))
        .collect();
    if session.out.json {
        let tools: Vec<Tool> = tools.into_iter().map(|(tool, _)| tool).collect();
        return session.out.value(&tools);
    }
    let mut all = 0;
    let rows = tools.iter().map(|(tool, risk)| {
        let risk = serde_json::to_value(risk).unwrap_or_default();
        let cost = tokens(tool);
        all += cost;
        [
            tool.name.to_string(),
            risk.as_str().unwrap_or_default().to_owned(),
            cost.to_string(),
            tool.description.as_deref().unwrap_or_default().to_owned(),
        ]
    });
    let rows: Vec<[String; 4]> = rows.collect();
    session.out.table(["TOOL", "RISK", "TOKENS", "WHAT IT DOES"], &rows);
    session.out.remark(format!(
        "{} tools cost an agent about {all} tokens, {} each.",
        rows.len(),
        all / rows.len().max(1)
    ));
    Ok(())
}

/// Arguments, as a person types them.
pub(super) fn json(arguments: &str) -> Result<Value> {
    serde_json::from_str(arguments).map_err(|error| {
        Error::new(
            Code::InvalidInput,
            format!(
                "The arguments are not JSON: {error}. They look like '{{\"owner\": \"octocat\"}}'."
            ),
        )
    })
}

pub(super) async fn call(session: &Session, args: CallArgs) -> Result<()> {
    let arguments = json(&args.arguments)?;
    let (host, caller) = session.owner().await?;
    let mut line = Line::new(Calls::Person);
    let out = session.out;
    line.progress = Box::new(move |done, total, message| match total {
        Some(total) if message.is_empty() => out.remark(format!("{done} of {total}")),
        _ => out.remark(message),
    });
    let from_stdin = args.secret_stdin;
    line.ask_secret = Some(Box::new(move |name| {
        let mut lines = from_stdin.then(|| std::io::stdin().lines());
        read_secret(&format!("Value of the secret {name} (not shown): "), lines.as_mut())
    }));
    line.new_secrets = args.secret_stdin;
    line.confirm = Some(Box::new(confirm));
    // Ctrl-C stops a read; a change under way goes on to its end, so that its outcome is known.
    let cancelled = line.cancelled.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            INTERRUPTED.store(true, Ordering::Relaxed);
            cancelled.cancel();
        }
    });
    match host.call(&caller, &args.tool, arguments, line).await {
        Ok(called) => out.value(&called.output),
        Err(failed @ (Failed::Tool(_) | Failed::Approval(_) | Failed::Secret(_))) => {
            Err(failed.error())
        }
        Err(Failed::UnknownTool) => Err(Error::new(
            Code::InvalidInput,
            format!(
                "{} `resto tools` lists them all.",
                host.catalog_of(&caller.scope).await?.unknown(&args.tool)
            ),
        )),
    }
}
