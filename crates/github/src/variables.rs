//! Variables of workflows: settings that anybody who sees the repository's Actions may read.

use resto_core::{Action, Api, Error, Result, Risk};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::permissions::VARIABLES_WRITE;
use crate::repos::Repo;
use crate::secrets::{MAX_VALUE, check_name};

/// A variable that was set.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SetVariable {
    /// Its name.
    name: String,
    /// Whether it is new.
    created: bool,
}

/// Sets a variable of a repository's workflows, new or replaced. Not for secrets: many can read it.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SetWorkflowVariable {
    #[serde(flatten)]
    at: Repo,
    /// Such as `REGION`.
    name: String,
    /// At most 48 KB.
    value: String,
}

impl Action for SetWorkflowVariable {
    const NAME: &'static str = "set_workflow_variable";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "CI configuration value",
        "set a variable for GitHub Actions",
        "setting that CI reads",
        "plain value for a pipeline",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = VARIABLES_WRITE;
    type Output = SetVariable;

    async fn run(self, api: &Api) -> Result<SetVariable> {
        check_name(&self.name)?;
        if self.value.len() > MAX_VALUE {
            return Err(Error::invalid(
                "value",
                "invalid input: `value` is longer than 48 KB. Nothing was sent.",
            ));
        }
        let Repo { owner, repo } = &self.at;
        // https://docs.github.com/rest/actions/variables#get-a-repository-variable
        let known: Option<IgnoredAny> = api
            .get("/repos/{}/{}/actions/variables/{}", &[owner, repo, &self.name])
            .send_optional()
            .await?;
        // https://docs.github.com/rest/actions/variables#update-a-repository-variable
        // https://docs.github.com/rest/actions/variables#create-a-repository-variable
        let request = match known {
            Some(_) => api
                .patch("/repos/{}/{}/actions/variables/{}", &[owner, repo, &self.name])
                .json(&json!({"value": self.value})),
            None => api
                .post("/repos/{}/{}/actions/variables", &[owner, repo])
                .json(&json!({"name": self.name, "value": self.value})),
        };
        request.send_empty().await?;
        Ok(SetVariable { name: self.name, created: known.is_none() })
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Code;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GITHUB;

    const VARIABLES: &str = "/repos/octocat/hello/actions/variables";
    const REGION: &str = "/repos/octocat/hello/actions/variables/REGION";

    /// The trimmed official description lacks the look at one variable.
    async fn fake() -> FakeApi {
        FakeApi::new(&GITHUB).await
    }

    fn asked() -> Value {
        json!({"owner": "octocat", "repo": "hello", "name": "REGION", "value": "eu"})
    }

    #[tokio::test]
    async fn creates_a_variable_that_is_not_there() {
        let fake = fake().await.on("GET", REGION, 404, json!({"message": "Not Found"})).on(
            "POST",
            VARIABLES,
            201,
            json!({}),
        );
        let told = fake.run::<SetWorkflowVariable>(asked()).await.unwrap();
        assert_eq!(told, json!({"name": "REGION", "created": true}));
        let requests = fake.requests().await;
        assert_eq!(requests[1].method, "POST");
        assert_eq!(requests[1].body, json!({"name": "REGION", "value": "eu"}));
    }

    #[tokio::test]
    async fn replaces_a_variable_that_is_there() {
        let fake = fake()
            .await
            .on("GET", REGION, 200, json!({"name": "REGION", "value": "us"}))
            .on("PATCH", REGION, 204, Value::Null);
        let told = fake.run::<SetWorkflowVariable>(asked()).await.unwrap();
        assert_eq!(told, json!({"name": "REGION", "created": false}));
        assert_eq!(fake.requests().await[1].body, json!({"value": "eu"}));
    }

    #[tokio::test]
    async fn says_that_somebody_else_created_it_meanwhile() {
        let fake = fake().await.on("GET", REGION, 404, json!({"message": "Not Found"})).on(
            "POST",
            VARIABLES,
            409,
            json!({"message": "Already exists - Variable already exists"}),
        );
        let error = fake.run::<SetWorkflowVariable>(asked()).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
    }

    #[tokio::test]
    async fn refuses_what_github_would_not_take() {
        let fake = fake().await;
        for (field, value) in
            [("name", "GITHUB_REGION".to_owned()), ("value", "x".repeat(MAX_VALUE + 1))]
        {
            let mut asked = asked();
            asked[field] = value.into();
            let error = fake.run::<SetWorkflowVariable>(asked).await.unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some(field));
        }
        assert!(fake.requests().await.is_empty());
    }
}
