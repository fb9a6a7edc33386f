//! Invoices: finding them.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::Id;
use crate::mode::{InMode, in_mode};
use crate::permissions::INVOICE_READ;
use crate::times::{At, Created};

/// A bill. Amounts are in the smallest unit of the currency.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Invoice {
    /// Its id, `in_...`.
    pub id: String,
    /// Its number on paper; a draft has none.
    #[serde(default)]
    pub number: Option<String>,
    /// `draft`, `open`, `paid`, `uncollectible` or `void`.
    #[serde(default)]
    pub status: Option<String>,
    /// Id of the customer.
    #[serde(default)]
    pub customer: Option<Id>,
    /// Mail address of the customer, as it was when the invoice was made.
    #[serde(default)]
    pub customer_email: Option<String>,
    /// Three letters.
    pub currency: String,
    /// All of it, with taxes.
    pub total: i64,
    /// What the customer was asked to pay.
    pub amount_due: i64,
    /// What was paid.
    pub amount_paid: i64,
    /// What is still to be paid.
    pub amount_remaining: i64,
    /// `charge_automatically` takes the money by itself, `send_invoice` asks the customer by mail.
    pub collection_method: String,
    /// By when it is to be paid.
    #[serde(default, rename(deserialize = "due_date"))]
    pub due_at: Option<At>,
    /// When it was created.
    #[serde(rename(deserialize = "created"))]
    pub created_at: At,
    /// Page where the customer pays it.
    #[serde(default, rename(deserialize = "hosted_invoice_url"))]
    pub payment_page: Option<String>,
    /// Address of the PDF.
    #[serde(default, rename(deserialize = "invoice_pdf"))]
    pub pdf_url: Option<String>,
}

/// How invoices stand.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Draft,
    Open,
    Paid,
    Uncollectible,
    Void,
}

/// Lists invoices, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListInvoices {
    /// `open` is to be paid.
    status: Option<Standing>,
    customer: Option<String>,
    subscription: Option<String>,
    #[serde(flatten)]
    created: Created,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListInvoices {
    const NAME: &'static str = "list_invoices";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "unpaid invoices",
        "overdue bills",
        "who owes us money",
        "offene Rechnungen",
        "factures impayées",
        "facturas pendientes",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = INVOICE_READ;
    type Output = InMode<Page<Invoice>>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<InMode<Page<Invoice>>> {
        // https://docs.stripe.com/api/invoices/list
        let request = api
            .get("/v1/invoices", &[])
            .query("status", self.status)
            .query("customer", self.customer)
            .query("subscription", self.subscription);
        Ok(in_mode(api, self.created.ask(request)?.page(&self.page).list_in("data").await?))
    }
}

/// Reads an invoice.
pub(crate) async fn read(api: &Api, id: &str) -> Result<Invoice> {
    // https://docs.stripe.com/api/invoices/retrieve
    api.get("/v1/invoices/{}", &[&id]).send().await
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;

    /// An invoice as Stripe answers it, trimmed.
    pub(crate) fn invoice(status: &str, collection_method: &str) -> Value {
        json!({
            "id": "in_1", "object": "invoice", "amount_due": 1000, "amount_paid": 0, "amount_remaining": 1000,
            "collection_method": collection_method, "created": 1_769_817_600, "currency": "eur", "customer": "cus_1",
            "customer_email": "jenny@example.com", "due_date": 1_772_236_800, "hosted_invoice_url": "https://invoice.stripe.com/i/1",
            "invoice_pdf": null, "livemode": false, "number": "A-1", "status": status, "total": 1000,
        })
    }

    #[tokio::test]
    async fn lists_what_is_still_to_be_paid() {
        let fake = FakeApi::new(&STRIPE).await.on(
            "GET",
            "/v1/invoices",
            200,
            json!({"object": "list", "has_more": false, "data": [invoice("open", "send_invoice")]}),
        );
        let page = fake
            .run::<ListInvoices>(
                json!({"status": "open", "customer": "cus_1", "created_from": "2026-01-01"}),
            )
            .await
            .unwrap();
        assert_eq!(
            page["items"][0],
            json!({
                "id": "in_1", "number": "A-1", "status": "open", "customer": "cus_1", "customer_email": "jenny@example.com",
                "currency": "eur", "total": 1000, "amount_due": 1000, "amount_paid": 0, "amount_remaining": 1000,
                "collection_method": "send_invoice", "due_at": "2026-02-28T00:00:00Z", "created_at": "2026-01-31T00:00:00Z",
                "payment_page": "https://invoice.stripe.com/i/1",
            })
        );
        let query = &fake.requests().await[0].query;
        assert_eq!((query["status"].as_str(), query["customer"].as_str()), ("open", "cus_1"));
    }
}
