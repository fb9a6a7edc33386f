//! Many calls in one transaction: what they depend on is known or looked up once, each is decided alone, and all is written at
//! once.
//! One call that is refused changes nothing, so it does not disturb the others.

mod call;

use std::{collections::HashMap, sync::Arc};

use uuid::Uuid;

use crate::{
    Anchor, Begun, Error, Needs, Result, TenantId, TenantScope, Ticket,
    append::{Additions, Committed, Use},
    chain::Chain,
    connections::Place,
    database::{Database, Held},
    known::Known,
    lookup::{Found, Question, begin, look_up},
    operations::{StoredOperation, final_state},
    reveal,
};

pub(crate) use call::{Answer, Call, End, Finished, Reply, Work};

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

/// Writes the calls in one transaction; `committing` tells how far a failure came. Each call has an answer of its own. None:
/// another writer was faster, and nothing was written.
pub(crate) async fn write(
    database: &Database,
    (held, known, care): (&mut Held, &mut Known, Care),
    calls: &[Call],
    committing: &mut bool,
) -> Result<Option<Written>> {
    held.take(database).await?;
    let turn = held.turn();
    let mut tx = held.write(care == Care::Keeping).await?;
    let stand = begin(&mut tx).await?;
    if let (Some(turn), Some(stand), Some(call)) = (turn, stand, calls.first()) {
        known.forget_unless_alone(turn, stand);
        call.scope.vault.inner.clock.set(stand.now_ms);
    }
    let may_be_overtaken = !tx.is_transaction();
    let may_know = may_be_overtaken || stand.is_some();
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
        let mut found = found.or_else(|| known.answer(question).filter(|_| may_know));
        if let (Some(found), Some(used)) = (&mut found, call.use_of()) {
            found.is_use_noted = known.is_use_noted(used.0, used.1);
        }
        let answer = batch.decide(call, found);
        if answer.is_err() && !is_new && may_be_overtaken {
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
        Committed::Kept => known.end(batch.chains),
        Committed::At(now_ms) => {
            known.told(now_ms);
            known.end(batch.chains);
        }
    }
    for (call, answer) in calls.iter().zip(&answers) {
        match (&call.work, answer) {
            (Work::Begin { needs, .. }, Ok(Answer::Begun(begun))) => {
                known.begun(begun.ticket.intent_id());
                if *needs == Needs::Active && begun.connection.is_some() {
                    known.checked(call.scope.tenant(), &begun.ticket.action.integration_id);
                }
            }
            (Work::Finish { finished, .. }, Ok(_)) => {
                known.ended(finished.ticket.intent_id());
            }
            _ => {}
        }
    }
    for (tenant, integration) in batch.changed {
        known.changed(tenant, &integration);
    }
    Ok(Some(Written { answers, added }))
}

/// What the calls before have added to the transaction.
#[derive(Default)]
struct Batch {
    additions: Additions,
    chains: HashMap<TenantId, Chain>,
    entered: HashMap<(TenantId, Uuid), (String, String, String)>,
    /// The connections whose rows are changed.
    changed: Vec<Place>,
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
            let version = found.connection.as_ref().and_then(|stored| stored.version);
            let usable = scope.usable(names.0, found.connection, in_any_status);
            let usable = scope.noting(usable, reveal::PURPOSE, names.0)?;
            self.additions.rely(tenant, usable.0.id, version);
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
                let version = found.connection.as_ref().and_then(|stored| stored.version);
                let resealed = scope.reseal(connection, found.connection, permissions);
                match scope.noting(resealed, reveal::PURPOSE, &ticket.action.integration_id) {
                    // The row was changed outside since the action began. The result must not be lost for that.
                    Err(Error::CannotOpen) => None,
                    resealed => {
                        self.additions.rely(tenant, connection.0, version);
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
            if news || !found.is_use_noted {
                self.changed.push((tenant, ticket.action.integration_id.clone()));
                let latest = Use { id, generation, at, rate_limits, permissions: resealed };
                self.additions.used(tenant, latest);
            }
        }
        Ok(())
    }
}
