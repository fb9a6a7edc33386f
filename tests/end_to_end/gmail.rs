//! A mailbox at Google: every action at its stand-in, and files that are handed out.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::product::{Product, Server};
use crate::standin::Google;
use crate::walk::{Step, Walk, at};

/// An installation with Ada's mailbox, and its server.
fn connected(google: &Google) -> Product {
    let product = Product::at("http://127.0.0.1:1");
    product.configure(&google.configuration(&product, "gmail"));
    product
}

fn conversations() -> Vec<Step> {
    let orders = || json!({"query": "label:Orders"});
    vec![
        ("gmail_get_profile", json!({}), json!({"email_address": "ada@example.com"}), ""),
        (
            "gmail_search_messages",
            json!({"query": "is:unread"}),
            json!({"items": [{"subject": "An order"}]}),
            "message=/items/0/message_id",
        ),
        (
            "gmail_get_message",
            json!({"message_id": "$message"}),
            json!({"body": {"text": "Do you deliver on Friday?"}}),
            "thread=/thread_id",
        ),
        (
            "gmail_list_unanswered_threads",
            json!({}),
            json!({"items": [{"thread_id": "$thread"}]}),
            "",
        ),
        (
            "gmail_reply_to_thread",
            json!({"thread_id": "$thread", "text": "Yes, before noon.\r\nBcc: everybody@example.com"}),
            json!({"thread_id": "$thread", "recipients": ["bob@example.org"]}),
            "",
        ),
        ("gmail_list_unanswered_threads", json!({}), json!({"items": []}), ""),
        (
            "gmail_forward_message",
            json!({"message_id": "$message", "to": ["eve@example.net"], "note": "Please deliver."}),
            json!({"recipients": ["eve@example.net"]}),
            "",
        ),
        (
            "gmail_create_label",
            json!({"name": "Orders"}),
            json!({"name": "Orders"}),
            "label=/label_id",
        ),
        (
            "gmail_list_labels",
            json!({"name_contains": "Orders"}),
            json!({"items": [{"label_id": "$label"}]}),
            "",
        ),
        (
            "gmail_organize_threads",
            json!({"thread_ids": ["$thread"], "add_labels": ["Orders"], "read": true, "archived": true}),
            json!({}),
            "",
        ),
        ("gmail_list_threads", orders(), json!({"items": [{"thread_id": "$thread"}]}), ""),
        ("gmail_search_messages", json!({"query": "is:unread"}), json!({"items": []}), ""),
        (
            "gmail_trash_thread",
            json!({"thread_id": "$thread"}),
            json!({"thread_id": "$thread"}),
            "",
        ),
        ("gmail_list_threads", orders(), json!({"items": []}), ""),
        ("gmail_restore_thread", json!({"thread_id": "$thread"}), json!({}), ""),
        ("gmail_list_threads", orders(), json!({"items": [{"thread_id": "$thread"}]}), ""),
    ]
}

fn drafts_and_settings() -> Vec<Step> {
    vec![
        (
            "gmail_create_draft",
            json!({"to": ["Bob <bob@example.org>"], "subject": "Next week", "text": "Shall I?"}),
            json!({}),
            "draft=/draft_id",
        ),
        (
            "gmail_update_draft",
            json!({"draft_id": "$draft", "text": "Shall I come?"}),
            json!({"draft_id": "$draft"}),
            "",
        ),
        ("gmail_list_drafts", json!({}), json!({"items": [{"draft_id": "$draft"}]}), ""),
        (
            "gmail_send_draft",
            json!({"draft_id": "$draft"}),
            json!({"recipients": ["bob@example.org"]}),
            "",
        ),
        (
            "gmail_create_draft",
            json!({"to": ["bob@example.org"], "text": "Never mind."}),
            json!({}),
            "unsent=/draft_id",
        ),
        ("gmail_delete_draft", json!({"draft_id": "$unsent"}), json!({"draft_id": "$unsent"}), ""),
        ("gmail_list_drafts", json!({}), json!({"items": []}), ""),
        (
            "gmail_create_filter",
            json!({"criteria": {"from": "bob@example.org"}, "label": "Orders", "actions": ["mark_read"]}),
            json!({"criteria": {"from": "bob@example.org"}}),
            "filter=/filter_id",
        ),
        ("gmail_list_filters", json!({}), json!({"items": [{"filter_id": "$filter"}]}), ""),
        (
            "gmail_delete_filter",
            json!({"filter_id": "$filter"}),
            json!({"filter_id": "$filter"}),
            "",
        ),
        ("gmail_list_filters", json!({}), json!({"items": []}), ""),
        (
            "gmail_set_vacation_reply",
            json!({"enabled": true, "subject": "Away", "text": "Until Monday."}),
            json!({"enabled": true, "subject": "Away", "body": {"text": "Until Monday."}}),
            "",
        ),
    ]
}

fn contacts() -> Vec<Step> {
    vec![
        (
            "gmail_create_contact",
            json!({"given_name": "Bob", "family_name": "B.", "emails": [{"value": "bob@example.org", "label": "work"}]}),
            json!({"name": "Bob B."}),
            "contact=/contact_id",
        ),
        (
            "gmail_list_contacts",
            json!({}),
            json!({"items": [{"contact_id": "$contact", "name": "Bob B."}]}),
            "etag=/items/0/etag",
        ),
        (
            "gmail_update_contact",
            json!({"contact_id": "$contact", "etag": "$etag", "organization": "Acme"}),
            json!({"organization": "Acme", "name": "Bob B."}),
            "",
        ),
        (
            "gmail_search_contacts",
            json!({"query": "bob"}),
            json!({"contacts": [{"organization": "Acme"}]}),
            "",
        ),
    ]
}

#[test]
fn every_action_of_gmail_runs_at_its_stand_in() {
    let google = Google::start();
    let product = connected(&google);
    let server = product.serve();
    google.connect(&product, &server, "gmail");
    let connections = product.json(&["connections", "--json"]);
    assert_eq!(connections[0]["account"], "ada@example.com", "{connections}");
    assert_eq!(connections[0]["refused"], json!([]), "{connections}");
    let mut walk = Walk::start(&server, vec![("gmail", at(&google.url))]);

    walk.through(conversations());
    let thread = walk.kept("thread");
    let conversation = walk.call("gmail_get_thread", &json!({ "thread_id": thread }));
    let messages = conversation["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2, "{conversation}");
    assert!(messages[1].to_string().contains("before noon"), "{conversation}");
    assert!(messages[1]["bcc"].as_array().is_none_or(Vec::is_empty), "{conversation}");
    walk.through(drafts_and_settings());
    walk.through(contacts());
    let (contact, old) = (walk.kept("contact"), walk.kept("etag"));
    let stale = json!({"contact_id": contact, "etag": old, "notes": "x"});
    let refused = walk.refused("gmail_update_contact", &stale);
    assert!(refused.contains("conflict"), "{refused}");
    walk.through([
        ("gmail_delete_contact", json!({ "contact_id": contact }), json!({}), ""),
        ("gmail_list_contacts", json!({}), json!({"items": []}), ""),
    ]);
    let (_, link) = attachment(&mut walk);
    assert_eq!(link["size"], 3, "{link}");

    walk.assert_left_out("gmail", &[]);
    // What reaches others waits too, once the agent has read mail.
    assert_eq!(
        walk.approved(),
        [
            "gmail_reply_to_thread",
            "gmail_forward_message",
            "gmail_send_draft",
            "gmail_delete_draft",
            "gmail_delete_filter",
            "gmail_set_vacation_reply",
            "gmail_delete_contact",
            "gmail_send_message",
        ]
    );
    product.must(&["audit", "--verify"], "");
}

/// Has the agent send a file to its own mailbox and read it there: the result of the tool, and the link in it.
fn attachment(walk: &mut Walk<'_>) -> (Value, Value) {
    let offer =
        json!({"name": "offer.pdf", "media_type": "application/pdf", "data_base64": "//79"});
    let letter = json!({"to": ["ada@example.com"], "subject": "An offer", "text": "Here.", "attachments": [offer]});
    walk.through([
        (
            "gmail_send_message",
            letter,
            json!({"recipients": ["ada@example.com"]}),
            "sent=/message_id",
        ),
        (
            "gmail_get_message",
            json!({"message_id": "$sent"}),
            json!({"attachments": [{"name": "offer.pdf"}]}),
            "file=/attachments/0/attachment_id",
        ),
    ]);
    let asked = json!({"message_id": walk.kept("sent"), "attachment_id": walk.kept("file")});
    let read = walk.call("gmail_get_attachment", &asked);
    assert!(read.get("text").is_none(), "{read}");
    (asked, read["file"].clone())
}

#[test]
fn a_file_is_read_by_its_link_by_whoever_made_the_call_and_nobody_else() {
    let google = Google::start();
    let product = connected(&google);
    let server = product.serve();
    google.connect(&product, &server, "gmail");
    let mut walk = Walk::start(&server, vec![("gmail", at(&google.url))]);
    let (asked, link) = attachment(&mut walk);
    let uri = link["uri"].as_str().unwrap();

    // The link is part of the content, where a client looks for it.
    let called = server.call(&[], "gmail_get_attachment", &asked).json();
    let shown = called["result"]["content"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&shown["type"], &shown["name"], &shown["mimeType"], &shown["size"]),
        (&json!("resource_link"), &json!("offer.pdf"), &json!("application/pdf"), &json!(3)),
        "{called}"
    );
    let read = |server: &Server<'_>, token: &str| server.read(token, uri);
    let contents = read(&server, &server.token)["result"]["contents"][0].clone();
    assert_eq!(contents, json!({"uri": uri, "mimeType": "application/pdf", "blob": "//79"}));

    // Another agent of the same owner has the same right; one that may not read mail, another tenant, and a guess have not.
    let gone = |answer: &Value| answer["error"]["code"] == -32602;
    let create = |more: &[&str]| -> String {
        let words = [&["token", "create", "--name", "other", "--json"], more].concat();
        product.json(&words)["token"].as_str().unwrap().to_owned()
    };
    let without_mail = create(&["--integrations", "github"]);
    let refused = read(&server, &without_mail);
    assert!(gone(&refused), "{refused}");
    product.must(&["tenant", "create", "other"], "");
    let stranger = read(&server, &product.token("other", "stranger"));
    assert!(gone(&stranger), "{stranger}");
    let guessed = server.read(&server.token, "resto://files/00000000-0000-4000-8000-000000000000");
    assert!(gone(&guessed), "{guessed}");
    assert!(!guessed.to_string().contains("blob"));

    // It ends with the connection, and by itself.
    assert_eq!(product.sql("SELECT count(*) FROM records WHERE collection = 'files'").trim(), "2");
    let ends = "SELECT max(expires_at) <= (unixepoch() + 601) * 1000 FROM records WHERE collection = 'files'";
    assert_eq!(product.sql(ends).trim(), "1");
    product.must(&["disconnect", "gmail"], "");
    let after = read(&server, &server.token);
    assert!(gone(&after), "{after}");
    let trail = product.json(&["audit", "--json"]);
    let of_files = trail.as_array().unwrap().iter();
    let ended: Vec<&str> = of_files
        .filter(|event| {
            event["action"] == "gmail_get_attachment.file" && event["phase"] == "result"
        })
        .map(|event| event["result_status"].as_str().unwrap())
        .collect();
    assert_eq!(ended, ["success", "denied", "denied"], "{trail}");
}

#[test]
fn a_file_that_a_call_hands_out_is_read_at_the_terminal() {
    let google = Google::start();
    let product = connected(&google);
    let server = product.serve();
    google.connect(&product, &server, "gmail");
    let mut walk = Walk::start(&server, vec![("gmail", at(&google.url))]);
    let (asked, theirs) = attachment(&mut walk);
    let called = product.must(&["call", "gmail_get_attachment", &asked.to_string()], "");
    let answer: Value = serde_json::from_str(&called.stdout).unwrap();
    let uri = answer["file"]["uri"].as_str().unwrap();
    assert!(called.stderr.contains(&format!("resto read {uri} --output FILE")), "{called:?}");

    let (place, contents) = (product.path("offer.pdf"), [0xff, 0xfe, 0xfd]);
    let output = ["read", uri, "--output", place.to_str().unwrap()];
    let read = product.must(&output, "");
    assert!(read.stderr.contains("3 bytes of application/pdf"), "{read:?}");
    assert_eq!(std::fs::read(&place).unwrap(), contents);
    assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
    let again = product.run(&output, "");
    assert!(again.stderr.contains("cannot be written"), "{again:?}");
    let piped = product.command(&["read", uri]).output().unwrap();
    assert_eq!((piped.status.success(), piped.stdout.as_slice()), (true, &contents[..]));

    // What an agent of the owner was handed is the owner's; what never was is nobody's.
    let agents = theirs["uri"].as_str().unwrap();
    product.must(&["read", agents, "--output", product.path("same.pdf").to_str().unwrap()], "");
    let guessed = "resto://files/00000000-0000-4000-8000-000000000000";
    let refused = product.run(&["read", guessed], "");
    assert!(!refused.status.success() && refused.stderr.contains("no such file"), "{refused:?}");
    let trail = product.json(&["audit", "--json"]).to_string();
    assert_eq!(trail.matches("gmail_get_attachment.file").count(), 8, "{trail}");
}
