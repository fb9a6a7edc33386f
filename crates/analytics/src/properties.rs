//! Properties: a site or an app, with its own reports. They belong to accounts.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::ADMIN;
use crate::ids::Id;
use crate::permissions::{CHANGE, SETTINGS};

/// An account and its properties.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct AccountProperties {
    /// Its number, which `create_property` asks for.
    #[serde(rename(deserialize = "account"))]
    pub id: Id,
    /// Its name.
    #[serde(default, rename(deserialize = "displayName"))]
    pub name: String,
    /// Its properties that the connected Google account sees.
    #[serde(default, rename(deserialize = "propertySummaries"))]
    pub properties: Vec<PropertySummary>,
}

/// A property in a list.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct PropertySummary {
    /// Its number, which most actions ask for.
    #[serde(rename(deserialize = "property"))]
    pub id: Id,
    /// Its name.
    #[serde(default, rename(deserialize = "displayName"))]
    pub name: String,
    /// Whether the connected Google account may change how it is set up.
    #[serde(default)]
    pub can_edit: bool,
}

/// Lists the accounts and properties that the connected Google account sees.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListProperties {
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListProperties {
    const NAME: &'static str = "list_properties";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "which Analytics accounts and properties",
        "my sites in Google Analytics",
        "which websites are in Google Analytics",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = SETTINGS;
    type Output = Page<AccountProperties>;

    async fn run(self, api: &Api) -> Result<Page<AccountProperties>> {
        accounts(api, &self.page).await
    }
}

pub(crate) async fn accounts(api: &Api, page: &PageRequest) -> Result<Page<AccountProperties>> {
    // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1beta/accountSummaries/list
    api.get("/v1beta/accountSummaries", &[]).at(ADMIN).page(page).list_in("accountSummaries").await
}

/// A property.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct Property {
    /// Its number.
    #[serde(rename(deserialize = "name"))]
    pub id: Id,
    /// Its name.
    #[serde(rename(deserialize = "displayName"))]
    pub name: String,
    /// The account that it belongs to.
    #[serde(default, rename(deserialize = "account"))]
    pub account_id: Option<Id>,
    /// Time zone in which its days begin, such as `Europe/Berlin`.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Currency of its money, such as `EUR`.
    #[serde(default)]
    pub currency_code: Option<String>,
    /// Such as `TECHNOLOGY`.
    #[serde(default)]
    pub industry_category: Option<String>,
    /// `GOOGLE_ANALYTICS_STANDARD`, or `GOOGLE_ANALYTICS_360` with larger quotas.
    #[serde(default)]
    pub service_level: Option<String>,
    /// When it was created.
    #[serde(default, rename(deserialize = "createTime"))]
    pub created_at: Option<String>,
    /// When it was put in the trash.
    #[serde(default, rename(deserialize = "deleteTime"))]
    pub deleted_at: Option<String>,
}

/// Gets a property: its time zone, currency and service level.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetProperty {
    /// From `list_properties`.
    property_id: Id,
}

impl Action for GetProperty {
    const NAME: &'static str = "get_property";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "time zone and currency of Analytics",
        "settings of a GA4 property",
        "how is Analytics configured",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = SETTINGS;
    type Output = Property;

    async fn run(self, api: &Api) -> Result<Property> {
        property(api, &self.property_id).await
    }
}

pub(crate) async fn property(api: &Api, id: &Id) -> Result<Property> {
    // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1beta/properties/get
    api.get("/v1beta/properties/{}", &[id]).at(ADMIN).send().await
}

/// Creates a property in an account. It measures nothing until it has a stream and its tag is on the site.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateProperty {
    /// From `list_properties`.
    account_id: Id,
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// Such as `Europe/Berlin`.
    time_zone: String,
    /// Default `USD`.
    currency_code: Option<String>,
    /// Such as `TECHNOLOGY`, `SHOPPING`, `OTHER`.
    industry_category: Option<String>,
}

impl Action for CreateProperty {
    const NAME: &'static str = "create_property";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["start measuring a new site", "set up Google Analytics", "new GA4 property"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CHANGE;
    type Output = Property;

    async fn run(self, api: &Api) -> Result<Property> {
        let mut account = String::from("accounts/");
        // It goes in the body, under the same rules as in a path.
        resto_core::PathArg::append(&self.account_id, &mut account)?;
        // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1beta/properties/create
        api.post("/v1beta/properties", &[])
            .at(ADMIN)
            .fields(json!({
                "parent": account,
                "displayName": self.name,
                "timeZone": self.time_zone,
                "currencyCode": self.currency_code,
                "industryCategory": self.industry_category,
            }))
            .send()
            .await
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_testing::FakeApi;
    use serde_json::Value;

    use super::*;
    use crate::ANALYTICS;

    pub(crate) const PROPERTY: &str = "/v1beta/properties/123";

    /// A property as Google answers it.
    pub(crate) fn answer() -> Value {
        json!({
            "name": "properties/123", "parent": "accounts/7", "account": "accounts/7", "displayName": "Shop",
            "createTime": "2026-01-01T10:00:00.123Z", "updateTime": "2026-01-02T10:00:00.123Z",
            "timeZone": "Europe/Berlin", "currencyCode": "EUR", "industryCategory": "SHOPPING",
            "serviceLevel": "GOOGLE_ANALYTICS_STANDARD", "propertyType": "PROPERTY_TYPE_ORDINARY",
        })
    }

    #[tokio::test]
    async fn lists_accounts_with_their_properties() {
        let fake = FakeApi::new(&ANALYTICS).await.on(
            "GET",
            "/v1beta/accountSummaries",
            200,
            json!({"nextPageToken": "more", "accountSummaries": [
                {"name": "accountSummaries/7", "account": "accounts/7", "displayName": "Acme", "propertySummaries": [
                    {"property": "properties/123", "displayName": "Shop", "propertyType": "PROPERTY_TYPE_ORDINARY",
                        "parent": "accounts/7", "canEdit": true}]},
                {"name": "accountSummaries/8", "account": "accounts/8", "displayName": "Empty"}]}),
        );
        let page = fake.run::<ListProperties>(json!({"limit": 2})).await.unwrap();
        assert_eq!(
            page,
            json!({"next_cursor": "more", "items": [
                {"id": "7", "name": "Acme",
                    "properties": [{"id": "123", "name": "Shop", "can_edit": true}]},
                {"id": "8", "name": "Empty", "properties": []}]})
        );
        assert_eq!(fake.requests().await[0].query["pageSize"], "2");
    }

    #[tokio::test]
    async fn nothing_to_see_is_an_empty_list() {
        // Google leaves empty lists out.
        let fake =
            FakeApi::new(&ANALYTICS).await.on("GET", "/v1beta/accountSummaries", 200, json!({}));
        let page = fake.run::<ListProperties>(json!({})).await.unwrap();
        assert_eq!(page, json!({"items": []}));
    }

    #[tokio::test]
    async fn tells_how_a_property_is_set_up() {
        let fake = FakeApi::new(&ANALYTICS).await.on("GET", PROPERTY, 200, answer());
        let property = fake.run::<GetProperty>(json!({"property_id": "123"})).await.unwrap();
        assert_eq!(
            property,
            json!({"id": "123", "name": "Shop", "account_id": "7", "time_zone": "Europe/Berlin",
                "currency_code": "EUR", "industry_category": "SHOPPING", "service_level": "GOOGLE_ANALYTICS_STANDARD",
                "created_at": "2026-01-01T10:00:00.123Z"})
        );
    }

    #[tokio::test]
    async fn creates_a_property_in_an_account() {
        let fake = FakeApi::new(&ANALYTICS).await.on("POST", "/v1beta/properties", 200, answer());
        let input = json!({"account_id": "7", "name": "Shop", "time_zone": "Europe/Berlin"});
        let property = fake.run::<CreateProperty>(input).await.unwrap();
        assert_eq!(property["id"], "123");
        assert_eq!(
            fake.requests().await[0].body,
            json!({"parent": "accounts/7", "displayName": "Shop", "timeZone": "Europe/Berlin"})
        );
    }

    #[tokio::test]
    async fn an_account_is_named_by_its_number() {
        let fake = FakeApi::new(&ANALYTICS).await;
        let input = json!({"account_id": "Acme", "name": "Shop", "time_zone": "Europe/Berlin"});
        let error = fake.run::<CreateProperty>(input).await.unwrap_err();
        assert!(error.message().contains("`Acme` is no id"), "{error}");
    }
}
