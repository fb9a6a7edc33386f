//! GitHub's stand-in: an emulator behind a judge that holds each request against the official description.

use std::process::Command;

use serde_json::Value;

use crate::process::{Running, top};
use crate::product::Product;
use crate::wire::send;

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

    /// An installation of the product with `octocat`'s account here connected.
    pub fn product(&self) -> Product {
        Product::connected(&self.url, &self.token)
    }

    /// Reads its state, past the product.
    pub fn get(&self, path: &str) -> Value {
        let authorization = format!("Bearer {}", self.token);
        let headers = [
            ("authorization", authorization.as_str()),
            ("user-agent", "tests"),
            ("x-github-api-version", "2026-03-10"),
        ];
        let answer = send("GET", &format!("{}{path}", self.url), &headers, "");
        assert_eq!(answer.status(), 200, "{path}: {answer:?}");
        answer.json()
    }

    /// Fails if any request until now was against GitHub's official description.
    pub fn assert_every_request_was_right(&self) {
        let said = self.process.said();
        let refused: Vec<&str> = said.lines().filter(|line| line.starts_with("refused ")).collect();
        assert!(refused.is_empty(), "against GitHub's description:\n{}", refused.join("\n"));
    }
}
