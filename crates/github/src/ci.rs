//! Continuous integration: a workflow for a usual stack, proposed in a pull request.

use resto_core::{Action, Api, Code, Error, GitRef, PathSegments, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::commit::CommitFiles;
use crate::objects::NewFile;
use crate::permissions::CI_WRITE;
use crate::pulls::{CreatePullRequest, CreatedPullRequest};
use crate::repos::{Repo, Repository};

/// What a project is built with.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stack {
    /// JavaScript or TypeScript with npm and its lock file.
    Node,
    /// Python, tested with pytest.
    Python,
    /// Rust with Cargo.
    Rust,
    /// Go modules.
    Go,
    /// A Dockerfile, built but not pushed.
    Docker,
}

impl Stack {
    fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Python => "python",
            Self::Rust => "rust",
            Self::Go => "go",
            Self::Docker => "docker",
        }
    }

    /// The version that is meant when none is given; `None` where there are no versions.
    fn usual_version(self) -> Option<&'static str> {
        match self {
            Self::Node => Some("lts/*"),
            Self::Python => Some("3.x"),
            Self::Rust | Self::Go => Some("stable"),
            Self::Docker => None,
        }
    }

    /// The steps of the job after the checkout, as YAML.
    fn steps(self, version: &str) -> String {
        match self {
            Self::Node => format!(
                "
      - uses: actions/setup-node@v7
        with:
          node-version: '{version}'
      - run: npm ci
      - run: npm run build --if-present
      - run: npm run test --if-present
"
            ),
            Self::Python => format!(
                "
      - uses: actions/setup-python@v7
        with:
          python-version: '{version}'
      - run: python -m pip install --upgrade pip pytest
      - run: if [ -f requirements.txt ]; then pip install -r requirements.txt; fi
      - run: if [ -f pyproject.toml ]; then pip install -e .; fi
      - run: python -m pytest
"
            ),
            Self::Rust => format!(
                "
      - run: rustup toolchain install '{version}' --profile minimal
      - run: cargo '+{version}' build --all-targets
      - run: cargo '+{version}' test
"
            ),
            Self::Go => format!(
                "
      - uses: actions/setup-go@v7
        with:
          go-version: '{version}'
      - run: go build ./...
      - run: go vet ./...
      - run: go test ./...
"
            ),
            Self::Docker => "
      - uses: docker/setup-buildx-action@v4
      - uses: docker/build-push-action@v7
        with:
          context: .
          push: false
"
            .to_owned(),
        }
    }

    /// The whole workflow: runs on each push to `base`, and on each pull request.
    fn workflow(self, version: &str, base: &str) -> String {
        let name = self.name();
        let base = base.replace('\'', "''");
        let steps = self.steps(version);
        format!(
            "name: {name}

on:
  push:
    branches: ['{base}']
  pull_request:

permissions:
  contents: read

jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v7{steps}"
        )
    }
}

/// Opens a pull request with a workflow that builds and tests a project on GitHub Actions (CI).
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ConfigureCi {
    #[serde(flatten)]
    at: Repo,
    stack: Stack,
    /// Of the language, such as `3.14`.
    version: Option<String>,
    base: Option<GitRef>,
    /// A new one for the workflow.
    branch: Option<GitRef>,
}

/// A workflow that waits to be merged.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProposedCi {
    /// Number of the pull request. CI runs in it already.
    pub pull_request: u64,
    /// Its page.
    pub url: String,
    /// The branch that holds the workflow.
    pub branch: String,
    /// Path of the workflow.
    pub path: String,
}

impl Action for ConfigureCi {
    const NAME: &'static str = "configure_ci";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "set up CI",
        "continuous integration pipeline",
        "run tests automatically on every commit",
        "add GitHub Actions workflow",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = CI_WRITE;
    type Output = ProposedCi;

    async fn run(self, api: &Api) -> Result<ProposedCi> {
        let version = self.version()?;
        let Repo { owner, repo } = &self.at;
        let base = if let Some(base) = self.base {
            base
        } else {
            let repository: Repository = api.get("/repos/{}/{}", &[owner, repo]).send().await?;
            GitRef(repository.default_branch)
        };
        let name = self.stack.name();
        let path = format!(".github/workflows/{name}.yml");
        let branch = self.branch.unwrap_or_else(|| GitRef(format!("ci/{name}")));
        let title = format!("Build and test with GitHub Actions ({name})");
        let commit = CommitFiles {
            at: self.at.clone(),
            branch: branch.clone(),
            create_branch_from: Some(base.clone()),
            message: title.clone(),
            files: vec![NewFile {
                path: PathSegments(path.clone()),
                text: Some(self.stack.workflow(&version, &base.0)),
                base64: None,
                executable: Some(false),
            }],
            deletions: Vec::new(),
        };
        if !commit.run(api).await?.changed {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "`{}` has exactly this workflow at `{path}` already. Nothing was changed.",
                    base.0
                ),
            ));
        }
        let body = format!(
            "Adds `{path}`, which builds and tests each push to `{}` and each pull request.",
            base.0
        );
        let opening = CreatePullRequest {
            at: self.at,
            title,
            head: branch.0.clone(),
            base: base.0,
            body: Some(body),
            draft: None,
        };
        match opening.run(api).await {
            Ok(CreatedPullRequest { pull_request, .. }) => Ok(ProposedCi {
                pull_request: pull_request.number,
                url: pull_request.url,
                branch: branch.0,
                path,
            }),
            Err(mut error) => {
                let missing = match error.code() {
                    Code::UnknownOutcome => "",
                    _ => "; only the pull request is missing",
                };
                let details = error.details_mut();
                details.message = format!(
                    "{} The workflow is on the new branch `{}`{missing}.",
                    details.message, branch.0
                );
                Err(error)
            }
        }
    }
}

impl ConfigureCi {
    /// The version, which becomes part of a script.
    fn version(&self) -> Result<String> {
        let usual = self.stack.usual_version();
        let Some(version) = self.version.as_deref().or(usual) else { return Ok(String::new()) };
        let fits = usual.is_some()
            && (1..=20).contains(&version.len())
            && version.bytes().all(|b| b.is_ascii_alphanumeric() || b".-*/".contains(&b));
        if !fits {
            return Err(Error::invalid(
                "version",
                format!(
                    "invalid input: `{}` has no such version. Nothing was sent.",
                    self.stack.name()
                ),
            ));
        }
        Ok(version.to_owned())
    }
}

#[cfg(test)]
mod tests;
