//! Who asks for too much, or never gets done asking, is turned away, and others are served meanwhile.

use std::fs::Permissions;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{is_root, run};
use crate::product::{Product, Server, binary};
use crate::provider::{Provider, repository};
use crate::tasks::Slow;
use crate::wire::{Message, answer, send};

const KEY: &str = "github_pat_of_a_test";
const READ: &str = "github_get_repository";
/// How long the head of a request may take, and the rest of it, threefold.
const HEAD: Duration = Duration::from_secs(30);
const REST: Duration = Duration::from_secs(90);

fn hello() -> Value {
    json!({"owner": "octocat", "repo": "hello-world"})
}

/// An installation where the tenants `local` and `acme` have GitHub connected.
fn product(provider: &Provider) -> Product {
    let product = Product::connected(&provider.url, KEY);
    product.must(&["tenant", "create", "acme"], "");
    product.must(&["--tenant", "acme", "connect", "github", "--key-stdin"], KEY);
    product
}

#[track_caller]
fn is_served(server: &Server<'_>) {
    let read = server.call(&[], READ, &hello());
    assert_eq!(read.json()["result"]["isError"], false, "{read:?}");
}

fn connect(server: &Server<'_>) -> TcpStream {
    TcpStream::connect(server.url.strip_prefix("http://").unwrap().trim_end_matches("/mcp"))
        .unwrap()
}

/// What a request for a tool begins with, whose body is of this length.
fn head(server: &Server<'_>, length: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\naccept: application/json, text/event-stream\r\n\
         content-type: application/json\r\n{length}\r\n\r\n",
        server.token
    )
}

/// Waits until the server closes, and gives what it said before.
fn closed(mut stream: &TcpStream, limit: Duration) -> String {
    stream.set_read_timeout(Some(limit)).unwrap();
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("not closed: {error}"),
        _ => String::from_utf8(said).unwrap(),
    }
}

/// The open files of a server, and its memory in KiB.
fn held(server: &Server<'_>) -> (usize, usize) {
    let process = format!("/proc/{}", server.process.id());
    let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory = memory.trim().trim_end_matches(" kB").parse().unwrap();
    (std::fs::read_dir(format!("{process}/fd")).unwrap().count(), memory)
}

/// Lets this process have as many files as its sockets here need.
fn have_files() {
    let id = std::process::id().to_string();
    let raised = run(Command::new("prlimit").args(["--nofile=8192:", "--pid", &id]), "");
    assert!(raised.status.success(), "{raised:?}");
}

#[test]
fn e5_a_thousand_sockets_that_never_get_done_asking_are_closed_and_keep_nobody_waiting() {
    let provider = Provider::github(repository);
    let product = product(&provider);
    let mut server = product.serve();
    server.token = product.token("acme", "agent");
    is_served(&server);
    let before = is_root().then(|| held(&server));
    have_files();
    let sockets: Vec<TcpStream> = (0..1000).map(|_| connect(&server)).collect();
    for (number, mut socket) in sockets.iter().enumerate() {
        // Of the others, some say nothing at all.
        if number % 3 > 0 {
            socket.write_all(b"POST /mcp HTTP/1.1\r\nhost: localhost\r\nx-slow: ").unwrap();
        }
    }
    let mut body = connect(&server);
    body.write_all(head(&server, "content-length: 1000").as_bytes()).unwrap();
    let (ends, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        // Goes with this, however it ends.
        let _ends = ends;
        let (sockets, slow) = (&sockets, body.try_clone().unwrap());
        scope.spawn(move || {
            while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                let slow = sockets.iter().skip(2).step_by(3).chain([&slow]);
                slow.for_each(|mut one| drop(one.write_all(b" ")));
            }
        });
        for _ in 0..50 {
            is_served(&server);
        }
        for socket in sockets {
            closed(socket, HEAD);
        }
        is_served(&server);
        let told = closed(&body, REST);
        assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    });
    drop((sockets, body));
    is_served(&server);
    let Some((files, memory)) = before else { return };
    let start = Instant::now();
    while held(&server).0 > files + 8 {
        assert!(start.elapsed() < HEAD, "{:?} of {files} files", held(&server));
        thread::sleep(Duration::from_millis(100));
    }
    let after = held(&server).1;
    assert!(after < memory + (32 << 10), "{memory} KiB became {after} KiB");
}

#[test]
fn e5_who_comes_when_all_connections_are_taken_waits_for_one_to_end() {
    let provider = Provider::github(repository);
    let product = product(&provider);
    // Half of its files are for connections.
    let program = product.path("few-files");
    let few = format!("#!/bin/sh\nulimit -n 256\nexec {} \"$@\"\n", binary().display());
    std::fs::write(&program, few).unwrap();
    std::fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
    let server = product.serve_as(&program);
    have_files();
    let sockets: Vec<TcpStream> = (0..300).map(|_| connect(&server)).collect();
    // The first ones are closed for saying nothing.
    is_served(&server);
    if is_root() {
        assert!(held(&server).0 < 256);
    }
    sockets.iter().take(128).for_each(|socket| drop(closed(socket, HEAD)));
}

#[test]
fn e5_a_message_without_end_or_bottom_is_refused() {
    let provider = Provider::github(repository);
    let product = product(&provider);
    let server = product.serve();
    // A length that is told is refused before anything is sent.
    let mut huge = connect(&server);
    huge.write_all(head(&server, "content-length: 10000000000").as_bytes()).unwrap();
    let told = closed(&huge, HEAD);
    assert!(told.starts_with("HTTP/1.1 413"), "{told}");
    for (what, start, piece, status) in [
        (
            "body",
            head(&server, "transfer-encoding: chunked"),
            format!("400\r\n{}\r\n", " ".repeat(1024)),
            "413",
        ),
        ("line", "POST /mcp HTTP/1.1\r\nx: ".to_owned(), "x".repeat(1024), "431"),
        ("address", "GET /".to_owned(), "x".repeat(1024), "4"),
        ("list of headers", "POST /mcp HTTP/1.1\r\n".to_owned(), "x: y\r\n".repeat(16), "431"),
    ] {
        let mut stream = connect(&server);
        stream.write_all(start.as_bytes()).unwrap();
        let mut written = 0;
        // Whatever waits between the two has some room, too.
        while written < 64 << 20 && stream.write_all(piece.as_bytes()).is_ok() {
            written += piece.len();
        }
        assert!(written < 64 << 20, "{what}");
        let _ = stream.shutdown(Shutdown::Write);
        let told = closed(&stream, HEAD);
        // The server may have closed before all was sent, which takes its answer along.
        assert!(
            told.is_empty() || told.starts_with(&format!("HTTP/1.1 {status}")),
            "{what}: {told}"
        );
    }
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let call = |arguments: &str| {
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"{READ}\",\"arguments\":{arguments}}}}}"
        )
    };
    let authorization = format!("Bearer {}", server.token);
    let headers = [
        ("authorization", authorization.as_str()),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
    ];
    for arguments in [deep(10_000), format!("{{\"owner\":{}}}", deep(10_000)), "[".repeat(1 << 19)]
    {
        let told = send("POST", &server.url, &headers, &call(&arguments));
        assert!((400..500).contains(&told.status()), "{told:?}");
    }
    assert_eq!(
        provider.requests().iter().filter(|request| request.what() != "GET /user").count(),
        0
    );
    is_served(&server);
}

#[test]
fn e5_one_stream_too_many_is_turned_away_and_takes_nothing_from_calls() {
    let provider = Provider::github(repository);
    let product = product(&provider);
    let of_acme = product.token("acme", "agent");
    let server = product.serve();
    let listen = |token: &str| {
        let filter = json!({"notifications": {"toolsListChanged": true}});
        let mut stream = server.ask(token, "subscriptions/listen", "", filter);
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        (stream, String::from_utf8(status.to_vec()).unwrap())
    };
    have_files();
    let mut streams = Vec::new();
    let turned_away = loop {
        let (stream, status) = listen(&of_acme);
        if status != "HTTP/1.1 200" {
            break status;
        }
        streams.push(stream);
        assert!(streams.len() <= 512);
    };
    assert_eq!((streams.len(), turned_away.as_str()), (512, "HTTP/1.1 429"));
    let authorization = format!("Bearer {of_acme}");
    let headers = [("authorization", authorization.as_str())];
    assert_eq!(answer(server.open(&headers, READ, &hello())).status(), 200);
    is_served(&server);
    assert_eq!(listen(&server.token).1, "HTTP/1.1 200");
    drop(streams);
    let start = Instant::now();
    while listen(&of_acme).1 != "HTTP/1.1 200" {
        assert!(start.elapsed() < HEAD, "its streams are still open");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn e5_one_request_too_many_is_turned_away_and_others_are_served() {
    const SENT: usize = 300;
    const MOST: usize = 256;
    let slow = Slow::start();
    let product = product(&slow.provider);
    let mut server = product.serve();
    let token = std::mem::replace(&mut server.token, product.token("acme", "agent"));
    slow.hold();
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str())];
    let (answers, answered) = mpsc::channel::<Message>();
    thread::scope(|scope| {
        for _ in 0..SENT {
            let (stream, answers) = (server.open(&headers, READ, &hello()), answers.clone());
            scope.spawn(move || answers.send(answer(stream)).unwrap());
        }
        for _ in MOST..SENT {
            let told = answered.recv().unwrap();
            assert_eq!((told.status(), told.header("retry-after")), (429, Some("5")), "{told:?}");
        }
        let others = json!({"integration": "github"});
        let listed = server.call(&[], "list_integrations", &json!({}));
        assert_eq!(listed.json()["result"]["isError"], false, "{listed:?}");
        slow.let_go();
        for _ in 0..MOST {
            assert_eq!(answered.recv().unwrap().status(), 200);
        }
        let checked = server.call(&[], "check_connection", &others);
        assert_eq!(checked.json()["result"]["isError"], false, "{checked:?}");
    });
}
