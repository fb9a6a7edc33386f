//! Stand-ins of providers: GitHub's emulator behind a judge that holds each request against the official description, and
//! those of Google, Vercel and Stripe with what they lack.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::browser::{Browser, Consent, field, form};
use crate::process::{Running, top};
use crate::product::{Product, Server};
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
        let (process, ()) = Running::start(
            Command::new(top().join("tests/standins/start")).arg("github"),
            |line| {
                if let Some((name, value)) = line.split_once('=') {
                    match name {
                        "RESTO_STANDIN_GITHUB_URL" => url = Some(value.to_owned()),
                        "RESTO_STANDIN_GITHUB_TOKEN" => token = Some(value.to_owned()),
                        _ => {}
                    }
                }
                (url.is_some() && token.is_some()).then_some(())
            },
        );
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

/// A Google of the test's own, with the mailbox and the Analytics account of `ada@example.com`.
pub struct Google {
    /// Where all its APIs are.
    pub url: String,
    _process: Running,
}

impl Google {
    pub fn start() -> Self {
        let mut command = Command::new(top().join("tests/standins/start"));
        let (process, url) = Running::start(command.arg("google"), |line| {
            line.strip_prefix("RESTO_STANDIN_GOOGLE_URL=").map(str::to_owned)
        });
        Self { url, _process: process }
    }

    /// The part of a configuration that leads an integration here, with the client of a test's own.
    pub fn configuration(&self, product: &Product, integration: &str) -> String {
        let secret = product.path("client-secret");
        fs::write(&secret, "plainly-fake").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        let (url, secret) = (&self.url, secret.display());
        format!(
            "[integrations.{integration}]\nbase_url = \"{url}\"\nauthorize_url = \"{url}/o/oauth2/v2/auth\"\n\
             token_url = \"{url}/oauth2/token\"\nclient_id = \"ours\"\nclient_secret_file = \"{secret}\"\n"
        )
    }

    /// Connects what Ada has at an integration, on the page where she consents.
    pub fn connect(&self, product: &Product, server: &Server<'_>, integration: &str) {
        let browser = Browser::of(product, server, "local");
        let back = self.consent(&browser.consent(integration));
        let back: Vec<(&str, &str)> =
            back.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(browser.back(integration, &back).status(), 303);
    }

    /// Has Ada consent to what a person was sent for; what the person comes back with.
    pub fn consent(&self, consent: &Consent) -> Vec<(&'static str, String)> {
        let page = send("GET", &consent.0, &[], "");
        assert!(page.body.contains("ada@example.com"), "{page:?}");
        let told = [
            "redirect_uri",
            "scope",
            "state",
            "client_id",
            "code_challenge",
            "code_challenge_method",
        ]
        .map(|name| (name, consent.parameter(name).unwrap()));
        let mut fields = vec![("email", "ada@example.com")];
        fields.extend(told.iter().map(|(name, value)| (*name, value.as_str())));
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let back = format!("{}/o/oauth2/v2/auth/callback", self.url);
        let answer = send("POST", &back, &headers, &form(&fields));
        let query = answer.header("location").unwrap().split_once('?').unwrap().1;
        ["state", "code"].map(|name| (name, field(query, name).unwrap())).into()
    }
}

/// A Vercel or a Stripe of the test's own.
pub struct Emulated {
    /// Where its API is.
    pub url: String,
    _process: Running,
}

impl Emulated {
    /// A Vercel that deploys what is at this GitHub, and looks for records at this name server.
    pub fn vercel(github: &GitHub, dns: SocketAddr) -> Self {
        let environment = [
            ("RESTO_STANDIN_GITHUB_URL", github.url.clone()),
            ("RESTO_STANDIN_GITHUB_TOKEN", github.token.clone()),
            ("RESTO_STANDIN_DNS", dns.to_string()),
        ];
        Self::start("vercel", "RESTO_STANDIN_VERCEL_URL=", &environment)
    }

    /// A Vercel at which `ada` signs in.
    pub fn vercel_sign_in() -> Self {
        Self::start("vercel-sign-in", "RESTO_STANDIN_VERCEL_URL=", &[])
    }

    /// A Stripe in test mode.
    pub fn stripe() -> Self {
        Self::start("stripe", "RESTO_STANDIN_STRIPE_URL=", &[])
    }

    fn start(name: &str, prefix: &str, environment: &[(&str, String)]) -> Self {
        let mut command = Command::new(top().join("tests/standins/start"));
        command.arg(name).envs(environment.iter().map(|(name, value)| (name, value)));
        let (process, url) =
            Running::start(&mut command, |line| line.strip_prefix(prefix).map(str::to_owned));
        Self { url, _process: process }
    }

    /// The token that the one of Vercel takes.
    pub fn vercel_token() -> &'static str {
        "plainly-a-token-of-the-tests"
    }

    /// The key that the one of Stripe takes.
    pub fn stripe_key() -> String {
        format!("rk_{}_of_nobody_0123456789", "test")
    }
}

/// An authorization server whose access lives for five seconds, and the Gmail that it guards.
pub struct Tokens {
    pub url: String,
    _process: Running,
}

impl Tokens {
    pub fn start() -> Self {
        let mut command = Command::new(top().join("tests/standins/start"));
        let (process, url) = Running::start(command.arg("tokens"), |line| {
            line.strip_prefix("RESTO_STANDIN_TOKENS_URL=").map(str::to_owned)
        });
        Self { url, _process: process }
    }

    /// Has somebody consent to what a person was sent for; what the person comes back with.
    pub fn consent(consent: &Consent) -> Vec<(&'static str, String)> {
        let answer = send("GET", &consent.0, &[], "");
        let back = answer.header("location").unwrap_or_else(|| panic!("{answer:?}"));
        let query = back.split_once('?').unwrap().1;
        ["state", "code", "iss"].map(|name| (name, field(query, name).unwrap())).into()
    }

    /// How often an access was `renewed`, a request for tokens `refused`, and a whole consent `ended`.
    pub fn seen(&self) -> Value {
        send("GET", &format!("{}/seen", self.url), &[], "").json()
    }
}
