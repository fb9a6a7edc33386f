//! The people's pages in a real browser: on a phone, without scripts, for people who use a screen reader too.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::process::{Conversation, tool, top};
use crate::product::Product;
use crate::standin::{Emulated, GitHub, Google};

/// Chromium at one page.
pub struct Chromium(Conversation);

impl Chromium {
    pub fn start() -> Self {
        let mut command = Command::new(tool("bin/node"));
        command.arg(top().join("tests/tools/browser.mjs"));
        Self(Conversation::start(&mut command))
    }

    /// The page after a step.
    pub fn step(&mut self, step: &Value) -> Value {
        let page: Value = serde_json::from_str(&self.0.ask(&step.to_string())).unwrap();
        assert_eq!(page["wide"], false, "after {step} the page is wider than a phone: {page}");
        page
    }

    /// The text of the page after a step, which is fit for everybody.
    pub fn read(&mut self, step: &Value, name: &str) -> String {
        let page = self.step(step);
        let checked = self.step(&json!({"check": true}));
        assert_eq!(checked["violations"], json!([]), "{name}: {page}");
        self.picture(name);
        page["text"].as_str().unwrap().to_owned()
    }

    /// Where `RESTO_TEST_PICTURES` names a folder, the page is pictured there.
    pub fn picture(&mut self, name: &str) {
        if let Ok(folder) = std::env::var("RESTO_TEST_PICTURES") {
            self.step(&json!({"picture": format!("{folder}/{name}.png")}));
        }
    }
}

#[track_caller]
fn told(text: &str, words: &[&str]) {
    for words in words {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
}

#[test]
fn a_person_signs_in_connects_by_oauth_then_with_a_key_and_disconnects() {
    let github = GitHub::start();
    let product = Product::at(&github.url);
    let secret = product.path("client-secret");
    std::fs::write(&secret, "plainly-fake").unwrap();
    std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let url = &github.url;
    product.configure(&format!(
        "[integrations.github]\nbase_url = \"{url}\"\nauthorize_url = \"{url}/login/oauth/authorize\"\n\
         token_url = \"{url}/login/oauth/access_token\"\nclient_id = \"ours\"\nclient_secret_file = \"{}\"\n",
        secret.display()
    ));
    let server = product.serve();
    let origin = server.url.trim_end_matches("/mcp");
    let mut browser = Chromium::start();

    let text = browser.read(&json!({"open": origin}), "home");
    told(&text, &["GitHub", "Connect an account"]);
    let page = format!("{origin}/connect/github");
    told(&browser.read(&json!({"open": page}), "signed-out"), &["resto sign-in"]);
    let code = crate::browser::sign_in_code(&product, "local");
    browser.read(&json!({"open": format!("{origin}/sign-in/{code}")}), "sign-in");
    let text = browser.read(&json!({"click": "main button"}), "services");
    told(&text, &["GitHub", "Not connected"]);
    let several = json!({"open": format!("{origin}/connect/registrar")});
    told(&browser.read(&several, "several"), &["at Cloudflare", "at Porkbun", "at name.com"]);
    let text = browser.read(&json!({"open": page}), "before");
    told(&text, &["What you grant", "contents:write", "Continue to GitHub", "Test and connect"]);

    // The emulator's own page is not ours to judge.
    let consent = browser.step(&json!({"click": "form[action$='/oauth'] button"}));
    assert!(consent["url"].as_str().unwrap().starts_with(url.as_str()), "{consent}");
    told(consent["text"].as_str().unwrap(), &["Sign in to GitHub"]);
    let text = browser.read(
        &json!({"click": "form:has(input[name='login'][value='octocat']) button"}),
        "connected",
    );
    told(&text, &["The account of octocat at GitHub is connected.", "What will work"]);

    let wrong = json!({"fill": {"input[type=password]": "plainly-wrong"}, "click": "form[action$='/key'] button"});
    told(&browser.read(&wrong, "wrong-key"), &["begins with none of github_pat_"]);
    let key = json!({"fill": {"input[type=password]": github.token}, "click": "form[action$='/key'] button"});
    told(&browser.read(&key, "renewed"), &["is renewed"]);
    let text =
        browser.read(&json!({"click": "form[action$='/disconnect'] button"}), "disconnected");
    told(&text, &["is disconnected", "our copy of its credential is destroyed"]);
    github.assert_every_request_was_right();
}

#[test]
fn a_person_connects_mail_analytics_and_hosting_on_their_own_pages() {
    let (google, vercel) = (Google::start(), Emulated::vercel_sign_in());
    let product = Product::at("http://127.0.0.1:1");
    let secret = product.path("client-secret");
    std::fs::write(&secret, "plainly-fake").unwrap();
    std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let section = |name: &str, url: &str, authorize: &str, token: &str, more: &str| {
        format!(
            "[integrations.{name}]\nbase_url = \"{url}\"\nauthorize_url = \"{url}{authorize}\"\n\
             token_url = \"{url}{token}\"\nclient_id = \"ours\"\nclient_secret_file = \"{}\"\n{more}",
            secret.display()
        )
    };
    let revoke = format!("revoke_url = \"{}/oauth2/revoke\"\n", google.url);
    let of_google = ["gmail", "analytics"]
        .map(|name| section(name, &google.url, "/o/oauth2/v2/auth", "/oauth2/token", &revoke));
    let of_vercel =
        section("vercel", &vercel.url, "/oauth/authorize", "/v2/oauth/access_token", "");
    product.configure(&[of_google.concat(), of_vercel].concat());
    let server = product.serve();
    let mut browser = Chromium::start();
    let code = crate::browser::sign_in_code(&product, "local");
    browser.step(&json!({"open": server.at(&format!("/sign-in/{code}"))}));
    browser.step(&json!({"click": "main button"}));

    let accounts = [
        ("gmail", &google.url, "Sign in to Google", "input[name='email'][value='ada@example.com']"),
        (
            "analytics",
            &google.url,
            "Sign in to Google",
            "input[name='email'][value='ada@example.com']",
        ),
        ("vercel", &vercel.url, "Sign in to Vercel", "input[name='username'][value='ada']"),
    ];
    for (name, url, title, account) in accounts {
        browser.step(&json!({"open": server.at(&format!("/connect/{name}"))}));
        let consent = browser.step(&json!({"click": "form[action$='/oauth'] button"}));
        assert!(consent["url"].as_str().unwrap().starts_with(url.as_str()), "{consent}");
        told(consent["text"].as_str().unwrap(), &[title]);
        let back = json!({"click": format!("form:has({account}) button")});
        let text = browser.read(&back, &format!("{name}-connected"));
        told(&text, &["The account of ada", "is connected."]);
        let page = browser.step(&json!({"open": server.at(&format!("/connect/{name}"))}));
        assert_eq!(page["url"], server.at(&format!("/connect/{name}")));
    }
    let connections = product.json(&["connections", "--json"]);
    let active = connections.as_array().unwrap().iter().filter(|one| one["status"] == "active");
    assert_eq!(active.count(), 3, "{connections}");
    // What each can do with what was allowed there.
    let listed = server.call(&[], "gmail_search_messages", &json!({"query": "is:unread"})).json();
    told(&listed.to_string(), &["An order"]);
    for (name, words) in [
        ("gmail", "also serves Google Analytics"),
        ("analytics", "no longer takes the old credential"),
        ("vercel", "no longer takes the old credential"),
    ] {
        browser.step(&json!({"open": server.at(&format!("/connect/{name}"))}));
        let gone = json!({"click": "form[action$='/disconnect'] button"});
        told(&browser.read(&gone, &format!("{name}-disconnected")), &["is disconnected", words]);
    }
}

#[test]
fn a_person_enters_a_secret_value_and_looks_at_alerts() {
    let (_provider, product) = crate::asking::keeper();
    let server = product.serve();
    let origin = server.url.trim_end_matches("/mcp");
    let mut browser = Chromium::start();
    let code = crate::browser::sign_in_code(&product, "local");
    browser.step(&json!({"open": format!("{origin}/sign-in/{code}")}));
    browser.step(&json!({"click": "main button"}));
    told(
        &browser.read(&json!({"open": format!("{origin}/alerts")}), "no-alerts"),
        &["nothing to look at"],
    );

    let arguments = json!({"owner": "octocat", "repo": "hello-world", "name": "DEPLOY_KEY", "from": "deploy_key"});
    let asked = server.call(&[], "github_set_workflow_secret", &arguments).json();
    let link = &asked["result"]["_meta"]["dev.resto/error"]["url"];
    let text = browser.read(&json!({ "open": link }), "secret");
    told(&text, &["deploy_key", "Gets it", "GitHub", "Store it"]);
    let entered = json!({"fill": {"textarea": "plainly-fake"}});
    browser.step(&entered);
    if let Ok(folder) = std::env::var("RESTO_TEST_PICTURES") {
        browser.step(&json!({"picture": format!("{folder}/secret-typed.png")}));
    }
    told(&browser.read(&json!({"click": "main button"}), "secret-stored"), &["is stored"]);

    product.sql("UPDATE integration_credentials SET host = 'evil.example'");
    assert!(!product.run(&["call", "github_get_account", "{}"], "").status.success());
    product.sql("INSERT INTO alerts (id, tenant_id, kind, subject, detail, raised_at)
        SELECT randomblob(16), id, 'quarterly_summary', '2027-Q1',
        '2 accounts are connected. github: key of 92 days, due to be exchanged; gmail: by signing in', 1798761600000 FROM tenants");
    let text = browser.read(&json!({"open": format!("{origin}/alerts")}), "alerts");
    told(&text, &["Alerts (2)", "Changed from outside", "Quarterly summary", "I saw all of them"]);
    browser.read(&json!({"click": "section button"}), "one-alert");
    told(
        &browser.read(&json!({"click": "main > form button"}), "alerts-seen"),
        &["nothing to look at"],
    );
}
