//! What a remote server may ask of us during a call: to tell how far it is, and to ask the caller's person. The one question
//! at a time, a few in all, and none once the call has ended.
#![expect(deprecated, reason = "sampling and roots are known, to be refused")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use resto_core::{Answer, Channel, Code, Error, Result, Way, clean, quote};
use rmcp::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult,
    CustomRequest, CustomResult, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationCapability, ErrorCode, ErrorData, FormElicitationCapability, Implementation,
    InputRequest, ListRootsResult, ProgressNotificationParam, UrlElicitationCapability,
};
use rmcp::service::{NotificationContext, RequestContext, RoleClient};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::question::{asked, filled_in, question};

/// Questions of one call that are passed on.
const QUESTIONS: usize = 5;

/// What the server is told of a question that is not passed on: nothing of why.
const NOBODY: &str = "nobody can be asked this";

/// Our end of a session.
#[derive(Clone)]
pub(super) struct Ours {
    pub channel: Channel,
    name: &'static str,
    /// How many questions were asked.
    asked: Arc<AtomicUsize>,
    /// Held while one is.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Why a question was not passed on.
    unasked: Arc<Mutex<Option<Error>>>,
    /// Cancelled when the call has ended.
    pub ended: CancellationToken,
}

impl Ours {
    pub fn new(channel: Channel, name: &'static str) -> Self {
        let (asked, turn, unasked) = (Arc::default(), Arc::default(), Arc::default());
        Self { channel, name, asked, turn, unasked, ended: CancellationToken::new() }
    }

    /// Why a question of the call was not passed on, if one was not.
    pub fn unasked(&self) -> Option<Error> {
        self.unasked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the caller's person was asked something: what the server says then may repeat the answer.
    pub fn has_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed) > 0
    }

    /// Answers what a server of the newest generation wants to know before it goes on.
    ///
    /// # Errors
    /// It is no question for a person, or cannot be passed on.
    pub async fn answer(&self, request: InputRequest) -> Result<Value> {
        match request {
            InputRequest::Elicitation(request) => {
                let answered = self.ask(request.params).await?;
                Ok(serde_json::to_value(answered).unwrap_or_default())
            }
            InputRequest::CreateMessage(_) => Err(self.is_not_passed_on(MODEL)),
            InputRequest::ListRoots(_) => Err(self.is_not_passed_on(FOLDERS)),
            _ => Err(self.is_not_passed_on("something that this server does not know")),
        }
    }

    /// Passes a question on to the caller's person.
    ///
    /// # Errors
    /// It cannot be: what was asked, and why.
    pub async fn ask(&self, params: ElicitRequestParams) -> Result<ElicitResult> {
        let answering = self.ended.run_until_cancelled(self.try_ask(&params)).await;
        answering
            .unwrap_or_else(|| Err(Error::new(Code::ActionRequired, "The call has ended.")))
            .map_err(|error| self.note(error, &asked(&params)))
    }

    async fn try_ask(&self, params: &ElicitRequestParams) -> Result<ElicitResult> {
        let _turn = self.turn.lock().await;
        if self.asked.fetch_add(1, Ordering::Relaxed) >= QUESTIONS {
            let what = format!("It has asked {QUESTIONS} times, which is enough for one call.");
            return Err(Error::new(Code::ActionRequired, what));
        }
        let question = question(self.name, self.channel.url(), params)?;
        let answer = self.channel.ask(&question).await?;
        Ok(match (answer, &question.way) {
            (Answer::Given(given), Way::Form(form)) => {
                let content = filled_in(form, given)?;
                ElicitResult::new(ElicitationAction::Accept).with_content(content)
            }
            (Answer::Given(_), Way::Page(_)) => ElicitResult::new(ElicitationAction::Accept),
            (Answer::Declined, _) => ElicitResult::new(ElicitationAction::Decline),
            (Answer::Closed, _) => ElicitResult::new(ElicitationAction::Cancel),
        })
    }

    /// What is passed on to nobody.
    pub fn is_not_passed_on(&self, what: &str) -> Error {
        self.note(Error::new(Code::ActionRequired, "This server does not pass that on."), what)
    }

    /// What the caller is told, and the audit trail without what was asked.
    fn note(&self, mut why: Error, what: &str) -> Error {
        let name = self.name;
        let message = format!(
            "{name} asked for more in the middle of the call, which was not passed on: {} What needs it is done at {name} itself.",
            why.message()
        );
        let details = why.details_mut();
        (details.message, details.said) = (message, Some(clean(what).into_owned()));
        *self.unasked.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
        why
    }
}

const MODEL: &str = "an answer of the caller's model (sampling)";
const FOLDERS: &str = "the caller's folders (roots)";

fn nobody() -> ErrorData {
    ErrorData::invalid_params(NOBODY, None)
}

impl ClientHandler for Ours {
    fn get_info(&self) -> ClientConfig {
        let ours = Implementation::new("resto", env!("CARGO_PKG_VERSION"));
        // The same for each caller, so that a server offers all the same tools: a question that cannot be passed on ends the
        // call, and says why.
        let elicitation = ElicitationCapability::new()
            .with_form(FormElicitationCapability::new())
            .with_url(UrlElicitationCapability::new());
        let capabilities =
            ClientCapabilities::builder().enable_elicitation_with(elicitation).enable_tasks();
        ClientConfig::new(capabilities.build(), ours)
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> std::result::Result<ElicitResult, ErrorData> {
        self.ask(request).await.map_err(|_| nobody())
    }

    async fn create_message(
        &self,
        _request: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> std::result::Result<CreateMessageResult, ErrorData> {
        self.is_not_passed_on(MODEL);
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, NOBODY, None))
    }

    async fn list_roots(
        &self,
        _context: RequestContext<RoleClient>,
    ) -> std::result::Result<ListRootsResult, ErrorData> {
        self.is_not_passed_on(FOLDERS);
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, NOBODY, None))
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleClient>,
    ) -> std::result::Result<CustomResult, ErrorData> {
        self.is_not_passed_on(&format!(
            "what this server does not know ({})",
            quote(&request.method)
        ));
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, NOBODY, None))
    }

    async fn on_progress(
        &self,
        told: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a progress is a small number, and one that is none becomes zero"
        )]
        let count = |number: f64| number as u64;
        let message = quote(told.message.as_deref().unwrap_or_default());
        self.channel.progress(count(told.progress), told.total.map(count), &message);
    }
}
