//! Who may do what: the caller, the risk of the action, and the rights of the credential.

use resto_core::{ActionSpec, Code, Error, Integration, Result, Risk};

use crate::grants::{Grants, Standing};
use crate::host::Caller;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// An agent, over MCP.
    Agent,
    /// A person at a terminal, who typed the name of the thing where that is asked for.
    Person,
}

/// Allows a call or says why not.
///
/// # Errors
/// `denied` for what an agent may not do, `permission_denied` for a right that is known to be
/// missing.
pub fn decide(
    caller: &Caller,
    calls: Calls,
    action: &ActionSpec,
    integration: &Integration,
    grants: &Grants,
) -> Result<()> {
    if calls == Calls::Agent && action.risk >= Risk::Irreversible {
        let what = match action.risk {
            Risk::Spend => "spends money",
            _ => "cannot be undone",
        };
        return Err(Error::new(
            Code::Denied,
            format!(
                "{} {what}, so an agent may not do it alone. A person runs it in a terminal: {} '<the same arguments>'",
                action.tool,
                caller.command(&format!("call {}", action.tool))
            ),
        ));
    }
    if grants.standing(action) == Standing::Absent {
        let needed: Vec<String> = action.permissions.iter().map(|set| set.join(" and ")).collect();
        let needed = needed.join(", or ");
        return Err(Error::new(
            Code::PermissionDenied,
            format!(
                "The {} credential lacks the right for {}: it needs {needed}. A person reconnects with that right, as the tool connect_integration asks them to with `again`: {}",
                integration.name,
                action.tool,
                caller.command(&format!("connect {}", integration.id))
            ),
        )
        .missing(needed));
    }
    Ok(())
}
