//! `resto tools`, `resto call` and `resto read`.

use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resto_core::{Code, Error, Result, Risk};
use rmcp::model::Tool;
use serde_json::Value;

use super::Session;
use super::print::{INTERRUPTED, confirm, read_secret};
use crate::around::Line;
use crate::call::{Failed, fault};
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

#[derive(clap::Args)]
pub(super) struct ReadArgs {
    /// The address of the file, as the answer of the tool gives it
    #[arg(value_name = "URI")]
    uri: String,
    /// Write it to this file, which must not exist yet [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
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
        Ok(called) => {
            out.value(&called.output)?;
            for file in &called.files {
                let advice = format!("Within ten minutes: resto read {} --output FILE", file.uri);
                out.remark(advice);
            }
            Ok(())
        }
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

pub(super) async fn read(session: &Session, args: ReadArgs) -> Result<()> {
    // It may hold anything, and somebody outside may have made it: a terminal would obey it.
    if args.output.is_none() && std::io::stdout().is_terminal() {
        return Err(Error::new(
            Code::InvalidInput,
            "A terminal is no place for a file: say where to write it with --output FILE, or pipe it.",
        ));
    }
    let (host, caller) = session.owner().await?;
    let held = host.file(&caller, &args.uri).await?.ok_or_else(|| {
        Error::new(
            Code::NotFound,
            "There is no such file: it ends ten minutes after the call that handed it out. Make the call again.",
        )
    })?;
    let bytes = STANDARD.decode(&held.data).map_err(|_| fault())?;
    let Some(path) = args.output else {
        // A reader that went away, as `head` does, is no failure.
        let _ = std::io::stdout().write_all(&bytes);
        return Ok(());
    };
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    created.and_then(|mut file| file.write_all(&bytes)).map_err(|error| {
        Error::new(Code::InvalidInput, format!("{} cannot be written: {error}.", path.display()))
    })?;
    session.out.remark(format!(
        "{} bytes of {} are in {}.",
        bytes.len(),
        held.media_type,
        path.display()
    ));
    Ok(())
}
