//! Whether a call is allowed: by what the caller was given, and by what the tenant's connection is and may do.

use std::sync::Arc;

use resto_core::{Code, Error, Result, Risk};
use resto_vault::Connection;

use crate::catalog::Entry;
use crate::grants::Grants;
use crate::host::{Caller, Host, told};
use crate::learning::paused;
use crate::maintain::lasts;
use crate::policy::check_rights;

impl Host {
    /// Whether the caller's access token and the tenant's connection allow it.
    ///
    /// # Errors
    /// The token's scopes do not reach so far, the agent was not given it, it is not connected, has ended and cannot be
    /// renewed now, is known to lack a right, or the action waits for a person.
    pub(crate) async fn allow(self: &Arc<Self>, caller: &Caller, entry: &Entry<'_>) -> Result<()> {
        check_caller(caller, entry)?;
        let integration = entry.integration();
        let connection = caller.scope.connection(integration.id).await.map_err(told)?;
        let Some(connection) = connection else {
            return Err(Error::new(
                Code::NotConnected,
                format!(
                    "{} is not connected. {} The tool connect_integration asks a person to connect it, or a person runs: {}",
                    integration.name,
                    integration.purpose,
                    caller.command(&format!("connect {}", integration.id))
                ),
            ));
        };
        check_pause(caller, entry, &connection)?;
        if let Some(why) = &entry.action.held {
            return Err(Error::new(Code::ActionRequired, why)
                .url(self.place.page(&["connect", integration.id])?));
        }
        let connection = self.fresh(&caller.scope, integration, connection).await?;
        check_rights(caller, entry.action, integration, &Grants::read(&connection.permissions))
    }

    /// As [`Host::allow`], before a call whose intent is written next: of what only reads, it will do how another call has
    /// just found the connection, because this one is held against how it finds it itself. A refusal never comes from that.
    pub(crate) async fn allow_call(
        self: &Arc<Self>,
        caller: &Caller,
        entry: &Entry<'_>,
    ) -> Result<()> {
        let action = entry.action;
        let known = caller.scope.connection_lately(entry.integration().id);
        let known = known.filter(|_| action.risk == Risk::Read && action.held.is_none());
        match known {
            Some(known)
                if lasts(&known, caller.scope.now())
                    && check_connection(caller, entry, &known).is_ok() =>
            {
                check_caller(caller, entry)
            }
            _ => self.allow(caller, entry).await,
        }
    }
}

/// Whether the caller was given the action.
fn check_caller(caller: &Caller, entry: &Entry<'_>) -> Result<()> {
    caller.surface.check(entry)?;
    let action = entry.action;
    caller.allowance.check(&action.tool, Some(entry.integration().id), action.risk)
}

/// Whether the connection allows the action, as far as nothing has to be done about it first.
pub(crate) fn check_connection(
    caller: &Caller,
    entry: &Entry<'_>,
    connection: &Connection,
) -> Result<()> {
    check_pause(caller, entry, connection)?;
    let grants = Grants::read(&connection.permissions);
    check_rights(caller, entry.action, entry.integration(), &grants)
}

fn check_pause(caller: &Caller, entry: &Entry<'_>, connection: &Connection) -> Result<()> {
    let Some(wait) = paused(connection, caller.scope.now()) else {
        return Ok(());
    };
    let name = entry.integration().name;
    let why = format!("{name} has asked for a pause. Nothing was sent. Come back in {wait} s.");
    Err(Error::new(Code::RateLimited, why).retry_after(wait))
}
