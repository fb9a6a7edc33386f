//! What a provider tells by itself: heeded when its signature is right, and once.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::oauth::product;
use crate::process::{run, tool};
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};
use crate::wire::{Message, send};

const SECRET: &str = "plainly-fake-webhook-secret";

/// A signature as another program computes it.
/// A message that tells of this second.
type Body<'a> = &'a dyn Fn(u64) -> Value;
/// The header that signs a message.
type Sign<'a> = &'a dyn Fn(&str) -> (&'static str, String);

fn signature(hash: &str, signed: &str) -> String {
    let program = "import hmac, sys; print(hmac.new(sys.argv[1].encode(), sys.argv[2].encode(), sys.argv[3]).hexdigest())";
    let mut python = Command::new(tool("python/bin/python"));
    let finished = run(python.args(["-c", program, SECRET, signed, hash]), "");
    assert!(finished.status.success(), "{finished:?}");
    finished.stdout.trim().to_owned()
}

fn deliver(server: &Server<'_>, name: &str, headers: &[(&str, &str)], body: &str) -> Message {
    let url = server.url.replace("/mcp", &format!("/webhooks/{name}"));
    send("POST", &url, &[headers, &[("content-type", "application/json")]].concat(), body)
}

fn status(product: &Product) -> Value {
    product.json(&["connections", "--json"])[0]["status"].clone()
}

/// Every service at one address, by consent.
fn services() -> Provider {
    Provider::start(|request| match request.what() {
        "POST /login/oauth/access_token" => Reply::json(
            200,
            &json!({
                "access_token": "an-access-token", "token_type": "bearer", "installation_id": "icfg_1",
            }),
        ),
        "GET /user" => {
            Reply::json(200, &json!({"id": 1, "login": "octocat", "type": "User", "html_url": "u"}))
        }
        "GET /v2/user" => Reply::json(200, &json!({"user": {"id": "u", "username": "ada"}})),
        "GET /v5/user/tokens/current" => {
            Reply::json(404, &json!({"error": {"code": "not_found", "message": "No"}}))
        }
        "GET /v1/account" => Reply::json(200, &json!({"id": "acct_1", "object": "account"})),
        "GET /v1/balance" => {
            Reply::json(200, &json!({"livemode": false, "available": [], "pending": []}))
        }
        _ => repository(request),
    })
}

fn connected(provider: &Provider, name: &str) -> Product {
    let product = product(provider, "");
    let secret = product.path("webhook-secret");
    std::fs::write(&secret, SECRET).unwrap();
    std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let config = std::fs::read_to_string(product.path("config.toml")).unwrap();
    let config = config.replace("integrations.github", &format!("integrations.{name}"));
    product.configure(&format!("{config}webhook_secret_file = \"{}\"\n", secret.display()));
    product
}

fn consent(browser: &Browser, name: &str) {
    let state = browser.consent(name).state();
    let back = browser.back(name, &[("code", "1"), ("state", &state)]);
    assert_eq!(back.status(), 303, "{back:?}");
}

#[test]
fn a_message_of_github_is_heeded_when_it_is_signed_and_once() {
    let provider = services();
    let product = connected(&provider, "github");
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    consent(&browser, "github");
    let body = json!({"action": "revoked", "sender": {"id": 1}}).to_string();
    let right = format!("sha256={}", signature("sha256", &body));
    let with = |signed: &str, event: &str, delivery: &str, body: &str| {
        let headers = [
            ("x-hub-signature-256", signed),
            ("x-github-event", event),
            ("x-github-delivery", delivery),
        ];
        deliver(&server, "github", &headers, body)
    };
    let revoked = "github_app_authorization";
    for (signed, body) in
        [("", &body), (&*right.replace('a', "b"), &body), (&*right, &format!("{body} "))]
    {
        let answer = with(signed, revoked, "1", body);
        assert_eq!((answer.status(), &*answer.body), (401, ""), "{answer:?}");
    }
    assert_eq!(deliver(&server, "github", &[], &"x".repeat((1 << 20) + 1)).status(), 413);
    assert_eq!(deliver(&server, "vercel", &[], &body).status(), 404);
    assert_eq!(with(&right, "push", "2", &body).status(), 204);
    assert_eq!(status(&product), "active");

    assert_eq!(with(&right, revoked, "3", &body).status(), 204);
    assert_eq!(status(&product), "needs_reauth");
    assert!(product.run(&["doctor"], "").stdout.contains("connection_failed github"));
    let event = |phase: &str, result: &str| (phase.into(), "access_ended".into(), result.into());
    assert!(product.trail("local").contains(&event("result", "success")));
    // Whoever keeps a message cannot end what was connected since.
    consent(&browser, "github");
    assert_eq!(with(&right, revoked, "3", &body).status(), 204);
    assert_eq!(status(&product), "active");

    let body =
        json!({"action": "suspend", "installation": {"account": {"id": 1}}, "sender": {"id": 9}})
            .to_string();
    let signed = format!("sha256={}", signature("sha256", &body));
    let before = provider.count();
    assert_eq!(with(&signed, "installation", "4", &body).status(), 204);
    assert!(product.run(&["doctor"], "").stdout.contains("permissions_changed github"));
    // The provider is asked at once: within the time in which a worker looks.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(15);
    while provider.count() == before {
        assert!(std::time::Instant::now() < end, "the provider was not asked");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(status(&product), "active");
}

#[test]
fn messages_of_vercel_and_stripe_end_a_connection_of_before_them() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let vercel = |at: u64| json!({"id": format!("v{at}"), "type": "integration-configuration.removed", "createdAt": at * 1000, "payload": {"user": {"id": "u"}}});
    let stripe = |at: u64| json!({"id": format!("s{at}"), "type": "account.application.deauthorized", "created": at, "account": "acct_1", "livemode": false});
    let signed_vercel = |body: &str| ("x-vercel-signature", signature("sha1", body));
    let signed_stripe = |body: &str| {
        let digits = signature("sha256", &format!("{now}.{body}"));
        ("stripe-signature", format!("t={now},v1={digits}"))
    };
    let cases: [(&str, Body<'_>, Sign<'_>); 2] =
        [("vercel", &vercel, &signed_vercel), ("stripe", &stripe, &signed_stripe)];
    for (name, body, sign) in cases {
        let provider = services();
        let product = connected(&provider, name);
        let server = product.serve();
        consent(&Browser::of(&product, &server, "local"), name);
        for (at, expected) in [(now - 3600, "active"), (now + 60, "needs_reauth")] {
            let body = body(at).to_string();
            let (header, value) = sign(&body);
            assert_eq!(deliver(&server, name, &[(header, "00")], &body).status(), 401);
            assert_eq!(deliver(&server, name, &[(header, &value)], &body).status(), 204);
            assert_eq!(status(&product), expected, "{name} {at}");
        }
    }
}
