//! A task that a remote server made of a call: asked for until it has ended, within bounds of our own.

use std::collections::BTreeSet;
use std::time::Duration;

use resto_core::{Code, Error, Result, quote};
use rmcp::model::{
    CallToolResult, CancelTaskParams, GetTaskParams, InputRequests, Task, TaskPayload,
    UpdateTaskParams,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::session::{Session, late, outcome, stranger};

/// How long a task may take.
const LONGEST: Duration = Duration::from_mins(15);

/// How soon it is asked for at first, and how late at most, whatever its server proposes.
const SOONEST: Duration = Duration::from_millis(250);
const LATEST: Duration = Duration::from_secs(10);

/// How much longer is waited each time: a task that lasts leaves requests to others.
const MORE: Duration = Duration::from_millis(250);

/// How long a server may take to hear that nobody wants it any more.
const LEAVING: Duration = Duration::from_secs(5);

impl Session {
    /// Waits for the end of a task, or until the caller cancels.
    ///
    /// # Errors
    /// It failed, it asks for what cannot be passed on, or it does not end.
    pub(super) async fn follow(
        &self,
        task: Task,
        is_unsafe: bool,
        cancelled: &CancellationToken,
    ) -> Result<CallToolResult> {
        let name = self.name();
        self.ours().channel.allow(LONGEST);
        let id = task.task_id.clone();
        let ended = tokio::select! {
            ended = self.to_its_end(task) => ended,
            () = cancelled.cancelled() => {
                Err(Error::new(Code::Cancelled, "The caller cancelled the call."))
            }
        };
        match ended {
            Ok(TaskPayload::Completed { result }) => {
                let result = serde_json::from_value(Value::Object(result));
                self.ended(result.map_err(|_| stranger(name, "a task without a result"))?)
            }
            Ok(TaskPayload::Failed { error }) => {
                let said = error.get("message").and_then(Value::as_str);
                Err(self.refused(said.unwrap_or_default()))
            }
            Ok(_) => {
                let what = format!("{name} cancelled the task that it had made of the call.");
                Err(outcome(Error::new(Code::Conflict, what), is_unsafe))
            }
            Err(error) => {
                self.ours().channel.allow(LEAVING);
                // Whether it heard of it or not, nobody waits for it any more.
                let _ = self.in_time(self.peer().cancel_task(CancelTaskParams::new(id))).await;
                Err(outcome(error, is_unsafe))
            }
        }
    }

    async fn to_its_end(&self, mut task: Task) -> Result<TaskPayload> {
        let (peer, channel, id) = (self.peer(), &self.ours().channel, task.task_id.clone());
        let (mut answered, mut least) = (BTreeSet::new(), SOONEST);
        for asked in 1.. {
            let wait = Duration::from_millis(task.poll_interval_ms.unwrap_or_default());
            let waited = tokio::time::sleep(wait.max(least).clamp(SOONEST, LATEST));
            least = (least + MORE).min(LATEST / 2);
            if channel.in_time(waited).await.is_none() {
                break;
            }
            let told = match self.in_time(peer.get_task(GetTaskParams::new(&id))).await {
                Ok(told) => told.task,
                Err(error) if error.code() == Code::RateLimited => {
                    least = LATEST;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(message) = &told.task.status_message {
                channel.progress(asked, None, &quote(message));
            }
            match told.payload {
                TaskPayload::Working => {}
                TaskPayload::InputRequired { input_requests } => {
                    let is_new = |key: &String| !answered.contains(key);
                    let open: InputRequests =
                        input_requests.into_iter().filter(|(key, _)| is_new(key)).collect();
                    if !open.is_empty() {
                        let answers = self.answers(open).await?;
                        answered.extend(answers.keys().cloned());
                        let update = UpdateTaskParams::new(&id, answers);
                        self.in_time(peer.update_task(update)).await?;
                    }
                }
                ended => return Ok(ended),
            }
            task = told.task;
        }
        Err(late(self.name()))
    }
}
