//! A registrar is one of several companies: which one belongs to the connection. Every action at the stand-in of one.

use serde_json::{Value, json};

use crate::namecom::NameCom;
use crate::product::Product;
use crate::provider::{Provider, Reply};
use crate::walk::{Step, Walk};
use crate::wire::Message;

/// A Porkbun and a name.com that know one account and its one domain each.
fn companies(request: &Message) -> Reply {
    let (status, body) = match request.what() {
        "GET /account/balance" => {
            (200, json!({"status": "SUCCESS", "balance": 5, "sandbox": true}))
        }
        "GET /domain/listAll" => (
            200,
            json!({"status": "SUCCESS", "domains": [{"domain": "acme.shop", "autoRenew": "1"}]}),
        ),
        "GET /core/v1/hello" => (200, json!({"username": "acme"})),
        "GET /core/v1/domains" => {
            (200, json!({"domains": [{"domainName": "acme.com"}], "totalCount": 1}))
        }
        _ => (404, json!({"message": "Not Found"})),
    };
    Reply::json(status, &body)
}

fn domains(product: &Product) -> Value {
    product.json(&["call", "registrar_list_domains", "--json"])["items"][0]["name"].clone()
}

#[test]
fn which_company_it_is_belongs_to_the_connection() {
    let provider = Provider::start(companies);
    let product = Product::at("http://127.0.0.1:1");
    product.configure(&format!("[integrations.registrar]\nbase_url = \"{}\"\n", provider.url));

    // Nobody else sees a key whose company was not said.
    let open = product.run(&["connect", "registrar", "--key-stdin"], "word\nword\n");
    assert!(open.stderr.contains("cloudflare, porkbun, namecom"), "{open:?}");
    assert_eq!((open.status.code(), provider.count()), (Some(1), 0));

    let connect = |company: &str, key: &str| {
        product
            .must(&["connect", "registrar", "--provider", company, "--key-stdin", "--replace"], key)
    };
    let porkbun = connect("porkbun", "pk1_word\nsk1_word\n");
    assert!(porkbun.stdout.contains("at Porkbun is connected"), "{porkbun:?}");
    assert!(porkbun.stdout.contains("sandbox"), "{porkbun:?}");
    assert!(!porkbun.stderr.contains("cloudflare:"), "rights of another company: {porkbun:?}");
    assert_eq!(domains(&product), "acme.shop");
    let last = provider.requests().pop().unwrap();
    assert_eq!(
        (last.header("x-api-key"), last.header("x-secret-api-key")),
        (Some("pk1_word"), Some("sk1_word"))
    );

    connect("namecom", "acme\nword\n");
    assert_eq!(domains(&product), "acme.com");
    let last = provider.requests().pop().unwrap();
    assert_eq!(last.header("authorization"), Some("Basic YWNtZTp3b3Jk"));
    assert_eq!(last.header("x-api-key"), None);
    let connections = product.json(&["connections", "--json"]);
    assert_eq!(
        (&connections[0]["provider"], &connections[0]["account"], &connections[0]["mode"]),
        (&json!("name.com"), &json!("acme"), &json!("live"))
    );
    assert_eq!(connections.as_array().unwrap().len(), 1);
}

fn orders() -> Vec<Step> {
    let acme = || json!({"domain": "acme.shop"});
    let price = || json!({"minor": 1250, "currency": "USD"});
    vec![
        (
            "registrar_suggest_domains",
            json!({"words": "acme"}),
            json!({"offers": [{"domain": "acme.com", "price": price()}]}),
            "",
        ),
        (
            "registrar_search_domains",
            json!({"name": "acme", "endings": ["shop"]}),
            json!({"offers": [{"domain": "acme.shop", "available": true}]}),
            "",
        ),
        (
            "registrar_quote_domain",
            acme(),
            json!({"total": price(), "operation": "register"}),
            "quote=/quote_id",
        ),
        (
            "registrar_purchase_domain",
            json!({"quote_id": "$quote", "auto_renew": true}),
            json!({"domain": "acme.shop", "state": "succeeded", "paid": price()}),
            "order=/order_id",
        ),
        (
            "registrar_get_order",
            json!({"order_id": "$order"}),
            json!({"state": "succeeded", "expires_on": "2027-01-01"}),
            "",
        ),
        (
            "registrar_check_availability",
            json!({"domains": ["acme.shop"]}),
            json!({"offers": [{"available": false}]}),
            "",
        ),
        (
            "registrar_quote_domain",
            json!({"domain": "acme.shop", "operation": "renew"}),
            json!({"total": price(), "operation": "renew"}),
            "renewal=/quote_id",
        ),
        (
            "registrar_quote_domain",
            json!({"domain": "acme.shop", "operation": "renew", "years": 1}),
            json!({"total": price(), "operation": "renew"}),
            "late=/quote_id",
        ),
        (
            "registrar_renew_domain",
            json!({"quote_id": "$renewal"}),
            json!({"expires_on": "2028-01-01"}),
            "",
        ),
        (
            "registrar_list_domains",
            json!({}),
            json!({"items": [{"name": "acme.shop", "auto_renew": true}]}),
            "",
        ),
        (
            "registrar_set_auto_renew",
            json!({"domain": "acme.shop", "enabled": true}),
            json!({"enabled": true}),
            "",
        ),
        (
            "registrar_set_auto_renew",
            json!({"domain": "acme.shop", "enabled": false}),
            json!({"enabled": false}),
            "",
        ),
        (
            "registrar_set_privacy",
            json!({"domain": "acme.shop", "enabled": false}),
            json!({"enabled": false}),
            "",
        ),
        (
            "registrar_set_nameservers",
            json!({"domain": "acme.shop", "nameservers": ["ns1.acme.net", "ns2.acme.net"]}),
            json!({}),
            "",
        ),
        (
            "registrar_get_domain",
            acme(),
            json!({"auto_renew": false, "privacy": false, "expires_on": "2028-01-01", "nameservers": ["ns1.acme.net", "ns2.acme.net"]}),
            "",
        ),
    ]
}

fn zone() -> Vec<Step> {
    let acme = || json!({"domain": "acme.shop"});
    let www = |content: &str| json!({"name": "www", "type": "CNAME", "content": content});
    vec![
        (
            "registrar_plan_dns_change",
            json!({"domain": "acme.shop", "add": [www("old.example.net")]}),
            json!({"applied": false, "diff": {"create": [{"name": "www"}]}, "conflicts": []}),
            "plan=/plan_id",
        ),
        ("registrar_list_dns_records", acme(), json!({"items": []}), ""),
        ("registrar_apply_dns_change", json!({"plan_id": "$plan"}), json!({"applied": true}), ""),
        (
            "registrar_set_up_hosting_dns",
            json!({"domain": "acme.shop", "records": [www("new.example.net")], "replace": true}),
            json!({"applied": true}),
            "snapshot=/snapshot_id",
        ),
        (
            "registrar_check_propagation",
            json!({"domain": "acme.shop", "name": "www", "type": "CNAME", "expected": ["new.example.net"]}),
            json!({"servers": [{"name": "Own", "view": "matches"}]}),
            "",
        ),
        (
            "registrar_restore_dns_snapshot",
            json!({"snapshot_id": "$snapshot"}),
            json!({"applied": true}),
            "",
        ),
        (
            "registrar_check_propagation",
            json!({"domain": "acme.shop", "name": "www", "type": "CNAME", "expected": ["new.example.net"]}),
            json!({"servers": [{"view": "differs", "answers": ["old.example.net"]}]}),
            "",
        ),
        (
            "registrar_set_up_email_dns",
            json!({"domain": "acme.shop", "service": "fastmail"}),
            json!({"applied": true, "conflicts": []}),
            "",
        ),
        (
            "registrar_list_dns_records",
            json!({"domain": "acme.shop", "name": "www"}),
            json!({"items": [{"name": "www", "content": "old.example.net"}]}),
            "",
        ),
    ]
}

#[test]
fn every_action_of_registrars_runs_at_a_stand_in_whose_zone_powerdns_keeps_and_shows() {
    let namecom = NameCom::start();
    let product = Product::at("http://127.0.0.1:1");
    product.configure(&namecom.configuration());
    let key = NameCom::key();
    product.must(&["connect", "registrar", "--provider", "namecom", "--key-stdin"], key);
    let server = product.serve();
    let mut walk = Walk::start(&server, vec![("registrar", namecom.seen())]);

    // More than five minutes later.
    let old = walk.call("registrar_quote_domain", &json!({"domain": "old.shop"}));
    product.sql("UPDATE records SET expires_at = 1 WHERE collection = 'registrar_quotes'");
    let late = json!({"quote_id": old["quote_id"], "auto_renew": false});
    let refused = walk.refused("registrar_purchase_domain", &late);
    assert!(refused.contains("has expired or was used. Nothing was bought"), "{refused}");
    let nothing = walk.call("registrar_list_domains", &json!({}));
    assert_eq!(nothing["items"], json!([]));

    // A client that cannot show a form is sent to a page for each, and nothing is bought.
    let waits = |tool: &str, arguments: Value| {
        let plain = server.call(&[], tool, &arguments).json();
        let told = plain["result"]["content"][0]["text"].as_str().unwrap();
        assert!(told.contains("It costs 12.50 USD. ") && told.contains("/approve/"), "{plain}");
    };
    let quoted = walk.call("registrar_quote_domain", &json!({"domain": "acme.shop"}));
    waits("registrar_purchase_domain", json!({"quote_id": quoted["quote_id"], "auto_renew": true}));
    let nothing = walk.call("registrar_list_domains", &json!({}));
    assert_eq!(nothing["items"], json!([]));

    walk.through(orders());
    let renewal = json!({"domain": "acme.shop", "operation": "renew"});
    let quoted = walk.call("registrar_quote_domain", &renewal);
    waits("registrar_renew_domain", json!({"quote_id": quoted["quote_id"]}));
    let domain = walk.call("registrar_get_domain", &json!({"domain": "acme.shop"}));
    assert_eq!(domain["expires_on"], "2028-01-01", "{domain}");
    let late = json!({"quote_id": walk.kept("late")});
    let refused = walk.refused("registrar_renew_domain", &late);
    assert!(refused.contains("it was renewed since. Nothing was sent"), "{refused}");
    walk.through(zone());
    let bought = walk.refused("registrar_quote_domain", &json!({"domain": "acme.shop"}));
    assert!(bought.contains("cannot sell acme.shop"), "{bought}");

    walk.assert_left_out("registrar", &[]);
    let told = |n: usize| (walk.asked[n].0.as_str(), walk.asked[n].1.as_str());
    for (n, (tool, costs)) in [
        ("registrar_purchase_domain", "It costs 12.50 USD. "),
        ("registrar_renew_domain", "It costs 12.50 USD. "),
        ("registrar_set_auto_renew", "It costs 12.50 USD. "),
        ("registrar_set_auto_renew", "It costs nothing now. "),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(told(n).0, tool);
        assert!(told(n).1.contains(costs), "{tool}: {}", told(n).1);
    }
    // What the public DNS shows, others may have written.
    let after = ["registrar_restore_dns_snapshot", "registrar_set_up_email_dns"];
    assert_eq!(walk.approved()[4..], after);
    product.must(&["audit", "--verify"], "");
}
