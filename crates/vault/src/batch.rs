//! Many calls in one transaction: what they depend on is known or looked up once, each is decided alone, and all is written at
//! once.
//! One call that is refused changes nothing, so it does not disturb the others.

use std::{collections::HashMap, sync::Arc, time::Instant};

use serde_json::Value;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    Anchor, Begun, Error, Needs, Result, ResultStatus, TenantId, TenantScope, Ticket,
    append::{Additions, Committed, Use},
    chain::Chain,
    database::{Database, Held, TxOn},
    known::Known,
    lookup::{Found, Question, look_up},
    operations::{StoredOperation, final_state},
    reveal,
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

/// Whether the tenants are kept from other writers while it is decided.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// Not on PostgreSQL: what was decided is held against what is when it is written.
    Quick,
    /// They are.
    Keeping,
}

/// What came of a batch.
pub(crate) struct Written {
    pub(crate) answers: Vec<Result<Answer>>,
    /// What was added to each trail: the first entry, and the last one.
    pub(crate) added: Vec<(TenantId, (i64, Anchor))>,
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

    fn question(&self, n: usize) -> Question<'_> {
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

/// Writes the calls in one transaction; `committing` tells how far a failure came. Each call has an answer of its own. None:
/// another writer was faster, and nothing was written.
pub(crate) async fn write(
    database: &Database,
    (held, known, care): (&mut Held, &mut Known, Care),
    calls: &[Call],
    committing: &mut bool,
) -> Result<Option<Written>> {
    let mut tx = held.write(database, care == Care::Keeping).await?;
    let may_know = !tx.is_transaction();
    let is_postgres = matches!(tx, TxOn::Postgres(_));
    let questions: Vec<_> = calls.iter().enumerate().map(|(n, call)| call.question(n)).collect();
    let is_known = |question: &Question<'_>| may_know && known.knows(question);
    let asked: Vec<_> = questions.iter().filter(|question| !is_known(question)).collect();
    let mut found: HashMap<i32, Found> = HashMap::new();
    if !asked.is_empty() {
        let answers = look_up(&mut tx, &asked).await?;
        if let (Some(call), Some(found)) = (calls.first(), answers.last()) {
            call.scope.vault.inner.clock.set(found.head.now_ms);
        }
        found.extend(answers.into_iter().map(|found| (found.n, found)));
    }
    if may_know {
        for question in asked {
            found.get(&question.n).into_iter().for_each(|found| known.learn(question, found));
        }
    }
    let mut batch = Batch::default();
    let mut answers = Vec::with_capacity(calls.len());
    for (call, question) in calls.iter().zip(&questions) {
        let found = found.remove(&question.n);
        let is_new = found.is_some() || !may_know;
        let found = found.or_else(|| known.answer(question).filter(|_| may_know));
        let answer = batch.decide(call, found);
        if answer.is_err() && !is_new {
            // What is written is held against what is. A refusal is not, and must not come from what was.
            return Ok(None);
        }
        answers.push(answer);
    }
    // What was refused is looked up again the next time.
    for (call, _) in calls.iter().zip(&answers).filter(|(_, answer)| answer.is_err()) {
        known.forget(call.scope.tenant());
    }
    let added: Vec<_> =
        batch.chains.iter().map(|(tenant, chain)| (*tenant, chain.added())).collect();
    for (tenant, chain) in &batch.chains {
        let (from, _) = chain.added();
        batch.additions.go_on_from(*tenant, from - 1, chain.head.now_ms);
    }
    if !answers.iter().any(Result::is_ok) {
        tx.rollback().await?;
        return Ok(Some(Written { answers, added }));
    }
    match batch.additions.commit(tx, committing).await? {
        Committed::Overtaken => return Ok(None),
        Committed::Kept if !is_postgres => {}
        Committed::Kept => known.end(batch.chains),
        Committed::At(now_ms) => {
            known.told(now_ms);
            known.end(batch.chains);
        }
    }
    for (tenant, integration, at, news) in batch.used {
        known.used(tenant, &integration, at, news);
    }
    Ok(Some(Written { answers, added }))
}

/// What the calls before have added to the transaction.
#[derive(Default)]
struct Batch {
    additions: Additions,
    chains: HashMap<TenantId, Chain>,
    entered: HashMap<(TenantId, Uuid), (String, String, String)>,
    /// The connections that were used, when their actions began, and whether more was learnt.
    used: Vec<(TenantId, String, Timestamp, bool)>,
}

impl Batch {
    fn decide(&mut self, call: &Call, found: Option<Found>) -> Result<Answer> {
        let found = found.ok_or_else(|| Error::Database {
            message: "another writer keeps the tenant's audit trail".into(),
            retryable: true,
        })?;
        let tenant = call.scope.tenant();
        let mut chain = match self.chains.get(&tenant) {
            Some(chain) => chain.clone(),
            None => call.scope.chain(found.head.clone())?,
        };
        // Nothing is added, to the chain or the transaction, before all that can fail is done.
        let answer = match &call.work {
            Work::Begin { ticket, needs, unsafe_, .. } => {
                let needs = (*needs, *unsafe_);
                Answer::Begun(Box::new(self.begin(
                    &call.scope,
                    &mut chain,
                    ticket,
                    needs,
                    found,
                )?))
            }
            Work::Event { ticket, status, error_message, .. } => {
                let ticket = ticket.begun_at(chain.head.now_ms);
                let intent = chain.link(&ticket.intent());
                let result = (*status, error_message.as_deref(), None);
                let result = ticket.result(Uuid::now_v7(), "result", result);
                let result = chain.link(&result);
                self.additions.entry(tenant, intent);
                self.additions.entry(tenant, result);
                Answer::Done
            }
            Work::Finish { finished, .. } => {
                // An attempt before this one was committed, and only its answer was lost.
                if !found.is_written {
                    self.finish(&call.scope, &mut chain, finished, found)?;
                }
                Answer::Done
            }
        };
        self.chains.insert(tenant, chain);
        Ok(answer)
    }

    fn begin(
        &mut self,
        scope: &TenantScope,
        chain: &mut Chain,
        ticket: &Ticket,
        (needs, unsafe_): (Needs, bool),
        found: Found,
    ) -> Result<Begun> {
        let tenant = scope.tenant();
        let mut ticket = ticket.begun_at(chain.head.now_ms);
        let action = Arc::clone(&ticket.action);
        let operation = action.op_id.filter(|_| unsafe_);
        let names = (&*action.integration_id, &*action.action, action.params_hash());
        let mut repeated = None;
        if let Some(op_id) = operation {
            let executing = self.entered.get(&(tenant, op_id)).cloned().map(
                |(integration_id, action, params_hash)| StoredOperation {
                    integration_id,
                    action,
                    params_hash,
                    state: "executing".into(),
                    outcome: None,
                    key: None,
                },
            );
            if let Some(stored) = executing.or(found.operation) {
                let asked = (names.0, names.1, &*action.params_hashes);
                repeated = Some(scope.outcome_of(op_id, stored, asked)?);
            } else if found.active_key.is_none() {
                // Every tenant has a key for as long as it exists.
                return Err(Error::UnknownTenant);
            }
        }
        // What ran before is answered from the store, even if the account was disconnected since.
        let connection = if needs == Needs::Nothing || repeated.is_some() {
            None
        } else {
            let in_any_status = needs == Needs::AnyStatus;
            let usable = scope.usable(names.0, found.connection, in_any_status);
            let usable = scope.noting(usable, reveal::PURPOSE, names.0)?;
            self.additions.rely(tenant, usable.0.id, found.version);
            Some(usable)
        };
        ticket.owns_operation = operation.is_some() && repeated.is_none();
        ticket.connection = connection.as_ref().map(|(row, _)| (row.id, row.generation));
        let entry = chain.link(&ticket.intent());
        self.additions.entry(tenant, entry);
        self.additions.open(tenant, action.intent_id, chain.head.now_ms);
        if let (Some(op_id), true) = (operation, ticket.owns_operation) {
            self.additions.enter(tenant, op_id, names, chain.head.now_ms);
            let names = (names.0.to_owned(), names.1.to_owned(), names.2.to_owned());
            self.entered.insert((tenant, op_id), names);
        }
        Ok(Begun { ticket, connection, repeated })
    }

    fn finish(
        &mut self,
        scope: &TenantScope,
        chain: &mut Chain,
        finished: &Finished,
        found: Found,
    ) -> Result<()> {
        let (tenant, ticket) = (scope.tenant(), &finished.ticket);
        let phase = if found.is_open { "result" } else { "reconciled" };
        // Without a key, the tenant was deleted while the action ran, and its operations with it.
        let sealed = match (&finished.end, ticket.action.op_id, found.active_key) {
            (End::Stored(payload), Some(op_id), Some(key)) => {
                Some(scope.seal_outcome(op_id, key, payload)?)
            }
            _ => None,
        };
        let resealed = match (ticket.connection, &finished.permissions) {
            (Some(connection), Some(permissions)) => {
                let resealed = scope.reseal(connection, found.connection, permissions);
                match scope.noting(resealed, reveal::PURPOSE, &ticket.action.integration_id) {
                    // The row was changed outside since the action began. The result must not be lost for that.
                    Err(Error::CannotOpen) => None,
                    resealed => {
                        self.additions.rely(tenant, connection.0, found.version);
                        resealed?.map(|blob| (permissions, blob))
                    }
                }
            }
            _ => None,
        };
        let result = (finished.status, finished.error_message.as_deref(), finished.duration_ms);
        let entry = chain.link(&ticket.result(finished.result_id, phase, result));
        self.additions.entry(tenant, entry);
        self.additions.close(tenant, ticket.action.intent_id, found.is_open);
        if let Some(op_id) = ticket.action.op_id {
            if let Some(sealed) = sealed {
                let state = final_state(finished.status, !found.is_open);
                self.additions.leave(tenant, op_id, state, sealed, chain.head.now_ms);
            } else if matches!(finished.end, End::Withdrawn) {
                self.additions.withdraw(tenant, op_id);
            }
        }
        if let Some((id, generation)) = ticket.connection {
            let at = ticket.executed_at;
            let rate_limits = finished.rate_limits.as_ref();
            let news = rate_limits.is_some() || resealed.is_some();
            self.used.push((tenant, ticket.action.integration_id.clone(), at, news));
            let latest = Use { id, generation, at, rate_limits, permissions: resealed };
            self.additions.used(tenant, latest);
        }
        Ok(())
    }
}
