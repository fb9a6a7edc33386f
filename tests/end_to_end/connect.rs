//! People connect accounts on our pages: only whoever is signed in, only with forms of ours, and what
//! is typed there goes nowhere else.

use serde_json::json;

use crate::browser::{Browser, between, form, sign_in_code};
use crate::product::Product;
use crate::provider::{Provider, Reply, repository};
use crate::wire::Message;

const KEY: &str = "github_pat_canary_typed_on_our_page";

fn product() -> (Provider, Product) {
    let provider = Provider::github(repository);
    let product = Product::at(&provider.url);
    (provider, product)
}

#[track_caller]
fn told(page: &Message, words: &str) {
    assert!(page.body.contains(words), "no `{words}` in {page:?}");
}

#[test]
fn a_key_that_is_typed_on_our_page_is_tested_and_stored_and_shown_to_nobody() {
    let (_provider, product) = product();
    let server = product.serve_with(&[("RUST_LOG", "trace")]);
    let browser = Browser::of(&product, &server, "local");
    let page = browser.get("/connect/github");
    for words in [
        "What you grant",
        "contents:write",
        "Change files",
        "https://github.com/settings/personal-access-tokens/new",
        "github_pat_...",
        "type=\"password\"",
    ] {
        told(&page, words);
    }
    let wrong = browser.post("/connect/github/key", &[("token", "sk_canary_of_another")]);
    assert_eq!(wrong.status(), 422);
    told(&wrong, "begins with none of github_pat_");
    assert!(!wrong.body.contains("canary"), "{wrong:?}");
    let posted = browser.post("/connect/github/key", &[("provider", "github"), ("token", KEY)]);
    assert_eq!((posted.status(), posted.header("location")), (303, Some("/connect/github")));
    let page = browser.get("/connect/github");
    for words in ["Connected", "octocat", "Unknown until tried"] {
        told(&page, words);
    }
    let arguments = json!({"owner": "octocat", "repo": "hello-world"});
    let answer = server.call(&[], "github_get_repository", &arguments);
    assert_eq!(answer.json()["result"]["isError"], false, "{answer:?}");
    let trail = product.json(&["audit", "--json"]).to_string();
    for text in [format!("{page:?}{posted:?}{answer:?}{trail}"), server.process.said()] {
        assert!(!text.contains(KEY), "{text}");
    }
    let gone = browser.post("/connect/github/disconnect", &[]);
    told(&gone, "GitHub is disconnected");
    told(&browser.get("/connect"), "Not connected");
}

#[test]
fn nobody_sees_a_page_of_a_tenant_without_being_signed_in() {
    let (provider, product) = product();
    let server = product.serve();
    let nobody = Browser::new(&server);
    let mut forged = Browser::new(&server);
    forged.cookie = Some(format!("resto={}", "0".repeat(75)));
    for browser in [&nobody, &forged] {
        for path in ["/connect", "/connect/github", "/oauth/callback/github?code=1&state=2"] {
            let page = browser.get(path);
            assert_eq!(page.status(), 401, "{path}: {page:?}");
            told(&page, "resto sign-in");
        }
        let body = form(&[("csrf", ""), ("token", KEY)]);
        let posted = browser.send("POST", "/connect/github/key", &[], &body);
        assert_eq!(posted.status(), 401, "{posted:?}");
    }
    assert_eq!(provider.count(), 0);
}

#[test]
fn a_sign_in_link_works_once_and_only_when_it_is_confirmed() {
    let (_provider, product) = product();
    let server = product.serve();
    let code = sign_in_code(&product, "local");
    let mut browser = Browser::new(&server);
    // Whatever looks at links first does not use it up.
    for _ in 0..2 {
        assert_eq!(browser.get(&format!("/sign-in/{code}")).status(), 200);
    }
    let signed_in = browser.sign_in(&code);
    let cookie = signed_in.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(browser.get("/connect").status(), 200);
    let again = Browser::new(&server).sign_in(&code);
    assert_eq!((again.status(), again.header("set-cookie")), (403, None), "{again:?}");
    let old = sign_in_code(&product, "local");
    product.sql("UPDATE records SET expires_at = 1 WHERE collection = 'sign-in'");
    assert_eq!(Browser::new(&server).sign_in(&old).status(), 403);
    // The database holds nothing with which one could come in.
    let cookie = browser.cookie.clone().unwrap();
    let secret = &cookie[cookie.len() - 43..];
    for file in std::fs::read_dir(product.path("data")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(secret) && !text.contains(&code[32..]));
    }
    assert_eq!(browser.post("/sign-out", &[]).status(), 303);
    assert_eq!(browser.get("/connect").status(), 401);
}

#[test]
fn c2_a_sign_in_link_says_as_whom_and_takes_nobody_elses_session_unasked() {
    let (_provider, product) = product();
    product.must(&["tenant", "create", "acme"], "");
    let server = product.serve();
    let mut browser = Browser::of(&product, &server, "local");
    let code = sign_in_code(&product, "acme");
    let page = browser.get(&format!("/sign-in/{code}")).body;
    for words in
        ["signed in as <strong>owner of acme<", "<strong>owner of local</strong> is signed in"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    // A form that does not say in whose place is asked once more, and uses nothing up.
    let mine = browser.cookie.clone();
    let session = between(&page, "name=\"instead_of\" value=\"", "\"").to_owned();
    for instead_of in [None, Some("x"), Some(&*code)] {
        let fields: Vec<_> = [("code", &*code)]
            .into_iter()
            .chain(instead_of.map(|session| ("instead_of", session)))
            .collect();
        let asked = browser.send("POST", "/sign-in", &[], &form(&fields));
        assert_eq!((asked.status(), asked.header("set-cookie")), (409, None), "{asked:?}");
        assert!(asked.body.contains("owner of local"), "{asked:?}");
    }
    assert_eq!(browser.get("/connect").status(), 200);
    let fields = form(&[("code", &code), ("instead_of", &session)]);
    let signed_in = browser.send("POST", "/sign-in", &[], &fields);
    assert_eq!(signed_in.status(), 303, "{signed_in:?}");
    let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(Some(&cookie), mine.as_ref());
    assert_eq!(browser.get("/connect").status(), 401, "the session of before is over");
    // The same person is not asked.
    browser.cookie = Some(cookie);
    let again = sign_in_code(&product, "acme");
    assert!(!browser.get(&format!("/sign-in/{again}")).body.contains("instead_of"));
    assert_eq!(browser.sign_in(&again).status(), 303);
    let used = browser.get(&format!("/sign-in/{again}"));
    assert_eq!(used.status(), 403, "{used:?}");
}

#[test]
fn a_cookie_of_https_stays_there() {
    let (_provider, product) = product();
    let config = std::fs::read_to_string(product.path("config.toml")).unwrap();
    product.configure(&format!("public_url = \"https://resto.example\"\n{config}"));
    let server = product.serve();
    let link = product.json(&["sign-in", "--json"]);
    assert!(link["link"].as_str().unwrap().starts_with("https://resto.example/sign-in/"));
    let body = form(&[("code", &sign_in_code(&product, "local"))]);
    let browser = Browser::new(&server);
    let signed_in = browser.send("POST", "/sign-in", &[("host", "resto.example")], &body);
    let cookie = signed_in.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-resto=") && cookie.contains("; Secure"), "{cookie}");
    assert!(!cookie.contains("Domain"), "{cookie}");
}

#[test]
fn a_form_of_another_site_or_session_does_nothing() {
    let (provider, product) = product();
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let csrf = browser.csrf();
    let stolen = Browser::of(&product, &server, "local").csrf();
    let key = "/connect/github/key";
    let same = [("sec-fetch-site", "same-origin")];
    for (headers, csrf) in [
        (&same[..], None),
        (&same[..], Some("")),
        (&same[..], Some(stolen.as_str())),
        (&[("sec-fetch-site", "cross-site")][..], Some(csrf.as_str())),
        (&[("sec-fetch-site", "same-site")][..], Some(csrf.as_str())),
    ] {
        for path in [key, "/connect/github/oauth", "/connect/github/disconnect", "/sign-out"] {
            let mut fields = vec![("token", KEY)];
            fields.extend(csrf.map(|csrf| ("csrf", csrf)));
            let posted = browser.send("POST", path, headers, &form(&fields));
            assert_eq!(posted.status(), 403, "{path} {headers:?} {csrf:?}: {posted:?}");
        }
    }
    assert_eq!(provider.count(), 0);
    assert_eq!(browser.get("/connect").status(), 200);
}

#[test]
fn every_page_carries_the_headers_that_keep_it_to_itself() {
    let (_provider, product) = product();
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    for path in [
        "/",
        "/sign-in",
        "/sign-in/x",
        "/connect",
        "/connect/github",
        "/connect/nothing",
        "/oauth/callback/github",
    ] {
        let page = browser.get(path);
        let header = |name: &str| page.header(name).unwrap_or_default().to_owned();
        assert_eq!(
            header("content-security-policy"),
            "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            "{path}"
        );
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert!(!page.body.contains("<script") && !page.body.contains("style="), "{page:?}");
    }
    assert_eq!(browser.get("/style.css").status(), 200);
}

#[test]
fn no_address_leads_a_browser_away() {
    let (_provider, product) = product();
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    for to in [
        "//evil.example",
        "/\\evil.example",
        "https:evil.example",
        "https://evil.example",
        "%2f%2fevil.example",
        "/connect@evil.example",
        "\r\nlocation: //evil.example",
    ] {
        for name in ["next", "return", "return_to", "redirect_uri", "url", "provider"] {
            let query = form(&[(name, to)]);
            for path in ["/", "/sign-in", "/connect", "/connect/github"] {
                let page = browser.get(&format!("{path}?{query}"));
                assert_eq!((page.status(), page.header("location")), (200, None), "{path} {query}");
                assert!(!page.body.contains("evil.example"), "{page:?}");
            }
            let mut again = Browser::new(&server);
            let body = form(&[("code", &sign_in_code(&product, "local")), (name, to)]);
            let signed_in = again.send("POST", "/sign-in", &[], &body);
            assert_eq!(signed_in.header("location"), Some("/connect"), "{signed_in:?}");
            again.cookie = None;
        }
    }
}

#[test]
fn another_account_takes_the_place_of_one_only_when_a_person_says_so() {
    let provider = Provider::start(|request| match request.what() {
        "GET /user" => {
            let of_hubot = request.header("authorization").is_some_and(|it| it.ends_with("_hubot"));
            let (id, login) = if of_hubot { (2, "hubot") } else { (1, "octocat") };
            let user = json!({"id": id, "login": login, "type": "User", "html_url": "u"});
            Reply::json(200, &user)
        }
        _ => repository(request),
    });
    let product = Product::at(&provider.url);
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let connect = |key: &str, more: &[(&str, &str)]| {
        let fields = [&[("token", key)], more].concat();
        browser.post("/connect/github/key", &fields)
    };
    let id = || product.sql("SELECT hex(id), generation FROM integration_credentials");
    assert_eq!(connect(KEY, &[]).status(), 303);
    told(&browser.get("/connect/github"), "The account of octocat at GitHub is connected.");
    let first = id();
    let refused = connect("github_pat_of_hubot", &[]);
    assert_eq!(refused.status(), 409);
    told(&refused, "This is the account of hubot, but GitHub is connected as octocat");
    assert_eq!(id(), first);
    assert_eq!(connect("github_pat_another_of_octocat", &[]).status(), 303);
    let page = browser.get("/connect/github");
    told(&page, "The access to the account of octocat at GitHub is renewed.");
    assert!(!browser.get("/connect/github").body.contains("is renewed"));
    assert_eq!(connect("github_pat_of_hubot", &[("replace", "yes")]).status(), 303);
    told(&browser.get("/connect/github"), "has taken the place of the account of octocat");
    // It is the same connection, with its third credential.
    assert_eq!(id(), first.replace("|1\n", "|3\n"));
    let doctor = product.run(&["doctor"], "");
    assert!(doctor.stdout.contains("account_changed github"), "{doctor:?}");
    let key = product.run(&["connect", "github", "--key-stdin"], KEY);
    assert!(!key.status.success() && key.stderr.contains("--replace"), "{key:?}");
    product.must(&["connect", "github", "--key-stdin", "--replace"], KEY);
}

#[test]
fn a_live_key_takes_the_place_of_a_test_key_only_when_a_person_says_so() {
    let provider = Provider::start(|request| match request.what() {
        "GET /v1/account" => Reply::json(
            200,
            &json!({"id": "acct_1", "object": "account", "settings": {"dashboard": {"display_name": "Bakery"}}}),
        ),
        _ => {
            let is_live = request.header("authorization").is_some_and(|key| key.contains("_live_"));
            Reply::json(
                200,
                &json!({"object": "balance", "livemode": is_live, "available": [], "pending": []}),
            )
        }
    });
    let product = Product::at("http://127.0.0.1:1");
    product.configure(&format!("[integrations.stripe]\nbase_url = \"{}\"\n", provider.url));
    // Not written out, so that nobody takes them for keys.
    let [test, live] = ["test", "live"].map(|mode| format!("rk_{mode}_of_nobody_0123456789"));
    product.must(&["connect", "stripe", "--key-stdin"], &test);
    let refused = product.run(&["connect", "stripe", "--key-stdin"], &live);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("live mode") && refused.stderr.contains("test mode"),
        "{refused:?}"
    );
    assert_eq!(product.json(&["connections", "--json"])[0]["mode"], "test");
    let replaced = product.must(&["connect", "stripe", "--replace", "--key-stdin"], &live);
    assert!(replaced.stdout.contains("has taken the place"), "{replaced:?}");
    assert_eq!(product.json(&["connections", "--json"])[0]["mode"], "live");
}
