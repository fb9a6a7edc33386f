//! GitHub's errors, told apart: a 403 may be a quota, single sign-on or a missing right, and a 404
//! may be a missing right too. <https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api>

use resto_core::{Code, Error, Failure, clean};

pub(crate) fn classify(failure: &Failure<'_>) -> Option<Error> {
    let words = failure.quote();
    let lower = words.to_ascii_lowercase();
    match failure.status {
        403 | 429
            if failure.header("retry-after").is_some()
                || lower.contains("secondary rate limit")
                || lower.contains("abuse detection") =>
        {
            Some(failure.rate_limited())
        }
        403 if failure.header("x-ratelimit-remaining") == Some("0") => Some(failure.rate_limited()),
        // A workflow run that cannot be repeated is no missing right.
        403 if ["already running", "cannot be retried", "unable to retry", "unable to re-run"]
            .iter()
            .any(|words| lower.contains(words)) =>
        {
            Some(failure.error(Code::Conflict, "cannot repeat it", "Start a new run instead, or wait."))
        }
        403 => Some(forbidden(failure)),
        404 => Some(failure.error(
            Code::NotFound,
            "did not find it",
            "The name may be wrong, or the token may not see it: a fine-grained token sees only the repositories that were selected for it.",
        )),
        // Only merging answers this, and the action adds why.
        405 => Some(failure.error(Code::Conflict, "cannot merge it", "")),
        409 | 422 if is_conflict(&lower, failure) => {
            Some(failure.error(Code::Conflict, "reports a conflict", &validation(failure)))
        }
        422 => {
            let mut error = failure.error(Code::InvalidInput, "refused the values", &validation(failure));
            error.details_mut().field = failure.text("/errors/0/field").map(short);
            Some(error)
        }
        410 => Some(failure.error(Code::NotFound, "has this switched off or deleted", "")),
        451 => Some(failure.error(Code::PermissionDenied, "blocks this for legal reasons", "")),
        _ => None,
    }
}

fn forbidden(failure: &Failure<'_>) -> Error {
    if let Some(url) = failure
        .header("x-github-sso")
        .and_then(|value| value.split_once("url="))
        .map(|(_, url)| url.split(';').next().unwrap_or(url))
    {
        return failure
            .error(
                Code::PermissionDenied,
                "wants single sign-on for this organisation",
                "A person opens the link and authorises the token.",
            )
            .url(url);
    }
    let quote = failure.quote();
    if quote.contains("without `workflows` permission")
        || quote.contains("without `workflow` scope")
    {
        return failure
            .error(
                Code::PermissionDenied,
                "refused a change under .github/workflows",
                "The token needs the permission Workflows: write.",
            )
            .missing("workflows:write");
    }
    // Alternatives are separated by `;`, the rights of one by `,`.
    match failure.header("x-accepted-github-permissions").filter(|needed| !needed.is_empty()) {
        Some(needed) => {
            let needed = needed.replace('=', ":").replace("; ", " or ").replace(',', ", ");
            failure
                .error(
                    Code::PermissionDenied,
                    "refused permission",
                    &format!("The token needs {needed}. Edit it at https://github.com/settings/personal-access-tokens."),
                )
                .missing(needed)
        }
        None => failure.error(
            Code::PermissionDenied,
            "refused permission",
            "The token lacks a right, or the organisation forbids it.",
        ),
    }
}

fn is_conflict(words: &str, failure: &Failure<'_>) -> bool {
    failure.status == 409
        || words.contains("already exists")
        || words.contains("not a fast forward")
        || failure.text("/errors/0/code") == Some("already_exists")
        || failure
            .text("/errors/0/message")
            .is_some_and(|message| message.contains("already exists"))
}

/// What GitHub says about single fields: `errors` holds objects or plain strings.
fn validation(failure: &Failure<'_>) -> String {
    let errors = failure.body.pointer("/errors").and_then(|errors| errors.as_array());
    let told: Vec<String> = errors
        .into_iter()
        .flatten()
        .take(5)
        .map(|error| {
            let text =
                |name: &str| error.get(name).and_then(|value| value.as_str()).unwrap_or_default();
            match error.as_str() {
                Some(words) => short(words),
                None if text("message").is_empty() => {
                    short(&format!("{} {}", text("field"), text("code")))
                }
                None => short(text("message")),
            }
        })
        .collect();
    told.join("; ")
}

/// GitHub's words, cleaned and cut.
fn short(words: &str) -> String {
    clean(words).chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use resto_core::Risk;
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::GITHUB;

    async fn error(status: u16, headers: &[(&str, &str)], body: Value) -> Error {
        let fake = FakeApi::new(&GITHUB).await.on_with("PATCH", "/x", status, headers, body);
        fake.api(Risk::Write).patch("/x", &[]).send::<Value>().await.unwrap_err()
    }

    #[tokio::test]
    async fn tells_a_quota_from_a_missing_right() {
        let quota = error(
            403,
            &[("x-ratelimit-remaining", "0")],
            json!({"message": "API rate limit exceeded"}),
        )
        .await;
        assert_eq!(quota.code(), Code::RateLimited);
        let secondary = error(
            403,
            &[("retry-after", "61")],
            json!({"message": "You have exceeded a secondary rate limit."}),
        )
        .await;
        assert_eq!(
            (secondary.code(), secondary.details().retry_after_s),
            (Code::RateLimited, Some(61))
        );
        let right = error(
            403,
            &[("x-accepted-github-permissions", "pull_requests=write,contents=read; issues=read")],
            json!({"message": "Resource not accessible by personal access token"}),
        )
        .await;
        assert_eq!(right.code(), Code::PermissionDenied);
        assert_eq!(
            right.details().missing_permission.as_deref(),
            Some("pull_requests:write, contents:read or issues:read")
        );
    }

    #[tokio::test]
    async fn names_the_page_for_single_sign_on() {
        let error = error(
            403,
            &[("x-github-sso", "required; url=https://github.com/orgs/o/sso?x=1")],
            json!({"message": "Resource protected by organization SAML enforcement."}),
        )
        .await;
        assert_eq!(error.details().url.as_deref(), Some("https://github.com/orgs/o/sso?x=1"));
    }

    #[tokio::test]
    async fn tells_a_conflict_from_a_wrong_value() {
        let exists = error(422, &[], json!({"message": "Validation Failed", "errors": [{"resource": "Repository", "code": "custom", "field": "name", "message": "name already exists on this account"}]})).await;
        assert_eq!(exists.code(), Code::Conflict);
        assert!(exists.message().contains("name already exists on this account"), "{exists}");
        let wrong = error(422, &[], json!({"message": "Validation Failed", "errors": [{"resource": "Issue", "code": "missing_field", "field": "title"}]})).await;
        assert_eq!(
            (wrong.code(), wrong.details().field.as_deref()),
            (Code::InvalidInput, Some("title"))
        );
        let strings =
            error(422, &[], json!({"message": "Unprocessable", "errors": ["base is wrong"]})).await;
        assert!(strings.message().contains("base is wrong"), "{strings}");
    }

    #[tokio::test]
    async fn keeps_what_it_quotes_short_and_visible() {
        let long = "x".repeat(9_000);
        let body = json!({"message": long, "errors": [
            {"field": format!("ti\u{200b}tle{long}"), "code": long}, {"message": long}, long]});
        let error = error(422, &[], body).await;
        assert!(error.message().len() < 1_200, "{}", error.message().len());
        let field = error.details().field.clone().unwrap();
        assert!(field.starts_with("titlexxx") && field.len() == 200, "{field}");
    }

    #[tokio::test]
    async fn names_the_permission_for_workflow_files() {
        let error = error(403, &[], json!({"message": "refusing to allow a Personal Access Token to create or update workflow `.github/workflows/ci.yml` without `workflows` permission"})).await;
        assert_eq!(error.details().missing_permission.as_deref(), Some("workflows:write"));
    }

    #[tokio::test]
    async fn a_fault_during_a_change_is_an_unknown_outcome() {
        assert_eq!(
            error(502, &[], json!({"message": "Server Error"})).await.code(),
            Code::UnknownOutcome
        );
        assert_eq!(
            error(401, &[], json!({"message": "Bad credentials"})).await.message(),
            "GitHub refused the credential: Bad credentials. Reconnect the account."
        );
    }

    #[tokio::test]
    async fn tells_every_kind_of_refusal_apart() {
        let message = |words: &str| json!({ "message": words });
        let secondary = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
        let unreachable = "Resource not accessible by integration";
        for (status, headers, body, code) in [
            (401, None, message("Bad credentials"), Code::AuthExpired),
            (
                403,
                Some(("x-accepted-github-permissions", "issues=write")),
                message(unreachable),
                Code::PermissionDenied,
            ),
            (
                403,
                Some(("x-github-sso", "required; url=https://github.com/orgs/o/sso")),
                message("Resource protected by organization SAML enforcement."),
                Code::PermissionDenied,
            ),
            (404, None, message("Not Found"), Code::NotFound),
            (410, None, message("Issues are disabled for this repo"), Code::NotFound),
            (400, None, message("Problems parsing JSON"), Code::InvalidInput),
            (
                406,
                None,
                message("Sorry, the diff exceeded the maximum number of lines (20000)"),
                Code::InvalidInput,
            ),
            (
                422,
                None,
                json!({"message": "Validation Failed", "errors": [{"code": "invalid", "field": "state"}]}),
                Code::InvalidInput,
            ),
            (409, None, message("Git Repository is empty."), Code::Conflict),
            (405, None, message("Pull Request is not mergeable"), Code::Conflict),
            (
                422,
                None,
                json!({"message": "Validation Failed", "errors": [{"code": "already_exists", "field": "name"}]}),
                Code::Conflict,
            ),
            (
                403,
                Some(("x-ratelimit-remaining", "0")),
                message("API rate limit exceeded for user ID 1."),
                Code::RateLimited,
            ),
            (403, Some(("retry-after", "60")), message(secondary), Code::RateLimited),
            (403, None, message(secondary), Code::RateLimited),
            (429, None, message("API rate limit exceeded"), Code::RateLimited),
            (402, None, message("Upgrade to a paid plan"), Code::PaymentRequired),
            (500, None, message("Server Error"), Code::ProviderDown),
            (502, None, message("Server Error"), Code::ProviderDown),
            (503, None, message("No server is currently available"), Code::ProviderDown),
        ] {
            let headers: Vec<(&str, &str)> = headers.into_iter().collect();
            let fake =
                FakeApi::new(&GITHUB).await.on_with("GET", "/x", status, &headers, body.clone());
            let error = fake.api(Risk::Read).get("/x", &[]).send::<Value>().await.unwrap_err();
            assert_eq!(error.code(), code, "{status} {headers:?} {body}");
        }
    }
}
