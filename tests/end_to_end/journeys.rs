//! Prompts for the common journeys and skills for each service, as clients that others wrote get them.

use serde_json::{Value, json};

use crate::clients::{Agent, Era, Node, Way, inspector_skills};
use crate::frameworks::github;
use crate::process::top;
use crate::product::Product;

/// The official clients for Node, of the handshake and of 2026-07-28.
const CLIENTS: [&str; 2] = ["sdk", "client"];
const SERVICES: [&str; 6] = ["analytics", "github", "gmail", "registrar", "stripe", "vercel"];

fn prompt(agent: &mut Agent, name: &str, arguments: &Value) -> String {
    let got = agent.request("prompts/get", &json!({"name": name, "arguments": arguments}));
    let message = &got["messages"][0];
    assert_eq!(message["role"], "user", "{got}");
    message["content"]["text"].as_str().unwrap_or_else(|| panic!("{got}")).to_owned()
}

#[track_caller]
fn told(text: &str, words: &[&str], not: &[&str]) {
    for words in words {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    for words in not {
        assert!(!text.contains(words), "`{words}` in {text}");
    }
}

fn names(listed: &Value, what: &str) -> Vec<String> {
    let all = listed[what].as_array().unwrap_or_else(|| panic!("{listed}")).iter();
    all.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn prompts_fit_what_the_agent_has() {
    let provider = github();
    let product = Product::connected(&provider.url, "github_pat_of_a_test");
    let server = product.serve();
    let of_github = ["token", "create", "--name", "small", "--integrations", "github", "--json"];
    let of_github = product.json(&of_github)["token"].as_str().unwrap().to_owned();
    let journeys = ["launch_my_saas", "monthly_business_review", "connect_my_accounts"];
    for client in CLIENTS {
        let mut agent = Node::connect(client, &server.url, &server.token);
        let listed = agent.request("prompts/list", &json!({}));
        assert_eq!(names(&listed, "prompts"), journeys, "{client}");
        let launch = &listed["prompts"][0];
        assert_eq!(launch["title"], "Launch my SaaS");
        assert_eq!(launch["arguments"][0]["name"], "idea");
        assert_eq!(launch["arguments"][0]["required"], true);

        let given = json!({"idea": "Bookings for dentists", "domain": "example.com"});
        let text = prompt(&mut agent, "launch_my_saas", &given);
        told(
            &text,
            &[
                "I want to launch this: Bookings for dentists",
                "The domain is example.com",
                "1. Plan with",
            ],
            &["{", "The code is in", "Not connected yet: GitHub"],
        );
        told(
            &text,
            &[
                "`registrar_purchase_domain`",
                "`stripe_create_offer`",
                "(Not connected yet: Stripe.)",
            ],
            &[],
        );
        let review = prompt(&mut agent, "monthly_business_review", &json!({}));
        told(
            &review,
            &["`stripe_get_revenue`", "`analytics_get_traffic`"],
            &["The month is", "draft to"],
        );

        for (prompt, arguments, word) in [
            ("launch_my_saas", json!({}), "`idea` is missing"),
            ("launch_my_saas", json!({"idea": "x", "colour": "red"}), "takes: idea"),
            ("launch_a_rocket", json!({}), "no such prompt"),
        ] {
            let params = json!({"name": prompt, "arguments": arguments});
            let refused = agent.request("prompts/get", &params);
            told(refused["error"].as_str().unwrap_or_default(), &[word], &[]);
        }

        for (argument, typed, completed) in [
            ("services", "gi", json!(["github"])),
            ("services", "github, g", json!(["github, gmail"])),
            ("services", "nothing", json!([])),
            ("domain", "ex", json!([])),
        ] {
            let params = json!({
                "ref": {"type": "ref/prompt", "name": "connect_my_accounts"},
                "argument": {"name": argument, "value": typed},
            });
            let values = agent.request("completion/complete", &params);
            assert_eq!(values["completion"]["values"], completed, "{client}: {argument} {typed}");
        }

        // What an agent may only read, or not do at all, it is not asked for.
        let mut agent = Node::connect(client, &format!("{}?readonly=1", server.url), &server.token);
        told(
            &prompt(&mut agent, "launch_my_saas", &given),
            &["`plan_integrations`", "`registrar_quote_domain`"],
            &["`registrar_purchase_domain`", "`github_commit_files`", "`connect_integration`"],
        );
        let only = format!("{}?toolsets=stripe", server.url);
        let mut agent = Node::connect(client, &only, &server.token);
        let review = prompt(&mut agent, "monthly_business_review", &json!({}));
        told(&review, &["`stripe_get_revenue`"], &["analytics_", "github_", "gmail_"]);
        let mut agent = Node::connect(client, &server.url, &of_github);
        let listed = agent.request("prompts/list", &json!({}));
        assert!(names(&listed, "prompts").len() <= journeys.len());
        let text = prompt(&mut agent, "launch_my_saas", &given);
        told(&text, &["`github_commit_files`"], &["stripe_", "vercel_", "registrar_"]);
    }
}

#[test]
fn each_service_has_a_skill_that_can_be_verified() {
    let product = Product::at("http://127.0.0.1:1");
    let server = product.serve();
    for era in [Era::Legacy, Era::Modern] {
        let reports = inspector_skills(era, Way::Http(&server));
        let mut found: Vec<&str> =
            reports.iter().filter_map(|report| report["uri"].as_str()).collect();
        found.sort_unstable();
        let expected = SERVICES.map(|id| format!("skill://resto-{id}/SKILL.md"));
        assert_eq!(found, expected, "{era:?}: {reports:?}");
    }
    for client in CLIENTS {
        let mut agent = Node::connect(client, &server.url, &server.token);
        let listed = agent.request("resources/list", &json!({}));
        let expected = ["alerts".to_owned()].into_iter();
        let expected = expected.chain(SERVICES.map(|id| format!("resto-{id}")));
        assert_eq!(names(&listed, "resources"), expected.collect::<Vec<_>>(), "{client}");
        let uri = "skill://resto-github/SKILL.md";
        let read = agent.request("resources/read", &json!({ "uri": uri }));
        let file = std::fs::read_to_string(top().join("crates/github/SKILL.md")).unwrap();
        assert_eq!(read["contents"][0]["text"], file);
        assert_eq!(read["contents"][0]["mimeType"], "text/markdown");
        for uri in
            ["skill://resto-nothing/SKILL.md", "ui://resto/github_get_account", "ui://resto/x"]
        {
            let refused = agent.request("resources/read", &json!({ "uri": uri }));
            told(refused["error"].as_str().unwrap_or_default(), &["no such resource"], &[]);
        }
        // A token that is for one service alone sees no other.
        let small = product.json(&[
            "token",
            "create",
            "--name",
            client,
            "--integrations",
            "gmail",
            "--json",
        ]);
        let mut agent = Node::connect(client, &server.url, small["token"].as_str().unwrap());
        let listed = agent.request("resources/list", &json!({}));
        assert_eq!(names(&listed, "resources"), ["alerts", "resto-gmail"]);
    }
}
