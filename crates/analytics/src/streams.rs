//! Data streams: where a property's events come from, and the tag that a website carries.

use resto_core::{Action, Api, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::ADMIN;
use crate::ids::Id;
use crate::permissions::{CHANGE, SETTINGS};

/// A source of events.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Answer")]
pub struct DataStream {
    /// Its number.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// `WEB_DATA_STREAM`, `ANDROID_APP_DATA_STREAM` or `IOS_APP_DATA_STREAM`.
    pub kind: String,
    /// Of a website, the id in its tag, `G-...`.
    pub measurement_id: Option<String>,
    /// Of a website, its address.
    pub url: Option<String>,
    /// Of an app, its package name or bundle id.
    pub app: Option<String>,
    /// When it was created.
    pub created_at: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Answer {
    name: Id,
    #[serde(default)]
    display_name: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    web_stream_data: Web,
    #[serde(default)]
    android_app_stream_data: App,
    #[serde(default)]
    ios_app_stream_data: App,
    #[serde(default)]
    create_time: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Web {
    measurement_id: Option<String>,
    default_uri: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct App {
    package_name: Option<String>,
    bundle_id: Option<String>,
}

impl From<Answer> for DataStream {
    fn from(answer: Answer) -> Self {
        Self {
            id: answer.name,
            name: answer.display_name,
            kind: answer.kind,
            measurement_id: answer.web_stream_data.measurement_id,
            url: answer.web_stream_data.default_uri,
            app: answer
                .android_app_stream_data
                .package_name
                .or(answer.ios_app_stream_data.bundle_id),
            created_at: answer.create_time,
        }
    }
}

/// Which stream. Actions flatten it into their input.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StreamIn {
    /// From `list_properties`.
    pub(crate) property_id: Id,
    /// From `list_data_streams`.
    pub(crate) stream_id: Id,
}

impl StreamIn {
    pub(crate) async fn get(&self, api: &Api) -> Result<DataStream> {
        let path = "/v1beta/properties/{}/dataStreams/{}";
        // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1beta/properties.dataStreams/get
        api.get(path, &[&self.property_id, &self.stream_id]).at(ADMIN).send().await
    }
}

/// Lists where a property's events come from: websites with their tag ids, and apps.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListDataStreams {
    /// From `list_properties`.
    property_id: Id,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListDataStreams {
    const NAME: &'static str = "list_data_streams";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["what is the measurement id", "which websites and apps send data", "tag ids"];
    const PERMISSIONS: &'static [&'static [&'static str]] = SETTINGS;
    type Output = Page<DataStream>;

    async fn run(self, api: &Api) -> Result<Page<DataStream>> {
        // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1beta/properties.dataStreams/list
        api.get("/v1beta/properties/{}/dataStreams", &[&self.property_id])
            .at(ADMIN)
            .page(&self.page)
            .list_in("dataStreams")
            .await
    }
}

/// The tag of a website.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TagSnippet {
    /// HTML for every page, as the first thing inside `<head>`.
    snippet: String,
}

/// Gets the HTML that a website needs on every page to be measured.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetTagSnippet {
    #[serde(flatten)]
    at: StreamIn,
}

impl Action for GetTagSnippet {
    const NAME: &'static str = "get_tag_snippet";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "tracking code for my website",
        "gtag script",
        "install Analytics on a page",
        "paste the tag",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = SETTINGS;
    type Output = TagSnippet;

    async fn run(self, api: &Api) -> Result<TagSnippet> {
        let path = "/v1alpha/properties/{}/dataStreams/{}/globalSiteTag";
        // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1alpha/properties.dataStreams/getGlobalSiteTag
        api.get(path, &[&self.at.property_id, &self.at.stream_id]).at(ADMIN).send().await
    }
}

/// Creates the stream of a website, whose `measurement_id` its tag carries.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CreateWebStream {
    /// From `list_properties`.
    property_id: Id,
    /// Such as `https://www.example.com`.
    url: String,
    #[schemars(length(min = 1, max = 255))]
    name: String,
}

impl Action for CreateWebStream {
    const NAME: &'static str = "create_web_stream";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["add a website to Analytics", "get a measurement id", "web data stream"];
    const PERMISSIONS: &'static [&'static [&'static str]] = CHANGE;
    type Output = DataStream;

    async fn run(self, api: &Api) -> Result<DataStream> {
        // https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1beta/properties.dataStreams/create
        api.post("/v1beta/properties/{}/dataStreams", &[&self.property_id])
            .at(ADMIN)
            .json(&json!({
                "type": "WEB_DATA_STREAM",
                "displayName": self.name,
                "webStreamData": {"defaultUri": self.url},
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

    const STREAMS: &str = "/v1beta/properties/123/dataStreams";

    /// A website's stream as Google answers it.
    pub(crate) fn web() -> Value {
        json!({
            "name": "properties/123/dataStreams/456", "type": "WEB_DATA_STREAM", "displayName": "Site",
            "webStreamData": {"measurementId": "G-FAKE", "defaultUri": "https://shop.example"},
            "createTime": "2026-01-01T10:00:00.123Z", "updateTime": "2026-01-01T10:00:00.123Z",
        })
    }

    #[tokio::test]
    async fn lists_websites_and_apps() {
        let app = json!({"name": "properties/123/dataStreams/457", "type": "ANDROID_APP_DATA_STREAM",
            "displayName": "App", "androidAppStreamData": {"firebaseAppId": "1:2:android:3", "packageName": "example.shop"}});
        let fake = FakeApi::new(&ANALYTICS).await.on(
            "GET",
            STREAMS,
            200,
            json!({"dataStreams": [web(), app]}),
        );
        let page = fake.run::<ListDataStreams>(json!({"property_id": "123"})).await.unwrap();
        assert_eq!(
            page["items"],
            json!([
                {"id": "456", "name": "Site", "kind": "WEB_DATA_STREAM", "measurement_id": "G-FAKE",
                    "url": "https://shop.example", "created_at": "2026-01-01T10:00:00.123Z"},
                {"id": "457", "name": "App", "kind": "ANDROID_APP_DATA_STREAM", "app": "example.shop"}])
        );
    }

    #[tokio::test]
    async fn gets_the_tag_of_a_website() {
        let snippet = "<!-- Google tag (gtag.js) -->\n<script async src=\"https://www.googletagmanager.com/gtag/js?id=G-FAKE\"></script>";
        let path = format!("/v1alpha{}/456/globalSiteTag", STREAMS.trim_start_matches("/v1beta"));
        let told =
            json!({"name": "properties/123/dataStreams/456/globalSiteTag", "snippet": snippet});
        let fake = FakeApi::new(&ANALYTICS).await.on("GET", &path, 200, told);
        let input = json!({"property_id": "123", "stream_id": "456"});
        let tag = fake.run::<GetTagSnippet>(input).await.unwrap();
        assert_eq!(tag, json!({"snippet": snippet}));
    }

    #[tokio::test]
    async fn creates_the_stream_of_a_website() {
        let fake = FakeApi::new(&ANALYTICS).await.on("POST", STREAMS, 200, web());
        let input = json!({"property_id": "123", "url": "https://shop.example", "name": "Site"});
        let stream = fake.run::<CreateWebStream>(input).await.unwrap();
        assert_eq!(stream["measurement_id"], "G-FAKE");
        assert_eq!(
            fake.requests().await[0].body,
            json!({"type": "WEB_DATA_STREAM", "displayName": "Site", "webStreamData": {"defaultUri": "https://shop.example"}})
        );
    }
}
