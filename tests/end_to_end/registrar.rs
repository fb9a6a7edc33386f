//! A registrar is one of several companies: which one belongs to the connection.

use serde_json::{Value, json};

use crate::product::Product;
use crate::provider::{Provider, Reply};
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
