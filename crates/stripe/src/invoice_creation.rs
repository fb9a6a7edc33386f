//! New invoices: a draft with its lines, which asks nobody for money until it is sent.

use resto_core::{Action, Api, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::invoices::{Invoice, read};
use crate::mode::{InMode, in_mode};
use crate::permissions::INVOICE_WRITE;
use crate::products::Metadata;

/// A line of an invoice: a price, or an amount of its own.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct InvoiceLine {
    /// Paid once.
    price: Option<String>,
    /// Or an amount in the smallest unit, negative for a credit.
    unit_amount: Option<i64>,
    quantity: Option<u32>,
    /// With `unit_amount`.
    description: Option<String>,
}

impl InvoiceLine {
    fn is_clear(&self) -> bool {
        self.price.is_some() != self.unit_amount.is_some()
            && (self.price.is_some() || self.description.is_some())
    }

    fn form(&self, customer: &str, invoice: &str, currency: &str) -> Value {
        json!({
            "customer": customer,
            "invoice": invoice,
            "pricing": self.price.as_ref().map(|price| json!({"price": price})),
            "unit_amount_decimal": self.unit_amount.map(|amount| amount.to_string()),
            "currency": self.unit_amount.map(|_| currency),
            "quantity": self.quantity,
            "description": self.description,
        })
    }
}

/// Drafts an invoice to one customer. Nobody is asked to pay until it is sent.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateInvoice {
    customer: String,
    /// Such as `eur`.
    currency: String,
    #[schemars(length(min = 1, max = 20))]
    lines: Vec<InvoiceLine>,
    days_until_due: u32,
    /// On the invoice.
    description: Option<String>,
    metadata: Option<Metadata>,
}

impl Action for CreateInvoice {
    const NAME: &'static str = "create_invoice";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "bill a customer",
        "write an invoice",
        "charge for work done",
        "Rechnung schreiben",
        "créer une facture",
        "crear factura",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = INVOICE_WRITE;
    type Output = InMode<Invoice>;

    async fn run(self, api: &Api) -> Result<InMode<Invoice>> {
        if let Some(unclear) = self.lines.iter().position(|line| !line.is_clear()) {
            return Err(Error::invalid(
                format!("lines.{unclear}"),
                format!(
                    "invalid input: `lines.{unclear}` needs either `price`, or `unit_amount` and `description`. Nothing was sent."
                ),
            ));
        }
        let currency = self.currency.to_ascii_lowercase();
        // https://docs.stripe.com/api/invoices/create
        let draft: Invoice = api
            .post("/v1/invoices", &[])
            .form(&json!({
                "customer": self.customer,
                "currency": currency,
                "collection_method": "send_invoice",
                "days_until_due": self.days_until_due,
                "auto_advance": false,
                // What waits for the next bill of a subscription stays out of this one.
                "pending_invoice_items_behavior": "exclude",
                "description": self.description,
                "metadata": self.metadata,
            }))
            .send()
            .await?;
        for (done, line) in self.lines.iter().enumerate() {
            // https://docs.stripe.com/api/invoiceitems/create
            let added = api
                .post("/v1/invoiceitems", &[])
                .form(&line.form(&self.customer, &draft.id, &currency))
                .send_empty()
                .await;
            if let Err(error) = added {
                return Err(taken_back(api, &draft.id, done, error).await);
            }
        }
        Ok(in_mode(api, read(api, &draft.id).await?))
    }
}

/// A draft with a part of its lines is worse than none: it is deleted.
async fn taken_back(api: &Api, draft: &str, line: usize, mut error: Error) -> Error {
    // https://docs.stripe.com/api/invoices/delete
    let deleted = api.delete("/v1/invoices/{}", &[&draft]).send_empty().await;
    let left = match deleted {
        Ok(()) => "The draft was deleted again.".to_owned(),
        Err(_) => {
            format!("The draft {draft} is left, incomplete: a person deletes it in the dashboard.")
        }
    };
    let details = error.details_mut();
    details.message = format!("{} {left}", details.message);
    details.field = Some(format!("lines.{line}"));
    error
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::STRIPE;
    use crate::invoices::tests::invoice;

    fn input() -> Value {
        json!({
            "customer": "cus_1", "currency": "EUR", "days_until_due": 14,
            "lines": [{"price": "price_1", "quantity": 2}, {"unit_amount": -500, "description": "Voucher"}],
        })
    }

    // The description lists neither invoice items nor the deletion of drafts.
    async fn fake() -> FakeApi {
        FakeApi::new(&STRIPE)
            .await
            .unofficial("POST", "/v1/invoiceitems")
            .on("POST", "/v1/invoices", 200, invoice("draft", "send_invoice"))
            .on("GET", "/v1/invoices/in_1", 200, invoice("draft", "send_invoice"))
    }

    #[tokio::test]
    async fn drafts_an_invoice_with_its_lines_and_takes_no_money() {
        let fake = fake().await.on("POST", "/v1/invoiceitems", 200, json!({"id": "ii_1"}));
        let told = fake.run::<CreateInvoice>(input()).await.unwrap();
        assert_eq!((&told["id"], &told["status"]), (&json!("in_1"), &json!("draft")));
        let requests = fake.requests().await;
        assert_eq!(
            requests[0].body,
            json!({
                "customer": "cus_1", "currency": "eur", "collection_method": "send_invoice", "days_until_due": "14",
                "auto_advance": "false", "pending_invoice_items_behavior": "exclude",
            })
        );
        assert_eq!(
            requests[1].body,
            json!({"customer": "cus_1", "invoice": "in_1", "pricing": {"price": "price_1"}, "quantity": "2"})
        );
        assert_eq!(
            requests[2].body,
            json!({
                "customer": "cus_1", "invoice": "in_1", "unit_amount_decimal": "-500", "currency": "eur", "description": "Voucher",
            })
        );
        assert_ne!(requests[1].headers["idempotency-key"], requests[2].headers["idempotency-key"]);
    }

    #[tokio::test]
    async fn the_request_for_the_draft_is_official() {
        let refusal =
            json!({"error": {"code": "resource_missing", "message": "No such customer: 'cus_1'"}});
        let fake = FakeApi::new(&STRIPE).await.on("POST", "/v1/invoices", 400, refusal);
        let error = fake.run::<CreateInvoice>(input()).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
    }

    #[tokio::test]
    async fn a_draft_that_cannot_be_completed_is_deleted() {
        let refused =
            json!({"error": {"code": "resource_missing", "message": "No such price: 'price_1'"}});
        let path = "/v1/invoices/in_1";
        let fake = fake()
            .await
            .unofficial("DELETE", path)
            .on("POST", "/v1/invoiceitems", 400, refused)
            .on("DELETE", path, 200, json!({"id": "in_1", "deleted": true}));
        let error = fake.run::<CreateInvoice>(input()).await.unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("lines.0"));
        assert!(error.message().ends_with("The draft was deleted again."), "{error}");
    }

    #[tokio::test]
    async fn refuses_a_line_that_is_not_clear() {
        let fake = FakeApi::new(&STRIPE).await;
        for line in [
            json!({"quantity": 2}),
            json!({"unit_amount": 5}),
            json!({"unit_amount": 5, "price": "price_1", "description": "d"}),
        ] {
            let mut input = input();
            input["lines"] = json!([line]);
            let error = fake.run::<CreateInvoice>(input).await.unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some("lines.0"));
        }
        assert!(fake.requests().await.is_empty());
    }
}
