//! What happens to an invoice: it is sent, or it is void.

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::invoices::{Invoice, read};
use crate::mode::{InMode, in_mode};
use crate::permissions::INVOICE_WRITE;

/// Mails an invoice to its customer; a draft becomes final. Test mode sends no mail.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SendInvoice {
    invoice: String,
}

impl Action for SendInvoice {
    const NAME: &'static str = "send_invoice";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "email an invoice",
        "send the bill to a client",
        "Rechnung verschicken",
        "envoyer la facture",
        "enviar factura",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = INVOICE_WRITE;
    type Output = InMode<Invoice>;

    async fn run(self, api: &Api) -> Result<InMode<Invoice>> {
        let invoice = read(api, &self.invoice).await?;
        if invoice.collection_method != "send_invoice" {
            return Err(Error::new(
                Code::Conflict,
                "Stripe charges this invoice to the customer's saved card by itself; it is not one to send. Nothing was sent.",
            ));
        }
        // https://docs.stripe.com/api/invoices/send
        let sent = api.post("/v1/invoices/{}/send", &[&self.invoice]).form(&json!({}));
        Ok(in_mode(api, sent.send().await?))
    }
}

/// Makes a final invoice void for good: it stays on paper and asks for nothing any more.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct VoidInvoice {
    invoice: String,
}

impl Action for VoidInvoice {
    const NAME: &'static str = "void_invoice";
    const RISK: Risk = Risk::Irreversible;
    const PHRASES: &'static [&'static str] = &[
        "cancel a wrong invoice",
        "invalidate a bill",
        "Rechnung stornieren",
        "annuler une facture",
        "anular factura",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = INVOICE_WRITE;
    type Output = InMode<Invoice>;

    async fn run(self, api: &Api) -> Result<InMode<Invoice>> {
        // https://docs.stripe.com/api/invoices/void
        let void = api.post("/v1/invoices/{}/void", &[&self.invoice]).form(&json!({}));
        Ok(in_mode(api, void.send().await?))
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::STRIPE;
    use crate::invoices::tests::invoice;

    #[tokio::test]
    async fn sends_an_invoice() {
        let fake = FakeApi::new(&STRIPE)
            .await
            .on("GET", "/v1/invoices/in_1", 200, invoice("draft", "send_invoice"))
            .on("POST", "/v1/invoices/in_1/send", 200, invoice("open", "send_invoice"));
        let told = fake.run::<SendInvoice>(json!({"invoice": "in_1"})).await.unwrap();
        assert_eq!((&told["status"], &told["mode"]), (&json!("open"), &json!("test")));
    }

    #[tokio::test]
    async fn does_not_send_what_would_be_charged() {
        let fake = FakeApi::new(&STRIPE).await.on(
            "GET",
            "/v1/invoices/in_1",
            200,
            invoice("draft", "charge_automatically"),
        );
        let error = fake.run::<SendInvoice>(json!({"invoice": "in_1"})).await.unwrap_err();
        assert_eq!((error.code(), fake.requests().await.len()), (Code::Conflict, 1));
    }

    #[tokio::test]
    async fn makes_an_invoice_void_or_says_why_not() {
        let path = "/v1/invoices/in_1/void";
        let fake = FakeApi::new(&STRIPE)
            .await
            .on("POST", path, 200, invoice("void", "send_invoice"))
            .on("POST", path, 400, json!({"error": {"type": "invalid_request_error", "code": "status_transition_invalid", "message": "You can only pass in open invoices. This invoice isn't open."}}));
        let told = fake.run::<VoidInvoice>(json!({"invoice": "in_1"})).await.unwrap();
        assert_eq!(told["status"], "void");
        let error = fake.run::<VoidInvoice>(json!({"invoice": "in_1"})).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
    }
}
