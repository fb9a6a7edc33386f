//! What a running server keeps in its memory, and what it writes to where. Both are read as root: nobody else may.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use serde_json::json;

use crate::canary::Canary;
use crate::postgres::on_both;
use crate::process::{Running, is_root, run};
use crate::product::{Product, Server};
use crate::provider::{Provider, Reply, repository};

const READ: &str = "github_get_repository";
const KEY: &str = "github_pat_canary-in-memory+7/of?the\"tests&long=enough";

/// How soon after the last request nothing is left, threefold.
const LIMIT: Duration = Duration::from_secs(3);

/// All that a process can write to of its memory, without pages of zeros.
fn memory(process: &Running) -> Vec<u8> {
    const PAGE: usize = 4096;
    let maps = fs::read_to_string(format!("/proc/{}/maps", process.id())).unwrap();
    let file = File::open(format!("/proc/{}/mem", process.id())).unwrap();
    let mut memory = Vec::new();
    for region in maps.lines() {
        let mut words = region.split(' ');
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // A region may go while it is read.
        let Ok(read) = file.read_at(&mut bytes, start) else { continue };
        // Neighbouring pages stay neighbours, so that what lies across them is found.
        let held = bytes[..read].chunks(PAGE).filter(|page| **page != [0; PAGE][..page.len()]);
        held.for_each(|page| memory.extend(page));
        memory.extend([0; PAGE]);
    }
    memory
}

fn copies(memory: &[u8], canary: &Canary) -> usize {
    canary.forms().map(|form| memmem::find_iter(memory, form).count()).sum()
}

/// A provider that keeps its connections, as real ones do, and holds one answer back until it is told to go on.
fn provider() -> (Provider, Receiver<()>, Sender<()>) {
    let (arrived, arrives) = channel();
    let (go, goes) = channel();
    let (arrived, goes) = (Mutex::new(arrived), Arc::new(Mutex::new(goes)));
    let provider = Provider::github(move |request| {
        if request.what().ends_with("/held") {
            arrived.lock().unwrap().send(()).unwrap();
            goes.lock().unwrap().recv().unwrap();
        }
        let Reply(status, mut headers, body) = repository(request);
        headers.push(("connection", "keep-alive".to_owned()));
        Reply(status, headers, body)
    });
    (provider, arrives, go)
}

fn read(server: &Server, repo: &str) {
    let answer = server.call(&[], READ, &json!({"owner": "octocat", "repo": repo}));
    assert!(answer.body.contains(&format!("octocat/{repo}")), "{answer:?}");
}

#[test]
fn b10_after_a_hundred_actions_no_credential_is_in_memory() {
    if !is_root() {
        return;
    }
    let (provider, arrives, go) = provider();
    on_both(&provider, |product| nothing_is_left(&provider, product, &arrives, &go));
}

fn nothing_is_left(
    provider: &Provider,
    product: &Product,
    arrives: &Receiver<()>,
    go: &Sender<()>,
) {
    let before = provider.count();
    product.must(&["connect", "github", "--key-stdin"], KEY);
    let server = product.serve();
    let credential = Canary::new(KEY);
    let token = Canary::new(&server.token);
    let root = fs::read_to_string(product.path("root.key")).unwrap();
    let root = Canary::of_bytes(&STANDARD.decode(root.trim_end()).unwrap());
    // While it is sent it is there: what is looked for would be found.
    thread::scope(|scope| {
        scope.spawn(|| read(&server, "held"));
        arrives.recv().unwrap();
        let busy = memory(&server.process);
        go.send(()).unwrap();
        assert!(copies(&busy, &credential) > 0, "the search finds no credential that is in use");
        assert!(copies(&busy, &token) > 0);
    });
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| read(&server, "hello-world")));
        }
    });
    let last = Instant::now();
    let left = loop {
        // A search takes long: what it finds was there when it began.
        let since = last.elapsed();
        let memory = memory(&server.process);
        assert!(memory.len() > 1 << 20, "this is no memory of a server");
        let left = [&credential, &token, &root].map(|secret| copies(&memory, secret));
        if left == [0; 3] || since > LIMIT {
            break left;
        }
    };
    assert_eq!(left, [0; 3], "copies of the credential, of the access token and of the root key");
    assert_eq!(provider.count() - before, 102);
}

#[test]
fn b10_a_crash_leaves_no_dump() {
    let provider = Provider::github(repository);
    let product = Product::connected(&provider.url, KEY);
    let mut server = product.serve();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.process.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let core: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{limits}");
    read(&server, "hello-world");
    let killed = run(Command::new("kill").args(["-ABRT", &server.process.id().to_string()]), "");
    assert!(killed.status.success(), "{killed:?}");
    let ended = server.process.terminate();
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false));
    Canary::new(KEY).is_not_in("its last words", server.process.said().as_bytes());
}

/// Every write of a program, with what it wrote in hexadecimal and whereto.
const TRACE: [&str; 8] = [
    "-f",
    "-yy",
    "-xx",
    "-s1048576",
    "-esignal=none",
    "-etrace=write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,splice,vmsplice,io_uring_enter",
    "-o",
    "trace",
];

/// Where the credential was written to, in a trace, once per write.
fn destinations(trace: &str, canary: &Canary) -> Vec<String> {
    let written = |line: &str| {
        let digits = line.split("\\x").skip(1).filter_map(|rest| rest.get(..2));
        digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect::<Vec<u8>>()
    };
    trace
        .lines()
        .filter(|line| canary.found_in(&written(line)).is_some())
        .map(|line| line.split_once('(').unwrap().1.split(", ").next().unwrap().to_owned())
        .collect()
}

#[test]
fn b9_a_credential_is_written_to_its_provider_and_nowhere_else() {
    if !is_root() {
        return;
    }
    let provider = Provider::github(repository);
    on_both(&provider, |product| nothing_is_written(&provider, product));
}

fn nothing_is_written(provider: &Provider, product: &Product) {
    let (credential, secret) = (Canary::new(KEY), "no-credential-but-a-canary-as-well");
    let mut strace = Command::new("strace");
    strace.current_dir(product.path("")).args(TRACE).arg("--").arg(crate::product::binary());
    strace.args(["connect", "github", "--key-stdin"]).env_clear().envs(product.environment());
    let connected = run(&mut strace, KEY);
    assert!(connected.status.success(), "{connected:?}");
    let of_connect = fs::read_to_string(product.path("trace")).unwrap();

    let mut server = product.serve_with(&[("RUST_LOG", "trace")]);
    let mut strace = Command::new("strace");
    let id = server.process.id().to_string();
    strace.current_dir(product.path("")).args(TRACE).args(["-p", &id]);
    let (mut tracer, ()) =
        Running::start(&mut strace, |line| line.contains("attached").then_some(()));
    for _ in 0..5 {
        read(&server, "hello-world");
    }
    read(&server, secret);
    server.process.terminate();
    tracer.wait();
    let of_serve = fs::read_to_string(product.path("trace")).unwrap();

    let provider_end = format!("->{}]>", provider.url.strip_prefix("http://").unwrap());
    for (trace, requests) in [(&of_connect, 1), (&of_serve, 6)] {
        let destinations = destinations(trace, &credential);
        assert_eq!(destinations.len(), requests, "{destinations:?}");
        for destination in destinations {
            assert!(destination.ends_with(&provider_end), "written to {destination}");
        }
    }
    // What is no secret is seen on its way to several places.
    let seen = destinations(&of_serve, &Canary::new(secret));
    assert!(seen.iter().any(|place| !place.ends_with(&provider_end)), "{seen:?}");
    if !product.path("data").exists() {
        return;
    }
    let log: String = b"resto.db-wal".iter().map(|byte| format!("\\x{byte:02x}")).collect();
    assert!(of_serve.contains(&log), "the database's log is written to");
}
