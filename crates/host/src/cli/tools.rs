//! `resto tools` and `resto call`.

use std::sync::atomic::Ordering;

use resto_core::{Code, Error, Result, Risk};
use serde_json::Value;

use super::Session;
use super::print::{INTERRUPTED, confirm, read_secret};
use crate::around::Line;
use crate::call::Failed;
use crate::catalog::Entry;
use crate::mcp::{own_tool, tool};
use crate::policy::Calls;

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

pub(super) async fn list(session: &Session) -> Result<()> {
    let (host, caller) = session.owner().await?;
    let catalog = host.catalog_of(&caller.scope).await?;
    let entries: Vec<Entry<'_>> = catalog.entries().collect();
    if session.out.json {
        let own = host.own_tools().iter().map(own_tool);
        return session.out.value(&own.chain(entries.iter().map(tool)).collect::<Vec<_>>());
    }
    let row = |tool: &str, risk: Risk, description: &str| {
        let risk = serde_json::to_value(risk).unwrap_or_default();
        [tool.to_owned(), risk.as_str().unwrap_or_default().to_owned(), description.to_owned()]
    };
    let own = host.own_tools().iter().map(|own| row(own.tool, own.risk, &own.description));
    let actions = entries.iter().map(|entry| entry.action);
    let actions = actions.map(|action| row(&action.tool, action.risk, &action.description));
    let rows: Vec<[String; 3]> = own.chain(actions).collect();
    session.out.table(["TOOL", "RISK", "WHAT IT DOES"], &rows);
    Ok(())
}

pub(super) async fn call(session: &Session, args: CallArgs) -> Result<()> {
    let arguments: Value = serde_json::from_str(&args.arguments).map_err(|error| {
        Error::new(
            Code::InvalidInput,
            format!(
                "The arguments are not JSON: {error}. They look like '{{\"owner\": \"octocat\"}}'."
            ),
        )
    })?;
    let (host, caller) = session.owner().await?;
    let mut line = Line::new(Calls::Person);
    let out = session.out;
    line.progress = Box::new(move |_, _, message| out.remark(message));
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
        Err(failed @ (Failed::Tool(_) | Failed::Approval(_))) => Err(failed.error()),
        Err(Failed::UnknownTool) => Err(Error::new(
            Code::InvalidInput,
            format!(
                "{} `resto tools` lists them all.",
                host.catalog_of(&caller.scope).await?.unknown(&args.tool)
            ),
        )),
    }
}
