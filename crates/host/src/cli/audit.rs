//! `resto audit`.

use resto_core::{Code, Error, Result};
use resto_vault::{AuditEntry, AuditEvent, AuditFilter, ResultStatus, TenantScope};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::Session;
use super::print::Tone;
use super::tools;
use crate::host::{Host, told};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    /// Show at most this many actions, the newest first
    #[arg(long, default_value_t = 50, conflicts_with = "json", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only actions of this service
    #[arg(long, value_name = "SERVICE")]
    integration: Option<String>,
    /// Check that no entry was changed, added, moved, or removed from before another one
    #[arg(long)]
    verify: bool,
}

#[derive(clap::Subcommand)]
enum AuditCommand {
    /// Find the actions that were asked for with exactly these arguments, of which the trail holds a keyed hash alone
    #[command(
        after_help = "Example:\n  resto audit hash github_get_repository '{\"owner\": \"octocat\", \"repo\": \"hello-world\"}'"
    )]
    Hash {
        /// The tool's name, as `resto tools` lists it
        tool: String,
        /// The arguments, a JSON object; their order does not matter
        #[arg(value_name = "JSON")]
        arguments: String,
    },
}

/// Rows read from the database at once.
const CHUNK: u32 = 1000;

pub(super) async fn show(session: &Session, args: AuditArgs) -> Result<()> {
    let host = session.host().await?;
    let scope = &trail_of(session, &host).await?;
    let out = session.out;
    if let Some(AuditCommand::Hash { tool, arguments }) = &args.command {
        return hash(session, scope, tool, arguments).await;
    }
    if args.verify {
        return verify(session, &host, scope).await;
    }
    if let Some(integration) = &args.integration {
        host.integration(integration)?;
    }
    if out.json {
        return export(session, scope, args.integration.as_deref()).await;
    }
    let filter = AuditFilter { integration: args.integration, limit: args.limit, before_seq: None };
    let entries = scope.audit(filter).await.map_err(told)?;
    if entries.is_empty() {
        out.line("Nothing was done yet that this asks for.");
        return Ok(());
    }
    table(session, &entries);
    Ok(())
}

fn table(session: &Session, entries: &[AuditEntry]) {
    let rows: Vec<[String; 6]> = entries.iter().map(row).collect();
    session.out.table(["WHEN (UTC)", "ACTION", "WHO", "RESULT", "TOOK", "ERROR"], &rows);
}

/// Checks a guess: which actions had these arguments.
async fn hash(session: &Session, scope: &TenantScope, tool: &str, arguments: &str) -> Result<()> {
    let hashes = scope.params_hashes(tool, &tools::json(arguments)?).map_err(told)?;
    let mut found = Vec::new();
    let mut before_seq = None;
    loop {
        let filter = AuditFilter { integration: None, limit: CHUNK, before_seq };
        let chunk = scope.audit(filter).await.map_err(told)?;
        let Some(last) = chunk.last() else { break };
        before_seq = Some(last.seq);
        found.extend(chunk.into_iter().filter(|entry| hashes.contains(&entry.params_hash)));
    }
    let out = session.out;
    if out.json {
        let seqs: Vec<i64> = found.iter().map(|entry| entry.seq).collect();
        return out.value(&json!({"params_hashes": hashes, "seqs": seqs}));
    }
    for hash in &hashes {
        out.line(hash);
    }
    if found.is_empty() {
        out.line("No action was asked for with these arguments.");
    } else {
        table(session, &found);
    }
    Ok(())
}

/// The trail of the tenant of this name, or of the deleted one that had this id.
async fn trail_of(session: &Session, host: &Host) -> Result<TenantScope> {
    match host.owner(&session.options.tenant, "cli").await {
        Ok(caller) => Ok(caller.scope),
        Err(error) => match session.options.tenant.parse() {
            Ok(id) => Ok(host.vault.scope(id)),
            Err(_) => Err(error),
        },
    }
}

fn row(entry: &AuditEntry) -> [String; 6] {
    [
        short(entry.executed_at),
        entry.action.clone(),
        entry.actor.clone(),
        entry.result_status.map_or("running", ResultStatus::as_str).to_owned(),
        entry.duration_ms.map(|took| format!("{took} ms")).unwrap_or_default(),
        entry.error_message.clone().unwrap_or_default(),
    ]
}

/// All events in order as one JSON array with an event a line, so that a long trail is never in memory as a whole.
async fn export(session: &Session, scope: &TenantScope, integration: Option<&str>) -> Result<()> {
    let mut before = "[";
    let mut after = 0;
    loop {
        let chunk = scope.audit_events(after, CHUNK).await.map_err(told)?;
        let Some(last) = chunk.last() else { break };
        after = last.seq;
        let wanted = |event: &&AuditEvent| integration.is_none_or(|id| event.integration_id == id);
        for event in chunk.iter().filter(wanted) {
            session.out.line(format!("{before}{}", as_json(event)));
            before = ",";
        }
    }
    session.out.line(if before == "[" { "[]" } else { "]" });
    Ok(())
}

fn as_json(event: &AuditEvent) -> Value {
    let at = event.executed_at.format(&Rfc3339).unwrap_or_default();
    json!({
        "id": event.id, "seq": event.seq, "phase": event.phase, "intent_id": event.intent_id,
        "integration_id": event.integration_id, "action": event.action, "params_hash": event.params_hash,
        "result_status": event.result_status, "executed_at": at, "duration_ms": event.duration_ms,
        "error_message": event.error_message, "actor": event.actor, "op_id": event.op_id,
        "generation": event.generation, "key_id": event.key_id,
        "prev_mac": hex(&event.prev_mac), "mac": hex(&event.mac),
    })
}

async fn verify(session: &Session, host: &Host, scope: &TenantScope) -> Result<()> {
    let out = session.out;
    let storage = host.vault.audit_storage_faults().await.map_err(told)?;
    let found = match scope.verify_audit().await.map_err(told) {
        Ok(found) => found,
        // A table that somebody made anew may hold what cannot be read at all.
        Err(error) => {
            let storage: String = storage.iter().map(|what| format!(" {what}")).collect();
            let code = if storage.is_empty() { error.code() } else { Code::Conflict };
            return Err(Error::new(code, format!("{}{storage}", error.message())));
        }
    };
    if out.json {
        let problems: Vec<Value> = found
            .problems
            .iter()
            .map(|problem| json!({"seq": problem.seq, "what": problem.what}))
            .collect();
        out.value(&json!({
            "events": found.events, "anchored": found.anchored, "problems": problems, "storage": storage,
        }))?;
    } else {
        let problems = found.problems.iter();
        let problems = problems.map(|problem| (format!("event {}:", problem.seq), &problem.what));
        for (at, what) in problems.chain(storage.iter().map(|what| ("storage:".to_owned(), what))) {
            out.line(format!("{} {what}", out.tone(Tone::Bad, &at)));
        }
    }
    if found.problems.is_empty() && storage.is_empty() {
        if !out.json {
            out.line(format!(
                "{} {} events, none changed, added or moved, and none missing before another one.",
                out.tone(Tone::Good, "Whole."),
                found.events
            ));
            out.line(match found.anchored {
                0 => "No anchor outside the database says where the trail ended before: a cut tail would not show.".to_owned(),
                anchored => format!("Nothing up to event {anchored} was cut off: the anchors outside the database agree."),
            });
        }
        return Ok(());
    }
    Err(Error::new(
        Code::Conflict,
        format!(
            "The audit trail was tampered with: {} problems in {} events and how they are stored.",
            found.problems.len() + storage.len(),
            found.events
        ),
    ))
}

/// A time for people, in UTC.
pub(super) fn short(at: OffsetDateTime) -> String {
    at.format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second]"))
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
