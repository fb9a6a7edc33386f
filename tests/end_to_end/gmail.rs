//! A mailbox at Google, from the consent to an answer that was sent and a conversation that is put in order.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::clients::{Era, Python, Way};
use crate::product::Product;
use crate::standin::Google;

#[test]
fn an_agent_reads_answers_and_organises_mail() {
    let google = Google::start();
    let product = Product::at("http://127.0.0.1:1");
    let secret = product.path("client-secret");
    fs::write(&secret, "plainly-fake").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let url = &google.url;
    product.configure(&format!(
        "[integrations.gmail]\nbase_url = \"{url}\"\nauthorize_url = \"{url}/o/oauth2/v2/auth\"\n\
         token_url = \"{url}/oauth2/token\"\nclient_id = \"ours\"\nclient_secret_file = \"{}\"\n",
        secret.display()
    ));
    let server = product.serve();
    let browser = Browser::of(&product, &server, "local");
    let back = google.consent(&browser.consent("gmail"));
    let back: Vec<(&str, &str)> =
        back.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(browser.back("gmail", &back).status(), 303);
    let connections = product.json(&["connections", "--json"]);
    assert_eq!(connections[0]["account"], "ada@example.com", "{connections}");
    assert_eq!(connections[0]["refused"], json!([]), "{connections}");

    let mut agent = Python::connect(Era::Modern, Way::Http(&server));
    let mut call = |name: &str, arguments: Value| {
        agent.call(&format!("gmail_{name}"), &arguments).output().clone()
    };
    assert_eq!(call("get_profile", json!({}))["email_address"], "ada@example.com");
    let found = call("search_messages", json!({"query": "is:unread"}));
    let found = &found["items"][0];
    assert_eq!(found["subject"], "An order", "{found}");
    let thread = found["thread_id"].clone();
    let message = call("get_message", json!({"message_id": found["message_id"]}));
    assert!(message.to_string().contains("Do you deliver on Friday?"), "{message}");

    let text = "Yes, before noon.\r\nBcc: everybody@example.com";
    let sent = call("reply_to_thread", json!({"thread_id": thread, "text": text}));
    assert_eq!(sent["thread_id"], thread, "{sent}");
    let conversation = call("get_thread", json!({"thread_id": thread}));
    let messages = conversation["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2, "{conversation}");
    assert!(messages[1].to_string().contains("before noon"), "{conversation}");
    assert!(messages[1]["bcc"].as_array().is_none_or(Vec::is_empty), "{conversation}");

    let label = call("create_label", json!({"name": "Orders"}));
    let organised =
        json!({"thread_ids": [thread], "add_labels": ["Orders"], "read": true, "archived": true});
    call("organize_threads", organised);
    let found = call("search_messages", json!({"query": "label:Orders"}));
    assert!(!found["items"].as_array().unwrap().is_empty(), "{label} {found}");
    let unread = call("search_messages", json!({"query": "is:unread"}));
    assert_eq!(unread["items"], json!([]), "{unread}");

    let draft = call(
        "create_draft",
        json!({"to": ["Bob <bob@example.org>"], "subject": "Next week", "text": "Shall I?"}),
    );
    let drafts = call("list_drafts", json!({}));
    assert_eq!(drafts["items"].as_array().unwrap().len(), 1, "{draft} {drafts}");
    call("send_draft", json!({"draft_id": drafts["items"][0]["draft_id"]}));
    assert_eq!(call("list_drafts", json!({}))["items"], json!([]));

    call(
        "create_filter",
        json!({"criteria": {"from": "bob@example.org"}, "label": "Orders", "actions": ["mark_read"]}),
    );
    assert_eq!(call("list_filters", json!({}))["items"].as_array().unwrap().len(), 1);
    call("trash_thread", json!({"thread_id": thread}));
    call("restore_thread", json!({"thread_id": thread}));
    product.must(&["audit", "--verify"], "");
}
