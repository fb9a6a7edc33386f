//! What is left of the quota of a property, which Google counts in tokens: most reports take fewer
//! than ten, and the property's own reports elsewhere take from the same.

use resto_core::{Action, Api, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::Id;
use crate::permissions::REPORTS;

/// A property's quota as Google answers it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Quota {
    tokens_per_day: Remaining,
    tokens_per_hour: Remaining,
    tokens_per_project_per_hour: Remaining,
    concurrent_requests: Remaining,
    server_errors_per_project_per_hour: Remaining,
    potentially_thresholded_requests_per_hour: Remaining,
}

/// Google leaves zeros out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Remaining {
    remaining: i64,
}

/// What a report left of the property's quota, in tokens; most reports take fewer than ten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Left {
    /// Tokens for the rest of the hour.
    tokens_this_hour: i64,
    /// Tokens for the rest of the day, in California's time.
    tokens_today: i64,
}

impl From<Quota> for Left {
    fn from(quota: Quota) -> Self {
        Self {
            tokens_this_hour: quota
                .tokens_per_project_per_hour
                .remaining
                .min(quota.tokens_per_hour.remaining),
            tokens_today: quota.tokens_per_day.remaining,
        }
    }
}

/// What is left for one kind of reports.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Quota")]
pub struct KindLeft {
    /// Tokens left today; the day ends at midnight in California.
    tokens_today: i64,
    /// Tokens left this hour, for everybody who reports on the property.
    tokens_this_hour: i64,
    /// Tokens left this hour for this product.
    own_tokens_this_hour: i64,
    /// Reports that may run at the same time.
    concurrent_requests: i64,
    /// Faults of Google's that may still happen this hour before it locks the property.
    server_errors_this_hour: i64,
    /// Reports left this hour of those that could tell who single people are, such as by age.
    thresholded_requests_this_hour: i64,
}

impl From<Quota> for KindLeft {
    fn from(quota: Quota) -> Self {
        Self {
            tokens_today: quota.tokens_per_day.remaining,
            tokens_this_hour: quota.tokens_per_hour.remaining,
            own_tokens_this_hour: quota.tokens_per_project_per_hour.remaining,
            concurrent_requests: quota.concurrent_requests.remaining,
            server_errors_this_hour: quota.server_errors_per_project_per_hour.remaining,
            thresholded_requests_this_hour: quota
                .potentially_thresholded_requests_per_hour
                .remaining,
        }
    }
}

/// What is left of a property's quota.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct PropertyQuota {
    /// For reports.
    #[serde(default, rename(deserialize = "corePropertyQuota"))]
    reports: Option<KindLeft>,
    /// For realtime reports.
    #[serde(default, rename(deserialize = "realtimePropertyQuota"))]
    realtime: Option<KindLeft>,
    /// For funnel reports.
    #[serde(default, rename(deserialize = "funnelPropertyQuota"))]
    funnels: Option<KindLeft>,
}

/// Tells what is left of a property's reporting quota; asking takes one token.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetQuota {
    /// From `list_properties`.
    property_id: Id,
}

impl Action for GetQuota {
    const NAME: &'static str = "get_quota";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["how many Analytics requests are left", "reporting limit", "API tokens remaining"];
    const PERMISSIONS: &'static [&'static [&'static str]] = REPORTS;
    type Output = PropertyQuota;

    async fn run(self, api: &Api) -> Result<PropertyQuota> {
        // https://developers.google.com/analytics/devguides/reporting/data/v1/rest/v1alpha/properties/getPropertyQuotasSnapshot
        api.get("/v1alpha/properties/{}/propertyQuotasSnapshot", &[&self.property_id]).send().await
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::ANALYTICS;

    #[tokio::test]
    async fn tells_what_is_left_of_each_kind() {
        let core = json!({
            "tokensPerDay": {"consumed": 1, "remaining": 199_999}, "tokensPerHour": {"consumed": 1, "remaining": 39_999},
            "tokensPerProjectPerHour": {"consumed": 1, "remaining": 13_999}, "concurrentRequests": {"remaining": 10},
            "serverErrorsPerProjectPerHour": {"remaining": 10}, "potentiallyThresholdedRequestsPerHour": {},
        });
        // Google's description of v1alpha leaves the snapshot out.
        let path = "/v1alpha/properties/123/propertyQuotasSnapshot";
        let fake = FakeApi::new(&ANALYTICS).await.unofficial("GET", path).on(
            "GET",
            path,
            200,
            json!({"name": "properties/123/propertyQuotasSnapshot", "corePropertyQuota": core, "realtimePropertyQuota": core}),
        );
        let left = fake.run::<GetQuota>(json!({"property_id": "123"})).await.unwrap();
        assert_eq!(
            left["reports"],
            json!({"tokens_today": 199_999, "tokens_this_hour": 39_999, "own_tokens_this_hour": 13_999,
                "concurrent_requests": 10, "server_errors_this_hour": 10, "thresholded_requests_this_hour": 0})
        );
        assert!(left.get("funnels").is_none());
    }
}
