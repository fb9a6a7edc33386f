//! What a person approves for one agent is for no other, not even of the same tenant.

use serde_json::{Value, json};

use crate::approvals::{
    DELETE, answer_to, by_form, changes, decide, github, hello, page_of, typed,
};
use crate::browser::Browser;
use crate::identity::{Issuer, product};

#[test]
fn a7_what_was_approved_for_one_agent_serves_no_other_of_its_tenant() {
    let (issuer, provider) = (Issuer::start(), github());
    let product = product(&issuer, &provider);
    let mut server = product.serve();
    let token = |sub: &str| issuer.token(&server, &json!({"sub": sub, "scope": "spend"}));
    let (alice, bob) = (token("alice"), token("bob"));
    let browser = Browser::of(&product, &server, "acme");

    // An approval on the page.
    server.token.clone_from(&alice);
    let page = page_of(&server, &server.call(&[], DELETE, &hello()).json());
    assert_eq!(decide(&browser, &page, "approve", "octocat/hello-world").status(), 200);
    server.token.clone_from(&bob);
    let of_bob = page_of(&server, &server.call(&[], DELETE, &hello()).json());
    assert_ne!(of_bob, page);
    assert_eq!(changes(&provider), 0);

    // The handle with which a client brings its person's answer.
    server.token.clone_from(&alice);
    let other = json!({"name": DELETE, "arguments": {"owner": "octocat", "repo": "other"}});
    let asked = by_form(&server, &other);
    let brought = answer_to(other.clone(), &asked, &typed("octocat/other"));
    server.token.clone_from(&bob);
    assert_eq!(by_form(&server, &brought)["error"]["code"], -32602);
    page_of(&server, &server.call(&[], DELETE, &other["arguments"]).json());
    assert_eq!(changes(&provider), 0);

    // Whom it was for uses it, once; what came of it is not the other's either.
    server.token.clone_from(&alice);
    let done: Value = server.call(&[], DELETE, &hello()).json();
    assert_eq!(done["result"]["isError"], false, "{done}");
    assert_eq!(changes(&provider), 1);
    server.token.clone_from(&bob);
    assert_eq!(page_of(&server, &server.call(&[], DELETE, &hello()).json()), of_bob);
    assert_eq!(changes(&provider), 1);
}
