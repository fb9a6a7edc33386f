//! Customers: who buys.

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::changes::given;
use crate::mode::{InMode, in_mode};
use crate::permissions::{CUSTOMER_READ, CUSTOMER_WRITE};
use crate::products::Metadata;
use crate::times::At;

/// A postal address.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    #[serde(default)]
    pub line1: Option<String>,
    #[serde(default)]
    pub line2: Option<String>,
    #[serde(default)]
    pub postal_code: Option<String>,
    #[serde(default)]
    pub city: Option<String>,
    #[serde(default)]
    pub state: Option<String>,
    /// Two letters.
    #[serde(default)]
    pub country: Option<String>,
}

/// Who buys.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Customer {
    /// Its id, `cus_...`.
    pub id: String,
    /// Whether it was deleted; nothing else is known of it then.
    #[serde(default)]
    pub deleted: bool,
    /// Full name.
    #[serde(default)]
    pub name: Option<String>,
    /// Mail address, to which invoices go.
    #[serde(default)]
    pub email: Option<String>,
    /// Telephone number.
    #[serde(default)]
    pub phone: Option<String>,
    /// A note of the business.
    #[serde(default)]
    pub description: Option<String>,
    /// Where it lives or has its seat.
    #[serde(default)]
    pub address: Option<Address>,
    /// Whether its last invoice was not paid in time.
    #[serde(default)]
    pub delinquent: Option<bool>,
    /// What it owes (above 0) or is owed (below 0) on the next invoice, in the smallest unit of `currency`.
    #[serde(default)]
    pub balance: Option<i64>,
    /// Currency in which it is billed, three letters.
    #[serde(default)]
    pub currency: Option<String>,
    /// Facts kept with it, by name.
    #[serde(default)]
    pub metadata: Option<Metadata>,
    /// When it was created.
    #[serde(default, rename(deserialize = "created"))]
    pub created_at: Option<At>,
}

/// Tells about one customer.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetCustomer {
    customer: String,
}

impl Action for GetCustomer {
    const NAME: &'static str = "get_customer";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["details of one customer", "customer record", "show a client of ours"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CUSTOMER_READ;
    type Output = InMode<Customer>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<InMode<Customer>> {
        Ok(in_mode(api, read(api, &self.customer).await?))
    }
}

async fn read(api: &Api, id: &str) -> Result<Customer> {
    // https://docs.stripe.com/api/customers/retrieve
    api.get("/v1/customers/{}", &[&id]).send().await
}

/// Adds a customer. Look first whether there is one: Stripe takes the same mail address twice.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateCustomer {
    email: Option<String>,
    name: Option<String>,
    phone: Option<String>,
    /// For the business.
    description: Option<String>,
    address: Option<Address>,
    metadata: Option<Metadata>,
}

impl Action for CreateCustomer {
    const NAME: &'static str = "create_customer";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "add a client for billing",
        "new customer record",
        "Kunden anlegen",
        "nouveau client",
        "crear cliente",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CUSTOMER_WRITE;
    type Output = InMode<Customer>;

    async fn run(self, api: &Api) -> Result<InMode<Customer>> {
        // https://docs.stripe.com/api/customers/create
        let created = api.post("/v1/customers", &[]).form(&given(json!({
            "email": self.email,
            "name": self.name,
            "phone": self.phone,
            "description": self.description,
            "address": self.address,
            "metadata": self.metadata,
        }))?);
        Ok(in_mode(api, created.send().await?))
    }
}

/// Changes a customer; what is left out stays.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct UpdateCustomer {
    customer: String,
    email: Option<String>,
    name: Option<String>,
    /// Empty removes it.
    phone: Option<String>,
    /// Empty removes it.
    description: Option<String>,
    /// Left out, a field stays.
    address: Option<Address>,
    /// Empty removes a value; others stay.
    metadata: Option<Metadata>,
}

impl Action for UpdateCustomer {
    const NAME: &'static str = "update_customer";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["change a customer's email or billing address", "edit client data", "Kundendaten ändern"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CUSTOMER_WRITE;
    type Output = InMode<Customer>;

    async fn run(self, api: &Api) -> Result<InMode<Customer>> {
        let changes = given(json!({
            "email": self.email,
            "name": self.name,
            "phone": self.phone,
            "description": self.description,
            "address": self.address,
            "metadata": self.metadata,
        }))?;
        // https://docs.stripe.com/api/customers/update
        let updated = api.post("/v1/customers/{}", &[&self.customer]).form(&changes);
        Ok(in_mode(api, updated.send().await?))
    }
}

/// A customer that is gone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeletedCustomer {
    /// Its id.
    id: String,
    /// Its name, as it was.
    name: Option<String>,
    /// Its mail address, as it was.
    email: Option<String>,
}

/// Deletes a customer for good and ends its subscriptions at once; its past payments stay.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteCustomer {
    customer: String,
}

impl Action for DeleteCustomer {
    const NAME: &'static str = "delete_customer";
    const RISK: Risk = Risk::Irreversible;
    const PHRASES: &'static [&'static str] =
        &["erase a customer's data", "GDPR deletion", "remove a client", "Kunden löschen"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CUSTOMER_WRITE;
    type Output = InMode<DeletedCustomer>;

    async fn run(self, api: &Api) -> Result<InMode<DeletedCustomer>> {
        let customer = read(api, &self.customer).await?;
        if customer.deleted {
            return Err(Error::new(
                Code::NotFound,
                format!("The customer {} was deleted before. Nothing was sent.", self.customer),
            ));
        }
        // https://docs.stripe.com/api/customers/delete
        let deleted = api.delete("/v1/customers/{}", &[&self.customer]).send_or_find(async || {
            let now = read(api, &self.customer).await?;
            Ok(now.deleted.then_some(now))
        });
        match deleted.await {
            // It was there a moment ago: a first try, whose answer was lost, deleted it.
            Err(error) if error.code() != Code::NotFound => return Err(error),
            _ => {}
        }
        let Customer { id, name, email, .. } = customer;
        Ok(in_mode(api, DeletedCustomer { id, name, email }))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;
    use crate::products::tests::with_metadata;

    const PATH: &str = "/v1/customers/cus_1";

    /// A customer as Stripe answers it, trimmed.
    pub(crate) fn customer() -> Value {
        json!({
            "id": "cus_1", "object": "customer", "address": null, "balance": -500, "created": 1_769_817_600, "currency": "eur",
            "default_source": null, "delinquent": false, "description": null, "email": "jenny@example.com",
            "invoice_prefix": "0759376C", "invoice_settings": {}, "livemode": false, "metadata": {}, "name": "Jenny Rosen",
            "phone": null, "preferred_locales": [], "shipping": null, "tax_exempt": "none",
        })
    }

    #[tokio::test]
    async fn tells_about_a_customer() {
        let fake = with_metadata(PATH).await.on("GET", PATH, 200, customer());
        assert_eq!(
            fake.run::<GetCustomer>(json!({"customer": "cus_1"})).await.unwrap(),
            json!({
                "mode": "test", "id": "cus_1", "deleted": false, "name": "Jenny Rosen", "email": "jenny@example.com",
                "delinquent": false, "balance": -500, "currency": "eur", "metadata": {},
                "created_at": "2026-01-31T00:00:00Z",
            })
        );
    }

    #[tokio::test]
    async fn says_that_a_customer_was_deleted() {
        let gone = json!({"id": "cus_1", "object": "customer", "deleted": true});
        let fake = FakeApi::new(&STRIPE).await.on("GET", PATH, 200, gone);
        let told = fake.run::<GetCustomer>(json!({"customer": "cus_1"})).await.unwrap();
        assert_eq!(told, json!({"mode": "test", "id": "cus_1", "deleted": true}));
        let error = fake.run::<DeleteCustomer>(json!({"customer": "cus_1"})).await.unwrap_err();
        assert_eq!((error.code(), fake.requests().await.len()), (Code::NotFound, 2));
    }

    #[tokio::test]
    async fn creates_and_changes_a_customer() {
        let fake = with_metadata(PATH)
            .await
            .passes_on("/v1/customers", "metadata")
            .on("POST", "/v1/customers", 200, customer())
            .on("POST", PATH, 200, customer());
        fake.run::<CreateCustomer>(json!({
            "email": "jenny@example.com", "address": {"line1": "1 Main St", "country": "US"}, "metadata": {"crm": "9"},
        }))
        .await
        .unwrap();
        fake.run::<UpdateCustomer>(json!({"customer": "cus_1", "phone": ""})).await.unwrap();
        let requests = fake.requests().await;
        assert_eq!(
            requests[0].body,
            json!({"email": "jenny@example.com", "address": {"line1": "1 Main St", "country": "US"}, "metadata": {"crm": "9"}})
        );
        assert_eq!(requests[1].body, json!({"phone": ""}));
        let error = fake.run::<UpdateCustomer>(json!({"customer": "cus_1"})).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
    }

    #[tokio::test]
    async fn looks_whether_a_customer_was_deleted_where_every_answer_is_lost() {
        let gone = json!({"id": "cus_1", "object": "customer", "deleted": true});
        let fake = FakeApi::new(&STRIPE)
            .await
            .on("GET", PATH, 200, customer())
            .on("GET", PATH, 200, gone)
            .on("DELETE", PATH, 500, json!({"error": {"type": "api_error"}}));
        let told = fake.run::<DeleteCustomer>(json!({"customer": "cus_1"})).await.unwrap();
        assert_eq!(told["name"], "Jenny Rosen");
    }

    #[tokio::test]
    async fn deletes_a_customer_even_if_the_first_answer_is_lost() {
        let fake = FakeApi::new(&STRIPE)
            .await
            .on("GET", PATH, 200, customer())
            .on("DELETE", PATH, 500, json!({"error": {"type": "api_error"}}))
            .on(
                "DELETE",
                PATH,
                404,
                json!({"error": {"code": "resource_missing", "message": "No such customer"}}),
            );
        let told = fake.run::<DeleteCustomer>(json!({"customer": "cus_1"})).await.unwrap();
        assert_eq!(
            told,
            json!({"mode": "test", "id": "cus_1", "name": "Jenny Rosen", "email": "jenny@example.com"})
        );
    }
}
