//! Dangerous actions: tried without effect first, shown to a person with their price, and run once if the person approves.

mod admit;
mod once;
mod outsiders;
mod purse;
mod trial;

use std::time::Duration;

use resto_core::{Code, Draft, Error, Money, Result, Risk, clean};
use resto_vault::{CallPrint, Intent, Needs, Outcome, ResultStatus};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

pub(crate) use admit::{Admitted, Ground, Stop};
pub(crate) use once::told_again;
pub(crate) use outsiders::note_outsiders;
pub use purse::Caps;
pub(crate) use purse::Purse;
pub(crate) use trial::{Trial, Tried};

use crate::catalog::Entry;
use crate::host::{Caller, Host, told};
use crate::policy::Verdict;

/// The collection of what people are asked for, by the print of the call.
const ASKED: &str = "approval";

/// The kind of handle that the state of a request is, in which a client brings its person's answer back.
const STATE: &str = "approval.state";

/// How long a person has, and the call after that, together.
const HOLDS: Duration = Duration::from_mins(5);

/// How much of a request a person is shown in a form.
const SHOWN: usize = 2000;

/// What a person is asked to approve, or has decided on. It belongs to one caller, tool and arguments: the print of the
/// call under which it is kept is made of them.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Approval {
    /// The operation that it is for.
    pub op_id: Uuid,
    /// Who asks, as the audit trail names them.
    pub asked_by: String,
    pub tool: String,
    pub title: String,
    pub risk: Risk,
    /// What it works on; typed by whoever approves what cannot be undone.
    pub subject: String,
    pub arguments: Value,
    /// The first change that it would send.
    pub draft: Draft,
    pub price: Option<Money>,
    /// The rule under which it is asked for.
    pub rule: String,
    /// In seconds since 1970.
    pub until: i64,
    pub decided: Option<Decided>,
}

/// What a person decided.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Decided {
    pub approved: bool,
    /// Who.
    pub by: String,
}

/// A person has to approve a call first.
#[derive(Debug)]
pub struct Wanted {
    /// The page on which it is approved.
    pub url: Url,
    /// What will happen, for the person.
    pub what: String,
    /// What the person types, where a click is too little.
    pub typed: Option<String>,
    pub(crate) print: String,
    pub(crate) op_id: Uuid,
}

impl Wanted {
    /// Without what it is about.
    pub(crate) fn brief() -> Error {
        Error::new(Code::ActionRequired, "A person is asked to approve it.")
    }

    /// For a client that cannot ask its person.
    #[must_use]
    pub fn error(&self) -> Error {
        Error::new(
            Code::ActionRequired,
            format!(
                "A person of the business has to approve this first. {} Give them this link: {} It opens for who is signed in there, and holds for five minutes. When they say that they approved it, make the very same call again; it then runs, once.",
                self.what, self.url
            ),
        )
        .url(self.url.as_str())
    }
}

/// What a person answers.
pub(crate) enum Answer<'a> {
    Decline,
    /// With what was typed, if anything.
    Approve(Option<&'a str>),
}

/// What the state of a request stands for.
#[derive(Serialize, Deserialize)]
struct Brought {
    principal: String,
    tool: String,
    print: String,
    op_id: Uuid,
}

impl Approval {
    /// Whether its name has to be typed.
    pub fn typed(&self) -> Option<&str> {
        (self.risk == Risk::Irreversible).then_some(self.subject.as_str())
    }

    /// What will happen, in a few sentences.
    pub fn what(&self) -> String {
        let Draft { method, url, .. } = &self.draft;
        let arguments = shown(&self.arguments.to_string(), SHOWN);
        let happens = self.what_happens();
        format!(
            "{} on {}. {happens} {} asks for it, under {}. First request: {method} {url}. Arguments: {arguments}",
            self.title, self.subject, self.asked_by, self.rule
        )
    }

    /// Its price, and whether it can be undone.
    pub fn what_happens(&self) -> String {
        let price = match &self.price {
            Some(price) if *price == Money::nothing() && self.risk == Risk::Spend => {
                return "It costs nothing now.".to_owned();
            }
            Some(price) => format!("It costs {price}. "),
            None if self.risk == Risk::Spend => "Its price is not known beforehand. ".to_owned(),
            None => String::new(),
        };
        let end = match self.risk {
            Risk::Spend => "It moves or commits money.",
            Risk::Irreversible => "It cannot be undone.",
            Risk::Outward => "People outside may see it, and what they saw cannot be taken back.",
            Risk::Write | Risk::Read => "It can be changed back.",
        };
        format!("{price}{end}")
    }

    fn wanted(&self, host: &Host, print: &str) -> Result<Wanted> {
        Ok(Wanted {
            url: host.place.page(&["approve", print])?,
            what: self.what(),
            typed: self.typed().map(str::to_owned),
            print: print.to_owned(),
            op_id: self.op_id,
        })
    }
}

/// Text of an agent or a provider, without what cannot be seen, and so much of it; says what was left out.
pub(crate) fn shown(text: &str, most: usize) -> String {
    let cleaned = clean(text);
    let hidden = if cleaned == text { "" } else { " [without characters that cannot be seen]" };
    let count = cleaned.chars().count();
    let kept: String = cleaned.chars().take(most).collect();
    let more = match count.saturating_sub(most) {
        0 => String::new(),
        more => format!(" [and {more} characters more]"),
    };
    format!("{kept}{more}{hidden}")
}

impl Host {
    /// Notes what a person is asked for.
    async fn ask_approval(
        &self,
        caller: &Caller,
        print: &CallPrint,
        approval: &Approval,
    ) -> Result<Wanted> {
        let stored = serde_json::to_value(approval).unwrap_or_default();
        let print = print.current();
        caller.scope.put_record(ASKED, print, &stored, Some(HOLDS)).await.map_err(told)?;
        approval.wanted(self, print)
    }

    /// What was asked for under this print, and under which of its hashes.
    async fn asked_approval(
        &self,
        caller: &Caller,
        print: &CallPrint,
    ) -> Result<Option<(String, Approval)>> {
        for hash in print.all() {
            if let Some(approval) = self.approval(caller, hash).await? {
                return Ok(Some((hash.to_owned(), approval)));
            }
        }
        Ok(None)
    }

    /// What is asked for under this print in the caller's tenant.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn approval(&self, caller: &Caller, print: &str) -> Result<Option<Approval>> {
        let stored = caller.scope.record(ASKED, print).await.map_err(told)?;
        Ok(stored.and_then(|stored| serde_json::from_value(stored).ok()))
    }

    /// Takes an approval, so that it serves once; `None` where nothing is approved (any more).
    pub(crate) async fn take_approval(
        &self,
        caller: &Caller,
        print: &str,
        op_id: Uuid,
    ) -> Result<Option<Approval>> {
        let stored = caller.scope.take_record(ASKED, print).await.map_err(told)?;
        let approval = stored.and_then(|stored| serde_json::from_value::<Approval>(stored).ok());
        Ok(approval.filter(|approval| {
            let approved = approval.decided.as_ref().is_some_and(|decided| decided.approved);
            approved && approval.op_id == op_id
        }))
    }

    /// All that the tenant's people are asked for, with the print of each.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn approvals(&self, caller: &Caller) -> Result<Vec<(String, Approval)>> {
        let all = caller.scope.records(ASKED, None, 100).await.map_err(told)?;
        let read = |(print, stored)| Some((print, serde_json::from_value(stored).ok()?));
        Ok(all.into_iter().filter_map(read).collect())
    }

    /// Decides, once, in the name of `person`.
    ///
    /// # Errors
    /// Nobody asks for it any more, it was decided, or the name was not typed.
    pub(crate) async fn decide_approval(
        &self,
        person: &Caller,
        (print, op_id): (&str, Uuid),
        answer: Answer<'_>,
    ) -> Result<Approval> {
        let gone = || {
            Error::new(
                Code::NotFound,
                "Nobody asks for this approval (any more): it is older than five minutes, was used, or is another tenant's. Nothing was done.",
            )
        };
        let mut approval = self
            .approval(person, print)
            .await?
            .filter(|approval| approval.op_id == op_id)
            .ok_or_else(gone)?;
        if let (Answer::Approve(name), Some(wanted)) = (&answer, approval.typed())
            && name.map(str::trim) != Some(wanted)
        {
            return Err(Error::invalid("name", "The name was not typed. Nothing was done."));
        }
        let approved = matches!(answer, Answer::Approve(_));
        let decided = Decided { approved, by: person.actor.clone() };
        let stored = serde_json::to_value(&decided).unwrap_or_default();
        let written = person.scope.change_record(ASKED, print, |value| {
            let same = value.get("op_id") == Some(&json!(op_id));
            let free = same && value.get("decided").is_none_or(Value::is_null);
            if let (true, Some(fields)) = (free, value.as_object_mut()) {
                fields.insert("decided".to_owned(), stored);
            }
            free
        });
        match written.await.map_err(told)? {
            Some(true) => {}
            Some(false) => {
                return Err(Error::new(Code::Conflict, "This was decided before. It stays so."));
            }
            None => return Err(gone()),
        }
        approval.decided = Some(decided);
        self.note_decision(person, &approval).await?;
        Ok(approval)
    }

    /// Tells the audit trail who decided.
    async fn note_decision(&self, person: &Caller, approval: &Approval) -> Result<()> {
        let approved = approval.decided.as_ref().is_some_and(|decided| decided.approved);
        let word = if approved { "approve" } else { "decline" };
        let catalog = self.catalog_of(&person.scope).await?;
        let integration = catalog.find(&approval.tool).map(|entry| entry.integration().id);
        let actor = format!("{}, under {}", person.actor, approval.rule);
        let intent = Intent {
            integration_id: integration.unwrap_or("resto"),
            action: &format!("{}.{word}", approval.tool),
            params: &approval.arguments,
            actor: &actor,
            op_id: Some(approval.op_id),
            unsafe_: false,
            connection: Needs::Nothing,
        };
        let outcome = Outcome::of(ResultStatus::Success);
        person.scope.record_event(intent, outcome).await.map_err(told)
    }

    /// The state with which a client brings its person's answer back: used once, by the same caller, for the same tool.
    ///
    /// # Errors
    /// It cannot be stored.
    pub(crate) async fn approval_state(
        &self,
        caller: &Caller,
        tool: &str,
        wanted: &Wanted,
    ) -> Result<SecretString> {
        let brought = Brought {
            principal: caller.principal.id.to_string(),
            tool: tool.to_owned(),
            print: wanted.print.clone(),
            op_id: wanted.op_id,
        };
        let stored = serde_json::to_value(&brought).unwrap_or_default();
        caller.scope.put_handle(STATE, &stored, HOLDS).await.map_err(told)
    }

    /// What the state of a request stands for, once; `None` for what is no such state of this caller and tool.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn approval_brought(
        &self,
        caller: &Caller,
        tool: &str,
        state: &str,
    ) -> Result<Option<(String, Uuid)>> {
        let state = SecretString::from(state);
        let stored = caller.scope.take_handle(STATE, &state).await.map_err(told)?;
        let brought = stored.and_then(|stored| serde_json::from_value::<Brought>(stored).ok());
        let ours = brought.filter(|brought| {
            brought.principal == caller.principal.id.to_string() && brought.tool == tool
        });
        Ok(ours.map(|brought| (brought.print, brought.op_id)))
    }

    /// What a person is to approve.
    fn approval_of(
        caller: &Caller,
        entry: &Entry<'_>,
        arguments: &Value,
        (op_id, tried, verdict): (Uuid, Tried, &Verdict),
    ) -> Approval {
        let until = caller.scope.now() + HOLDS;
        Approval {
            op_id,
            asked_by: caller.actor.clone(),
            tool: entry.action.tool.clone(),
            title: entry.action.title.clone(),
            risk: entry.action.risk,
            subject: entry.subject(arguments),
            arguments: arguments.clone(),
            draft: tried.draft,
            price: tried.price,
            rule: verdict.rule.clone(),
            until: until.unix_timestamp(),
            decided: None,
        }
    }
}
