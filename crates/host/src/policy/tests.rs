//! What rules decide, and which are refused.

use serde_json::json;

use super::*;

fn rules(toml: &str) -> Vec<Rule> {
    #[derive(Deserialize)]
    struct Rules {
        rules: Vec<Rule>,
    }
    toml::from_str::<Rules>(toml).unwrap().rules
}

fn verdict(rules: &[Rule], tool: &str, arguments: &Value, price: Option<&Money>) -> Verdict {
    let catalog = Catalog::new(crate::host::adapters());
    let entry = catalog.find(tool).unwrap();
    decide(rules, &Case { tenant: "acme", entry: &entry, arguments, price, outsiders: false })
}

#[test]
fn without_rules_only_what_is_dangerous_is_asked_for() {
    for (tool, decision) in [
        ("github_get_repository", Decision::Allow),
        ("gmail_send_message", Decision::Allow),
        ("github_delete_repository", Decision::Ask),
        ("stripe_refund_payment", Decision::Ask),
    ] {
        assert_eq!(verdict(&[], tool, &json!({}), None).decision, decision, "{tool}");
    }
    let spend = verdict(&[], "stripe_refund_payment", &json!({}), None);
    assert_eq!(spend.rule, "the default for spend");
}

#[test]
fn the_first_rule_that_fits_decides() {
    let rules = rules(
        r#"
        [[rules]]
        name = "small refunds"
        decide = "allow"
        action = "stripe_refund_payment"
        at_most = { minor = 2000, currency = "EUR" }
        [[rules]]
        decide = "deny"
        integration = "stripe"
        risk = "spend"
        [[rules]]
        decide = "allow"
        risk = "outward"
        arguments = { to = "*@acme.com" }
        [[rules]]
        decide = "ask"
        risk = "outward"
        [[rules]]
        decide = "deny"
        tenant = "other"
    "#,
    );
    let euros = |minor| Money { minor, currency: "EUR".into() };
    let refund =
        |price: Option<Money>| verdict(&rules, "stripe_refund_payment", &json!({}), price.as_ref());
    assert_eq!(refund(Some(euros(2000))).rule, "rule small refunds");
    assert_eq!(refund(Some(euros(2000))).decision, Decision::Allow);
    for price in [Some(euros(2001)), Some(Money { minor: 1, currency: "USD".into() }), None] {
        let refused = refund(price.clone());
        assert_eq!((refused.decision, &*refused.rule), (Decision::Deny, "rule 2"), "{price:?}");
        assert_eq!(refused.needs_price, price.is_none());
    }
    let mail =
        |to: Value| verdict(&rules, "gmail_send_message", &json!({ "to": to }), None).decision;
    assert_eq!(mail(json!(["a@acme.com", "b@acme.com"])), Decision::Allow);
    assert_eq!(mail(json!(["a@acme.com", "b@evil.example"])), Decision::Ask);
    assert_eq!(mail(json!([])), Decision::Ask);
    let read = verdict(&rules, "github_get_repository", &json!({}), None);
    assert_eq!(read.decision, Decision::Allow);
}

#[test]
fn a_rule_that_can_never_fit_is_refused() {
    let catalog = Catalog::new(crate::host::adapters());
    for (rule, words) in [
        ("integration = \"strip\"", "`strip`"),
        ("action = \"stripe_refund_paymen\"", "Did you mean stripe_refund_payment?"),
        (
            "action = \"stripe_refund_payment\"\narguments = { amout = 1 }",
            "the argument `amout`, which stripe_refund_payment does not take",
        ),
        ("integration = \"github\"\nunless = { repositry = \"shop\" }", "`repositry`"),
        ("integration = \"vercel\"\narguments = { repo = \"shop\" }", "no action takes"),
        ("risk = \"spend\"\nunless = { repo = \"shop\" }", "the argument `repo`"),
        ("integration = \"github\"\nrisk = \"spend\"", "is about no action"),
        ("action = \"stripe_refund_payment\"\nrisk = \"read\"", "is about no action"),
        ("outsiders = true\nrisk = \"write\"", "is about no action"),
        ("at_most = { minor = 1, currency = \"eur\" }", "the currency `eur`"),
    ] {
        let rules = rules(&format!("[[rules]]\nname = \"mine\"\ndecide = \"deny\"\n{rule}"));
        let error = check_rules(&rules, &catalog, |_| false).unwrap_err();
        assert!(error.message().contains(words), "{error}");
        assert!(error.message().starts_with("Rule 1 (mine) of the configuration"), "{error}");
    }
    assert!(toml::from_str::<Rule>("decide = \"allow\"\nrisky = 1").is_err());
}

#[test]
fn d7_a_deny_pins_to_one_repository_and_one_project() {
    let rules = rules(
        r#"
        [[rules]]
        name = "one repository"
        decide = "deny"
        integration = "github"
        unless = { owner = "acme", repo = "shop" }
        [[rules]]
        name = "one project"
        decide = "deny"
        integration = "vercel"
        unless = { project = "shop" }
    "#,
    );
    check_rules(&rules, &Catalog::new(crate::host::adapters()), |_| false).unwrap();
    let shop = json!({"owner": "acme", "repo": "shop"});
    let other = json!({"owner": "acme", "repo": "keys"});
    for (tool, arguments, decision) in [
        ("github_read_file", &shop, Decision::Allow),
        ("github_create_issue", &shop, Decision::Allow),
        ("github_delete_repository", &shop, Decision::Ask),
        ("github_read_file", &other, Decision::Deny),
        ("github_list_repositories", &json!({}), Decision::Deny),
        ("github_search_code", &json!({"query": "keys repo:acme/keys"}), Decision::Deny),
        ("github_create_repository", &json!({"name": "shop"}), Decision::Deny),
        ("vercel_deploy_project", &json!({"project": "shop"}), Decision::Allow),
        ("vercel_delete_project", &json!({"project": "shop"}), Decision::Ask),
        ("vercel_get_project", &json!({"project": "blog"}), Decision::Deny),
        ("vercel_get_deployment", &json!({"deployment": "dpl_1"}), Decision::Deny),
        ("gmail_list_threads", &json!({}), Decision::Allow),
    ] {
        assert_eq!(verdict(&rules, tool, arguments, None).decision, decision, "{tool}");
    }
}

#[test]
fn d7_what_was_allowed_is_asked_for_once_the_agent_may_be_steered() {
    let catalog = Catalog::new(crate::host::adapters());
    let after = |rules: &[Rule], tool: &str| {
        let entry = catalog.find(tool).unwrap();
        let arguments = json!({ "to": ["a@acme.com"] });
        let price = Money { minor: 500, currency: "EUR".into() };
        let case = Case {
            tenant: "acme",
            entry: &entry,
            arguments: &arguments,
            price: Some(&price),
            outsiders: entry.action.risk >= Risk::Outward,
        };
        let verdict = decide(rules, &case);
        (verdict.decision, verdict.rule)
    };
    let (decision, rule) = after(&[], "gmail_send_message");
    assert_eq!(decision, Decision::Ask);
    assert_eq!(rule, "the default for outward after reading what outsiders may have written");
    assert_eq!(after(&[], "gmail_create_label").0, Decision::Allow);
    // A repository may be public, and the DNS is: few changes there show nothing of what an agent knows.
    let shown = |entry: &Entry<'_>| ["github", "registrar"].contains(&entry.integration().id);
    let changes = catalog.entries().filter(shown).filter(|entry| entry.action.risk != Risk::Read);
    let (asked, free): (Vec<_>, Vec<_>) = changes
        .map(|entry| entry.action.tool.as_str())
        .partition(|tool| after(&[], tool).0 == Decision::Ask);
    assert!(asked.len() > 20, "{asked:?}");
    let mute = [
        "github_archive_repository",
        "github_cancel_workflow_run",
        "github_delete_branch",
        "github_protect_branch",
        "github_rerun_workflow",
        "github_set_workflow_secret",
    ];
    assert_eq!(BTreeSet::from_iter(free), BTreeSet::from(mute));

    let plain = "[[rules]]\nname = \"mine\"\n";
    let known = format!("{plain}decide = \"allow\"\narguments = {{ to = \"*@acme.com\" }}\n");
    assert_eq!(after(&rules(&known), "gmail_send_message").0, Decision::Ask);
    let meant = rules(&format!("{known}outsiders = true\n"));
    assert_eq!(after(&meant, "gmail_send_message"), (Decision::Allow, "rule mine".to_owned()));
    assert_eq!(verdict(&meant, "stripe_refund_payment", &json!({}), None).decision, Decision::Ask);
    let lockdown = rules(&format!("{plain}decide = \"deny\"\noutsiders = true\n"));
    for tool in ["gmail_send_message", "stripe_refund_payment"] {
        assert_eq!(after(&lockdown, tool), (Decision::Deny, "rule mine".to_owned()));
    }
    assert_eq!(after(&lockdown, "github_get_repository").0, Decision::Allow);
    let sent = verdict(&lockdown, "gmail_send_message", &json!({}), None);
    assert_eq!(sent.decision, Decision::Allow);
}
