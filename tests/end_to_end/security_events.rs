//! What Google tells of an account's safety: heeded when Google signed it for our client, once, and for that account alone.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::oauth::product;
use crate::process::{run, tool};
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply};
use crate::wire::{Message, send};

/// Far more than it takes; only a failure waits that long.
const LIMIT: Duration = Duration::from_mins(1);
const EVENTS: &str = "https://schemas.openid.net/secevent/";
/// Makes a key, in PEM and as it is published.
const MAKE: &str = "
import json, sys
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
key = rsa.generate_private_key(65537, 2048)
jwk = json.loads(RSAAlgorithm.to_jwk(key.public_key())) | {'kid': 'current', 'use': 'sig', 'alg': 'RS256'}
pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()
print(json.dumps({'pem': pem, 'jwk': {name: jwk[name] for name in jwk if name != 'key_ops'}}))";
/// Signs what comes in.
const SIGN: &str = "
import json, jwt, sys
told = json.load(sys.stdin)
print(jwt.encode(told['claims'], told['pem'], told['alg'], headers=told['header']))";

fn python(program: &str, input: &str) -> String {
    let mut python = Command::new(tool("python/bin/python"));
    let finished = run(python.args(["-c", program]), input);
    assert!(finished.status.success(), "{finished:?}");
    finished.stdout.trim().to_owned()
}

/// A key as another program makes it and signs with it.
struct Key(Value);

impl Key {
    fn new() -> Self {
        Self(serde_json::from_str(&python(MAKE, "")).unwrap())
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(claims, "RS256", &json!({"kid": "current", "typ": "secevent+jwt"}))
    }

    fn sign_as(&self, claims: &Value, algorithm: &str, header: &Value) -> String {
        let pem = if algorithm == "HS256" {
            &json!("plainly-fake-plainly-fake-plainly")
        } else {
            &self.0["pem"]
        };
        let told = json!({"claims": claims, "pem": pem, "alg": algorithm, "header": header});
        python(SIGN, &told.to_string())
    }
}

/// Google: Gmail and Analytics of the account 77, what it says of its signatures, and the two clients that we have there.
fn google(key: &Key) -> Provider {
    let keys = json!({"keys": [key.0["jwk"]]});
    Provider::start(move |request| {
        let url = format!("http://{}", request.header("host").unwrap());
        let scope = "openid email https://www.googleapis.com/auth/gmail.modify";
        let body = match request.what() {
            "GET /.well-known/risc-configuration" => {
                json!({"issuer": format!("{url}/"), "jwks_uri": format!("{url}/certs"), "delivery_methods_supported": []})
            }
            "GET /certs" => keys.clone(),
            "POST /token" => json!({
                "access_token": "an-access-token", "refresh_token": "a-refresh-token", "token_type": "bearer",
                "expires_in": 3600, "scope": scope,
            }),
            "POST /tokeninfo" => json!({"sub": "77", "email": "ada@example.com", "scope": scope}),
            "GET /v1beta/accountSummaries" => {
                json!({"accountSummaries": [{"account": "accounts/1", "displayName": "Shop"}]})
            }
            _ => return Reply::json(404, &json!({})),
        };
        Reply::json(200, &body)
    })
}

/// An installation with a client of its own for each.
fn installed(google: &Provider) -> Product {
    let product = product(google, "");
    let (url, secret) = (&google.url, product.path("client-secret"));
    let sections = ["gmail", "analytics"].map(|name| {
        format!(
            "[integrations.{name}]\nbase_url = \"{url}\"\nauthorize_url = \"{url}/authorize\"\ntoken_url = \"{url}/token\"\n\
             issuer = \"{url}\"\nclient_id = \"client-of-{name}\"\nclient_secret_file = \"{}\"\n",
            secret.display()
        )
    });
    product.configure(&sections.concat());
    product
}

fn consent(google: &Provider, browser: &Browser, name: &str) {
    let state = browser.consent(name).state();
    let back = browser.back(name, &[("code", "1"), ("state", &state), ("iss", &google.url)]);
    assert_eq!(back.status(), 303, "{back:?}");
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn deliver(server: &Server<'_>, token: &str) -> Message {
    let headers = [("content-type", "application/secevent+jwt")];
    send("POST", &server.at("/webhooks/gmail"), &headers, token)
}

/// How each connection stands, by its integration.
fn standing(product: &Product) -> Vec<(String, String)> {
    let connections = product.json(&["connections", "--json"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = connections.as_array().unwrap().iter();
    all.map(|one| (text(&one["integration"]), text(&one["status"]))).collect()
}

#[test]
fn a_message_of_google_ends_the_connections_of_that_account_at_that_client() {
    let key = Key::new();
    let google = google(&key);
    let product = installed(&google);
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    for name in ["gmail", "analytics"] {
        consent(&google, &browser, name);
    }
    let subject =
        json!({"subject_type": "iss-sub", "iss": format!("{}/", google.url), "sub": "77"});
    let event =
        |name: &str, subject: &Value| json!({format!("{EVENTS}{name}"): {"subject": subject}});
    let claims = |id: &str, events: &Value| json!({"iss": format!("{}/", google.url), "aud": "client-of-gmail", "iat": now() + 1, "jti": id, "events": events});
    let with = |name: &str, value: Value| {
        let mut claims = claims("wrong", &event("oauth/event-type/tokens-revoked", &subject));
        claims[name] = value;
        claims
    };
    let revoked = "oauth/event-type/tokens-revoked";
    let right = claims("1", &event(revoked, &subject));

    // What Google did not sign for us.
    let signed = key.sign(&right);
    let kid = json!({"kid": "current"});
    let mut wrong = vec![
        String::new(),
        "no token".to_owned(),
        signed[..signed.len() - 4].to_owned(),
        Key::new().sign(&right),
        key.sign_as(&right, "RS512", &kid),
        key.sign_as(&right, "HS256", &kid),
        key.sign_as(&right, "RS256", &json!({"kid": "another"})),
        key.sign_as(&right, "RS256", &json!({})),
    ];
    // Nor what it says as somebody else, to somebody else, or an id token of a person.
    wrong.extend(
        [
            with("iss", json!(google.url)),
            with("iss", json!("https://accounts.google.com/")),
            with("aud", json!("client-of-somebody")),
            with("aud", json!([])),
            with("events", Value::Null),
        ]
        .map(|claims| key.sign(&claims)),
    );
    for token in wrong {
        let answer = deliver(&server, &token);
        assert_eq!(answer.status(), 400, "{token} {answer:?}");
        assert_eq!(answer.json()["err"], "authentication_failed");
    }
    let active = |name: &str| (name.to_owned(), "active".to_owned());
    assert_eq!(standing(&product), [active("analytics"), active("gmail")]);

    // Of another account, from before the consent, of nobody's, and the stream's own.
    let mut other = subject.clone();
    other["sub"] = "78".into();
    let mut before = claims("2", &event(revoked, &subject));
    before["iat"] = (now() - 3600).into();
    let hash =
        json!({"subject_type": "oauth_token", "token_type": "refresh_token", "token": "hash"});
    for claims in [
        claims("3", &event(revoked, &other)),
        before,
        claims("4", &event("oauth/event-type/token-revoked", &hash)),
        claims("5", &json!({format!("{EVENTS}risc/event-type/verification"): {"state": "hello"}})),
    ] {
        let answer = deliver(&server, &key.sign(&claims));
        assert_eq!((answer.status(), &*answer.body), (202, ""), "{claims} {answer:?}");
    }
    assert_eq!(standing(&product), [active("analytics"), active("gmail")]);

    // The provider is asked at once: within the time in which a worker looks.
    for (n, name) in ["sessions-revoked", "account-credential-change-required"].iter().enumerate() {
        let asked =
            || google.requests().iter().filter(|one| one.what() == "POST /tokeninfo").count();
        let before = asked();
        let told =
            claims(&format!("ask {n}"), &event(&format!("risc/event-type/{name}"), &subject));
        assert_eq!(deliver(&server, &key.sign(&told)).status(), 202);
        let start = Instant::now();
        while asked() == before {
            assert!(start.elapsed() < LIMIT, "{name}: Google was not asked");
        }
    }
    assert_eq!(standing(&product), [active("analytics"), active("gmail")]);

    assert_eq!(deliver(&server, &signed).status(), 202);
    let ended = |name: &str| (name.to_owned(), "needs_reauth".to_owned());
    assert_eq!(standing(&product), [active("analytics"), ended("gmail")]);
    assert!(product.run(&["doctor"], "").stdout.contains("connection_failed gmail"));
    let events = product.json(&["audit", "--json"]);
    let is_told = |event: &Value| {
        let said = ["phase", "integration_id", "action", "result_status", "actor"]
            .map(|name| &event[name]);
        said == ["result", "gmail", "access_ended", "success", "Google (webhook)"]
    };
    assert!(events.as_array().unwrap().iter().any(is_told), "{events}");
    // Whoever keeps it cannot end what was allowed since.
    consent(&google, &browser, "gmail");
    assert_eq!(deliver(&server, &signed).status(), 202);
    assert_eq!(standing(&product), [active("analytics"), active("gmail")]);

    // One message for both clients.
    let mut both = claims("6", &event("risc/event-type/account-disabled", &subject));
    both["aud"] = json!(["client-of-gmail", "client-of-analytics"]);
    both["iat"] = (now() + 30).into();
    assert_eq!(deliver(&server, &key.sign(&both)).status(), 202);
    assert_eq!(standing(&product), [ended("analytics"), ended("gmail")]);
    product.must(&["audit", "--verify"], "");
}

#[test]
fn a_secret_is_not_what_signs_the_messages_of_google() {
    let google = google(&Key::new());
    let product = installed(&google);
    let config = std::fs::read_to_string(product.path("config.toml")).unwrap();
    let secret = product.path("client-secret");
    product.configure(&format!("{config}webhook_secret_file = \"{}\"\n", secret.display()));
    let refused = product.run(&["connections"], "");
    assert!(refused.stderr.contains("no messages that a secret signs"), "{refused:?}");
    // Where we have no client, nobody is heard.
    product.configure("");
    let server = product.serve();
    assert_eq!(deliver(&server, "x").status(), 404);
}
