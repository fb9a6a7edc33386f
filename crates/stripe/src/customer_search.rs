//! Finding customers: by their exact mail address, or by a part of it or of the name.

use resto_core::{Action, Api, Error, Page, PageRequest, Paging, Result, Risk};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::customers::Customer;
use crate::mode::{InMode, in_mode};
use crate::permissions::CUSTOMER_READ;

/// How results of a search are continued. <https://docs.stripe.com/search#pagination>
static SEARCH: Paging =
    Paging::Cursor { size: "limit", max: 100, cursor: "page", next: "/next_page" };

/// Finds customers by mail address, or by a part of name or mail address; lists all if neither is given.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SearchCustomers {
    /// Exact; never behind.
    email: Option<String>,
    /// Of name or mail address, 3 characters or more; up to a minute behind.
    text: Option<String>,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for SearchCustomers {
    const NAME: &'static str = "search_customers";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "find a customer by email or name",
        "look up a client",
        "list of customers",
        "Kunden suchen",
        "chercher un client",
        "buscar cliente",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CUSTOMER_READ;
    type Output = InMode<Page<Customer>>;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<InMode<Page<Customer>>> {
        let page = match (self.email, self.text) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid(
                    "text",
                    "invalid input: give `email` or `text`, not both. Nothing was sent.",
                ));
            }
            // https://docs.stripe.com/api/customers/search
            (None, Some(text)) => {
                let request = api.get("/v1/customers/search", &[]).query("query", contains(&text)?);
                request.page_by(&SEARCH, &self.page).list_in("data").await?
            }
            // https://docs.stripe.com/api/customers/list
            (email, None) => {
                let request = api.get("/v1/customers", &[]).query("email", email);
                request.page(&self.page).list_in("data").await?
            }
        };
        Ok(in_mode(api, page))
    }
}

/// The text in Stripe's search language, where quotes and backslashes are escaped.
fn contains(text: &str) -> Result<String> {
    if text.chars().count() < 3 {
        return Err(Error::invalid(
            "text",
            "invalid input: `text` must have at least 3 characters. Nothing was sent.",
        ));
    }
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(format!("name~\"{text}\" OR email~\"{text}\""))
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::STRIPE;
    use crate::customers::tests::customer;
    use crate::products::tests::with_metadata;

    #[tokio::test]
    async fn finds_a_customer_by_its_exact_mail_address() {
        let fake = with_metadata("/v1/customers").await.on(
            "GET",
            "/v1/customers",
            200,
            json!({"object": "list", "has_more": true, "data": [customer()]}),
        );
        let page =
            fake.run::<SearchCustomers>(json!({"email": "jenny@example.com"})).await.unwrap();
        assert_eq!(
            (&page["items"][0]["id"], &page["next_cursor"]),
            (&json!("cus_1"), &json!("cus_1"))
        );
        assert_eq!(fake.requests().await[0].query["email"], "jenny@example.com");
    }

    #[tokio::test]
    async fn searches_a_part_of_the_name_page_by_page() {
        let fake = with_metadata("/v1/customers/search").await.on("GET", "/v1/customers/search", 200, json!({
            "object": "search_result", "has_more": true, "next_page": "p2", "url": "/v1/customers/search", "data": [customer()],
        }));
        let page = fake
            .run::<SearchCustomers>(json!({"text": "Ro\" OR name~\"x\\", "cursor": "p1"}))
            .await
            .unwrap();
        assert_eq!(page["next_cursor"], "p2");
        let query = &fake.requests().await[0].query;
        assert_eq!(query["page"], "p1");
        assert_eq!(query["query"], r#"name~"Ro\" OR name~\"x\\" OR email~"Ro\" OR name~\"x\\""#);
    }

    #[tokio::test]
    async fn refuses_what_stripe_cannot_search() {
        let fake = FakeApi::new(&STRIPE).await;
        for input in [json!({"text": "ab"}), json!({"text": "abc", "email": "a@example.com"})] {
            let error = fake.run::<SearchCustomers>(input).await.unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some("text"));
        }
        assert!(fake.requests().await.is_empty());
    }
}
