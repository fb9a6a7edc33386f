//! Every action of Vercel at its stand-in: from a repository to a site under a domain, and away again.

use std::sync::{Arc, Mutex};

use resto_testing::DnsServer;
use serde_json::json;

use crate::product::Product;
use crate::standin::{Emulated, GitHub};
use crate::walk::{Step, Walk, at};
use crate::wire::send;

/// Makes a branch of `octocat/hello-world`, whose builds fail.
fn break_a_branch(github: &GitHub) {
    let main = github.get("/repos/octocat/hello-world/git/ref/heads/main");
    let authorization = format!("Bearer {}", github.token);
    let headers = [
        ("authorization", authorization.as_str()),
        ("user-agent", "tests"),
        ("x-github-api-version", "2026-03-10"),
        ("content-type", "application/json"),
    ];
    let branch = json!({"ref": "refs/heads/broken", "sha": main["object"]["sha"]}).to_string();
    let url = format!("{}/repos/octocat/hello-world/git/refs", github.url);
    assert_eq!(send("POST", &url, &headers, &branch).status(), 201);
}

/// What is done with a project and what it shows.
fn projects() -> Vec<Step> {
    let shop = || json!({"project": "shop"});
    vec![
        ("vercel_get_account", json!({}), json!({"username": "ada"}), ""),
        (
            "vercel_create_project",
            json!({"name": "shop", "framework": "nextjs", "repository": {"full_name": "octocat/hello-world"}}),
            json!({"name": "shop", "repository": {"full_name": "octocat/hello-world", "production_branch": "main"}}),
            "project=/id",
        ),
        ("vercel_list_projects", json!({}), json!({"items": [{"id": "$project"}]}), ""),
        (
            "vercel_update_project",
            json!({"project": "shop", "build_command": "npm run build"}),
            json!({"id": "$project"}),
            "",
        ),
        ("vercel_get_project", shop(), json!({"build_command": "npm run build"}), ""),
        (
            "vercel_set_environment_variable",
            json!({"project": "shop", "name": "GREETING", "value": "hello", "environments": ["production"]}),
            json!({"name": "GREETING", "environments": ["production"]}),
            "variable=/id",
        ),
        (
            "vercel_list_environment_variables",
            shop(),
            json!({"items": [{"id": "$variable", "name": "GREETING"}]}),
            "",
        ),
        (
            "vercel_remove_environment_variable",
            json!({"project": "shop", "variable_id": "$variable"}),
            json!({"name": "GREETING"}),
            "",
        ),
        ("vercel_list_environment_variables", shop(), json!({"items": []}), ""),
    ]
}

/// Of a branch, of files, of a branch that cannot be built, and of one that nobody waits for.
fn deployments() -> Vec<Step> {
    let wait = |name: &str| json!({"deployment": name, "wait_seconds": 60});
    vec![
        (
            "vercel_deploy_project",
            json!({"project": "shop", "git_ref": "main", "environment": "production"}),
            json!({"state": "QUEUED", "environment": "production"}),
            "first=/id",
        ),
        ("vercel_wait_for_deployment", wait("$first"), json!({"outcome": "ready"}), ""),
        (
            "vercel_get_deployment",
            json!({"deployment": "$first"}),
            json!({"state": "READY", "branch": "main"}),
            "",
        ),
        (
            "vercel_get_project",
            json!({"project": "shop"}),
            json!({"production": {"deployment_id": "$first"}}),
            "",
        ),
        (
            "vercel_deploy_project",
            json!({"project": "shop", "environment": "production", "files": [{"path": "index.html", "text": "<h1>Hello</h1>"}]}),
            json!({"state": "QUEUED"}),
            "second=/id",
        ),
        ("vercel_wait_for_deployment", wait("$second"), json!({"outcome": "ready"}), ""),
        (
            "vercel_list_deployments",
            json!({"project": "$project"}),
            json!({"items": [{"id": "$second"}, {"id": "$first"}]}),
            "",
        ),
        (
            "vercel_roll_back_production",
            json!({"project": "shop", "deployment_id": "$first", "reason": "It is bare"}),
            json!({"deployment_id": "$first", "previous_deployment_id": "$second"}),
            "",
        ),
        (
            "vercel_promote_deployment",
            json!({"project": "shop", "deployment_id": "$second"}),
            json!({"deployment_id": "$second", "previous_deployment_id": "$first"}),
            "",
        ),
        (
            "vercel_get_build_logs",
            json!({"deployment": "$first"}),
            json!({"lines": [{"text": "Deployment created"}, {"text": "Building"}, {"text": "Deployment ready"}]}),
            "",
        ),
        (
            "vercel_get_runtime_logs",
            json!({"deployment": "$first", "listen_seconds": 1}),
            json!({"lines": [{"level": "error", "message": "No stock left", "status": 500}]}),
            "",
        ),
        (
            "vercel_deploy_project",
            json!({"project": "shop", "git_ref": "broken"}),
            json!({"environment": "preview"}),
            "broken=/id",
        ),
        ("vercel_wait_for_deployment", wait("$broken"), json!({"outcome": "failed"}), ""),
        (
            "vercel_explain_failed_build",
            json!({"deployment": "$broken"}),
            json!({"state": "ERROR", "error_code": "BUILD_FAILED", "failed_step": "buildStep"}),
            "",
        ),
        (
            "vercel_deploy_project",
            json!({"project": "shop", "git_ref": "main"}),
            json!({"state": "QUEUED"}),
            "unwanted=/id",
        ),
        (
            "vercel_cancel_deployment",
            json!({"deployment": "$unwanted"}),
            json!({"state": "CANCELED"}),
            "",
        ),
        (
            "vercel_delete_deployment",
            json!({"deployment_id": "$unwanted"}),
            json!({"deployment_id": "$unwanted"}),
            "",
        ),
    ]
}

/// At Vercel's own name servers.
fn records_of_a_zone() -> Vec<Step> {
    let zone = || json!({"domain": "acme.shop"});
    vec![
        (
            "vercel_create_dns_record",
            json!({"domain": "acme.shop", "name": "@", "type": "MX", "value": "mx.acme.shop", "priority": 10}),
            json!({"name": ""}),
            "record=/id",
        ),
        (
            "vercel_list_dns_records",
            zone(),
            json!({"items": [{"id": "$record", "type": "MX", "priority": 10}]}),
            "",
        ),
        (
            "vercel_delete_dns_record",
            json!({"domain": "acme.shop", "record_id": "$record"}),
            json!({"record": {"value": "mx.acme.shop"}}),
            "",
        ),
        ("vercel_list_dns_records", zone(), json!({"items": []}), ""),
    ]
}

#[test]
fn every_action_of_vercel_runs_at_its_stand_in() {
    let github = GitHub::start();
    break_a_branch(&github);
    let zone = Arc::<Mutex<Vec<(String, String, String)>>>::default();
    let shown = Arc::clone(&zone);
    let dns = DnsServer::showing(move || shown.lock().unwrap().clone());
    let vercel = Emulated::vercel(&github, dns.address);
    let product = Product::at("http://127.0.0.1:1");
    product.configure(&format!("[integrations.vercel]\nbase_url = \"{}\"\n", vercel.url));
    product.must(&["connect", "vercel", "--key-stdin"], Emulated::vercel_token());
    let server = product.serve();
    let mut walk = Walk::start(&server, vec![("vercel", at(&vercel.url))]);

    walk.through(projects());
    walk.through(deployments());

    // A domain leads to the project when the world sees the records that Vercel asks for.
    let www = || json!({"project": "shop", "domain": "www.acme.shop"});
    walk.through([
        ("vercel_add_project_domain", www(), json!({"verified": false}), ""),
        (
            "vercel_get_domain_configuration",
            www(),
            json!({"configured": false, "verified": false}),
            "records=/records",
        ),
    ]);
    let refused = walk.refused("vercel_verify_project_domain", &www());
    assert!(refused.contains("does not see the record"), "{refused}");
    let records = walk.kept("records");
    for record in records.as_array().unwrap() {
        let text = |field: &str| record[field].as_str().unwrap().to_owned();
        let name = format!("{}.acme.shop", text("name"));
        zone.lock().unwrap().push((name, text("type"), text("value")));
    }
    walk.through([
        ("vercel_verify_project_domain", www(), json!({"verified": true}), ""),
        ("vercel_get_domain_configuration", www(), json!({"configured": true}), ""),
        (
            "vercel_list_project_domains",
            json!({"project": "shop"}),
            json!({"items": [{"name": "www.acme.shop", "verified": true}]}),
            "",
        ),
        ("vercel_remove_project_domain", www(), json!({"domain": "www.acme.shop"}), ""),
        ("vercel_list_project_domains", json!({"project": "shop"}), json!({"items": []}), ""),
    ]);
    walk.through(records_of_a_zone());
    walk.through([
        ("vercel_delete_project", json!({"project": "shop"}), json!({}), ""),
        ("vercel_list_projects", json!({}), json!({"items": []}), ""),
    ]);
    walk.assert_left_out("vercel", &[]);
    // What reaches others waits too, once the agent has read what a commit, a build or a visitor said.
    assert_eq!(
        walk.approved(),
        [
            "vercel_remove_environment_variable",
            "vercel_deploy_project",
            "vercel_roll_back_production",
            "vercel_promote_deployment",
            "vercel_deploy_project",
            "vercel_deploy_project",
            "vercel_delete_deployment",
            "vercel_add_project_domain",
            "vercel_remove_project_domain",
            "vercel_create_dns_record",
            "vercel_delete_dns_record",
            "vercel_delete_project",
        ]
    );
    product.must(&["audit", "--verify"], "");
}
