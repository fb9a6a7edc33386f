//! Products: what the business sells. What one costs is in its prices.

use std::collections::BTreeMap;

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::changes::given;
use crate::ids::Id;
use crate::mode::{InMode, in_mode};
use crate::permissions::{PRODUCT_READ, PRODUCT_WRITE};
use crate::times::{At, Created};

/// Facts that the business keeps with an object, by name.
pub(crate) type Metadata = BTreeMap<String, String>;

/// Something that is sold.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Product {
    /// Its id, `prod_...`.
    pub id: String,
    /// Its name, as customers see it.
    pub name: String,
    /// What it is, as customers see it.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether it can be sold; `false` is archived.
    pub active: bool,
    /// Id of the price that is used unless another is named.
    #[serde(default)]
    pub default_price: Option<Id>,
    /// Facts kept with it, by name.
    #[serde(default)]
    pub metadata: Option<Metadata>,
    /// When it was created.
    #[serde(rename(deserialize = "created"))]
    pub created_at: At,
    /// When it last changed.
    #[serde(rename(deserialize = "updated"))]
    pub updated_at: At,
}

/// Lists what the business sells, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListProducts {
    /// False: archived only. Default both.
    active: Option<bool>,
    #[serde(flatten)]
    created: Created,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListProducts {
    const NAME: &'static str = "list_products";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["what do we sell", "product catalog", "Produkte", "produits", "productos"];
    const PERMISSIONS: &'static [&'static [&'static str]] = PRODUCT_READ;
    type Output = InMode<Page<Product>>;

    async fn run(self, api: &Api) -> Result<InMode<Page<Product>>> {
        // https://docs.stripe.com/api/products/list
        let request = api.get("/v1/products", &[]).query("active", self.active);
        Ok(in_mode(api, self.created.ask(request)?.page(&self.page).list_in("data").await?))
    }
}

/// Adds a product; it can be sold once it has a price.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateProduct {
    /// Customers see it.
    name: String,
    /// Customers see it.
    description: Option<String>,
    /// At most 8 URLs.
    images: Option<Vec<String>>,
    metadata: Option<Metadata>,
}

impl Action for CreateProduct {
    const NAME: &'static str = "create_product";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "add an item to the catalog",
        "new product",
        "Produkt anlegen",
        "nouveau produit",
        "nuevo producto",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PRODUCT_WRITE;
    type Output = InMode<Product>;

    async fn run(self, api: &Api) -> Result<InMode<Product>> {
        // https://docs.stripe.com/api/products/create
        let created = api.post("/v1/products", &[]).form(&json!({
            "name": self.name,
            "description": self.description,
            "images": self.images,
            "metadata": self.metadata,
        }));
        Ok(in_mode(api, created.send().await?))
    }
}

/// Changes a product or puts it back on sale; what is left out stays.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct UpdateProduct {
    product: String,
    name: Option<String>,
    /// Empty removes it.
    description: Option<String>,
    /// Its id.
    default_price: Option<String>,
    /// Back on sale.
    active: Option<bool>,
    /// Empty removes a value; others stay.
    metadata: Option<Metadata>,
}

impl Action for UpdateProduct {
    const NAME: &'static str = "update_product";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "rename a product",
        "change a product description",
        "put an archived product back on sale",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PRODUCT_WRITE;
    type Output = InMode<Product>;

    async fn run(self, api: &Api) -> Result<InMode<Product>> {
        let changes = given(json!({
            "name": self.name,
            "description": self.description,
            "default_price": self.default_price,
            "active": self.active,
            "metadata": self.metadata,
        }))?;
        // https://docs.stripe.com/api/products/update
        let updated = api.post("/v1/products/{}", &[&self.product]).form(&changes);
        Ok(in_mode(api, updated.send().await?))
    }
}

/// Takes a product off sale; running subscriptions to it go on, and it can be put back.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ArchiveProduct {
    product: String,
}

impl Action for ArchiveProduct {
    const NAME: &'static str = "archive_product";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "stop selling something",
        "take a plan off sale",
        "discontinue a product",
        "customers can no longer buy the old plan",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = PRODUCT_WRITE;
    type Output = InMode<Product>;

    async fn run(self, api: &Api) -> Result<InMode<Product>> {
        // https://docs.stripe.com/api/products/update
        let archived = api.post("/v1/products/{}", &[&self.product]);
        Ok(in_mode(api, archived.form(&json!({"active": false})).send().await?))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::STRIPE;

    /// A product as Stripe answers it, trimmed.
    pub(crate) fn product(id: &str) -> Value {
        json!({
            "id": id, "object": "product", "active": true, "attributes": [], "created": 1_769_817_600, "default_price": null,
            "description": null, "images": [], "livemode": false, "metadata": {"sku": "7"}, "name": "Bread box",
            "type": "service", "updated": 1_769_904_000, "url": null,
        })
    }

    /// What the business keeps with an object has the names that it likes, and is shown.
    pub(crate) async fn with_metadata(path: &str) -> FakeApi {
        FakeApi::new(&STRIPE).await.passes_on(path, "metadata")
    }

    #[tokio::test]
    async fn lists_products_page_by_page() {
        let fake = with_metadata("/v1/products").await.on("GET", "/v1/products", 200, json!({
            "object": "list", "has_more": true, "url": "/v1/products", "data": [product("prod_1"), product("prod_2")],
        }));
        let page = fake
            .run::<ListProducts>(json!({"active": true, "created_from": "2026-01-01", "cursor": "prod_0", "limit": 2}))
            .await
            .unwrap();
        assert_eq!(page["next_cursor"], "prod_2");
        assert_eq!(page["mode"], "test");
        assert_eq!(
            page["items"][0],
            json!({
                "id": "prod_1", "name": "Bread box", "active": true, "metadata": {"sku": "7"},
                "created_at": "2026-01-31T00:00:00Z", "updated_at": "2026-02-01T00:00:00Z",
            })
        );
        let query = &fake.requests().await[0].query;
        assert_eq!((query["starting_after"].as_str(), query["limit"].as_str()), ("prod_0", "2"));
        assert_eq!(
            (query["active"].as_str(), query["created[gte]"].as_str()),
            ("true", "1767225600")
        );
    }

    #[tokio::test]
    async fn creates_a_product_under_an_idempotency_key() {
        let fake =
            with_metadata("/v1/products").await.on("POST", "/v1/products", 200, product("prod_1"));
        fake.run::<CreateProduct>(json!({"name": "Bread box", "metadata": {"sku": "7"}}))
            .await
            .unwrap();
        let request = &fake.requests().await[0];
        assert_eq!(request.body, json!({"name": "Bread box", "metadata": {"sku": "7"}}));
        assert!(request.headers.contains_key("idempotency-key"));
    }

    #[tokio::test]
    async fn changes_only_what_is_given() {
        let fake = with_metadata("/v1/products/prod_1").await.on(
            "POST",
            "/v1/products/prod_1",
            200,
            product("prod_1"),
        );
        fake.run::<UpdateProduct>(json!({"product": "prod_1", "description": ""})).await.unwrap();
        assert_eq!(fake.requests().await[0].body, json!({"description": ""}));
        let error = fake.run::<UpdateProduct>(json!({"product": "prod_1"})).await.unwrap_err();
        assert_eq!((error.code(), fake.requests().await.len()), (Code::InvalidInput, 1));
    }

    #[tokio::test]
    async fn archives_a_product() {
        let mut archived = product("prod_1");
        archived["active"] = false.into();
        let fake = with_metadata("/v1/products/prod_1").await.on(
            "POST",
            "/v1/products/prod_1",
            200,
            archived,
        );
        let told = fake.run::<ArchiveProduct>(json!({"product": "prod_1"})).await.unwrap();
        assert_eq!(told["active"], false);
        assert_eq!(fake.requests().await[0].body, json!({"active": "false"}));
    }
}
