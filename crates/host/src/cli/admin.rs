//! `resto token`, `secret`, `tenant` and `migrate`.

use std::time::Duration;

use resto_core::{Code, Error, Result, Risk};
use resto_vault::{AccessToken, Tenant, Vault};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Session;
use super::audit::short;
use super::print::{confirm, read_secret, read_whole};
use crate::allowance::{Allowance, RISKS};
use crate::host::told;

#[derive(clap::Subcommand)]
pub(super) enum TokenCommand {
    /// Create an access token; it is shown only once
    #[command(
        after_help = "Examples:\n  resto token create --name my-agent --days 90\n  resto token create --name reports --read-only --integrations stripe,google-analytics"
    )]
    Create {
        /// What the token is for
        #[arg(long)]
        name: String,
        /// Days until it expires [default: never]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
        days: Option<u16>,
        /// Let it only read
        #[arg(long, conflicts_with = "max_risk")]
        read_only: bool,
        /// Let it do nothing worse than this [default: everything that the rules allow]
        #[arg(long, value_name = "RISK", value_parser = RISKS.map(|(word, _)| word))]
        max_risk: Option<String>,
        /// Let it work at these integrations only, such as github,vercel [default: at all]
        #[arg(long, value_name = "IDS", value_delimiter = ',')]
        integrations: Vec<String>,
    },
    /// List the tokens, without their text
    #[command(after_help = "Example:\n  resto token list --json")]
    List,
    /// Revoke a token
    #[command(after_help = "Example:\n  resto token revoke my-agent")]
    Revoke {
        /// The token's name
        name: String,
    },
}

pub(super) async fn token(session: &Session, command: TokenCommand) -> Result<()> {
    let (host, caller) = session.owner().await?;
    let out = session.out;
    match command {
        TokenCommand::Create { name, days, read_only, max_risk, integrations } => {
            let word = if read_only { Some("read") } else { max_risk.as_deref() };
            let risk = RISKS.iter().find(|(known, _)| Some(*known) == word);
            let risk = risk.map_or(Risk::Spend, |(_, risk)| *risk);
            integrations.iter().try_for_each(|id| host.integration(id).map(drop))?;
            let scopes = Allowance::up_to(risk, &integrations.into_iter().collect()).to_string();
            let expires_in = days.map(|days| Duration::from_secs(u64::from(days) * 24 * 3600));
            let principal = caller.scope.principal("local", "owner").await.map_err(told)?;
            let made = caller.scope.create_token(principal.id, &name, &scopes, expires_in).await;
            let (about, text) = made.map_err(told)?;
            // EXPOSE: its owner sees it this once.
            let text = text.expose_secret();
            if out.json {
                let mut value = token_json(&about);
                if let Some(fields) = value.as_object_mut() {
                    fields.insert("token".into(), text.into());
                }
                return out.value(&value);
            }
            out.line(text);
            out.remark("Keep it: it is not shown again.");
        }
        TokenCommand::List => {
            let tokens = caller.scope.tokens().await.map_err(told)?;
            if out.json {
                return out.value(&tokens.iter().map(token_json).collect::<Vec<_>>());
            }
            let rows: Vec<[String; 5]> = tokens
                .iter()
                .map(|token| {
                    [
                        token.name.clone(),
                        token.scopes.clone(),
                        short(token.created_at),
                        token.last_used_at.map_or_else(|| "never".into(), short),
                        token.expires_at.map_or_else(|| "never".into(), short),
                    ]
                })
                .collect();
            out.table(["NAME", "MAY DO", "CREATED (UTC)", "LAST USED", "EXPIRES"], &rows);
        }
        TokenCommand::Revoke { name } => {
            if !caller.scope.revoke_token(&name).await.map_err(told)? {
                return Err(Error::new(
                    Code::NotFound,
                    format!("There is no token named `{name}`. `resto token list` names them."),
                ));
            }
            out.remark(format!("The token `{name}` no longer works."));
        }
    }
    Ok(())
}

fn token_json(token: &AccessToken) -> Value {
    json!({
        "name": token.name, "subject": token.subject, "scopes": token.scopes, "created_at": rfc3339(token.created_at),
        "last_used_at": token.last_used_at.map(rfc3339), "expires_at": token.expires_at.map(rfc3339),
    })
}

pub(super) fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

#[derive(clap::Subcommand)]
pub(super) enum SecretCommand {
    /// List the names, never the values
    #[command(after_help = "Example:\n  resto secret list --json")]
    List,
    /// Store a value under a name, in place of the one that is there; tools use it by the name
    #[command(
        after_help = "Example:\n  resto secret set deploy_key\n  resto secret set deploy_key --secret-stdin < key"
    )]
    Set {
        /// The secret's name
        name: String,
        /// Read the value from standard input, whole, instead of a hidden prompt
        #[arg(long)]
        secret_stdin: bool,
    },
    /// Delete a secret here; what a service was given it keeps
    #[command(after_help = "Example:\n  resto secret delete deploy_key")]
    Delete {
        /// The secret's name
        name: String,
    },
}

pub(super) async fn secret(session: &Session, command: SecretCommand) -> Result<()> {
    let (_, caller) = session.owner().await?;
    let out = session.out;
    match command {
        SecretCommand::List => {
            let names = caller.scope.secret_names().await.map_err(told)?;
            if out.json {
                return out.value(&names);
            }
            for name in &names {
                out.line(name);
            }
        }
        SecretCommand::Set { name, secret_stdin } => {
            let value = if secret_stdin {
                read_whole()?
            } else {
                read_secret(&format!("Value of the secret {name} (not shown): "), None)?
            };
            caller.scope.put_secret(&name, &value).await.map_err(told)?;
            out.remark(format!("The secret `{name}` is stored encrypted."));
        }
        SecretCommand::Delete { name } => {
            if !caller.scope.delete_secret(&name).await.map_err(told)? {
                return Err(Error::new(
                    Code::NotFound,
                    format!("There is no secret named `{name}`. `resto secret list` names them."),
                ));
            }
            out.remark(format!("The secret `{name}` is deleted."));
        }
    }
    Ok(())
}

#[derive(clap::Subcommand)]
pub(super) enum TenantCommand {
    /// Create a business
    #[command(after_help = "Example:\n  resto tenant create acme --name \"Acme Ltd\"")]
    Create {
        /// Its id at your identity provider, or a short name
        id: String,
        /// Its name for people
        #[arg(long)]
        name: Option<String>,
    },
    /// List all businesses
    #[command(after_help = "Example:\n  resto tenant list --json")]
    List,
    /// Delete a business: its connections, tokens, secrets and keys
    #[command(after_help = "Example:\n  resto tenant delete acme")]
    Delete {
        /// Its id
        id: String,
    },
}

pub(super) async fn tenant(session: &Session, command: TenantCommand) -> Result<()> {
    let host = session.host().await?;
    let out = session.out;
    let as_json = |tenant: &Tenant| json!({"id": tenant.external_id, "name": tenant.name, "created_at": rfc3339(tenant.created_at)});
    match command {
        TenantCommand::Create { id, name } => {
            let created = host
                .vault
                .create_tenant(&id, name.as_deref().unwrap_or(&id))
                .await
                .map_err(told)?;
            if out.json {
                return out.value(&as_json(&created));
            }
            out.remark(format!(
                "The tenant `{id}` exists. Use it: resto --tenant {id} connect github"
            ));
        }
        TenantCommand::List => {
            let tenants = host.vault.tenants().await.map_err(told)?;
            if out.json {
                return out.value(&tenants.iter().map(as_json).collect::<Vec<_>>());
            }
            let rows: Vec<[String; 3]> = tenants
                .iter()
                .map(|tenant| {
                    [tenant.external_id.clone(), tenant.name.clone(), short(tenant.created_at)]
                })
                .collect();
            out.table(["ID", "NAME", "CREATED (UTC)"], &rows);
        }
        TenantCommand::Delete { id } => {
            let found = host.vault.tenant(&id).await.map_err(told)?.ok_or_else(|| {
                Error::new(
                    Code::NotFound,
                    format!("There is no tenant `{id}`. `resto tenant list` names them."),
                )
            })?;
            confirm(
                "This deletes the tenant with its connections, tokens, secrets and keys. It cannot be undone, and what it connected is not revoked at the providers.",
                &id,
            )?;
            host.vault.delete_tenant(found.id).await.map_err(told)?;
            out.remark(format!(
                "The tenant `{id}` is deleted. Its audit trail stays: resto --tenant {} audit",
                found.id
            ));
        }
    }
    Ok(())
}

pub(super) async fn migrate(session: &Session) -> Result<()> {
    let url = session.config.database()?;
    if url.starts_with("sqlite:") {
        // Opening creates the folder and the key where they are missing, and migrates.
        session.host().await?;
    } else {
        Vault::migrate(&url).await.map_err(told)?;
    }
    session.out.remark("The database is at this version.");
    Ok(())
}
