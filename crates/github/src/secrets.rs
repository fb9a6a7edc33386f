//! Secrets of workflows. Their values come from the tenant's own secrets and leave sealed; GitHub
//! never tells them again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_box::PublicKey;
use crypto_box::aead::OsRng;
use resto_core::{Action, Api, Code, Error, Page, PageRequest, Result, Risk, SecretRef};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::permissions::{SECRETS_READ, SECRETS_WRITE};
use crate::repos::Repo;

/// The longest value of a secret or a variable, in bytes.
pub(crate) const MAX_VALUE: usize = 48 * 1024;

/// Checks the name of a secret or a variable.
///
/// # Errors
/// GitHub would refuse it.
pub(crate) fn check_name(name: &str) -> Result<()> {
    // https://docs.github.com/actions/reference/security/secrets#naming-your-secrets
    let first_fits = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let all_fit = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let reserved = name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("GITHUB_"));
    if first_fits && all_fit && !reserved {
        return Ok(());
    }
    Err(Error::invalid(
        "name",
        "invalid input: `name` may hold letters, digits and `_`, and may begin neither with a digit nor with `GITHUB_`. Nothing was sent.",
    ))
}

/// A secret without its value.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowSecret {
    /// Its name.
    pub name: String,
    /// When it was first set.
    pub created_at: String,
    /// When it was last set.
    pub updated_at: String,
}

/// Lists the names of a repository's workflow secrets; nobody can read their values.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListWorkflowSecrets {
    #[serde(flatten)]
    at: Repo,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListWorkflowSecrets {
    const NAME: &'static str = "list_workflow_secrets";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "which CI secrets are set",
        "names of secrets in GitHub Actions",
        "which keys and tokens do the workflows have",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = SECRETS_READ;
    type Output = Page<WorkflowSecret>;

    async fn run(self, api: &Api) -> Result<Page<WorkflowSecret>> {
        // https://docs.github.com/rest/actions/secrets#list-repository-secrets
        api.get("/repos/{}/{}/actions/secrets", &[&self.at.owner, &self.at.repo])
            .page(&self.page)
            .list_in("secrets")
            .await
    }
}

/// A secret that was set.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SetSecret {
    /// Its name.
    name: String,
}

/// Sets a secret of a repository's workflows from a stored one, new or replaced; its value is never shown.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SetWorkflowSecret {
    #[serde(flatten)]
    at: Repo,
    /// Such as `DEPLOY_KEY`.
    name: String,
    /// Name of the stored secret with the value; a person is asked for a missing one.
    from: SecretRef,
}

#[derive(Deserialize)]
struct RepositoryKey {
    key_id: String,
    key: String,
}

impl Action for SetWorkflowSecret {
    const NAME: &'static str = "set_workflow_secret";
    const RISK: Risk = Risk::Write;
    const PHRASES: &'static [&'static str] =
        &["add a CI secret", "store a token for GitHub Actions", "rotate a deploy key"];
    const PERMISSIONS: &'static [&'static [&'static str]] = SECRETS_WRITE;
    type Output = SetSecret;

    async fn run(self, api: &Api) -> Result<SetSecret> {
        check_name(&self.name)?;
        let Repo { owner, repo } = &self.at;
        // https://docs.github.com/rest/actions/secrets#get-a-repository-public-key
        let key: RepositoryKey =
            api.get("/repos/{}/{}/actions/secrets/public-key", &[owner, repo]).send().await?;
        let sealed = seal(&key.key, &api.secret(&self.from).await?)?;
        // https://docs.github.com/rest/actions/secrets#create-or-update-a-repository-secret
        api.put("/repos/{}/{}/actions/secrets/{}", &[owner, repo, &self.name])
            .json(&json!({"encrypted_value": sealed, "key_id": key.key_id}))
            .send_empty()
            .await?;
        Ok(SetSecret { name: self.name })
    }
}

/// A value in libsodium's sealed box, which only the holder of the key's other half can open.
fn seal(key: &str, value: &SecretString) -> Result<String> {
    let key =
        STANDARD.decode(key).ok().and_then(|bytes| PublicKey::from_slice(&bytes).ok()).ok_or_else(
            || {
                Error::new(
                    Code::ProviderDown,
                    "GitHub sent a public key that we do not understand. Nothing was set.",
                )
            },
        )?;
    // EXPOSE: sealed here, and only the sealed bytes leave this function.
    let plain = value.expose_secret().as_bytes();
    if plain.is_empty() || plain.len() > MAX_VALUE {
        return Err(Error::invalid(
            "from",
            "invalid input: GitHub takes a secret of 1 byte to 48 KB, and the stored one is not. Nothing was set.",
        ));
    }
    let sealed = key.seal(&mut OsRng, plain).map_err(|_| {
        Error::new(Code::Internal, "The secret cannot be encrypted. Nothing was set.")
    })?;
    Ok(STANDARD.encode(sealed))
}

#[cfg(test)]
mod tests {
    use crypto_box::SecretKey;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GITHUB;

    const KEY: &str = "/repos/octocat/hello/actions/secrets/public-key";
    const DEPLOY_KEY: &str = "/repos/octocat/hello/actions/secrets/DEPLOY_KEY";
    const PLAIN: &str = "a plain value for a test";

    async fn fake(github: &SecretKey) -> FakeApi {
        FakeApi::new(&GITHUB)
            .await
            .on("GET", KEY, 200, json!({"key_id": "568250167242549743", "key": STANDARD.encode(github.public_key().as_bytes())}))
            .on("PUT", DEPLOY_KEY, 201, json!({}))
            .on("PUT", DEPLOY_KEY, 204, Value::Null)
    }

    fn asked() -> Value {
        json!({"owner": "octocat", "repo": "hello", "name": "DEPLOY_KEY", "from": "deploy-key"})
    }

    #[tokio::test]
    async fn only_github_can_open_what_was_sent() {
        let github = SecretKey::generate(&mut OsRng);
        let fake = fake(&github).await.with_secret("deploy-key", PLAIN);
        // The first sets it (201), the second replaces it (204).
        for _ in 0..2 {
            let told = fake.run::<SetWorkflowSecret>(asked()).await.unwrap();
            assert_eq!(told, json!({"name": "DEPLOY_KEY"}));
        }
        let requests = fake.requests().await;
        let boxes: Vec<&str> = requests
            .iter()
            .filter(|request| request.method == "PUT")
            .map(|request| request.body["encrypted_value"].as_str().unwrap())
            .collect();
        assert_eq!(boxes.len(), 2);
        assert_ne!(boxes[0], boxes[1], "each box has a key of its own");
        for sealed in boxes {
            let opened = github.unseal(&STANDARD.decode(sealed).unwrap()).unwrap();
            assert_eq!(opened, PLAIN.as_bytes());
        }
        assert_eq!(requests[1].body["key_id"], "568250167242549743");
        let encoded = STANDARD.encode(PLAIN);
        for request in &requests {
            let all = format!("{request:?}");
            assert!(!all.contains(PLAIN) && !all.contains(encoded.trim_end_matches('=')));
        }
    }

    #[tokio::test]
    async fn a_secret_that_is_not_stored_is_not_set() {
        let fake = fake(&SecretKey::generate(&mut OsRng)).await;
        let error = fake.run::<SetWorkflowSecret>(asked()).await.unwrap_err();
        assert_eq!(error.code(), Code::ActionRequired);
        assert!(fake.requests().await.iter().all(|request| request.method == "GET"));
    }

    #[tokio::test]
    async fn refuses_a_value_that_github_would_not_take() {
        for value in [String::new(), "x".repeat(MAX_VALUE + 1)] {
            let fake =
                fake(&SecretKey::generate(&mut OsRng)).await.with_secret("deploy-key", &value);
            let error = fake.run::<SetWorkflowSecret>(asked()).await.unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some("from"));
            assert!(fake.requests().await.iter().all(|request| request.method == "GET"));
        }
        let whole = "x".repeat(MAX_VALUE);
        let fake = fake(&SecretKey::generate(&mut OsRng)).await.with_secret("deploy-key", &whole);
        assert!(fake.run::<SetWorkflowSecret>(asked()).await.is_ok());
    }

    #[tokio::test]
    async fn refuses_a_key_that_is_none() {
        let fake = FakeApi::new(&GITHUB)
            .await
            .on("GET", KEY, 200, json!({"key_id": "1", "key": "c2hvcnQ="}))
            .with_secret("deploy-key", PLAIN);
        let error = fake.run::<SetWorkflowSecret>(asked()).await.unwrap_err();
        assert_eq!(error.code(), Code::ProviderDown);
        assert!(!error.message().contains(PLAIN));
    }

    #[tokio::test]
    async fn refuses_a_name_that_github_would_not_take() {
        let fake = FakeApi::new(&GITHUB).await.with_secret("deploy-key", PLAIN);
        for name in ["", "1ST", "DEPLOY-KEY", "DEPLOY KEY", "GITHUB_KEY", "github_key", "KEY\u{e9}"]
        {
            let mut asked = asked();
            asked["name"] = name.into();
            let error = fake.run::<SetWorkflowSecret>(asked).await.unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some("name"), "{name}");
        }
        assert!(fake.requests().await.is_empty());
        for name in ["DEPLOY_KEY", "_key2", "GITHUB"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
    }

    #[tokio::test]
    async fn lists_names_and_no_values() {
        let fake = FakeApi::new(&GITHUB).await.on(
            "GET",
            "/repos/octocat/hello/actions/secrets",
            200,
            json!({"total_count": 1, "secrets": [{"name": "DEPLOY_KEY", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z"}]}),
        );
        let page = fake
            .run::<ListWorkflowSecrets>(json!({"owner": "octocat", "repo": "hello"}))
            .await
            .unwrap();
        assert_eq!(
            page["items"],
            json!([{"name": "DEPLOY_KEY", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z"}])
        );
    }
}
