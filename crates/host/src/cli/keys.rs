//! `resto keys`: which keys are in use, and exchanging them while the server works.

use resto_core::{Code, Error, Result};
use resto_vault::{KeyInfo, KeyState, RootKeyInfo, RootRole};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Session;
use super::admin::rfc3339;
use super::audit::short;
use super::print::Tone;
use crate::host::told;

#[derive(clap::Subcommand)]
pub(super) enum KeysCommand {
    /// Show which root keys wrap how many tenant keys and which may go, and the tenant's own keys
    #[command(after_help = "Example:\n  resto keys status --json")]
    Status,
    /// Seal everything of the tenant with a fresh key, and destroy the old one
    #[command(after_help = "Example:\n  resto keys rotate\n  resto keys rotate --all\n\n\
        Of all tenants but those whose keys are young:\n  resto keys rotate --all --before \"$(date --utc --date '90 days ago' +%FT%TZ)\"")]
    Rotate {
        /// Of every tenant, one after the other
        #[arg(long)]
        all: bool,
        /// Only keys made before this time, such as 2026-01-31T00:00:00Z; to go on where a rotation was stopped
        #[arg(long, value_name = "TIME", requires = "all", value_parser = time)]
        before: Option<OffsetDateTime>,
    },
    /// Wrap the keys of all tenants with the current root key; stopped, it goes on where it was
    #[command(after_help = "Example:\n  resto keys rewrap\n\n\
        To exchange the root key: accept the new one on every server (`keys.accept`), make it the current one and\n\
        accept the old one, run this, and take the old one away when `resto keys status` says that it may go.")]
    Rewrap,
}

pub(super) async fn keys(session: &Session, command: KeysCommand) -> Result<()> {
    match command {
        KeysCommand::Status => status(session).await,
        KeysCommand::Rotate { all: false, .. } => rotate(session).await,
        KeysCommand::Rotate { all: true, before } => rotate_all(session, before).await,
        KeysCommand::Rewrap => rewrap(session).await,
    }
}

async fn status(session: &Session) -> Result<()> {
    let (host, caller) = session.owner().await?;
    let out = session.out;
    let roots = host.vault.root_keys().await.map_err(told)?;
    let keys = caller.scope.keys().await.map_err(told)?;
    if out.json {
        return out.value(&json!({
            "root_keys": roots.iter().map(root_json).collect::<Vec<_>>(),
            "tenant_keys": keys.iter().map(key_json).collect::<Vec<_>>(),
        }));
    }
    let rows: Vec<[String; 4]> = roots
        .iter()
        .map(|root| {
            let may_go = match (root.role, root.needed) {
                (RootRole::Current, _) => "no: it wraps new keys",
                (_, true) => "no: run `resto keys rewrap`",
                (_, false) => "yes",
            };
            let wraps = root.tenant_keys.to_string();
            [root.root_id.clone(), role(root.role).into(), wraps, may_go.into()]
        })
        .collect();
    out.table(["ROOT KEY", "ROLE", "WRAPS TENANT KEYS", "MAY GO"], &rows);
    out.line("");
    let rows: Vec<[String; 5]> = keys
        .iter()
        .map(|key| {
            [
                key.key_id.clone(),
                state(key.state).into(),
                key.sealed.to_string(),
                short(key.created_at),
                key.root_id.clone(),
            ]
        })
        .collect();
    out.table(["TENANT KEY", "STATE", "SEALS", "CREATED (UTC)", "WRAPPED BY ROOT KEY"], &rows);
    Ok(())
}

fn role(role: RootRole) -> &'static str {
    match role {
        RootRole::Current => "current",
        RootRole::Accepted => "accepted",
        RootRole::Missing => "missing",
    }
}

fn state(state: KeyState) -> &'static str {
    match state {
        KeyState::Active => "active",
        KeyState::Read => "read",
        KeyState::Destroyed => "destroyed",
    }
}

fn root_json(root: &RootKeyInfo) -> Value {
    json!({
        "root_id": root.root_id, "role": role(root.role), "tenant_keys": root.tenant_keys, "may_go": !root.needed,
    })
}

fn key_json(key: &KeyInfo) -> Value {
    json!({
        "key_id": key.key_id, "root_id": key.root_id, "state": state(key.state),
        "created_at": rfc3339(key.created_at), "sealed": key.sealed,
    })
}

async fn rotate(session: &Session) -> Result<()> {
    let (_, caller) = session.owner().await?;
    let out = session.out;
    let rotation = caller.scope.rotate_key().await.map_err(told)?;
    if out.json {
        return out.value(&json!({"key_id": rotation.key_id, "resealed": rotation.rewrapped}));
    }
    out.line(format!(
        "{} {} values are sealed with the new key {}; the old key is destroyed.",
        out.tone(Tone::Good, "Rotated."),
        rotation.rewrapped,
        rotation.key_id
    ));
    Ok(())
}

fn time(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "it is no time such as 2026-01-31T00:00:00Z".to_owned())
}

/// One tenant that cannot be rotated does not keep the others from it.
async fn rotate_all(session: &Session, before: Option<OffsetDateTime>) -> Result<()> {
    let host = session.host().await?;
    let out = session.out;
    out.remark(format!(
        "If this is stopped, it goes on with: resto keys rotate --all --before {}",
        rfc3339(before.unwrap_or_else(OffsetDateTime::now_utc))
    ));
    let (mut rotated, mut resealed, mut failed) = (0_u64, 0_u64, Vec::new());
    for tenant in host.vault.tenants().await.map_err(told)? {
        let scope = host.vault.scope(tenant.id);
        let due = match before {
            None => Ok(true),
            Some(before) => scope.keys().await.map(|keys| {
                keys.iter().any(|key| key.state == KeyState::Active && key.created_at < before)
            }),
        };
        let rotation = match due {
            Ok(false) => continue,
            Ok(true) => scope.rotate_key().await,
            Err(error) => Err(error),
        };
        match rotation {
            Ok(rotation) => {
                rotated += 1;
                resealed += rotation.rewrapped;
            }
            // It was deleted meanwhile.
            Err(resto_vault::Error::UnknownTenant) => {}
            Err(error) => failed.push(format!("{}: {error}", tenant.external_id)),
        }
    }
    // A rotation that was stopped may have left an old key in the database's log.
    host.vault.erase().await;
    if out.json {
        out.value(&json!({"rotated": rotated, "resealed": resealed, "failed": failed}))?;
    } else {
        out.line(format!(
            "{} {rotated} tenants have a new key, and their old ones are destroyed; {resealed} values were sealed anew.",
            out.tone(Tone::Good, "Rotated.")
        ));
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(Error::new(
            Code::Internal,
            format!("Of some tenants the key was not rotated. {}", failed.join(" ")),
        )),
    }
}

async fn rewrap(session: &Session) -> Result<()> {
    let host = session.host().await?;
    let out = session.out;
    let progress = |done: resto_vault::Rewrap| {
        out.remark(format!("{} tenant keys are wrapped anew ...", done.rewrapped));
    };
    let done = host.vault.rewrap_keys(progress).await.map_err(told)?;
    let roots = host.vault.root_keys().await.map_err(told)?;
    let may_go: Vec<&str> =
        roots.iter().filter(|root| !root.needed).map(|root| root.root_id.as_str()).collect();
    if out.json {
        out.value(&json!({"rewrapped": done.rewrapped, "lost": done.lost, "may_go": may_go}))?;
    } else {
        let good = out.tone(Tone::Good, "Done.");
        out.line(format!("{good} The current root key wraps {} more tenant keys.", done.rewrapped));
        if !may_go.is_empty() {
            out.line(format!("No longer needed: {}", may_go.join(", ")));
        }
    }
    match done.lost {
        0 => Ok(()),
        lost => Err(Error::new(
            Code::Internal,
            format!(
                "{lost} tenant keys do not open: they were changed outside the vault, and the log names their tenants. Restore them from a backup, or delete those tenants."
            ),
        )),
    }
}
