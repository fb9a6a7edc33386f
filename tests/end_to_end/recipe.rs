//! From nothing to a launch, across services: the code at GitHub, the site at Vercel, the domain at a registrar, the offer at
//! Stripe and the mail at Gmail. Emulators keep the repository, the project, its variable and deployment, the product, its
//! price and the letter; `PowerDNS` keeps the zone and shows it, and doubles keep the domain and the payment link, and look
//! whether the domain leads to the site.

use serde_json::{Value, json};

use crate::namecom::NameCom;
use crate::product::{Product, Server};
use crate::standin::{Emulated, GitHub, Google};
use crate::walk::{Walk, at};
use crate::wire::send;

/// All the services of the business.
struct Town {
    github: GitHub,
    registrar: NameCom,
    vercel: Emulated,
    stripe: Emulated,
    google: Google,
}

impl Town {
    fn start() -> Self {
        let (github, registrar) = (GitHub::start(), NameCom::start());
        let vercel = Emulated::vercel(&github, registrar.dns.address);
        Self { github, registrar, vercel, stripe: Emulated::stripe(), google: Google::start() }
    }

    /// Where they are, and that a person wants to see what goes live and what is mailed.
    fn configure(&self, product: &Product) {
        let at = |id: &str, url: &str| format!("[integrations.{id}]\nbase_url = \"{url}\"\n");
        let ask = |tool: &str| {
            format!("[[rules]]\nname = \"launch\"\ndecide = \"ask\"\naction = \"{tool}\"\n")
        };
        let parts = [
            self.registrar.configuration(),
            at("github", &self.github.url),
            at("vercel", &self.vercel.url),
            at("stripe", &self.stripe.url),
            self.google.configuration(product, "gmail"),
            ask("vercel_deploy_project"),
            ask("gmail_send_message"),
        ];
        product.configure(&parts.concat());
    }

    fn connect(&self, product: &Product, server: &Server<'_>) {
        product.must(&["connect", "github", "--key-stdin"], &self.github.token);
        product.must(&["connect", "vercel", "--key-stdin"], Emulated::vercel_token());
        product.must(&["connect", "stripe", "--key-stdin"], &Emulated::stripe_key());
        let key = NameCom::key();
        product.must(&["connect", "registrar", "--provider", "namecom", "--key-stdin"], key);
        self.google.connect(product, server, "gmail");
    }
}

#[test]
fn an_agent_launches_a_business_from_a_repository_to_the_letter_that_tells_of_it() {
    let town = Town::start();
    let product = Product::at("http://127.0.0.1:1");
    town.configure(&product);
    let server = product.serve();
    town.connect(&product, &server);
    // Its value is entered by a person, and known to the agent by its name.
    let value = "words that only a person knows\n";
    product.must(&["secret", "set", "session_key", "--secret-stdin"], value);
    let mut walk = Walk::start(
        &server,
        vec![
            ("github", at(&town.github.url)),
            ("vercel", at(&town.vercel.url)),
            ("registrar", town.registrar.seen()),
            ("stripe", at(&town.stripe.url)),
            ("gmail", at(&town.google.url)),
        ],
    );

    the_code(&mut walk);
    the_site(&mut walk);
    the_domain(&mut walk);
    the_offer(&mut walk);
    the_letter(&mut walk);

    // A person saw what goes live, what costs money and what is mailed, and nothing else.
    assert_eq!(
        walk.approved(),
        ["vercel_deploy_project", "registrar_purchase_domain", "gmail_send_message"]
    );
    let [deploys, buys, mails] = [0, 1, 2].map(|at| walk.asked[at].1.as_str());
    assert!(deploys.contains("shop"), "{deploys}");
    assert!(buys.contains("12.50 USD"), "{buys}");
    assert!(mails.contains("bob@example.org"), "{mails}");
    assert_what_the_services_have(&town);
    town.github.assert_every_request_was_right();
    let trail = product.run(&["audit", "--json"], "").stdout;
    assert!(!trail.contains("We have opened") && !trail.contains("only a person"), "{trail}");
    product.must(&["audit", "--verify"], "");
}

/// A repository with the page of the shop.
fn the_code(walk: &mut Walk<'_>) {
    walk.through([
        (
            "github_create_repository",
            json!({"name": "shop", "description": "Tea every month"}),
            json!({"repository": {"full_name": "octocat/shop"}}),
            "",
        ),
        (
            "github_commit_files",
            json!({"owner": "octocat", "repo": "shop", "branch": "main", "message": "Sell tea",
                "files": [{"path": "index.html", "text": "<h1>Tea</h1>\n"}]}),
            json!({}),
            "commit=/sha",
        ),
    ]);
}

/// What was pushed, built and live, with a value that only a person knows.
fn the_site(walk: &mut Walk<'_>) {
    walk.through([
        (
            "vercel_create_project",
            json!({"name": "shop", "repository": {"full_name": "octocat/shop"}}),
            json!({"repository": {"full_name": "octocat/shop"}}),
            "",
        ),
        (
            "vercel_set_environment_variable",
            json!({"project": "shop", "name": "SESSION_KEY", "value_from": "session_key", "environments": ["production"]}),
            json!({"name": "SESSION_KEY"}),
            "",
        ),
        (
            "vercel_deploy_project",
            json!({"project": "shop", "git_ref": "main", "environment": "production"}),
            json!({"commit_sha": "$commit"}),
            "deployment=/id",
        ),
        (
            "vercel_wait_for_deployment",
            json!({"deployment": "$deployment", "wait_seconds": 60}),
            json!({"outcome": "ready", "deployment": {"commit_sha": "$commit", "environment": "production"}}),
            "",
        ),
    ]);
}

/// Bought, given to the site, and led there by the records that the host asks for.
fn the_domain(walk: &mut Walk<'_>) {
    let www = || json!({"project": "shop", "domain": "www.acme.shop"});
    walk.through([
        (
            "registrar_quote_domain",
            json!({"domain": "acme.shop"}),
            json!({"total": {"minor": 1250, "currency": "USD"}}),
            "quote=/quote_id",
        ),
        (
            "registrar_purchase_domain",
            json!({"quote_id": "$quote", "auto_renew": true}),
            json!({"state": "succeeded"}),
            "",
        ),
        ("vercel_add_project_domain", www(), json!({"verified": false}), ""),
        (
            "vercel_get_domain_configuration",
            www(),
            json!({"configured": false}),
            "records=/records",
        ),
    ]);
    let add: Vec<Value> = walk.kept("records").as_array().unwrap().iter().map(asked_for).collect();
    let visible = json!({"domain": "acme.shop", "name": add[0]["name"], "type": add[0]["type"], "expected": [add[0]["content"]]});
    walk.through([
        (
            "registrar_plan_dns_change",
            json!({"domain": "acme.shop", "add": add}),
            json!({"applied": false, "conflicts": []}),
            "plan=/plan_id",
        ),
        ("registrar_apply_dns_change", json!({"plan_id": "$plan"}), json!({"applied": true}), ""),
        ("registrar_check_propagation", visible, json!({"servers": [{"view": "matches"}]}), ""),
        ("vercel_verify_project_domain", www(), json!({"verified": true}), ""),
        ("vercel_get_domain_configuration", www(), json!({"configured": true}), ""),
    ]);
}

/// What is sold, and where it is paid.
fn the_offer(walk: &mut Walk<'_>) {
    walk.through([
        (
            "stripe_create_offer",
            json!({"name": "Tea every month", "unit_amount": 2000, "currency": "EUR", "recurring": {"every": "month"}}),
            json!({"mode": "test", "price": {"unit_amount": 2000, "currency": "eur"}}),
            "price=/price/id",
        ),
        (
            "stripe_create_payment_link",
            json!({"items": [{"price": "$price"}], "success_url": "https://www.acme.shop/thanks"}),
            json!({"active": true}),
            "link=/url",
        ),
    ]);
}

/// It tells of all that, and is in the mailbox of who sent it.
fn the_letter(walk: &mut Walk<'_>) {
    let link = walk.kept("link");
    let text = format!("Tea every month, at https://www.acme.shop: {}", link.as_str().unwrap());
    walk.through([(
        "gmail_send_message",
        json!({"to": ["bob@example.org"], "subject": "We have opened", "text": text}),
        json!({"recipients": ["bob@example.org"]}),
        "letter=/message_id",
    )]);
    let letter = walk.call("gmail_get_message", &json!({"message_id": walk.kept("letter")}));
    assert!(letter["body"]["text"].as_str().unwrap().contains(link.as_str().unwrap()), "{letter}");
}

/// A record that Vercel asks for, as a registrar is told of it.
fn asked_for(record: &Value) -> Value {
    json!({"name": record["name"], "type": record["type"], "content": record["value"]})
}

/// Past the product.
fn assert_what_the_services_have(town: &Town) {
    let page = town.github.get("/repos/octocat/shop/contents/index.html");
    assert_eq!(page["path"], "index.html", "{page}");
    let authorization = format!("Bearer {}", Emulated::vercel_token());
    let headers = [("authorization", authorization.as_str())];
    let url = format!("{}/v10/projects/shop/env?decrypt=true", town.vercel.url);
    let variables = send("GET", &url, &headers, "").json();
    let value = &variables["envs"][0]["value"];
    assert_eq!(value, "words that only a person knows", "{variables}");
    assert!(town.registrar.dns.questions() > 0, "nobody looked where the domain leads");
}
