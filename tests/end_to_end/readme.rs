//! README.md says what is so: its lists are derived from the workspace and the tools, its commands exist.
//! With `RESTO_UPDATE_README=1` the lists are written.

use std::fs;
use std::process::Command;
use std::sync::Mutex;

use serde_json::Value;

use crate::process::{Finished, run, top};
use crate::product::{Product, binary};

#[test]
fn lists_the_crates() {
    let metadata = run(
        Command::new(env!("CARGO")).current_dir(top()).args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version=1",
        ]),
        "",
    );
    let metadata: Value = serde_json::from_str(&metadata.stdout).expect("the workspace in JSON");
    let mut crates: Vec<&str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|package| package["name"].as_str()?.strip_prefix("resto-"))
        .collect();
    crates.sort_unstable();
    let rows = crates.into_iter().map(|name| {
        let source = top().join("crates").join(name).join("src/lib.rs");
        let source = fs::read_to_string(source).unwrap();
        let purpose: Vec<&str> =
            source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
        let purpose = purpose.join(" ");
        format!("| `{name}` | {} |", purpose.replace('|', "\\|"))
    });
    holds("crates", &["| crate | what it is |", "|---|---|"], rows);
}

#[test]
fn lists_the_tools_of_each_integration() {
    let tools = Product::at("http://127.0.0.1:1").json(&["tools", "--json"]);
    let tools = tools.as_array().unwrap();
    // The server's own tools.
    let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
    let (own, tools): (Vec<Value>, Vec<Value>) = tools.iter().cloned().partition(|tool| {
        name(tool).ends_with("_integration")
            || name(tool).ends_with("_integrations")
            || ["check_connection", "find_actions", "list_alerts", "preview_action", "run_action"]
                .contains(&name(tool).as_str())
    });
    let rows = own.iter().map(|tool| {
        let what = tool["description"].as_str().unwrap().lines().next().unwrap_or_default();
        format!("| `{}` | {what} |", name(tool))
    });
    holds("tools:resto", &["| tool | what it does |", "|---|---|"], rows);
    let mut integrations: Vec<&str> = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().split('_').next().unwrap())
        .collect();
    integrations.dedup();
    for integration in integrations {
        let of = format!("{integration}_");
        let rows = tools.iter().filter_map(|tool| {
            let name = tool["name"].as_str()?.strip_prefix(&of)?;
            let hint = |name: &str| tool["annotations"][name] == true;
            let who = match (hint("readOnlyHint"), hint("destructiveHint")) {
                (true, _) => "reads",
                (_, true) => "a person approves",
                _ => "changes",
            };
            let what = tool["description"].as_str().unwrap().lines().next().unwrap_or_default();
            Some(format!("| `{of}{name}` | {who} | {} |", what.replace('|', "\\|")))
        });
        holds(
            &format!("tools:{integration}"),
            &["| tool | | what it does |", "|---|---|---|"],
            rows,
        );
    }
}

/// Fails unless the part of this name holds this table.
fn holds(part: &str, head: &[&str], rows: impl Iterator<Item = String>) {
    // The lists of one file are written one after the other.
    static README: Mutex<()> = Mutex::new(());
    let _turn = README.lock();
    let (start, end) = (format!("<!-- {part} -->\n"), format!("<!-- /{part} -->"));
    let table: String =
        head.iter().map(|line| (*line).to_owned()).chain(rows).map(|line| line + "\n").collect();
    let file = top().join("README.md");
    let readme = fs::read_to_string(&file).unwrap();
    let (before, rest) = readme.split_once(&start).unwrap_or_else(|| panic!("no {start}"));
    let (now, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
    if now == table {
        return;
    }
    assert!(
        std::env::var_os("RESTO_UPDATE_README").is_some(),
        "README.md differs from what is so. RESTO_UPDATE_README=1 writes it; in {start} should stand:\n{table}"
    );
    fs::write(&file, format!("{before}{start}{table}{end}{after}")).unwrap();
}

#[test]
fn names_only_commands_that_exist() {
    let readme = fs::read_to_string(top().join("README.md")).unwrap();
    let commands: Vec<Vec<&str>> = code(&readme).into_iter().filter_map(command).collect();
    assert!(commands.len() > 8, "{commands:?}");
    for words in commands {
        let mut path = Vec::new();
        let mut about = help(&path);
        for word in &words {
            let option = word.split('=').next().unwrap_or_default();
            if option.starts_with("--") {
                let known =
                    about.lines().any(|line| line.split([' ', ',']).any(|part| part == option));
                assert!(known, "{words:?}: there is no {option}:\n{about}");
                continue;
            }
            if about.contains("Commands:") {
                let known = about.lines().any(|line| {
                    line.strip_prefix("  ").is_some_and(|line| line.split(' ').next() == Some(word))
                });
                assert!(known, "{words:?}: there is no command {word}:\n{about}");
                path.push(*word);
                about = help(&path);
            }
        }
        let is_whole = |line: &str| line.starts_with("Usage:") && !line.contains("<COMMAND>");
        assert!(about.lines().any(is_whole), "{words:?} is no whole command:\n{about}");
    }
}

/// The pieces of code: lines of shell, and words between backticks.
fn code(text: &str) -> Vec<&str> {
    let mut fenced = None;
    let mut pieces = Vec::new();
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            fenced = if fenced.is_none() { Some(language) } else { None };
        } else if fenced == Some("sh") {
            pieces.push(line.split(" #").next().unwrap_or_default());
        } else if fenced.is_none() {
            pieces.extend(line.split('`').skip(1).step_by(2));
        }
    }
    pieces
}

/// The words of a command of ours, up to its first quoted argument.
fn command(code: &str) -> Option<Vec<&str>> {
    let words = code
        .strip_prefix("resto ")
        .or_else(|| code.strip_prefix("cargo run --release -- "))
        .or_else(|| code.split_once("&& resto ").map(|(_, words)| words))?;
    let words = words.split(['\'', '"', '<', '>', '|']).next().unwrap_or_default();
    Some(words.split_whitespace().collect())
}

fn help(path: &[&str]) -> String {
    let Finished { status, stdout, stderr } =
        run(Command::new(binary()).env_clear().args(path).arg("--help"), "");
    assert!(status.success(), "{path:?}: {stderr}");
    stdout
}
