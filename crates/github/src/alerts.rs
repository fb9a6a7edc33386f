//! Security alerts: dependencies with known holes, as Dependabot finds them.

use resto_core::{Action, Api, Code, Error, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::permissions::ALERTS_READ;
use crate::repos::Repo;

/// How bad a hole is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Least.
    Low,
    /// More.
    Medium,
    /// Much.
    High,
    /// Worst.
    Critical,
}

/// What became of an alert.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Nothing yet.
    #[default]
    Open,
    /// A safe version is used now.
    Fixed,
    /// A person decided that it does not matter.
    Dismissed,
}

/// Lists dependencies with known security holes (Dependabot alerts), the newest first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListSecurityAlerts {
    #[serde(flatten)]
    at: Repo,
    #[serde(default)]
    state: AlertState,
    severity: Option<Severity>,
    #[serde(flatten)]
    page: PageRequest,
}

/// A dependency with a known hole.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SecurityAlert {
    /// Its number in the repository.
    pub number: u64,
    /// `open`, `fixed`, `dismissed` or `auto_dismissed`.
    pub state: String,
    /// `low`, `medium`, `high` or `critical`.
    pub severity: String,
    /// What can happen, in a line.
    pub summary: String,
    /// The dependency.
    pub package: String,
    /// Where the dependency comes from, such as `npm` or `pip`.
    pub ecosystem: String,
    /// The file that asks for it.
    pub manifest_path: String,
    /// The unsafe versions.
    pub vulnerable_versions: String,
    /// The first safe version; absent if there is none yet.
    pub fixed_in: Option<String>,
    /// Its CVE id.
    pub cve: Option<String>,
    /// When it was found.
    pub created_at: String,
    /// Its page.
    pub url: String,
}

#[derive(Deserialize)]
struct Answer {
    number: u64,
    state: String,
    html_url: String,
    created_at: String,
    dependency: Dependency,
    security_advisory: Advisory,
    security_vulnerability: Vulnerability,
}

#[derive(Deserialize)]
struct Dependency {
    #[serde(default)]
    manifest_path: String,
}

#[derive(Deserialize)]
struct Advisory {
    summary: String,
    cve_id: Option<String>,
}

#[derive(Deserialize)]
struct Vulnerability {
    package: Package,
    severity: String,
    vulnerable_version_range: String,
    first_patched_version: Option<Version>,
}

#[derive(Deserialize)]
struct Package {
    ecosystem: String,
    name: String,
}

#[derive(Deserialize)]
struct Version {
    identifier: String,
}

impl From<Answer> for SecurityAlert {
    fn from(answer: Answer) -> Self {
        let hole = answer.security_vulnerability;
        Self {
            number: answer.number,
            state: answer.state,
            severity: hole.severity,
            summary: answer.security_advisory.summary,
            package: hole.package.name,
            ecosystem: hole.package.ecosystem,
            manifest_path: answer.dependency.manifest_path,
            vulnerable_versions: hole.vulnerable_version_range,
            fixed_in: hole.first_patched_version.map(|version| version.identifier),
            cve: answer.security_advisory.cve_id,
            created_at: answer.created_at,
            url: answer.html_url,
        }
    }
}

impl Action for ListSecurityAlerts {
    const NAME: &'static str = "list_security_alerts";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "vulnerable dependencies",
        "security problems in our packages",
        "Dependabot",
        "CVE",
        "are we affected by a vulnerability",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ALERTS_READ;
    type Output = Page<SecurityAlert>;

    async fn run(self, api: &Api) -> Result<Page<SecurityAlert>> {
        let Repo { owner, repo } = &self.at;
        // https://docs.github.com/rest/dependabot/alerts#list-dependabot-alerts-for-a-repository
        let answer: Result<Page<Answer>> = api
            .get("/repos/{}/{}/dependabot/alerts", &[owner, repo])
            .query("state", self.state)
            .query("severity", self.severity)
            .page(&self.page)
            .list()
            .await;
        match answer {
            Ok(page) => Ok(page.map(SecurityAlert::from)),
            // A 403, as if a right were missing.
            Err(error) if error.message().contains("alerts are disabled") => Err(Error::new(
                Code::ActionRequired,
                format!("Dependabot alerts are switched off for {owner}/{repo}, so GitHub does not look for unsafe dependencies. A person switches them on in the repository's security settings."),
            )
            .url(format!("https://github.com/{owner}/{repo}/settings/security_analysis"))),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::json;

    use super::*;
    use crate::GITHUB;

    const PATH: &str = "/repos/o/r/dependabot/alerts";

    #[tokio::test]
    async fn lists_open_alerts_page_by_page() {
        let alert = json!({"number": 2, "state": "open", "html_url": "https://github.com/o/r/security/dependabot/2", "created_at": "2026-01-01T00:00:00Z",
            "dependency": {"package": {"ecosystem": "npm", "name": "left-pad"}, "manifest_path": "package-lock.json"},
            "security_advisory": {"summary": "Pads too far", "cve_id": null},
            "security_vulnerability": {"package": {"ecosystem": "npm", "name": "left-pad"}, "severity": "high",
                "vulnerable_version_range": "< 1.2.0", "first_patched_version": {"identifier": "1.2.0"}}});
        let fake = FakeApi::new(&GITHUB).await.on_with(
            "GET",
            PATH,
            200,
            &[("link", "<https://api.github.com/repositories/1/dependabot/alerts?per_page=1&after=Y3Vyc29y>; rel=\"next\"")],
            json!([alert]),
        );
        let page = fake
            .run::<ListSecurityAlerts>(
                json!({"owner": "o", "repo": "r", "severity": "high", "limit": 1}),
            )
            .await
            .unwrap();
        assert_eq!(
            page,
            json!({"next_cursor": "after=Y3Vyc29y", "items": [{"number": 2, "state": "open", "severity": "high",
                "summary": "Pads too far", "package": "left-pad", "ecosystem": "npm", "manifest_path": "package-lock.json",
                "vulnerable_versions": "< 1.2.0", "fixed_in": "1.2.0", "created_at": "2026-01-01T00:00:00Z",
                "url": "https://github.com/o/r/security/dependabot/2"}]})
        );
        let query = &fake.requests().await[0].query;
        assert_eq!((query["state"].as_str(), query["severity"].as_str()), ("open", "high"));
    }

    #[tokio::test]
    async fn says_plainly_when_alerts_are_switched_off() {
        let fake = FakeApi::new(&GITHUB).await.on_with(
            "GET",
            PATH,
            403,
            &[("x-accepted-github-permissions", "vulnerability_alerts=read")],
            json!({"message": "Dependabot alerts are disabled for this repository."}),
        );
        let error =
            fake.run::<ListSecurityAlerts>(json!({"owner": "o", "repo": "r"})).await.unwrap_err();
        assert_eq!(error.code(), Code::ActionRequired);
        assert!(error.message().contains("switched off for o/r"), "{error}");
        assert_eq!(error.details().missing_permission, None);
    }
}
