//! What a deployment writes while it serves requests. Vercel streams it from now on and keeps
//! nothing here, so it is listened to for some seconds.

use std::time::Duration;

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deployments::DeploymentIn;
use crate::permissions::DEPLOYMENT_READ;
use crate::times::At;

/// How long to listen when the caller did not say, in seconds.
const USUAL: u64 = 10;
/// Lines that are shown.
const SHOWN: usize = 200;
/// The longest message that is shown whole, in characters.
const MESSAGE: usize = 1_000;

/// A line that was written for a request.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeLogLine {
    /// When it was written.
    #[serde(rename(deserialize = "timestampInMs"))]
    at: At,
    /// `debug`, `info`, `warning`, `error`, `fatal`, ...
    level: String,
    /// What wrote it: `serverless`, `edge-function`, `edge-middleware`, `request`, ...
    source: String,
    /// What it says, at most 1,000 characters of it.
    message: String,
    /// Method of the request.
    #[serde(default, rename(deserialize = "requestMethod"))]
    method: Option<String>,
    /// Path of the request.
    #[serde(default, rename(deserialize = "requestPath"))]
    path: Option<String>,
    /// HTTP status of the answer.
    #[serde(default, rename(deserialize = "responseStatusCode"))]
    status: Option<i64>,
}

/// What was heard.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RuntimeLog {
    /// The lines, oldest first.
    lines: Vec<RuntimeLogLine>,
    /// Whether later lines are left out.
    truncated: bool,
}

/// Listens for some seconds to what a live deployment writes; what it wrote before is not told.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetRuntimeLogs {
    #[serde(flatten)]
    at: DeploymentIn,
    /// Default 10.
    #[schemars(range(min = 1, max = 20))]
    listen_seconds: Option<u64>,
    #[serde(default)]
    only_errors: bool,
}

impl Action for GetRuntimeLogs {
    const NAME: &'static str = "get_runtime_logs";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["server logs", "errors of the live app", "what is the app printing"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DEPLOYMENT_READ;
    type Output = RuntimeLog;

    fn tells_outsiders(&self) -> bool {
        true
    }

    async fn run(self, api: &Api) -> Result<RuntimeLog> {
        let found = self.at.find(api).await?;
        let project_id = found.facts.project_id.ok_or_else(|| {
            Error::new(
                Code::PermissionDenied,
                "Vercel does not tell the project of this deployment: the token sees only its public part. Give the `team` that owns it.",
            )
        })?;
        let time = Duration::from_secs(self.listen_seconds.unwrap_or(USUAL));
        // https://vercel.com/docs/rest-api/logs/get-logs-for-a-deployment
        let heard = self
            .at
            .scope
            .on(
                api,
                api.get("/v1/projects/{}/deployments/{}/runtime-logs", &[&project_id, &found.id]),
            )
            .accept("application/stream+json")
            .send_listening(time)
            .await?;
        Ok(read(&heard.text, self.only_errors))
    }
}

/// Reads a stream that may end in the middle of a line.
fn read(text: &str, only_errors: bool) -> RuntimeLog {
    let mut lines = serde_json::Deserializer::from_str(text)
        .into_iter::<RuntimeLogLine>()
        .map_while(Result::ok)
        // Vercel says with a delimiter that it stops.
        .filter(|line| line.source != "delimiter")
        .filter(|line| !only_errors || matches!(line.level.as_str(), "error" | "fatal"))
        .map(|mut line| {
            line.message = line.message.trim_end().chars().take(MESSAGE).collect();
            line
        });
    let shown = lines.by_ref().take(SHOWN).collect();
    RuntimeLog { lines: shown, truncated: lines.next().is_some() }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use wiremock::ResponseTemplate;

    use super::*;
    use crate::VERCEL;
    use crate::deployments::tests::{DPL, deployment};

    const LOGS: &str = "/v1/projects/prj_1/deployments/dpl_1/runtime-logs";

    fn row(level: &str, source: &str, message: &str) -> String {
        json!({"level": level, "source": source, "message": message, "messageTruncated": false, "rowId": "r1",
            "timestampInMs": 1000, "domain": "shop.example.com", "requestMethod": "GET", "requestPath": "/cart",
            "responseStatusCode": 500})
        .to_string()
    }

    #[tokio::test]
    async fn listens_to_a_stream_that_does_not_end() {
        let stream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = format!("http://{}/stream", stream.local_addr().unwrap());
        let fake = FakeApi::new(&VERCEL).await.on("GET", DPL, 200, deployment("READY")).on_answer(
            "GET",
            LOGS,
            ResponseTemplate::new(302).insert_header("location", link.as_str()),
        );
        let serving = async {
            let (mut socket, _) = stream.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = socket.read(&mut request).await.unwrap();
            let rows = [row("info", "serverless", "hello\n"), row("error", "serverless", "broken")];
            let begin = "HTTP/1.1 200 OK\r\ncontent-type: application/stream+json\r\n\r\n";
            let cut = "{\"level\":\"in";
            let answer = format!("{begin}{}\n{}\n{cut}", rows[0], rows[1]);
            socket.write_all(answer.as_bytes()).await.unwrap();
            // It stays open until the listener has heard enough.
            socket.read(&mut request).await
        };
        let asked = json!({"deployment": "dpl_1", "listen_seconds": 1});
        let (heard, _) = futures::join!(fake.run::<GetRuntimeLogs>(asked), serving);
        assert_eq!(
            heard.unwrap()["lines"],
            json!([
                {"at": "1970-01-01T00:00:01Z", "level": "info", "source": "serverless", "message": "hello",
                    "method": "GET", "path": "/cart", "status": 500},
                {"at": "1970-01-01T00:00:01Z", "level": "error", "source": "serverless", "message": "broken",
                    "method": "GET", "path": "/cart", "status": 500},
            ])
        );
    }

    #[tokio::test]
    async fn a_stream_that_says_nothing_is_an_empty_log() {
        let silent = ResponseTemplate::new(200).set_delay(Duration::from_mins(1));
        let fake = FakeApi::new(&VERCEL)
            .await
            .on("GET", DPL, 200, deployment("READY"))
            .on_answer("GET", LOGS, silent);
        let asked = json!({"deployment": "dpl_1", "listen_seconds": 1});
        let heard = fake.run::<GetRuntimeLogs>(asked).await.unwrap();
        assert_eq!(heard, json!({"lines": [], "truncated": false}));
        assert_eq!(fake.requests().await.len(), 2);
    }

    #[tokio::test]
    async fn says_that_a_token_sees_only_the_public_part() {
        let mut public = deployment("READY");
        public["projectId"] = Value::Null;
        let fake = FakeApi::new(&VERCEL).await.on("GET", DPL, 200, public);
        let asked = json!({"deployment": "dpl_1"});
        let error = fake.run::<GetRuntimeLogs>(asked).await.unwrap_err();
        assert_eq!(error.code(), Code::PermissionDenied);
    }

    #[test]
    fn keeps_errors_only_and_within_its_bounds() {
        let stream = [
            row("info", "request", "seen"),
            row("fatal", "serverless", &"x".repeat(5_000)),
            row("error", "delimiter", "Exceeded the limit"),
        ]
        .concat();
        let errors = read(&stream, true);
        assert_eq!((errors.lines.len(), errors.truncated), (1, false));
        assert_eq!(errors.lines[0].message.len(), MESSAGE);
        let many = read(&row("info", "request", "seen").repeat(SHOWN + 1), false);
        assert_eq!((many.lines.len(), many.truncated), (SHOWN, true));
    }
}
