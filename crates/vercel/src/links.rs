//! The repository that a project is linked to. Each host of repositories names it differently.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A linked repository.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Answer")]
pub struct Link {
    /// Where it is kept: `github`, `gitlab`, `bitbucket`, ...
    pub host: String,
    /// `owner/name`.
    pub full_name: Option<String>,
    /// The branch that the public sees.
    pub production_branch: Option<String>,
    #[serde(skip)]
    ids: Ids,
}

/// What a deployment names the repository by.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Ids {
    #[serde(default)]
    repo_id: Option<Value>,
    #[serde(default)]
    project_id: Option<Value>,
    #[serde(default)]
    uuid: Option<String>,
    #[serde(default)]
    workspace_uuid: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(rename = "type")]
    host: String,
    #[serde(default)]
    org: Option<String>,
    #[serde(default)]
    repo: Option<String>,
    #[serde(default)]
    project_name_with_namespace: Option<String>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    slug: Option<String>,
    #[serde(default)]
    production_branch: Option<String>,
    #[serde(flatten)]
    ids: Ids,
}

impl From<Answer> for Link {
    fn from(answer: Answer) -> Self {
        let pair = |owner: Option<String>, name: Option<String>| {
            owner.zip(name).map(|(owner, name)| format!("{owner}/{name}"))
        };
        Self {
            host: answer.host,
            full_name: pair(answer.org, answer.repo)
                .or(answer.project_name_with_namespace)
                .or_else(|| pair(answer.owner, answer.slug)),
            production_branch: answer.production_branch,
            ids: answer.ids,
        }
    }
}

impl Link {
    /// What to deploy of it, as a new deployment wants it; `None` where the host is not known.
    pub(crate) fn source(&self, reference: &str, sha: Option<&str>) -> Option<Value> {
        let Ids { repo_id, project_id, uuid, workspace_uuid } = &self.ids;
        let mut source = match self.host.as_str() {
            "gitlab" => json!({"projectId": project_id.as_ref()?}),
            "bitbucket" => {
                json!({"repoUuid": uuid.as_ref()?, "workspaceUuid": workspace_uuid.as_ref()?})
            }
            _ => json!({"repoId": repo_id.as_ref()?}),
        };
        let fields = source.as_object_mut()?;
        fields.insert("type".to_owned(), self.host.clone().into());
        fields.insert("ref".to_owned(), reference.into());
        if let Some(sha) = sha {
            fields.insert("sha".to_owned(), sha.into());
        }
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_repository_as_its_host_does() {
        for (link, full_name, source) in [
            (
                json!({"type": "github", "org": "acme", "repo": "shop", "repoId": 42, "productionBranch": "main"}),
                "acme/shop",
                json!({"repoId": 42, "type": "github", "ref": "main"}),
            ),
            (
                json!({"type": "gitlab", "projectId": "7", "projectNameWithNamespace": "acme/shop"}),
                "acme/shop",
                json!({"projectId": "7", "type": "gitlab", "ref": "main"}),
            ),
            (
                json!({"type": "bitbucket", "name": "Shop", "slug": "shop", "owner": "acme", "uuid": "{u}", "workspaceUuid": "{w}"}),
                "acme/shop",
                json!({"repoUuid": "{u}", "workspaceUuid": "{w}", "type": "bitbucket", "ref": "main"}),
            ),
        ] {
            let link: Link = serde_json::from_value(link).unwrap();
            assert_eq!(link.full_name.as_deref(), Some(full_name));
            assert_eq!(link.source("main", None), Some(source));
        }
    }

    #[test]
    fn a_host_that_is_not_known_is_told_but_not_deployed() {
        let link: Link = serde_json::from_value(json!({"type": "pijul"})).unwrap();
        assert_eq!((link.host.as_str(), link.full_name.as_deref()), ("pijul", None));
        assert_eq!(link.source("main", None), None);
    }
}
