//! Someone who can write to the database does not gain what the credential was not given.

use serde_json::json;

use crate::postgres::on_both_with_sql;
use crate::product::Product;
use crate::provider::{Provider, repository};

const READ: [&str; 3] =
    ["call", "github_get_repository", r#"{"owner": "octocat", "repo": "hello-world"}"#];

#[test]
fn b5_a_connection_that_was_changed_in_the_database_is_not_used_and_doctor_tells_it() {
    let (provider, evil) = (Provider::github(repository), Provider::github(repository));
    let product = Product::connected(&provider.url, "github_pat_of_a_test");
    product.must(&READ, "");
    product.sql("CREATE TABLE kept AS SELECT * FROM integration_credentials");
    let before = provider.count();
    let host = evil.url.strip_prefix("http://").unwrap();
    for change in [
        format!("host = '{host}'"),
        "permissions_granted = '{\"known\": [\"administration:write\"]}'".to_owned(),
        "permissions_granted = '{}'".to_owned(),
        "account_id = '2'".to_owned(),
        "account_name = 'someone'".to_owned(),
        "provider = 'another'".to_owned(),
        "auth_type = 'oauth2'".to_owned(),
        "auth_type = 'another'".to_owned(),
        "generation = generation + 1".to_owned(),
    ] {
        product.sql(&format!("UPDATE integration_credentials SET {change}"));
        let refused = product.run(&READ, "");
        assert!(refused.stderr.contains("changed outside the vault"), "{change}: {refused:?}");
        let doctor = product.run(&["doctor"], "");
        assert!(doctor.stdout.contains("tampered credential github"), "{change}: {doctor:?}");
        assert!(!doctor.status.success());
        product.sql("DELETE FROM alerts");
        product.sql("DELETE FROM integration_credentials");
        product.sql("INSERT INTO integration_credentials SELECT * FROM kept");
    }
    assert_eq!((provider.count(), evil.count()), (before, 0));
    product.must(&READ, "");
    product.must(&["doctor"], "");
}

#[test]
fn c10_a_credential_whose_key_is_gone_is_removed_and_a_person_is_told_to_end_it() {
    let provider = Provider::github(repository);
    on_both_with_sql(&provider, |product, sql| {
        for damage in [
            "UPDATE integration_credentials SET key_id = encrypted_credentials",
            "DELETE FROM tenant_keys",
            "UPDATE tenant_keys SET wrapped = kek_id WHERE state = 'active'",
        ] {
            product.must(&["connect", "github", "--key-stdin"], "github_pat_of_a_test");
            sql(damage);
            let before = provider.count();
            let receipt = product.json(&["disconnect", "github", "--json"]);
            assert_eq!(receipt["revoked"], false, "{damage}: {receipt}");
            let left = receipt["left_to_do"].as_str().unwrap();
            for words in ["could not be opened", "https://github.com/settings/"] {
                assert!(left.contains(words), "{damage}: {left}");
            }
            assert_eq!(provider.count(), before, "{damage}");
            assert_eq!(product.json(&["connections", "--json"]), json!([]), "{damage}");
        }
    });
}
