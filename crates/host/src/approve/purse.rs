//! What one call may spend: no more than a person approved, and no more than the caps on one action and on a day.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use resto_core::{Code, Error, Money, Result};
use resto_vault::{Spending, TenantScope};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::host::told;

/// The time that `per_day` is about.
const DAY: Duration = Duration::from_hours(24);

/// What may be spent, by currency such as `EUR`, in its smallest unit; `default` is for every currency that is not named.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Caps {
    /// By one action; 1000.00 of a currency with cents if left out.
    pub per_action: BTreeMap<String, u64>,
    /// By all actions of a tenant within 24 hours; 5000.00 of a currency with cents if left out.
    pub per_day: BTreeMap<String, u64>,
}

impl Caps {
    fn of(caps: &BTreeMap<String, u64>, currency: &str, otherwise: u64) -> Money {
        let minor = caps.get(currency).or_else(|| caps.get("default")).copied();
        Money { minor: minor.unwrap_or(otherwise), currency: currency.to_owned() }
    }

    fn per_action(&self, currency: &str) -> Money {
        Self::of(&self.per_action, currency, 100_000)
    }

    fn per_day(&self, currency: &str) -> Money {
        Self::of(&self.per_day, currency, 500_000)
    }

    fn check_action(&self, price: &Money) -> Result<()> {
        let cap = self.per_action(&price.currency);
        if price.within(&cap) {
            return Ok(());
        }
        Err(Error::new(
            Code::Denied,
            format!(
                "It costs {price}, and one action may spend {cap} at most. Nothing was spent. Whoever runs this server can raise it: `[spend.per_action]` in the configuration."
            ),
        ))
    }

    fn over(&self, price: &Money, spent: i64) -> Error {
        let cap = self.per_day(&price.currency);
        let currency = price.currency.clone();
        let spent = Money { minor: u64::try_from(spent).unwrap_or_default(), currency };
        Error::new(
            Code::Denied,
            format!(
                "It costs {price}; {spent} was spent within 24 hours, and {cap} may be. Nothing was spent now. Come back tomorrow, or whoever runs this server raises it: `[spend.per_day]` in the configuration."
            ),
        )
    }

    /// Refuses what is more than the caps leave, before a person is asked for nothing.
    ///
    /// # Errors
    /// `denied`, naming the cap.
    pub(crate) async fn check(&self, scope: &TenantScope, price: &Money) -> Result<()> {
        self.check_action(price)?;
        let spent = scope.spent(&price.currency, DAY).await.map_err(told)?;
        let sum = u64::try_from(spent).unwrap_or(u64::MAX).saturating_add(price.minor);
        if sum > self.per_day(&price.currency).minor {
            return Err(self.over(price, spent));
        }
        Ok(())
    }
}

/// The purse of one call.
pub(crate) enum Purse {
    /// Nothing may be spent.
    Closed,
    /// What was spent before may be named again: it is found out what came of it.
    Again(Vec<Money>),
    /// Nothing is spent; the price is remembered.
    Trial(Mutex<Option<Money>>),
    /// Money may be spent.
    Open {
        scope: TenantScope,
        caps: Caps,
        op_id: Uuid,
        integration: &'static str,
        tool: String,
        /// What was approved, where the price was known before.
        approved: Option<Money>,
    },
}

impl Purse {
    /// One that only remembers.
    pub fn trial() -> Self {
        Self::Trial(Mutex::default())
    }

    /// The price that a trial was told.
    pub fn price(&self) -> Option<Money> {
        match self {
            Self::Trial(price) => price.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Self::Closed | Self::Again(_) | Self::Open { .. } => None,
        }
    }

    /// Whether it is that of a trial, which changes nothing.
    pub fn is_trial(&self) -> bool {
        matches!(self, Self::Trial(_))
    }

    /// Spends.
    ///
    /// # Errors
    /// It is more than may be spent.
    pub async fn spend(&self, price: &Money) -> Result<()> {
        match self {
            Self::Closed => Err(Error::new(Code::Internal, "Nothing may be spent here.")),
            Self::Again(spent) if spent.iter().any(|most| price.within(most)) => Ok(()),
            Self::Again(_) => Err(Error::new(
                Code::Conflict,
                format!(
                    "It costs {price} now, which is not what was spent before. Nothing was sent."
                ),
            )),
            Self::Trial(told) => {
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                *told = match told.take() {
                    Some(before) => before.plus(price).or(Some(before)),
                    None => Some(price.clone()),
                };
                Ok(())
            }
            Self::Open { scope, caps, op_id, integration, tool, approved } => {
                if let Some(approved) = approved.as_ref().filter(|most| !price.within(most)) {
                    return Err(Error::new(
                        Code::Conflict,
                        format!(
                            "It costs {price} now, and {approved} was approved. Nothing was spent. Make the call again: a person is asked for the new price."
                        ),
                    ));
                }
                caps.check_action(price)?;
                let minor = i64::try_from(price.minor).unwrap_or(i64::MAX);
                let limit = caps.per_day(&price.currency).minor;
                let limit = (i64::try_from(limit).unwrap_or(i64::MAX), DAY);
                let amount = (minor, price.currency.as_str());
                let noted = scope.spend(*op_id, (integration, tool), amount, limit).await;
                match noted.map_err(told)? {
                    Spending::Noted => Ok(()),
                    Spending::Over { spent } => Err(caps.over(price, spent)),
                }
            }
        }
    }
}
