//! Without randomness nothing is sealed, named or done: there is no fallback.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::postgres::on_both;
use crate::process::run;
use crate::product::Product;
use crate::provider::{Provider, repository};

const KEY: &str = "github_pat_of_a_test";
const READ: &str = "github_get_repository";

/// Stands before the C library's: it gives nothing while a file is there.
const BROKEN: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>
ssize_t getrandom(void *buffer, size_t length, unsigned flags) {
    const char *broken = getenv("RANDOMNESS_IS_BROKEN_WHILE");
    if (broken && access(broken, F_OK) == 0) { errno = EIO; return -1; }
    return syscall(SYS_getrandom, buffer, length, flags);
}
"#;

fn library(product: &Product) -> PathBuf {
    let (source, library) = (product.path("broken.c"), product.path("broken.so"));
    fs::write(&source, BROKEN).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
    let compiled = run(&mut compiler, "");
    assert!(compiled.status.success(), "{compiled:?}");
    library
}

#[test]
fn b13_without_randomness_an_action_is_refused_and_nothing_is_sent() {
    let provider = Provider::github(repository);
    on_both(&provider, |product| story(&provider, product));
}

fn story(provider: &Provider, product: &Product) {
    product.must(&["connect", "github", "--key-stdin"], KEY);
    let (library, broken) = (library(product), product.path("broken"));
    let environment = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("RANDOMNESS_IS_BROKEN_WHILE", broken.to_str().unwrap()),
    ];
    let server = product.serve_with(&environment);
    let read = || server.call(&[], READ, &json!({"owner": "octocat", "repo": "hello-world"})).body;
    assert!(read().contains("octocat/hello-world"));
    let (sent, trail) = (provider.count(), product.trail("local"));
    fs::write(&broken, "").unwrap();
    for _ in 0..5 {
        let refused = read();
        assert!(
            refused.contains("internal") && !refused.contains("octocat/hello-world"),
            "{refused}"
        );
    }
    assert_eq!(provider.count(), sent);
    assert_eq!(product.trail("local"), trail);
    let mut command = product.command(&["connect", "github", "--key-stdin"]);
    let refused = run(command.envs(environment), KEY);
    assert!(!refused.status.success(), "{refused:?}");
    assert_eq!(provider.count(), sent);
    fs::remove_file(&broken).unwrap();
    assert!(read().contains("octocat/hello-world"));
    product.must(&["audit", "--verify"], "");
}
