//! GitHub's stand-in: an emulator behind a judge that holds each request against the official description.

use std::process::Command;

use crate::process::{Running, top};

/// A GitHub of the test's own, with the repository `octocat/hello-world` and one token.
pub struct GitHub {
    /// Where its API is.
    pub url: String,
    /// The token of `octocat`.
    pub token: String,
    process: Running,
}

impl GitHub {
    pub fn start() -> Self {
        let (mut url, mut token) = (None, None);
        let (process, ()) =
            Running::start(&mut Command::new(top().join("tests/standins/start")), |line| {
                if let Some((name, value)) = line.split_once('=') {
                    match name {
                        "RESTO_STANDIN_GITHUB_URL" => url = Some(value.to_owned()),
                        "RESTO_STANDIN_GITHUB_TOKEN" => token = Some(value.to_owned()),
                        _ => {}
                    }
                }
                (url.is_some() && token.is_some()).then_some(())
            });
        Self { url: url.unwrap(), token: token.unwrap(), process }
    }

    /// Fails if any request until now was against GitHub's official description.
    pub fn assert_every_request_was_right(&self) {
        let said = self.process.said();
        let refused: Vec<&str> = said.lines().filter(|line| line.starts_with("refused ")).collect();
        assert!(refused.is_empty(), "against GitHub's description:\n{}", refused.join("\n"));
    }
}
