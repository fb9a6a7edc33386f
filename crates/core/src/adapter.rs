//! An integration and its actions, with their types erased so that a host can list and run them.

use std::collections::BTreeSet;
use std::future::Future;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::schema::{drop_nulls, input, output};
use crate::{Action, Api, BoxFuture, Code, Error, Integration, Part, Result, Risk};

/// Whose account a credential opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The provider's stable id of it.
    pub id: String,
    /// As a person recognises it.
    pub name: String,
    /// Such as `test` or `live`, where the provider tells them apart.
    pub mode: Option<String>,
    /// What the credential may do there.
    pub permissions: Permissions,
    /// When a key stops working, in seconds since 1970; none where it has no end, or its provider does not tell.
    pub ends_at: Option<i64>,
}

/// What a credential may do, as far as its provider says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permissions {
    /// Exactly these.
    Known(BTreeSet<String>),
    /// The provider cannot be asked; each action is tried, and its answer teaches.
    Unknown,
}

/// What shows that a credential no longer works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The provider revoked it.
    Revoked,
    /// Only a person can revoke it, here.
    PersonMust {
        /// What to do.
        instruction: String,
        /// Where.
        url: String,
    },
}

/// What an integration does when an account comes and goes.
pub trait Lifecycle: 'static {
    /// The collections of the tenant's documents in which we keep what we created at the account: forgotten when
    /// another account takes its place.
    const MADE: &'static [&'static str] = &[];

    /// Tests the credential: whose account is it, and what may it do?
    ///
    /// # Errors
    /// The provider refuses it or cannot be reached.
    fn identify(api: &Api) -> impl Future<Output = Result<Account>> + Send;

    /// Removes what we created at the provider for our own use.
    ///
    /// # Errors
    /// The provider refuses or cannot be reached.
    #[must_use]
    fn clean_up(_api: &Api) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Revokes the credential at the provider.
    ///
    /// # Errors
    /// The provider refuses or cannot be reached.
    fn revoke(api: &Api) -> impl Future<Output = Result<Proof>> + Send;
}

/// A step in the life of an account.
pub type Step<T> = Box<dyn for<'a> Fn(&'a Api) -> BoxFuture<'a, Result<T>> + Send + Sync>;

/// What runs an action with its arguments.
pub type Run = Box<dyn for<'a> Fn(Value, &'a Api) -> BoxFuture<'a, Result<Value>> + Send + Sync>;

/// The steps of [`Lifecycle`], in its order.
pub type Steps = (Step<Account>, Step<()>, Step<Proof>);

/// An integration and its actions.
pub struct Adapter {
    /// The facts.
    pub integration: &'static Integration,
    /// See [`Lifecycle::MADE`].
    pub made: &'static [&'static str],
    /// How to work with it, for agents: a skill, as <https://agentskills.io/specification> has it.
    pub skill: Option<&'static str>,
    identify: Step<Account>,
    clean_up: Step<()>,
    revoke: Step<Proof>,
    actions: Vec<ActionSpec>,
}

impl Adapter {
    /// An adapter without actions.
    #[must_use]
    pub fn new<L: Lifecycle>(integration: &'static Integration) -> Self {
        let steps: Steps = (
            Box::new(|api: &Api| Box::pin(L::identify(api)) as BoxFuture<'_, _>),
            Box::new(|api: &Api| Box::pin(L::clean_up(api)) as BoxFuture<'_, _>),
            Box::new(|api: &Api| Box::pin(L::revoke(api)) as BoxFuture<'_, _>),
        );
        Self { made: L::MADE, ..Self::with(integration, steps, Vec::new()) }
    }

    /// An adapter of which only the running program knows what it does: to identify the account, to clean up there, to
    /// revoke the credential, and its actions.
    #[must_use]
    pub fn with(
        integration: &'static Integration,
        (identify, clean_up, revoke): Steps,
        actions: Vec<ActionSpec>,
    ) -> Self {
        Self { integration, made: &[], skill: None, identify, clean_up, revoke, actions }
    }

    /// Says how to work with it: the text of a `SKILL.md`.
    #[must_use]
    pub fn skill(mut self, skill: &'static str) -> Self {
        self.skill = Some(skill);
        self
    }

    /// Adds an action.
    #[must_use]
    pub fn action<A: Action>(mut self) -> Self {
        self.actions.push(ActionSpec::of::<A>(self.integration));
        self
    }

    /// Its actions, in the order in which they were added.
    #[must_use]
    pub fn actions(&self) -> &[ActionSpec] {
        &self.actions
    }

    /// See [`Lifecycle::identify`].
    ///
    /// # Errors
    /// As there.
    pub async fn identify(&self, api: &Api) -> Result<Account> {
        (self.identify)(api).await
    }

    /// See [`Lifecycle::clean_up`].
    ///
    /// # Errors
    /// As there.
    pub async fn clean_up(&self, api: &Api) -> Result<()> {
        (self.clean_up)(api).await
    }

    /// See [`Lifecycle::revoke`].
    ///
    /// # Errors
    /// As there.
    pub async fn revoke(&self, api: &Api) -> Result<Proof> {
        (self.revoke)(api).await
    }
}

/// An action with its types erased.
pub struct ActionSpec {
    /// `<integration>_<verb>_<object>`.
    pub tool: String,
    /// The verb and the object, as a person reads them: `Merge pull request`.
    pub title: String,
    /// What it does, from the doc comment of the struct.
    pub description: String,
    /// The worst that it can do.
    pub risk: Risk,
    /// What a business says when it wants this.
    pub phrases: &'static [&'static str],
    /// [`Action::tells_outsiders`] with these arguments; also where they cannot be read.
    pub outsiders: fn(&Value) -> bool,
    /// What a person sees of the result.
    pub view: &'static [Part],
    /// Any one of these sets of rights, each set whole.
    pub permissions: &'static [&'static [&'static str]],
    /// The schema of the arguments (JSON Schema 2020-12).
    pub input_schema: Map<String, Value>,
    /// Makes the schema of the result, which only whoever publishes it needs.
    pub output_schema: fn() -> Map<String, Value>,
    /// Why it must not run now, and what a person does about it; `None`: it may.
    pub held: Option<String>,
    /// What runs it.
    pub runs: Run,
}

impl ActionSpec {
    fn of<A: Action>(integration: &Integration) -> Self {
        let (input_schema, description) = input::<A>();
        Self {
            tool: format!("{}_{}", integration.id.replace('-', "_"), A::NAME),
            title: title(A::NAME),
            description,
            risk: A::RISK,
            phrases: A::PHRASES,
            outsiders: |arguments| {
                A::deserialize(arguments).map_or(true, |action| action.tells_outsiders())
            },
            view: A::VIEW,
            permissions: A::PERMISSIONS,
            input_schema,
            output_schema: output::<A::Output>,
            held: None,
            runs: Box::new(|arguments, api: &Api| {
                Box::pin(run::<A>(arguments, api)) as BoxFuture<'_, _>
            }),
        }
    }

    /// Runs it with arguments that fit its input schema.
    ///
    /// # Errors
    /// The arguments do not fit, or what the action reports.
    pub async fn run(&self, arguments: Value, api: &Api) -> Result<Value> {
        (self.runs)(arguments, api).await
    }
}

async fn run<A: Action>(arguments: Value, api: &Api) -> Result<Value> {
    let action: A = serde_json::from_value(arguments)
        .map_err(|error| Error::new(Code::InvalidInput, format!("invalid input: {error}")))?;
    let output = action.run(api).await?;
    let mut value = serde_json::to_value(output).map_err(|error| {
        Error::new(Code::Internal, format!("the result cannot be written: {error}"))
    })?;
    drop_nulls(&mut value);
    Ok(value)
}

fn title(name: &str) -> String {
    let mut words = name.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}
