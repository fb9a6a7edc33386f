//! Environment variables of projects. Their values go to Vercel and never come back from it.

use resto_core::{Action, Api, Code, Error, Page, Result, Risk, SecretRef, clean};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::permissions::{VARIABLES_READ, VARIABLES_WRITE};
use crate::projects::ProjectIn;
use crate::times::At;

/// An environment variable without its value.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Variable {
    /// Stable id, which removes it.
    #[serde(default)]
    pub id: Option<String>,
    /// Its name.
    #[serde(rename(deserialize = "key"))]
    pub name: String,
    /// `sensitive` (nobody can read it again), `encrypted`, `plain`, `system`, ...
    #[serde(rename(deserialize = "type"))]
    pub kind: String,
    /// Where it is set: `production`, `preview`, `development`.
    #[serde(default, rename(deserialize = "target"), deserialize_with = "one_or_many")]
    pub environments: Vec<String>,
    /// The only branch whose previews have it.
    #[serde(default, rename(deserialize = "gitBranch"))]
    pub git_branch: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub comment: Option<String>,
    /// When it last changed.
    #[serde(default, rename(deserialize = "updatedAt"))]
    pub updated_at: Option<At>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::Many(items) => items,
            Self::One(item) => vec![item],
        }
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<OneOrMany<String>>::deserialize(value)?
        .map(OneOrMany::into_vec)
        .unwrap_or_default())
}

/// Lists the names of a project's environment variables; their values are not shown.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListEnvironmentVariables {
    #[serde(flatten)]
    at: ProjectIn,
    /// Of its previews only.
    git_branch: Option<String>,
}

impl Action for ListEnvironmentVariables {
    const NAME: &'static str = "list_environment_variables";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["which env vars are set", "configuration of the app", "Umgebungsvariablen anzeigen"];
    const PERMISSIONS: &'static [&'static [&'static str]] = VARIABLES_READ;
    type Output = Page<Variable>;

    async fn run(self, api: &Api) -> Result<Page<Variable>> {
        // They come at once; Vercel keeps at most a thousand.
        let listed = list(api, &self.at, self.git_branch.as_deref()).await?;
        Ok(Page { next_cursor: None, ..listed })
    }
}

async fn list(api: &Api, at: &ProjectIn, git_branch: Option<&str>) -> Result<Page<Variable>> {
    // https://vercel.com/docs/rest-api/projects/retrieve-the-environment-variables-of-a-project-by-id-or-name
    at.scope
        .on(api, api.get("/v10/projects/{}/env", &[&at.project]))
        .query("gitBranch", git_branch)
        .list_in("envs")
        .await
}

/// Where a variable is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Environment {
    Production,
    Preview,
    Development,
}

/// Sets an environment variable, new or replaced. It takes effect with the next deployment.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SetEnvironmentVariable {
    #[serde(flatten)]
    at: ProjectIn,
    /// Such as `DATABASE_URL`.
    name: String,
    /// No secret: people of the project can read it.
    value: Option<String>,
    /// Or the name of the stored secret with the value; a person is asked for a missing one.
    value_from: Option<SecretRef>,
    /// Default production and preview. A secret for `development` is set apart.
    environments: Option<Vec<Environment>>,
    /// Of previews only.
    git_branch: Option<String>,
    comment: Option<String>,
}

impl Action for SetEnvironmentVariable {
    const NAME: &'static str = "set_environment_variable";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] = &[
        "add an env var",
        "set an API key for the app",
        "DATABASE_URL",
        "Umgebungsvariable setzen",
        "variable d'environnement",
        "variable de entorno",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = VARIABLES_WRITE;
    type Output = Variable;

    async fn run(self, api: &Api) -> Result<Variable> {
        let environments = match &self.environments {
            Some(given) if !given.is_empty() => given.clone(),
            _ if self.git_branch.is_some() => vec![Environment::Preview],
            _ => vec![Environment::Production, Environment::Preview],
        };
        match (self.value.clone(), &self.value_from) {
            (Some(value), None) => self.set(api, &value, "encrypted", &environments).await,
            (None, Some(from)) => {
                let kind = secret_kind(&environments)?;
                let secret: SecretString = api.secret(from).await?;
                // EXPOSE: sent to Vercel, which is what it was stored for.
                let value = secret.expose_secret();
                let set = self.set(api, value, kind, &environments).await;
                set.map_err(|error| withhold(error, &self.name, value))
            }
            _ => Err(Error::invalid(
                "value",
                "invalid input: give `value` or `value_from`, one of them. Nothing was sent.",
            )),
        }
    }
}

/// What a secret is stored as. Vercel takes no sensitive value for development.
fn secret_kind(environments: &[Environment]) -> Result<&'static str> {
    match environments {
        [Environment::Development] => Ok("encrypted"),
        several if several.contains(&Environment::Development) => Err(Error::invalid(
            "environments",
            "invalid input: Vercel cannot hide a value from those who work in `development`. Set the secret for production and preview, and in a call of its own for development. Nothing was sent.",
        )),
        _ => Ok("sensitive"),
    }
}

impl SetEnvironmentVariable {
    async fn set(
        &self,
        api: &Api,
        value: &str,
        kind: &str,
        environments: &[Environment],
    ) -> Result<Variable> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            created: Option<OneOrMany<Variable>>,
            #[serde(default)]
            failed: Vec<Failed>,
        }
        // https://vercel.com/docs/rest-api/projects/create-one-or-more-environment-variables
        let answer: Answer = self
            .at
            .scope
            .on(api, api.post("/v10/projects/{}/env", &[&self.at.project]))
            .query("upsert", "true")
            .fields(json!({
                "key": self.name,
                "value": value,
                "type": kind,
                "target": environments,
                "gitBranch": self.git_branch,
                "comment": self.comment,
            }))
            .send()
            .await?;
        if let Some(failed) = answer.failed.first() {
            return Err(failed.told(&self.name));
        }
        let mut created = answer.created.map(OneOrMany::into_vec).unwrap_or_default();
        created.pop().ok_or_else(|| {
            Error::new(
                Code::UnknownOutcome,
                format!("Vercel does not say whether it set `{}`. List the variables.", self.name),
            )
        })
    }
}

/// What Vercel did not set, inside an answer that calls itself a success.
#[derive(Deserialize)]
struct Failed {
    error: Reason,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Failed {
    fn told(&self, name: &str) -> Error {
        let word = self.error.code.to_ascii_lowercase();
        let code = if word.contains("already") || word.contains("conflict") {
            Code::Conflict
        } else if word.contains("forbidden") || word.contains("not_authorized") {
            Code::PermissionDenied
        } else {
            Code::InvalidInput
        };
        let said: String = clean(&self.error.message).chars().take(300).collect();
        let said = said.trim_end_matches('.');
        let mut error = Error::new(code, format!("Vercel did not set `{name}`: {said}."));
        error.details_mut().provider = Some("Vercel".to_owned());
        error
    }
}

/// The error without its words, if they repeat the secret.
fn withhold(error: Error, name: &str, secret: &str) -> Error {
    if secret.is_empty() || !error.message().contains(secret) {
        return error;
    }
    let mut told = error;
    told.details_mut().message = format!(
        "Vercel did not set `{name}`. Its reason is withheld, because it repeats the value. Check the stored secret."
    );
    told
}

/// Removes an environment variable. Its value is lost: nobody reads it back; it is gone with the next deployment.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RemoveEnvironmentVariable {
    #[serde(flatten)]
    at: ProjectIn,
    /// From `list_environment_variables`.
    variable_id: String,
}

impl Action for RemoveEnvironmentVariable {
    const NAME: &'static str = "remove_environment_variable";
    const RISK: Risk = Risk::Irreversible;
    const PHRASES: &'static [&'static str] =
        &["delete an env var", "unset a configuration value", "remove an API key from the app"];
    const PERMISSIONS: &'static [&'static [&'static str]] = VARIABLES_WRITE;
    type Output = Variable;

    async fn run(self, api: &Api) -> Result<Variable> {
        let look = async || {
            let listed = list(api, &self.at, None).await?;
            let is_part = listed.next_cursor.is_some();
            let is_it = |one: &Variable| one.id.as_ref() == Some(&self.variable_id);
            listed.items.into_iter().find(is_it).ok_or_else(|| {
                let (code, what) = if is_part {
                    (Code::ProviderDown, "Vercel lists only a part of the variables.")
                } else {
                    (Code::NotFound, "The project has no such variable. List them.")
                };
                Error::new(code, what)
            })
        };
        // First: whoever was never shown it is told the same as after the removal.
        let was = look().await?;
        // https://vercel.com/docs/rest-api/projects/remove-an-environment-variable
        self.at
            .scope
            .on(api, api.delete("/v9/projects/{}/env/{}", &[&self.at.project, &self.variable_id]))
            .send_or_gone(look)
            .await?;
        Ok(was)
    }
}

#[cfg(test)]
#[path = "variables/tests.rs"]
mod tests;
