//! `resto freeze`, `resto unfreeze` and `resto revoke-all`.

use clap::Args;
use resto_core::{Code, Error, Integration, Result};
use resto_vault::Tenant;

use super::Session;
use super::print::{Tone, confirm};
use crate::host::{Host, told};

#[derive(Args)]
pub(super) struct StopArgs {
    /// The service, such as github [default: all of them]
    integration: Option<String>,
    /// The connections of all businesses, not only of this one
    #[arg(long, conflicts_with = "tenant")]
    all_tenants: bool,
}

#[derive(Args)]
pub(super) struct RevokeAllArgs {
    #[command(flatten)]
    what: StopArgs,
    /// Go on without asking
    #[arg(long)]
    yes: bool,
}

impl StopArgs {
    /// The businesses and the integration that are meant.
    async fn meant(
        &self,
        session: &Session,
        host: &Host,
    ) -> Result<(Vec<Tenant>, Option<&'static Integration>)> {
        let integration = self.integration.as_deref().map(|id| host.integration(id)).transpose()?;
        let all = host.vault.tenants().await.map_err(told)?;
        let wanted = &session.options.tenant;
        let tenants: Vec<Tenant> = all
            .into_iter()
            .filter(|tenant| self.all_tenants || tenant.external_id == *wanted)
            .collect();
        if tenants.is_empty() && !self.all_tenants {
            // It says that there is none, or makes the one that needs no making.
            host.owner(wanted, "cli").await?;
        }
        Ok((tenants, integration))
    }
}

pub(super) async fn freeze(session: &Session, args: StopArgs, is_frozen: bool) -> Result<()> {
    let host = session.host().await?;
    let (tenants, integration) = args.meant(session, &host).await?;
    let moved = host.freeze(&tenants, integration, is_frozen).await?;
    let out = session.out;
    if out.json {
        return out.value(&moved);
    }
    let (word, none) = if is_frozen {
        ("stopped: no action begins on it", "Nothing was active, so nothing was stopped.")
    } else {
        ("active again", "Nothing was stopped, so nothing goes on.")
    };
    for one in &moved {
        out.line(format!(
            "{} of {} is {word}.",
            out.tone(Tone::Strong, &one.integration),
            one.tenant
        ));
    }
    if moved.is_empty() {
        out.line(none);
    }
    Ok(())
}

pub(super) async fn revoke_all(session: &Session, args: RevokeAllArgs) -> Result<()> {
    let host = session.host().await?;
    let (tenants, integration) = args.what.meant(session, &host).await?;
    let whose = if args.what.all_tenants {
        "all businesses".to_owned()
    } else {
        format!("the business {}", session.options.tenant)
    };
    if !args.yes {
        let (what, name) = match integration {
            Some(integration) => (format!("Every {} connection", integration.name), integration.id),
            None => ("Every connection".to_owned(), "revoke-all"),
        };
        let warning = format!(
            "{what} of {whose} is stopped, revoked at its provider and deleted here. That cannot be undone."
        );
        confirm(&warning, name)?;
    }
    let ended = host.revoke_all(&tenants, integration).await?;
    let count = |outcome: &str| ended.iter().filter(|one| one.outcome == outcome).count();
    let pending = count("pending");
    let out = session.out;
    if out.json {
        out.value(&ended)?;
    } else {
        for one in &ended {
            out.line(format!(
                "{} of {} at {}: {}. {}",
                out.tone(Tone::Strong, &one.account),
                one.tenant,
                one.integration,
                one.outcome.replace('_', " "),
                one.message
            ));
        }
        out.line(format!(
            "{} connections: {} revoked, {} for a person to end at the provider, {pending} pending.",
            ended.len(),
            count("revoked"),
            count("left_to_do"),
        ));
    }
    if pending == 0 {
        return Ok(());
    }
    Err(Error::new(
        Code::ProviderDown,
        format!(
            "{pending} of {} connections are stopped and not revoked yet. A server that runs (resto serve) tries again until they are.",
            ended.len()
        ),
    ))
}
