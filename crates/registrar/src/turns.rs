//! Whose turn it is: a period of a domain is ordered under one quote. No registrar but Cloudflare would refuse the second.

use std::time::Duration;

use resto_core::{Api, Code, Error, Result};
use serde::{Deserialize, Serialize};

use crate::contract::{Operation, Purchase};
use crate::kept;
use crate::orders::Kept as Order;

/// The collection of the tenant's turns.
const TURNS: &str = "registrar_turns";
/// Longer than a quote holds: whoever quotes after that is told what the order has changed.
const HOLDS: Duration = Duration::from_hours(1);

#[derive(Debug, Serialize, Deserialize)]
struct Turn {
    quote_id: String,
}

fn id(purchase: &Purchase) -> String {
    let operation = match purchase.operation {
        Operation::Register => "register",
        Operation::Renew => "renew",
    };
    let period = purchase.expires_on.as_deref().unwrap_or_default();
    format!("{operation}:{}:{period}", purchase.domain)
}

/// Takes the turn for what this quote orders, before it is noted and sent.
///
/// # Errors
/// It is ordered under another quote.
pub(crate) async fn claim(api: &Api, purchase: &Purchase, quote_id: &str) -> Result<()> {
    let turn = id(purchase);
    let mine = Turn { quote_id: quote_id.to_owned() };
    if kept::put_new(api, TURNS, &turn, &mine, HOLDS).await? {
        return Ok(());
    }
    let first = kept::get::<Turn>(api, TURNS, &turn).await?.map(|turn| turn.quote_id);
    let Some(first) = first else {
        return Err(Error::new(
            Code::Conflict,
            format!(
                "Another order of {} has just failed. Nothing was sent now. Ask for a new quote with quote_domain.",
                purchase.domain
            ),
        ));
    };
    let what = match purchase.operation {
        Operation::Register => format!("{} was ordered", purchase.domain),
        Operation::Renew => format!("The renewal of {} was ordered", purchase.domain),
    };
    let happened = if Order::find(api, &first).await?.is_some() {
        format!(
            "{what} already, under the quote `{first}`. Nothing was sent now. Ask get_order for `{first}`."
        )
    } else {
        // Noted before it is sent: without a note nothing was, unless it is this very moment.
        format!(
            "{what} under the quote `{first}`, and is about to be sent or was interrupted before. Nothing was sent now. Ask get_order for `{first}` in a minute; if it does not know it then, nothing was ordered, and a quote asked for in an hour works."
        )
    };
    Err(Error::new(Code::Conflict, happened))
}

/// Gives the turn back where it is this quote's: its order surely failed.
pub(crate) async fn give_back(api: &Api, purchase: &Purchase, quote_id: &str) -> Result<()> {
    let turn = id(purchase);
    let holder: Option<Turn> = kept::get(api, TURNS, &turn).await?;
    if holder.is_some_and(|turn| turn.quote_id == quote_id) {
        kept::take::<Turn>(api, TURNS, &turn).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
