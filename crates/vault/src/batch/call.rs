//! What is given to the audit writer, and what it answers.

use std::{sync::Arc, time::Instant};

use serde_json::Value;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    Begun, Needs, Result, ResultStatus, TenantId, TenantScope, Ticket, lookup::Question,
    timestamp::Timestamp,
};

/// Where the answer to a call goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// One call that waits to be written.
pub(crate) struct Call {
    pub(crate) scope: TenantScope,
    pub(crate) work: Work,
}

pub(crate) enum Work {
    Begin {
        ticket: Ticket,
        needs: Needs,
        unsafe_: bool,
        reply: Reply<Begun>,
    },
    Event {
        ticket: Ticket,
        status: ResultStatus,
        error_message: Option<String>,
        reply: Reply<()>,
    },
    Finish {
        finished: Arc<Finished>,
        /// Whether an attempt before this one may have been committed.
        again: bool,
        /// None when nobody waits for it any more.
        reply: Option<Reply<()>>,
    },
}

/// A ticket that comes back, with what is to be written.
pub(crate) struct Finished {
    pub(crate) ticket: Ticket,
    pub(crate) result_id: Uuid,
    pub(crate) status: ResultStatus,
    pub(crate) error_message: Option<String>,
    pub(crate) duration_ms: Option<i32>,
    pub(crate) end: End,
    pub(crate) permissions: Option<Value>,
    pub(crate) rate_limits: Option<Value>,
    /// How long it is worth trying.
    pub(crate) until: Instant,
}

/// What becomes of the operation.
pub(crate) enum End {
    /// There is none, or it is not this call's.
    Nothing,
    /// The outcome is stored for those who repeat the call.
    Stored(Vec<u8>),
    /// It never ran and may be asked for again.
    Withdrawn,
}

/// What a call is told once the transaction is durable.
pub(crate) enum Answer {
    Begun(Box<Begun>),
    Done,
}

impl Call {
    /// Whether anybody still wants it. A result is always wanted.
    pub(crate) fn is_wanted(&self) -> bool {
        match &self.work {
            Work::Begin { reply, .. } => !reply.is_closed(),
            Work::Event { reply, .. } => !reply.is_closed(),
            Work::Finish { .. } => true,
        }
    }

    /// The connection that an action has used, and when it began.
    pub(super) fn use_of(&self) -> Option<((TenantId, &str, i64), Timestamp)> {
        let Work::Finish { finished, .. } = &self.work else { return None };
        let ticket = &finished.ticket;
        let (_, generation) = ticket.connection?;
        let integration = ticket.action.integration_id.as_str();
        Some(((self.scope.tenant(), integration, generation), ticket.executed_at))
    }

    pub(super) fn question(&self, n: usize) -> Question<'_> {
        let mut question = Question {
            n: i32::try_from(n).unwrap_or(i32::MAX),
            tenant: self.scope.tenant(),
            integration: None,
            intent: None,
            result: None,
            op: None,
        };
        match &self.work {
            Work::Begin { ticket, needs, unsafe_, .. } => {
                let integration_id = ticket.action.integration_id.as_str();
                question.integration = (*needs != Needs::Nothing).then_some(integration_id);
                question.op = ticket.action.op_id.filter(|_| *unsafe_).map(Uuid::simple);
            }
            Work::Event { .. } => {}
            Work::Finish { finished, again, .. } => {
                let ticket = &finished.ticket;
                question.intent = Some(ticket.action.intent_id.simple());
                question.result = again.then_some(finished.result_id.simple());
                if finished.permissions.is_some() && ticket.connection.is_some() {
                    question.integration = Some(&ticket.action.integration_id);
                }
                if matches!(finished.end, End::Stored(_)) {
                    question.op = ticket.action.op_id.map(Uuid::simple);
                }
            }
        }
        question
    }
}
