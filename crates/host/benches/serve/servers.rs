//! The servers that are compared. Each is a process of its own: the product, or this program as one of the
//! others.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::time::sleep;

use crate::load::{Client, Load, Target};

/// As the product has it.
#[global_allocator]
static MEMORY: resto_host::Wiping = resto_host::WIPING;

/// Tells this program which server it is.
pub const SERVES: &str = "RESTO_BENCH_SERVES";
pub const PROVIDER: &str = "RESTO_BENCH_PROVIDER";
pub const TOOLS: &str = "RESTO_BENCH_TOOLS";

const SERVER: &str = "0";
pub const OTHERS: &str = "1";
const TENANTS: usize = 16;
/// Of an integration's limits.
pub const UNLIMITED: &str = "requests = 4000000000\nburst = 1000000000\nconcurrent = 64\n";
const EVERYTHING: &str = "github,vercel,stripe,gmail,analytics,registrar";

/// Keeps a process on one core. False where that cannot be done; the figures are of two shared cores then.
pub fn pin(process: &str, core: &str) -> bool {
    let mut taskset = Command::new("taskset");
    let pinned = taskset.args(["-apc", core, process]).stdout(Stdio::null()).stderr(Stdio::null());
    pinned.status().is_ok_and(|status| status.success())
}

/// Answers every request as GitHub answers who somebody is; its address.
pub fn provider() -> String {
    let body = json!({
        "id": 1, "login": "octocat", "type": "User", "name": "x".repeat(900),
        "html_url": "https://github.com/octocat",
    })
    .to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer: Arc<[u8]> = answer.into_bytes().into();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((mut caller, _)) = listener.accept().await {
                caller.set_nodelay(true).unwrap();
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while caller.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
                        // Nobody sends a body, or two requests at once.
                        if request.ends_with(b"\r\n\r\n") {
                            if IS_DOWN.load(Ordering::Relaxed) && is_of(&request, 0) {
                                return;
                            }
                            let takes = TAKES_MS.load(Ordering::Relaxed);
                            if takes > 0 {
                                sleep(Duration::from_millis(takes)).await;
                            }
                            caller.write_all(&answer).await.unwrap();
                            request.clear();
                        }
                    }
                });
            }
        });
    });
    format!("http://{address}")
}

/// Whether the provider closes the connection on the first business instead of answering.
pub static IS_DOWN: AtomicBool = AtomicBool::new(false);

/// How long the provider takes to answer.
pub static TAKES_MS: AtomicU64 = AtomicU64::new(0);

/// The credential of a business.
fn key(business: usize) -> String {
    format!("github_pat_of_bench-{business}\n")
}

fn is_of(request: &[u8], business: usize) -> bool {
    let key = key(business);
    request.split(|byte| *byte == b'\r').any(|line| line.ends_with(key.trim_end().as_bytes()))
}

/// The product with businesses that are connected.
pub struct Installation {
    folder: TempDir,
    database: Option<String>,
    name: &'static str,
    tokens: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Product,
    /// The same without the entries of the audit trail.
    Unaudited,
}

/// What the product lists.
pub struct Tools {
    file: PathBuf,
    pub count: usize,
}

impl Installation {
    /// Each business may ask the provider so often.
    pub fn sqlite(provider: &str, limits: &str) -> Self {
        Self::new(provider, limits, None, "SQLite, FULL")
    }

    /// None when no server is named.
    pub fn postgres(provider: &str) -> Option<Self> {
        let Ok(superuser) = std::env::var("RESTO_TEST_POSTGRES") else {
            println!("PostgreSQL was not measured: set RESTO_TEST_POSTGRES to a superuser's URL.");
            return None;
        };
        let (server, _) = superuser.rsplit_once('/').unwrap();
        let (_, place) = server.rsplit_once('@').unwrap();
        let name = format!("resto_bench_{}", std::process::id());
        let sql = |url: &str, statements: &str| {
            let mut psql = Command::new("psql");
            psql.args(["-qAt", "-v", "ON_ERROR_STOP=1", "-c", statements, url]);
            String::from_utf8(psql.output().unwrap().stdout).unwrap()
        };
        sql(&superuser, &format!("CREATE DATABASE {name}"));
        sql(&superuser, &format!("CREATE ROLE {name} LOGIN PASSWORD '{name}'"));
        let owner = format!("{server}/{name}");
        let migrated = Command::new(env!("CARGO_BIN_EXE_resto"))
            .args(["migrate", "--database", &owner])
            .stdout(Stdio::null())
            .status();
        assert!(migrated.unwrap().success());
        sql(&superuser, &format!("GRANT resto_app TO {name}"));
        let process = "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)";
        let pinned = pin(sql(&superuser, process).trim(), OTHERS);
        let durable = sql(&superuser, "SHOW fsync");
        println!("PostgreSQL: fsync {}, on the other core: {pinned}", durable.trim());
        let database = format!("postgres://{name}:{name}@{place}/{name}");
        Some(Self::new(provider, UNLIMITED, Some(database), "PostgreSQL"))
    }

    fn new(provider: &str, limits: &str, database: Option<String>, name: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[integrations.github]\nbase_url = \"{provider}\"\n\
             [integrations.github.limits]\n{limits}"
        );
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let mut installation = Self { folder, database, name, tokens: Vec::new() };
        for n in 0..TENANTS {
            let tenant = format!("business-{n}");
            installation.run(&["tenant", "create", &tenant], "");
            let connect = ["--tenant", &tenant, "connect", "github", "--key-stdin"];
            installation.run(&connect, &key(n));
            let create = ["--tenant", &tenant, "token", "create", "--name", "bench", "--json"];
            let created: Value = serde_json::from_str(&installation.run(&create, "")).unwrap();
            installation.tokens.push(created["token"].as_str().unwrap().to_owned());
        }
        installation
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_resto"));
        command.envs(self.environment());
        command
    }

    fn environment(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let mut variables = vec![
            ("RESTO_CONFIG".to_owned(), path("config.toml")),
            ("RESTO_DATA_DIR".to_owned(), path("data")),
            ("RESTO_KEY_FILE".to_owned(), path("root.key")),
        ];
        variables.extend(self.database.clone().map(|url| ("RESTO_DATABASE_URL".to_owned(), url)));
        variables
    }

    /// What a command prints that must succeed.
    fn run(&self, arguments: &[&str], input: &str) -> String {
        use std::io::Write as _;
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn contender(&self, kind: Kind) -> Contender {
        let mut environment = self.environment();
        let (program, audit) = match kind {
            Kind::Product => (env!("CARGO_BIN_EXE_resto").into(), ""),
            Kind::Unaudited => {
                environment.push((SERVES.to_owned(), "unaudited".to_owned()));
                (std::env::current_exe().unwrap(), ", no audit")
            }
        };
        Contender {
            name: format!("{}{audit}", self.name),
            program,
            environment,
            arguments: vec!["serve", "--bind", "127.0.0.1:0"],
            tokens: self.tokens.clone(),
        }
    }

    /// What it lists for whoever has everything.
    pub async fn tools(&self) -> Tools {
        let running = self.contender(Kind::Product).start().await;
        let mut client = Client::open(&running.target.address).await.unwrap();
        client.ask(&running.target.request(Load::List, 0)).await;
        let tools = client.json()["result"]["tools"].take();
        let file = self.folder.path().join("tools.json");
        std::fs::write(&file, tools.to_string()).unwrap();
        Tools { file, count: tools.as_array().unwrap().len() }
    }
}

/// A server that can be started.
pub struct Contender {
    pub name: String,
    program: PathBuf,
    arguments: Vec<&'static str>,
    environment: Vec<(String, String)>,
    tokens: Vec<String>,
}

impl Contender {
    pub fn bare(tools: &Tools, provider: &str) -> Self {
        let environment = [
            (SERVES, "bare".to_owned()),
            (TOOLS, tools.file.display().to_string()),
            (PROVIDER, provider.to_owned()),
        ];
        Self {
            name: "bare rmcp".into(),
            program: std::env::current_exe().unwrap(),
            arguments: Vec::new(),
            environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
            tokens: vec!["none".into()],
        }
    }

    /// Starts it, and asks for the list until it is there.
    pub async fn start(&self) -> Running {
        let start = Instant::now();
        let mut command = Command::new("taskset");
        command.args(["-c", SERVER]).arg(&self.program).args(&self.arguments);
        command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, rest) = line.split_once("http://")?;
            Some(rest.split_once('/')?.0.to_owned())
        });
        // It would end when it cannot write.
        std::thread::spawn(move || lines.count());
        let target = Target {
            address: address.unwrap(),
            paths: ["/mcp".into(), format!("/mcp?toolsets={EVERYTHING}")],
            tokens: self.tokens.clone(),
        };
        let mut client = Client::open(&target.address).await.unwrap();
        client.ask(&target.request(Load::List, 0)).await;
        assert!(client.answered(b"inputSchema"));
        Running { process, target, first_list: start.elapsed() }
    }
}

pub struct Running {
    process: Child,
    pub target: Target,
    pub first_list: Duration,
}

impl Running {
    /// A figure of its memory, in KiB.
    pub fn memory(&self, figure: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(figure));
        let figure = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
        figure.and_then(|figure| figure.parse().ok()).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
