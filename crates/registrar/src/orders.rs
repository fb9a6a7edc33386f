//! Orders: noted before they are sent, so that whatever happens in between can be looked up.

use resto_core::{Action, Api, Code, Error, Money, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Operation, Placed, Purchase, State, registrar};
use crate::kept::{self, Owner};
use crate::permissions::DOMAINS_READ;
use crate::turns;

/// The collection of the tenant's orders.
const ORDERS: &str = "registrar_orders";

/// An order.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DomainOrder {
    /// Its id here, which is that of its quote.
    pub order_id: String,
    /// The domain.
    pub domain: String,
    /// What was ordered.
    pub operation: Operation,
    /// How far it is; `unknown` may have happened.
    pub state: State,
    /// For how many years.
    pub years: u8,
    /// What was agreed.
    pub total: Money,
    /// What was charged, where the registrar says so.
    pub paid: Option<Money>,
    /// The registrar's own number of the order.
    pub registrar_order: Option<String>,
    /// When the domain ends then, as a date.
    pub expires_on: Option<String>,
    /// The registrar's words, or what to do.
    pub message: Option<String>,
}

/// What is kept of an order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    owner: Owner,
    pub purchase: Purchase,
    pub state: State,
    pub order: Option<String>,
    pub paid: Option<Money>,
    pub expires_on: Option<String>,
    pub message: Option<String>,
}

impl Kept {
    /// An order that is about to be sent.
    pub fn new(api: &Api, purchase: Purchase) -> Self {
        Self {
            owner: Owner::of(api),
            purchase,
            state: State::Unknown,
            order: None,
            paid: None,
            expires_on: None,
            message: None,
        }
    }

    /// Takes over what the provider told.
    pub fn learn(&mut self, placed: Placed) {
        self.state = placed.state;
        self.order = placed.order.or(self.order.take());
        self.paid = placed.paid.or(self.paid.take());
        self.expires_on = placed.expires_on.or(self.expires_on.take());
        self.message = placed.message;
    }

    /// Writes it down. One that failed leaves the turn to others.
    pub async fn keep(&self, api: &Api, order_id: &str) -> Result<()> {
        kept::put(api, ORDERS, order_id, self, None).await?;
        if self.state == State::Failed {
            turns::give_back(api, &self.purchase, order_id).await?;
        }
        Ok(())
    }

    /// Reads one; `None` where nothing was ordered under this id.
    pub async fn find(api: &Api, order_id: &str) -> Result<Option<Self>> {
        kept::get(api, ORDERS, order_id).await
    }

    /// Asks the provider how far it is, only by reading, and takes that over.
    pub async fn follow(&mut self, api: &Api) -> Result<()> {
        if matches!(self.state, State::Succeeded | State::Failed) {
            return Ok(());
        }
        self.owner.check(api, "order")?;
        let followed = registrar(api)?.follow(api, &self.purchase, self.order.as_deref()).await?;
        match followed {
            Some(placed) => self.learn(placed),
            None => {
                self.message = Some(format!(
                    "{} does not show it: either it was not done, or not yet. Look again in some minutes, and in the account, before ordering anew.",
                    api.provider().name
                ));
            }
        }
        Ok(())
    }

    /// As an agent sees it.
    pub fn told(self, order_id: String) -> DomainOrder {
        DomainOrder {
            order_id,
            domain: self.purchase.domain.into(),
            operation: self.purchase.operation,
            state: self.state,
            years: self.purchase.years,
            total: self.purchase.total,
            paid: self.paid,
            registrar_order: self.order,
            expires_on: self.expires_on,
            message: self.message,
        }
    }
}

/// Tells how far a purchase or a renewal is.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetOrder {
    /// The `quote_id` of its purchase.
    order_id: String,
}

impl Action for GetOrder {
    const NAME: &'static str = "get_order";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "status of a domain order",
        "has the purchase gone through",
        "is my domain registered yet",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAINS_READ;
    type Output = DomainOrder;

    async fn run(self, api: &Api) -> Result<DomainOrder> {
        let mut order = Kept::find(api, &self.order_id).await?.ok_or_else(|| {
            Error::new(
                Code::NotFound,
                format!("Nothing was ordered here under `{}`.", self.order_id),
            )
        })?;
        let before = order.state;
        order.follow(api).await?;
        if order.state != before {
            order.keep(api, &self.order_id).await?;
        }
        Ok(order.told(self.order_id))
    }
}
