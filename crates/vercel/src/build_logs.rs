//! What a build wrote, line by line.

use resto_core::{Action, Api, Result, Risk, clean};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deployments::DeploymentIn;
use crate::permissions::DEPLOYMENT_READ;
use crate::times::At;

/// The longest line that is shown whole, in characters.
const LINE: usize = 500;
/// Lines shown when the caller did not say.
const USUAL: u32 = 100;

/// A line of a log.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LogLine {
    /// When it was written.
    pub at: Option<At>,
    /// The line, at most 500 characters of it.
    pub text: String,
    /// Whether Vercel marks it as an error.
    pub is_error: bool,
}

/// The end of a log, or what comes before it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BuildLog {
    /// The lines, oldest first.
    lines: Vec<LogLine>,
    /// Give it as `cursor` for what was written before; absent at the beginning.
    next_cursor: Option<String>,
}

/// Gets the end of what a build wrote, also while it runs.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetBuildLogs {
    #[serde(flatten)]
    at: DeploymentIn,
    /// A `next_cursor`.
    cursor: Option<String>,
    /// Default 100.
    #[schemars(range(min = 1, max = 300))]
    limit: Option<u32>,
}

impl Action for GetBuildLogs {
    const NAME: &'static str = "get_build_logs";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["build output", "log of a deployment", "what is the build doing"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DEPLOYMENT_READ;
    type Output = BuildLog;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<BuildLog> {
        let limit = self.limit.unwrap_or(USUAL).clamp(1, 300);
        let part = newest(api, &self.at, limit, self.cursor.as_deref()).await?;
        let is_whole = part.entries < limit as usize;
        let next = part.begins_at.filter(|_| !is_whole).map(|time| time.to_string());
        Ok(BuildLog { lines: part.lines, next_cursor: next })
    }
}

/// A part of a log.
pub(crate) struct Part {
    /// Oldest first.
    pub lines: Vec<LogLine>,
    /// Entries that Vercel sent; one may have several lines or none.
    entries: usize,
    /// When the first was written, in milliseconds since 1970.
    begins_at: Option<i64>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    created: Option<i64>,
    #[serde(default)]
    date: Option<i64>,
    #[serde(default)]
    level: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    payload: Option<Payload>,
}

/// Older answers nest the text.
#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    text: Option<String>,
}

impl Event {
    fn time(&self) -> Option<i64> {
        self.created.or(self.date)
    }
}

/// The last entries that were written up to a time.
pub(crate) async fn newest(
    api: &Api,
    at: &DeploymentIn,
    limit: u32,
    until: Option<&str>,
) -> Result<Part> {
    // https://vercel.com/docs/rest-api/deployments/get-deployment-events
    let events: Vec<Option<Event>> = at
        .scope
        .on(api, api.get("/v3/deployments/{}/events", &[&at.deployment]))
        .query("builds", 1)
        .query("direction", "backward")
        .query("limit", limit)
        .query("until", until)
        .send()
        .await?;
    let entries = events.len();
    let mut events: Vec<Event> = events.into_iter().flatten().collect();
    let forward = events.first().map(Event::time) < events.last().map(Event::time);
    if !forward {
        events.reverse();
    }
    let lines = events.iter().flat_map(lines).collect();
    Ok(Part { lines, entries, begins_at: events.first().and_then(Event::time) })
}

fn lines(event: &Event) -> Vec<LogLine> {
    let nested = event.payload.as_ref().and_then(|payload| payload.text.as_deref());
    let text = event.text.as_deref().or(nested).unwrap_or_default();
    let is_error = event.kind == "fatal" || event.level.as_deref() == Some("error");
    clean(text)
        .trim_matches('\n')
        .lines()
        .map(|line| LogLine {
            at: event.time().map(At::from),
            text: line.trim_end().chars().take(LINE).collect(),
            is_error,
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::VERCEL;

    pub(crate) const EVENTS: &str = "/v3/deployments/dpl_1/events";

    pub(crate) fn event(created: i64, kind: &str, text: &str) -> Value {
        json!({"type": kind, "created": created, "date": created, "id": created.to_string(), "deploymentId": "dpl_1",
            "serial": created.to_string(), "text": text, "info": {"type": "build", "name": "bld_1"}})
    }

    #[tokio::test]
    async fn shows_the_end_of_the_log_oldest_first() {
        let mut broken = event(2000, "stderr", "\u{1b}[31mbroken\u{1b}[0m\nhere\n");
        broken["level"] = "error".into();
        let nested = json!({"type": "stdout", "created": 1000, "payload": {"text": "begins"}});
        let state =
            json!({"type": "deployment-state", "created": 3000, "info": {"readyState": "ERROR"}});
        let fake = FakeApi::new(&VERCEL).await.on(
            "GET",
            EVENTS,
            200,
            json!([state, broken, nested, null]),
        );
        let asked = json!({"deployment": "dpl_1", "limit": 4, "cursor": "4000"});
        let log = fake.run::<GetBuildLogs>(asked).await.unwrap();
        assert_eq!(
            log,
            json!({
                "lines": [
                    {"at": "1970-01-01T00:00:01Z", "text": "begins", "is_error": false},
                    {"at": "1970-01-01T00:00:02Z", "text": "broken", "is_error": true},
                    {"at": "1970-01-01T00:00:02Z", "text": "here", "is_error": true},
                ],
                "next_cursor": "1000",
            })
        );
        let query = &fake.requests().await[0].query;
        for (name, value) in
            [("builds", "1"), ("direction", "backward"), ("limit", "4"), ("until", "4000")]
        {
            assert_eq!(query[name], value);
        }
    }

    #[tokio::test]
    async fn a_log_that_is_shown_whole_has_no_more() {
        let long = "x".repeat(2 * LINE);
        let answer = json!([event(1000, "stdout", &long)]);
        let fake = FakeApi::new(&VERCEL).await.on("GET", EVENTS, 200, answer);
        let log = fake.run::<GetBuildLogs>(json!({"deployment": "dpl_1"})).await.unwrap();
        assert!(log.get("next_cursor").is_none());
        assert_eq!(log["lines"][0]["text"].as_str().map(str::len), Some(LINE));
    }
}
