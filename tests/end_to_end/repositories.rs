//! Every action of GitHub that its emulator knows: a repository from its first commit to its deletion.

use serde_json::{Value, json};

use crate::standin::GitHub;
use crate::walk::{Step, Walk, at};

/// Arguments about the repository `octocat/walk`.
fn of(mut arguments: Value) -> Value {
    arguments["owner"] = "octocat".into();
    arguments["repo"] = "walk".into();
    arguments
}

fn code() -> Vec<Step> {
    vec![
        ("github_get_account", json!({}), json!({"login": "octocat"}), ""),
        (
            "github_create_repository",
            json!({"name": "walk"}),
            json!({"repository": {"full_name": "octocat/walk"}}),
            "",
        ),
        ("github_get_repository", of(json!({})), json!({"default_branch": "main"}), ""),
        (
            "github_update_repository",
            of(json!({"description": "A walk"})),
            json!({"description": "A walk"}),
            "",
        ),
        ("github_create_branch", of(json!({"name": "next"})), json!({"name": "next"}), ""),
        (
            "github_commit_files",
            of(
                json!({"branch": "next", "message": "Add a program", "files": [{"path": "src/main.rs", "text": "fn main() {}\n"}]}),
            ),
            json!({"branch": "next"}),
            "commit=/sha",
        ),
        (
            "github_list_files",
            of(json!({"ref": "next", "path": "src"})),
            json!({"items": [{"path": "src/main.rs"}]}),
            "",
        ),
        (
            "github_read_file",
            of(json!({"ref": "next", "path": "src/main.rs"})),
            json!({"binary": false}),
            "",
        ),
        ("github_search_code", json!({"query": "Add repo:octocat/walk"}), json!({}), ""),
        (
            "github_list_commits",
            of(json!({"ref": "next", "path": "src/main.rs"})),
            json!({"items": [{"sha": "$commit"}]}),
            "",
        ),
        (
            "github_compare_commits",
            of(json!({"base": "main", "head": "next"})),
            json!({"status": "ahead", "ahead_by": 1}),
            "",
        ),
        (
            "github_list_branches",
            of(json!({})),
            json!({"items": [{"name": "main"}, {"name": "next"}]}),
            "",
        ),
    ]
}

fn reviews() -> Vec<Step> {
    vec![
        (
            "github_create_pull_request",
            of(json!({"title": "A program", "head": "next", "base": "main"})),
            json!({"state": "open", "head": {"sha": "$commit"}}),
            "pull=/number",
        ),
        (
            "github_update_pull_request",
            of(json!({"number": "$pull", "title": "The program"})),
            json!({"title": "The program"}),
            "",
        ),
        (
            "github_list_pull_requests",
            of(json!({"state": "open"})),
            json!({"items": [{"number": "$pull", "title": "The program"}]}),
            "",
        ),
        (
            "github_review_pull_request",
            of(json!({"number": "$pull", "verdict": "comment", "body": "Reads well."})),
            json!({"state": "COMMENTED"}),
            "",
        ),
        (
            "github_merge_pull_request",
            of(json!({"number": "$pull", "head_sha": "$commit"})),
            json!({"merged": true}),
            "",
        ),
        (
            "github_get_pull_request",
            of(json!({"number": "$pull"})),
            json!({"state": "closed", "merged": true}),
            "",
        ),
        ("github_delete_branch", of(json!({"name": "next"})), json!({"name": "next"}), ""),
        ("github_list_branches", of(json!({})), json!({"items": [{"name": "main"}]}), ""),
    ]
}

fn issues() -> Vec<Step> {
    vec![
        (
            "github_create_label",
            of(json!({"name": "broken", "color": "ff0000"})),
            json!({"name": "broken"}),
            "",
        ),
        ("github_list_labels", of(json!({})), json!({}), "labels=/items"),
        (
            "github_create_issue",
            of(json!({"title": "It prints nothing", "labels": ["broken"]})),
            json!({"state": "open", "labels": ["broken"]}),
            "issue=/number",
        ),
        (
            "github_comment_issue",
            of(json!({"number": "$issue", "body": "So it does."})),
            json!({"body": {"text": "So it does."}}),
            "",
        ),
        (
            "github_update_issue",
            of(json!({"number": "$issue", "state": "closed", "state_reason": "not_planned"})),
            json!({"state": "closed"}),
            "",
        ),
        (
            "github_get_issue",
            of(json!({"number": "$issue"})),
            json!({"state_reason": "not_planned", "comment_count": 1}),
            "",
        ),
        (
            "github_list_issues",
            of(json!({"state": "closed", "labels": ["broken"]})),
            json!({"items": [{"number": "$issue"}]}),
            "",
        ),
        (
            "github_search_issues",
            json!({"query": "prints repo:octocat/walk", "kind": "issue"}),
            json!({"items": [{"number": "$issue"}]}),
            "",
        ),
        (
            "github_publish_release",
            of(json!({"tag": "v1.0.0", "notes": "The first."})),
            json!({"tag": "v1.0.0"}),
            "",
        ),
        (
            "github_list_releases",
            of(json!({})),
            json!({"items": [{"tag": "v1.0.0", "notes": {"text": "The first."}}]}),
            "",
        ),
        ("github_list_collaborators", of(json!({})), json!({}), ""),
        ("github_list_workflow_runs", of(json!({})), json!({"items": []}), ""),
        ("github_list_workflow_secrets", of(json!({})), json!({"items": []}), ""),
        ("github_configure_ci", of(json!({"stack": "rust"})), json!({}), "ci=/pull_request"),
        (
            "github_protect_branch",
            of(json!({"branch": "main", "required_approvals": 1})),
            json!({"branch": "main", "required_approvals": 1}),
            "",
        ),
        ("github_archive_repository", of(json!({"archived": true})), json!({"archived": true}), ""),
        (
            "github_archive_repository",
            of(json!({"archived": false})),
            json!({"archived": false}),
            "",
        ),
        ("github_delete_repository", of(json!({})), json!({"full_name": "octocat/walk"}), ""),
        (
            "github_list_repositories",
            json!({}),
            json!({"items": [{"full_name": "octocat/hello-world"}]}),
            "",
        ),
    ]
}

#[test]
fn every_action_of_github_that_its_emulator_knows_runs_there() {
    let github = GitHub::start();
    let product = github.product();
    let server = product.serve();
    let mut walk = Walk::start(&server, vec![("github", at(&github.url))]);
    walk.through(code());
    walk.through(reviews());
    walk.through(issues());
    let gone = walk.refused("github_get_repository", &of(json!({})));
    assert!(gone.contains("not_found"), "{gone}");
    github.assert_every_request_was_right();
    let lacks = [
        // Workflow files become no workflows there.
        "github_cancel_workflow_run",
        "github_get_workflow_run",
        // No invitations, no alerts.
        "github_invite_collaborator",
        "github_list_security_alerts",
        "github_remove_collaborator",
        "github_rerun_workflow",
        "github_run_workflow",
        // No public key, no variables.
        "github_set_workflow_secret",
        "github_set_workflow_variable",
    ];
    walk.assert_left_out("github", &lacks);
    // What reaches others waits too, once the agent has searched code, compared commits, or read an issue or a pull request.
    assert_eq!(
        walk.approved(),
        [
            "github_create_pull_request",
            "github_update_pull_request",
            "github_review_pull_request",
            "github_merge_pull_request",
            "github_create_label",
            "github_create_issue",
            "github_comment_issue",
            "github_update_issue",
            "github_publish_release",
            "github_configure_ci",
            "github_delete_repository",
        ]
    );
}
