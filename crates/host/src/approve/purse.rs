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
    /// Refuses a cap that would never apply.
    ///
    /// # Errors
    /// `invalid_input`, naming it.
    pub(crate) fn check_names(&self) -> Result<()> {
        let named = |section, caps: &BTreeMap<String, u64>| {
            let wrong = caps.keys().find(|name| *name != "default" && !Money::is_currency(name));
            wrong.map_or(Ok(()), |name| {
                Err(Error::new(
                    Code::InvalidInput,
                    format!(
                        "[spend.{section}] of the configuration names the currency `{name}`. Write it as in `EUR`, or `default` for every one that is not named."
                    ),
                ))
            })
        };
        named("per_action", &self.per_action)?;
        named("per_day", &self.per_day)
    }

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
        if price.minor == 0 {
            return Ok(());
        }
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
            Self::Again(spent)
                if price.minor == 0 || spent.iter().any(|most| price.within(most)) =>
            {
                Ok(())
            }
            // It is noted before the change is sent.
            Self::Again(spent) if spent.is_empty() => Err(Error::new(
                Code::UnknownOutcome,
                format!(
                    "It costs {price} now, and nothing was noted as spent before: no change that costs was sent."
                ),
            )),
            Self::Again(_) => Err(Error::new(
                Code::UnknownOutcome,
                format!(
                    "It costs {price} now, which is not what was spent before: nothing was sent now."
                ),
            )),
            Self::Trial(told) => {
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                *told = match told.take() {
                    Some(before) if before.minor == 0 => Some(price.clone()),
                    Some(before) => before.plus(price).or(Some(before)),
                    None => Some(price.clone()),
                };
                Ok(())
            }
            // It counts against nothing, and is no more than whatever was approved.
            Self::Open { .. } if price.minor == 0 => Ok(()),
            Self::Open { scope, caps, op_id, integration, tool, approved } => {
                if let Some(approved) = approved.as_ref().filter(|most| !price.within(most)) {
                    let approved = match approved.minor {
                        0 => "it was approved as costing nothing".to_owned(),
                        _ => format!("{approved} was approved"),
                    };
                    return Err(Error::new(
                        Code::Conflict,
                        format!(
                            "It costs {price} now, and {approved}. Nothing was spent. Make the call again: a person is asked for the new price."
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::host::{Host, LOCAL_TENANT};

    fn euros(minor: u64) -> Money {
        Money { minor, currency: "EUR".to_owned() }
    }

    fn none() -> Caps {
        let none = BTreeMap::from([("default".to_owned(), 0)]);
        Caps { per_action: none.clone(), per_day: none }
    }

    fn open(scope: &TenantScope, caps: Caps, approved: Option<Money>) -> Purse {
        Purse::Open {
            scope: scope.clone(),
            caps,
            op_id: Uuid::new_v4(),
            integration: "registrar",
            tool: "registrar_set_auto_renew".to_owned(),
            approved,
        }
    }

    #[tokio::test]
    async fn d1_nothing_counts_against_no_cap_and_lets_nothing_else_pass() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::open(&Config::of_a_test(folder.path())).await.unwrap();
        let scope = host.owner(LOCAL_TENANT, "test").await.unwrap().scope;
        let before = open(&scope, Caps::default(), None);
        before.spend(&euros(700)).await.unwrap();
        for nothing in [Money::nothing(), euros(0)] {
            none().check(&scope, &nothing).await.unwrap();
            let purse = open(&scope, none(), Some(nothing.clone()));
            purse.spend(&nothing).await.unwrap();
            // Nor where another price was approved, in another currency.
            open(&scope, none(), Some(Money::cents(5))).spend(&nothing).await.unwrap();
            let purse = open(&scope, Caps::default(), Some(nothing));
            purse.spend(&Money::nothing()).await.unwrap();
            for later in [euros(1), Money::cents(1)] {
                let refused = purse.spend(&later).await.unwrap_err();
                assert_eq!(refused.code(), Code::Conflict);
                assert!(refused.message().contains("approved as costing nothing"), "{refused}");
            }
            assert!(none().check(&scope, &euros(1)).await.is_err());
        }
        assert_eq!(scope.spent("EUR", DAY).await.unwrap(), 700);
        assert_eq!(scope.spent("XXX", DAY).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_trial_remembers_a_price_whether_nothing_came_before_or_after() {
        for (told, price) in [
            ([Money::nothing(), euros(5)], euros(5)),
            ([euros(5), Money::nothing()], euros(5)),
            ([euros(5), euros(2)], euros(7)),
            ([Money::nothing(), Money::nothing()], Money::nothing()),
        ] {
            let purse = Purse::trial();
            for one in &told {
                purse.spend(one).await.unwrap();
            }
            assert_eq!(purse.price(), Some(price), "{told:?}");
        }
    }

    #[tokio::test]
    async fn d1_what_came_of_a_call_is_found_out_at_its_price_only() {
        let purse = Purse::Again(vec![euros(500)]);
        for again in [euros(500), euros(499), euros(0), Money::nothing()] {
            purse.spend(&again).await.unwrap();
        }
        for other in [euros(501), Money::cents(500)] {
            assert_eq!(purse.spend(&other).await.unwrap_err().code(), Code::UnknownOutcome);
        }
        let free = Purse::Again(Vec::new());
        free.spend(&Money::nothing()).await.unwrap();
        let stopped = free.spend(&euros(1)).await.unwrap_err();
        assert_eq!(stopped.code(), Code::UnknownOutcome);
        assert!(stopped.message().contains("no change that costs was sent"), "{stopped}");
    }
}
