//! Logs of jobs, trimmed to the lines around the errors.

use resto_core::{Api, Code, Error, Result, clean};

use crate::excerpts::Excerpt;
use crate::repos::Repo;

/// Characters of a log that are shown.
pub(crate) const SHOWN: usize = 4_000;
/// Lines shown before an error, where its cause mostly is.
const BEFORE: usize = 20;
/// Lines shown after an error.
const AFTER: usize = 2;
/// Lines shown at the end of a log that marks no error.
const TAIL: usize = 60;
/// The longest line that is shown whole, in characters.
const LINE: usize = 500;
/// How GitHub marks an error in a log.
const ERROR: &str = "##[error]";

/// The part of a job's log that tells why it failed.
pub(crate) async fn of_job(api: &Api, at: &Repo, job_id: u64) -> Result<Excerpt<SHOWN>> {
    // https://docs.github.com/rest/actions/workflow-jobs#download-job-logs-for-a-workflow-run
    let log = api
        .get("/repos/{}/{}/actions/jobs/{}/logs", &[&at.owner, &at.repo, &job_id])
        .send_text()
        .await?;
    if log.truncated && !log.text.contains(ERROR) {
        // The end, where it failed, is what was cut off.
        return Err(Error::new(
            Code::NotFound,
            "The log is too long to be read here. Read it on the job's page.",
        ));
    }
    Ok(around_errors(&log.text))
}

/// The lines around the errors, without their time stamps; the last of them if they are too many.
fn around_errors(log: &str) -> Excerpt<SHOWN> {
    let lines: Vec<&str> = log.lines().map(without_time).collect();
    let errors: Vec<usize> = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.contains(ERROR))
        .map(|(at, _)| at)
        .collect();
    let is_shown = |at: usize| {
        if errors.is_empty() {
            at + TAIL >= lines.len()
        } else {
            // The first error that this line can still belong to is enough: they are in order.
            let next = errors.partition_point(|error| error + AFTER < at);
            errors.get(next).is_some_and(|error| at + BEFORE >= *error)
        }
    };
    let mut shown = String::new();
    let mut skipped = false;
    for (_, line) in lines.iter().enumerate().filter(|(at, _)| {
        let keep = is_shown(*at);
        skipped |= !keep;
        keep
    }) {
        shown.extend(clean(line).chars().take(LINE));
        shown.push('\n');
    }
    let mut excerpt = Excerpt::end_of(shown.trim_end());
    excerpt.truncated |= skipped;
    excerpt
}

/// Each line begins with the time, such as `2026-01-01T00:00:00.1234567Z `.
fn without_time(line: &str) -> &str {
    let line = line.trim_start_matches('\u{feff}');
    match line.split_once(' ') {
        Some((time, rest))
            if time.ends_with('Z') && time.starts_with(|first: char| first.is_ascii_digit()) =>
        {
            rest
        }
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use resto_core::Risk;
    use resto_testing::FakeApi;
    use wiremock::ResponseTemplate;

    use super::*;
    use crate::GITHUB;

    #[test]
    fn shows_the_lines_before_each_error() {
        let mut log: Vec<String> =
            (0..100).map(|n| format!("2026-01-01T00:00:00.1234567Z step {n}")).collect();
        log.push("2026-01-01T00:00:01.1234567Z \u{1b}[31massertion failed\u{1b}[0m: 1 == 2".into());
        log.push(
            "2026-01-01T00:00:01.1234567Z ##[error]Process completed with exit code 101.".into(),
        );
        log.extend((0..100).map(|n| format!("2026-01-01T00:00:02.1234567Z cleaning {n}")));
        let excerpt = around_errors(&log.join("\n"));
        assert!(excerpt.truncated);
        assert!(excerpt.text.starts_with("step 81\nstep 82\n"), "{}", excerpt.text);
        assert!(
            excerpt.text.ends_with(
                "step 99\nassertion failed: 1 == 2\n##[error]Process completed with exit code 101.\ncleaning 0\ncleaning 1"
            ),
            "{}",
            excerpt.text
        );
    }

    #[test]
    fn shows_the_end_of_a_log_without_marked_errors() {
        let log: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        let excerpt = around_errors(&log.join("\n"));
        assert!(excerpt.text.starts_with("line 40\n") && excerpt.text.ends_with("line 99"));
        assert!(excerpt.truncated);
        assert!(!around_errors("only line").truncated);
    }

    #[test]
    fn keeps_within_its_bounds() {
        let line = "x".repeat(100_000);
        let log: Vec<String> = (0..50).map(|_| format!("{ERROR}{line}")).collect();
        let excerpt = around_errors(&log.join("\n"));
        assert_eq!(excerpt.text.chars().count(), SHOWN);
        assert!(excerpt.text.lines().all(|line| line.chars().count() <= LINE));
    }

    #[tokio::test]
    async fn does_not_take_the_beginning_of_a_huge_log_for_its_end() {
        let log = "a line like any other\n".repeat(450_000);
        let fake = FakeApi::new(&GITHUB).await.on_answer(
            "GET",
            "/repos/octocat/hello/actions/jobs/5/logs",
            ResponseTemplate::new(200).set_body_string(log),
        );
        let at = Repo { owner: "octocat".into(), repo: "hello".into() };
        let error = of_job(&fake.api(Risk::Read), &at, 5).await.unwrap_err();
        assert!(error.message().contains("too long"), "{error}");
    }

    #[tokio::test]
    async fn follows_to_the_download_host_without_the_credential() {
        let host = FakeApi::new(&GITHUB).await.on_answer(
            "GET",
            "/job.txt",
            ResponseTemplate::new(200).set_body_string("2026-01-01T00:00:00.1Z ##[error]Broken.\n"),
        );
        let path = "/repos/octocat/hello/actions/jobs/5/logs";
        let link = format!("{}/job.txt?sig=x", host.uri());
        let fake = FakeApi::new(&GITHUB).await.on_answer(
            "GET",
            path,
            ResponseTemplate::new(302).insert_header("location", link.as_str()),
        );
        let at = Repo { owner: "octocat".into(), repo: "hello".into() };
        let log = of_job(&fake.api(Risk::Read), &at, 5).await.unwrap();
        assert_eq!(log.text, "##[error]Broken.");
        assert!(fake.requests().await[0].headers.contains_key("authorization"));
        let downloads = host.requests().await;
        assert_eq!((downloads.len(), downloads[0].query["sig"].as_str()), (1, "x"));
        assert!(!downloads[0].headers.contains_key("authorization"));
    }
}
