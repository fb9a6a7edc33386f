//! The official conformance suite, in both of its generations: no scenario of it fails or warns.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::process::{run, tool};
use crate::product::{Product, binary};

/// A door before a server, as the suite has no access token.
struct Door(TcpListener);

impl Door {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// Lets requests through to the server at this address, with the token.
    fn open(self, server: String, token: String) {
        thread::spawn(move || {
            for client in self.0.incoming() {
                let (server, token) = (server.clone(), token.clone());
                // Each may go away at any time.
                thread::spawn(move || let_through(client?, &server, &token));
            }
        });
    }
}

/// One request; its connection ends with the answer, so that no other one comes by without a token.
fn let_through(mut client: TcpStream, server: &str, token: &str) -> io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    let mut request = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    let mut lets_in = format!("authorization: Bearer {token}\r\nconnection: close\r\n");
    while line != "\r\n" {
        line.clear();
        if request.read_line(&mut line)? == 0 {
            // It wanted nothing (any more).
            return Ok(());
        }
        if !line.to_ascii_lowercase().starts_with("connection:") {
            server.write_all(line.as_bytes())?;
        }
        // After the first line.
        server.write_all(std::mem::take(&mut lets_in).as_bytes())?;
    }
    let mut there = server.try_clone()?;
    thread::spawn(move || {
        let copied = copy(&mut request, &mut there);
        // A client that went away is gone for the server too.
        there.shutdown(Shutdown::Write).and(copied)
    });
    copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// Everything, each piece as it comes.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut piece = [0; 8192];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            read => to.write_all(&piece[..read])?,
        }
    }
}

/// Runs the suite of this generation against the server at `url`; the names of its scenarios.
fn conform(generation: &str, url: &str, which: &[&str]) -> BTreeSet<String> {
    let out = tempfile::tempdir().unwrap();
    let suite = tool(&format!("npm/node_modules/conformance-{generation}/dist/index.js"));
    let mut command = Command::new(tool("bin/node"));
    command.arg(suite).args(["server", "--url", url, "--output-dir"]).arg(out.path()).args(which);
    let finished = run(&mut command, "");
    let mut scenarios = BTreeSet::new();
    let mut wrong = Vec::new();
    for folder in std::fs::read_dir(out.path()).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        let checks = std::fs::read_to_string(folder.path().join("checks.json")).unwrap();
        for check in serde_json::from_str::<Vec<Value>>(&checks).unwrap() {
            if ["FAILURE", "WARNING"].contains(&check["status"].as_str().unwrap()) {
                wrong.push(check);
            }
        }
        scenarios.insert(name);
    }
    assert!(wrong.is_empty(), "{generation} {which:?}: {wrong:#?}");
    assert!(finished.status.success(), "{generation} {which:?}: {finished:?}");
    scenarios
}

/// Runs what the suite of this generation has against a server that has what it expects.
fn all_of(generation: &str, runs: &[&[&str]], at_least: usize) {
    let door = Door::new();
    let url = door.url();
    let product = Product::at("http://127.0.0.1:1");
    product.configure(&format!("allowed_origins = [\"{url}\"]\n"));
    let fixture = binary().parent().unwrap().join("examples/conformance");
    let server = product.serve_as(&fixture);
    door.open(server.at("").trim_start_matches("http://").to_owned(), server.token.clone());
    let url = format!("{url}/mcp");
    let count: usize = runs.iter().map(|which| conform(generation, &url, which).len()).sum();
    assert!(count >= at_least, "only {count} scenarios ran");
}

#[test]
fn every_scenario_of_the_conformance_suite_passes() {
    let revisions: [&[&str]; 3] =
        [&["--suite", "all"], &["--requirements", "2026-07-28"], &["--requirements", "2025-11-25"]];
    all_of("0.2", &revisions, 65 + 50 + 33);
}

#[test]
fn every_scenario_of_the_conformance_suite_before_it_passes() {
    all_of("0.1", &[&["--suite", "all"]], 30);
}
