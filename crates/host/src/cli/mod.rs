//! The command line. People and tests rely on its words.

mod admin;
mod alerts;
mod audit;
mod connections;
mod doctor;
mod keys;
mod log;
mod plan;
mod print;
mod review;
mod serve;
mod stopping;
mod tools;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use resto_core::{Code, Error, Result};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::config::Config;
use crate::dumps;
use crate::host::{Caller, Host, LOCAL_TENANT};
use crate::observe::Exporter;
use crate::surface::Surface;
use print::Out;

/// Operates a business's own accounts at other services, for AI agents, through MCP.
#[derive(Parser)]
#[command(
    name = "resto",
    version,
    max_term_width = 100,
    after_help = "Start here:\n  resto serve\n  resto connect github"
)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args)]
struct Options {
    /// The configuration file [default: config.toml in the configuration folder, if there]
    #[arg(long, global = true, value_name = "FILE", env = "RESTO_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// The folder of the database
    #[arg(long, global = true, value_name = "DIR", env = "RESTO_DATA_DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,
    /// `sqlite:///absolute/path` or `postgres://...` [default: a file in the data folder]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "RESTO_DATABASE_URL",
        hide_env_values = true
    )]
    database: Option<String>,
    /// The file with the root key, outside the data folder [default: root.key in the configuration folder]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "RESTO_KEY_FILE",
        hide_env_values = true
    )]
    key_file: Option<PathBuf>,
    /// The business
    #[arg(long, global = true, value_name = "NAME", default_value = LOCAL_TENANT)]
    tenant: String,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Serve agents over HTTP, and people their page
    #[command(after_help = "Example:\n  resto serve --bind 127.0.0.1:8787")]
    Serve(serve::ServeArgs),
    /// Serve one agent over standard input and output
    #[command(
        after_help = "Example, in an agent's configuration:\n  {\"command\": \"resto\", \"args\": [\"stdio\"]}\nIt acts as the tenant's owner, or as the access token in RESTO_TOKEN says."
    )]
    Stdio(Surface),
    /// Connect an account at a service
    #[command(
        after_help = "Example:\n  resto connect github\n  resto connect github --key-stdin < key.txt"
    )]
    Connect(connections::ConnectArgs),
    /// Print a link with which a person signs in at the people's pages, once
    #[command(name = "sign-in", after_help = "Example:\n  resto sign-in")]
    SignIn,
    /// Remove a connection
    #[command(after_help = "Example:\n  resto disconnect github")]
    Disconnect {
        /// The service, such as github
        integration: String,
    },
    /// Stop connections at once: no action begins on them, on whatever machine
    #[command(
        after_help = "Example:\n  resto freeze\n  resto freeze github\n  resto freeze --all-tenants"
    )]
    Freeze(stopping::StopArgs),
    /// Let stopped connections be used again
    #[command(after_help = "Example:\n  resto unfreeze github")]
    Unfreeze(stopping::StopArgs),
    /// Stop, revoke at their providers and remove many connections
    #[command(
        name = "revoke-all",
        after_help = "Example:\n  resto revoke-all\n  resto revoke-all github --all-tenants --yes"
    )]
    RevokeAll(stopping::RevokeAllArgs),
    /// Show what is connected, and what it may do
    #[command(after_help = "Example:\n  resto connections --json")]
    Connections,
    /// Plan which services a business needs, from what it says of itself
    #[command(
        after_help = "Example:\n  resto plan saas \"Invoicing for freelancers, paid monthly\" --account Netlify --domain example.com"
    )]
    Plan(plan::PlanArgs),
    /// List the tools of all services, with the tokens that each costs an agent
    #[command(after_help = "Example:\n  resto tools --toolsets github,vercel --readonly")]
    Tools(Surface),
    /// Run a tool, with the same checks and the same audit as for an agent
    #[command(
        after_help = "Example:\n  resto call github_get_repository '{\"owner\": \"octocat\", \"repo\": \"hello-world\"}'"
    )]
    Call(tools::CallArgs),
    /// Read a file that a tool handed out, by the address in its answer, for ten minutes
    #[command(
        after_help = "Example:\n  resto read resto://files/01940c3e-7a5b-4c3d-9f00-2b1c0d4e5f60 --output offer.pdf\n  resto read resto://files/01940c3e-7a5b-4c3d-9f00-2b1c0d4e5f60 | less"
    )]
    Read(tools::ReadArgs),
    /// Show which tools of others' servers changed since they were approved, and approve one
    #[command(
        after_help = "Example:\n  resto review\n  resto review github-mcp --approve get_me --hash HASH"
    )]
    Review(review::ReviewArgs),
    /// Show what was done, by whom, and how it ended
    #[command(
        after_help = "Example:\n  resto audit --limit 20\n  resto audit --verify\n  resto audit --json > trail.json"
    )]
    Audit(audit::AuditArgs),
    /// Show what a person must look at, and note that they did
    #[command(
        after_help = "Example:\n  resto alerts --json\n  resto alerts --acknowledge 01940c3e-7a5b-7c3d-9f00-2b1c0d4e5f60\n  resto alerts --all"
    )]
    Alerts(alerts::AlertsArgs),
    /// Manage access tokens of agents
    #[command(after_help = "Example:\n  resto token create --name my-agent")]
    Token {
        #[command(subcommand)]
        command: admin::TokenCommand,
    },
    /// Manage the secrets that tools use by name, such as a CI secret
    #[command(
        visible_alias = "secrets",
        after_help = "Example:\n  resto secret list\n  resto secret set deploy_key\n  resto secret delete deploy_key\nOne is also stored when a tool needs it: resto call github_set_workflow_secret '...'"
    )]
    Secret {
        #[command(subcommand)]
        command: admin::SecretCommand,
    },
    /// Manage businesses
    #[command(after_help = "Example:\n  resto tenant create acme --name \"Acme Ltd\"")]
    Tenant {
        #[command(subcommand)]
        command: admin::TenantCommand,
    },
    /// Look after the encryption keys
    #[command(
        after_help = "Example:\n  resto keys status\n  resto keys rotate --all\n  resto keys rewrap"
    )]
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// Bring the database to this version; on PostgreSQL as its owner
    #[command(
        after_help = "Example:\n  resto migrate --database postgres://owner@db.example/resto"
    )]
    Migrate,
    /// Check the configuration, the key file and the database
    #[command(after_help = "Example:\n  resto doctor")]
    Doctor,
}

/// How long a command that is over waits for what it wrote.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// What a command works with.
struct Session {
    options: Options,
    config: Config,
    out: Out,
    host: OnceCell<Arc<Host>>,
}

impl Session {
    async fn host(&self) -> Result<Arc<Host>> {
        let open = async || {
            let host = Host::open(&self.config).await?;
            host.look_after().await;
            Ok(Arc::new(host))
        };
        self.host.get_or_try_init(open).await.cloned()
    }

    /// What the command did is written, the anchors of its audit entries too.
    async fn close(&self) {
        if let Some(host) = self.host.get() {
            let _ = timeout(LAST_WRITES, host.close()).await;
        }
    }

    /// The host, and the tenant's owner at this terminal.
    async fn owner(&self) -> Result<(Arc<Host>, Caller)> {
        let host = self.host().await?;
        let caller = host.owner(&self.options.tenant, "cli").await?;
        Ok((host, caller))
    }
}

/// Runs the program; the exit code is 0, 1 for a failure that was told, 2 for wrong usage.
#[must_use]
pub fn main() -> ExitCode {
    if let Err(error) = dumps::forbid() {
        return Out::new(false).fail(&error);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Out::new(false).fail(&Error::new(Code::Internal, error.to_string())),
    };
    let out = Out::new(cli.options.json);
    match runtime.block_on(run(cli, out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => out.fail(&error),
    }
}

/// Tells of wrong usage, and helps. What stands where `connect` takes nothing may be a key: it is not repeated.
fn usage(error: &clap::Error) -> ExitCode {
    let connects = std::env::args_os().any(|argument| argument == "connect");
    if connects && error.kind() == clap::error::ErrorKind::UnknownArgument {
        let _ = writeln!(
            std::io::stderr(),
            "error: resto connect takes the name of a service and nothing after it. It asks for a key at a hidden prompt, or reads it with --key-stdin.\nIf a key was in the command, your shell may have kept it in its history: revoke that key and make another."
        );
        return ExitCode::from(2);
    }
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

async fn run(cli: Cli, out: Out) -> Result<()> {
    let options = cli.options;
    // A configuration that cannot be read is one of the things that `doctor` is for.
    let loaded = Config::load(options.config.as_deref());
    let (mut config, broken) = match loaded {
        Ok(config) => (config, None),
        Err(error) if matches!(cli.command, Command::Doctor) => (Config::default(), Some(error)),
        Err(error) => return Err(error),
    };
    config.data_dir = options.data_dir.clone().or(config.data_dir);
    config.database = options.database.clone().or(config.database);
    config.key_file = options.key_file.clone().or(config.key_file);
    let exporter = config.telemetry.otlp.as_deref().map(Exporter::start).transpose()?;
    log::start(config.telemetry.json_logs, exporter.as_ref());
    let host = OnceCell::new();
    let mut session = Session { options, config, out, host };
    let done = match cli.command {
        Command::Serve(args) => serve::serve(&mut session, args).await,
        Command::Stdio(surface) => serve::stdio(&session, surface).await,
        Command::Connect(args) => connections::connect(&session, args).await,
        Command::SignIn => connections::sign_in(&session).await,
        Command::Disconnect { integration } => {
            connections::disconnect(&session, &integration).await
        }
        Command::Freeze(args) => stopping::freeze(&session, args, true).await,
        Command::Unfreeze(args) => stopping::freeze(&session, args, false).await,
        Command::RevokeAll(args) => stopping::revoke_all(&session, args).await,
        Command::Connections => connections::list(&session).await,
        Command::Plan(args) => plan::plan(&session, args).await,
        Command::Tools(surface) => tools::list(&session, surface).await,
        Command::Call(args) => tools::call(&session, args).await,
        Command::Read(args) => tools::read(&session, args).await,
        Command::Review(args) => review::review(&session, args).await,
        Command::Audit(args) => audit::show(&session, args).await,
        Command::Alerts(args) => alerts::alerts(&session, args).await,
        Command::Token { command } => admin::token(&session, command).await,
        Command::Secret { command } => admin::secret(&session, command).await,
        Command::Tenant { command } => admin::tenant(&session, command).await,
        Command::Keys { command } => keys::keys(&session, command).await,
        Command::Migrate => admin::migrate(&session).await,
        Command::Doctor => doctor::check(&session, broken).await,
    };
    session.close().await;
    if let Some(exporter) = exporter {
        exporter.close().await;
    }
    done
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_has_help_with_an_example() {
        let mut cli = Cli::command();
        cli.build();
        let below = |command: &clap::Command| {
            command.get_subcommands().filter(|one| one.get_name() != "help").cloned().collect()
        };
        let mut commands: Vec<clap::Command> = below(&cli);
        let mut lacking = Vec::new();
        while let Some(command) = commands.pop() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            if !help.contains("Example") || command.get_about().is_none() {
                lacking.push(command.get_bin_name().unwrap_or_default().to_owned());
            }
            commands.extend(below(&command));
        }
        assert!(lacking.is_empty(), "{lacking:?}");
        cli.debug_assert();
    }
}
