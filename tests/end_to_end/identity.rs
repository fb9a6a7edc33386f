//! What an identity provider signs lets agents in, as far as it says, and nothing else does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::clients::{Era, Python, Way};
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};
use crate::wire::{Message, send};

const KEY: &str = "github_pat_of_a_test";
const READ: &str = "github_get_repository";
const CHANGE: &str = "github_create_issue";

/// An identity provider that signs whatever a test asks for.
pub struct Issuer {
    pub provider: Provider,
    key: KeyPair,
    is_down: Arc<AtomicBool>,
}

impl Issuer {
    pub fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let keys = json!({"keys": [jwk(&key, "current"), {"kty": "something-new", "kid": "new"}]});
        let is_down = Arc::<AtomicBool>::default();
        let down = Arc::clone(&is_down);
        let provider = Provider::start(move |request| {
            let url = format!("http://{}", request.header("host").unwrap());
            let status = if down.load(Ordering::SeqCst) { 500 } else { 200 };
            match request.what() {
                "GET /.well-known/openid-configuration" => Reply::json(
                    status,
                    &json!({
                        "issuer": url, "jwks_uri": format!("{url}/keys"),
                        "authorization_endpoint": format!("{url}/authorize"),
                        "token_endpoint": format!("{url}/token"),
                    }),
                ),
                "GET /keys" => Reply::json(status, &keys),
                _ => Reply(404, Vec::new(), String::new()),
            }
        });
        Self { provider, key, is_down }
    }

    /// What a right token for this server holds.
    fn claims(&self, server: &Server<'_>) -> Value {
        json!({
            "iss": self.provider.url, "aud": server.url, "sub": "alice", "tenant": "acme", "scope": "read",
            "exp": now() + 600, "iat": now(),
        })
    }

    fn sign(&self, claims: &Value) -> String {
        sign(&header(), claims, &self.key)
    }

    /// A right token with these claims besides; `null` leaves one out.
    pub fn token(&self, server: &Server<'_>, more: &Value) -> String {
        self.sign(&with(self.claims(server), more))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn with(mut claims: Value, more: &Value) -> Value {
    let fields = claims.as_object_mut().unwrap();
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
    claims
}

fn header() -> Header {
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some("current".into());
    header
}

fn sign(header: &Header, claims: &Value, key: &KeyPair) -> String {
    encode(header, claims, &EncodingKey::from_ec_der(&key.serialize_der())).unwrap()
}

fn jwk(key: &KeyPair, kid: &str) -> Value {
    let (x, y) = key.public_key_raw()[1..].split_at(32);
    let (x, y) = (BASE64URL.encode(x), BASE64URL.encode(y));
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256", "x": x, "y": y})
}

/// An installation where the tenant `acme` has GitHub connected and comes with tokens of this issuer.
pub fn product(issuer: &Issuer, github: &Provider) -> Product {
    let product = Product::at(&github.url);
    product.configure(&format!(
        "[identity]\nissuer = \"{}\"\n[integrations.github]\nbase_url = \"{}\"\n",
        issuer.provider.url, github.url
    ));
    product.must(&["tenant", "create", "acme"], "");
    product.must(&["--tenant", "acme", "connect", "github", "--key-stdin"], KEY);
    product
}

/// Calls a tool as the bearer of this token.
pub fn call(server: &mut Server<'_>, token: String, tool: &str, arguments: &Value) -> Message {
    server.token = token;
    server.call(&[], tool, arguments)
}

fn hello() -> Value {
    json!({"owner": "octocat", "repo": "hello-world"})
}

#[track_caller]
fn succeeded(answer: &Message) {
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert_eq!(answer.json()["result"]["isError"], false, "{answer:?}");
}

/// A token whose parts stand for themselves.
fn bare(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| BASE64URL.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[test]
fn a4_no_other_token_than_the_issuers_for_us_and_for_now_is_taken() {
    let (issuer, github) = (Issuer::start(), Provider::github(repository));
    let product = product(&issuer, &github);
    let mut server = product.serve();
    let right = issuer.claims(&server);
    let other = KeyPair::generate().unwrap();
    let with_header = |change: fn(&mut Header)| {
        let mut header = header();
        change(&mut header);
        sign(&header, &right, &issuer.key)
    };
    let good = issuer.sign(&right);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let public = EncodingKey::from_secret(issuer.key.public_key_raw()).unwrap();
    let mut confused = Header::new(Algorithm::HS256);
    confused.kid = Some("current".into());
    let mut embedded = header();
    embedded.jwk = serde_json::from_value(jwk(&other, "current")).unwrap();
    let none = json!({"alg": "none", "kid": "current"});
    let claim = |more: Value| issuer.sign(&with(right.clone(), &more));
    let before = github.count();
    let bad = [
        ("unsigned", bare(&none, &right, "")),
        ("unsigned, in capitals", bare(&json!({"alg": "NONE", "kid": "current"}), &right, "")),
        ("unsigned, with a signature", bare(&none, &right, signature)),
        ("without its signature", format!("{message}.")),
        ("a public key as a secret", encode(&confused, &right, &public).unwrap()),
        ("another's signature", sign(&header(), &right, &other)),
        ("changed afterwards", bare(&json!({"alg": "ES256", "kid": "current"}), &right, signature)),
        ("for another resource", claim(json!({"aud": format!("{}/other", server.url)}))),
        ("for nobody", claim(json!({"aud": null}))),
        ("for others", claim(json!({"aud": ["https://a.example", "https://b.example"]}))),
        ("from another issuer", claim(json!({"iss": format!("{}/", issuer.provider.url)}))),
        ("from several issuers", claim(json!({"iss": [issuer.provider.url, "https://a.example"]}))),
        ("from nobody", claim(json!({"iss": null}))),
        ("about nobody", claim(json!({"sub": null}))),
        ("expired", claim(json!({"exp": now() - 70}))),
        ("for ever", claim(json!({"exp": null}))),
        ("not valid yet", claim(json!({"nbf": now() + 120}))),
        ("without a key's name", with_header(|header| header.kid = None)),
        ("an unknown key", with_header(|header| header.kid = Some("unknown".into()))),
        ("a path as a key", with_header(|header| header.kid = Some("../../../dev/null".into()))),
        (
            "a URL as a key",
            with_header(|header| header.kid = Some("https://evil.example/k".into())),
        ),
        ("keys elsewhere", {
            let mut header = header();
            header.jku = Some("https://evil.example/keys".into());
            sign(&header, &right, &other)
        }),
        ("its own key", sign(&embedded, &right, &other)),
        ("a kind of key unknown to us", with_header(|header| header.kid = Some("new".into()))),
        ("what must be understood", with_header(|header| header.crit = Some(vec!["b64".into()]))),
        ("huge", claim(json!({"more": "x".repeat(20_000)}))),
        ("parts missing", "a.b".to_owned()),
        ("no base64", "a.b.c".to_owned()),
    ];
    for (what, token) in bad {
        let answered = call(&mut server, token, READ, &hello());
        assert_eq!(answered.status(), 401, "{what}: {answered:?}");
        let told = answered.header("www-authenticate").unwrap();
        let metadata = server.at("/.well-known/oauth-protected-resource/mcp");
        assert_eq!(
            told,
            format!(
                "Bearer error=\"invalid_token\", scope=\"read\", resource_metadata=\"{metadata}\""
            ),
            "{what}"
        );
    }
    assert_eq!(github.count(), before);
    // However many keys tokens name that are none, the issuer is asked once.
    assert_eq!(issuer.provider.count(), 2, "{:?}", issuer.provider.requests());
    for (what, more) in [
        ("expired within the skew", json!({"exp": now() - 50})),
        ("valid within the skew", json!({"nbf": now() + 50})),
        ("for us too", json!({"aud": ["https://a.example", server.url]})),
    ] {
        let token = claim(more);
        assert_eq!(call(&mut server, token, READ, &hello()).status(), 200, "{what}");
    }
    // A5: it goes no further.
    assert!(github.requests().iter().all(|request| !format!("{request:?}").contains("eyJ")));
}

#[test]
fn a1_the_tenant_is_the_one_that_the_issuer_names_and_one_of_ours() {
    let (issuer, github) = (Issuer::start(), Provider::github(repository));
    let product = product(&issuer, &github);
    let mut server = product.serve();
    let token = issuer.token(&server, &json!({}));
    succeeded(&call(&mut server, token, READ, &hello()));
    let trail = product.json(&["--tenant", "acme", "audit", "--json"]).to_string();
    assert!(trail.contains("alice (mcp)"), "{trail}");
    let before = github.count();
    for (tenant, words) in [
        (json!("elsewhere"), "resto tenant create elsewhere"),
        (json!(null), "`tenant` is missing"),
        (json!(["acme"]), "`tenant` is missing"),
        (json!("ACME"), "resto tenant create ACME"),
    ] {
        let token = issuer.token(&server, &json!({ "tenant": tenant }));
        let answered = call(&mut server, token, READ, &hello());
        assert_eq!(answered.status(), 403, "{answered:?}");
        assert!(answered.body.contains(words), "{answered:?}");
    }
    // The connection of another tenant is none of alice's.
    let token = issuer.token(&server, &json!({"tenant": "local"}));
    let answered = call(&mut server, token, READ, &hello());
    assert!(answered.body.contains("not_connected"), "{answered:?}");
    assert_eq!(github.count(), before);
}

#[test]
fn a6_what_the_scopes_do_not_allow_is_refused_with_those_that_would() {
    let (issuer, github) = (Issuer::start(), Provider::github(repository));
    let product = product(&issuer, &github);
    let mut server = product.serve();
    let issue = json!({"owner": "octocat", "repo": "hello-world", "title": "x"});
    let before = github.count();
    for (granted, tool, arguments, wanted) in [
        (json!("read openid"), CHANGE, &issue, "read github:outward"),
        (json!(["github:read"]), CHANGE, &issue, "github:read github:outward"),
        (json!("stripe:spend"), READ, &hello(), "stripe:spend github:read"),
        (json!(null), READ, &hello(), "github:read"),
        (json!(null), "plan_integrations", &json!({"type": "saas"}), "read"),
    ] {
        let token = issuer.token(&server, &json!({ "scope": granted }));
        let answered = call(&mut server, token, tool, arguments);
        assert_eq!(answered.status(), 403, "{granted}: {answered:?}");
        let told = answered.header("www-authenticate").unwrap();
        let scope = format!("Bearer error=\"insufficient_scope\", scope=\"{wanted}\", ");
        assert!(told.starts_with(&scope) && told.contains("resource_metadata"), "{told}");
    }
    assert_eq!(github.count(), before);
    let denied = product.trail("acme").into_iter().filter(|(_, _, status)| status == "denied");
    assert_eq!(denied.count(), 4);
    let token = issuer.token(&server, &json!({"scope": "github:write"}));
    succeeded(&call(&mut server, token, READ, &hello()));
    // What is asked of a tool that nobody knows is no question of scopes.
    let token = issuer.token(&server, &json!({}));
    assert_eq!(call(&mut server, token, "nothing", &json!({})).json()["error"]["code"], -32602);
}

#[test]
fn a4_says_where_access_tokens_are_to_be_had() {
    let (issuer, github) = (Issuer::start(), Provider::github(repository));
    let product = product(&issuer, &github);
    let server = product.serve();
    for path in ["", "/mcp"] {
        let page = server.at(&format!("/.well-known/oauth-protected-resource{path}"));
        let told = send("GET", &page, &[], "").json();
        assert_eq!(told["resource"], server.url.as_str(), "{told}");
        assert_eq!(told["authorization_servers"], json!([issuer.provider.url]), "{told}");
        assert_eq!(told["bearer_methods_supported"], json!(["header"]), "{told}");
        let scopes = told["scopes_supported"].as_array().unwrap();
        assert!(scopes.contains(&json!("github:write")), "{told}");
        assert!(!scopes.contains(&json!("offline_access")), "{told}");
    }
    let nobody = send("POST", &server.url, &[], "{}");
    let told = nobody.header("www-authenticate").unwrap();
    assert!(told.starts_with("Bearer scope=\"read\", resource_metadata=\"http"), "{told}");
}

#[test]
fn an_issuer_that_does_not_answer_is_waited_for_and_lets_nobody_in() {
    let (issuer, github) = (Issuer::start(), Provider::github(repository));
    let product = product(&issuer, &github);
    issuer.is_down.store(true, Ordering::SeqCst);
    let mut server = product.serve();
    let own = server.token.clone();
    for _ in 0..3 {
        let token = issuer.token(&server, &json!({}));
        assert_eq!(call(&mut server, token, READ, &hello()).status(), 503);
    }
    assert_eq!(issuer.provider.count(), 1);
    assert_eq!(call(&mut server, own, "list_integrations", &json!({})).status(), 200);
}

#[test]
fn g2_refuses_an_identity_provider_that_could_be_anybody() {
    let product = Product::at("http://127.0.0.1:1");
    let hmac = "issuer = \"https://id.example\"\nalgorithms = [\"HS256\"]";
    for (toml, words) in [
        ("issuer = \"http://id.example\"", "begin with https"),
        ("issuer = \"id.example\"", "begin with https"),
        ("issuer = \"https://id.example?a\"", "begin with https"),
        (hmac, "cannot make one"),
        ("issuer = \"https://id.example\"\nalgorithms = []", "no signature"),
        ("issuer = \"https://id.example\"\nclient_id = \"resto\"", "belong together"),
        ("issuer = \"https://id.example\"\naudience = \"x\"", "audience"),
    ] {
        product.configure(&format!("[identity]\n{toml}\n"));
        let refused = product.run(&["serve", "--bind", "127.0.0.1:0"], "");
        assert!(!refused.status.success(), "{toml}: {refused:?}");
        assert!(refused.stderr.contains(words), "{toml}: {refused:?}");
    }
}

#[test]
fn a6_a_token_of_ours_allows_what_it_was_made_for() {
    let github = Provider::github(repository);
    let product = Product::connected(&github.url, KEY);
    let mut server = product.serve();
    let limited = ["token", "create", "--name", "limited", "--json"];
    let made = |more: &[&str]| {
        let made = product.json(&[&limited[..], more].concat());
        product.must(&["token", "revoke", "limited"], "");
        made["scopes"].as_str().unwrap().to_owned()
    };
    assert_eq!(made(&[]), "spend");
    assert_eq!(made(&["--read-only"]), "read");
    assert_eq!(made(&["--max-risk", "outward"]), "outward");
    let wrong = product.run(&[&limited[..], &["--integrations", "gitlab"]].concat(), "");
    assert!(wrong.stderr.contains("no integration `gitlab`"), "{wrong:?}");
    let both = [&limited[..], &["--read-only", "--max-risk", "write"]].concat();
    assert!(!product.run(&both, "").status.success());
    let more = ["--read-only", "--integrations", "github,vercel"];
    let created = product.json(&[&limited[..], &more].concat());
    assert_eq!(created["scopes"], "github:read vercel:read");
    let listed = product.must(&["token", "list"], "");
    assert!(listed.stdout.contains("github:read vercel:read"), "{listed:?}");

    server.token = created["token"].as_str().unwrap().to_owned();
    let tools = Python::connect(Era::Modern, Way::Http(&server)).tools();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(names.contains(&READ) && names.contains(&"list_integrations"), "{names:?}");
    for tool in &tools {
        let name = tool["name"].as_str().unwrap();
        assert_eq!(tool["annotations"]["readOnlyHint"], true, "{name}");
        assert!(!name.starts_with("stripe_") && !name.starts_with("gmail_"), "{name}");
    }
    succeeded(&server.call(&[], READ, &hello()));
    let before = github.count();
    let issue = json!({"owner": "octocat", "repo": "hello-world", "title": "x"});
    let preview = json!({"action": CHANGE, "arguments": issue});
    for (tool, arguments) in [
        (CHANGE, &issue),
        ("stripe_list_disputes", &json!({})),
        ("connect_integration", &json!({"integration": "github"})),
        ("check_connection", &json!({"integration": "stripe"})),
        ("preview_action", &preview),
    ] {
        let refused = server.call(&[], tool, arguments);
        assert_eq!(refused.status(), 200, "{refused:?}");
        assert_eq!(refused.json()["result"]["isError"], true, "{refused:?}");
        assert!(refused.body.contains("The access token allows github:read"), "{refused:?}");
    }
    assert_eq!(github.count(), before);
    let trail = product.trail("local");
    let denied = ("result".to_owned(), CHANGE.to_owned(), "denied".to_owned());
    assert!(trail.contains(&denied), "{trail:?}");
    product.sql("UPDATE access_tokens SET scopes = 'spend' WHERE name = 'limited'");
    assert_eq!(server.call(&[], CHANGE, &issue).status(), 401);
}
