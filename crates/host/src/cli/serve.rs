//! `resto serve` and `resto stdio`.

use std::io::IsTerminal;
use std::net::SocketAddr;

use resto_core::{Code, Error, Result};
use rmcp::ServiceExt;
use secrecy::ExposeSecret;

use super::Session;
use super::print::Tone;
use crate::host::{Caller, Host, LOCAL_TENANT, told};
use crate::http::Server;
use crate::mcp::Mcp;
use crate::observe;
use crate::surface::Surface;

/// The record that tells a later start from the first one.
const WELCOMED: (&str, &str) = ("serve", "welcomed");

#[derive(clap::Args)]
pub(super) struct ServeArgs {
    /// Where to listen [default: 127.0.0.1:8787]
    #[arg(long, value_name = "ADDR", env = "RESTO_BIND", hide_env_values = true)]
    bind: Option<SocketAddr>,
}

pub(super) async fn serve(session: &mut Session, args: ServeArgs) -> Result<()> {
    session.config.bind = args.bind.or(session.config.bind);
    let host = session.host().await?;
    // The local tenant exists from the first start on.
    let owner = host.owner(LOCAL_TENANT, "cli").await?;
    let server = Server::bind(session.config.bind()).await?;
    host.place.listens(server.address);
    if let Some(address) = session.config.telemetry.metrics {
        let address = observe::listen(host.clone(), address).await?;
        tracing::info!(%address, "metrics are served");
    }
    for tenant in host.tenants_of_rules_only().await? {
        tracing::warn!(%tenant, "a rule of the configuration is about a tenant that there is not");
    }
    welcome(session, &host, &owner, server.address).await?;
    host.maintain();
    crate::http::serve(server, host, &session.config, stopped()).await;
    Ok(())
}

/// Ends at the first signal that asks the process to stop.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

async fn welcome(
    session: &Session,
    host: &Host,
    owner: &Caller,
    address: SocketAddr,
) -> Result<()> {
    let out = session.out;
    let page = host.place.page(&[])?;
    let mcp = format!("{page}mcp");
    if out.json {
        return out.value(&serde_json::json!({"mcp": mcp, "page": page}));
    }
    out.line(out.tone(Tone::Strong, "Resto integrations is running. Stop it with Ctrl-C."));
    out.line(format!("  For agents   {mcp}"));
    out.line(format!("  For people   {page}"));
    if host.place.is_configured() {
        out.line(format!("  Listening    http://{address}"));
    }
    if std::io::stdout().is_terminal() {
        out.line(format!(
            "  Sign in      {} (once, within 10 minutes)",
            host.sign_in_link(owner).await?
        ));
    } else {
        out.line("  People sign in with a link: resto sign-in");
    }
    let (collection, id) = WELCOMED;
    let welcomed = owner.scope.record(collection, id).await.map_err(told)?.is_some();
    if welcomed || !std::io::stdout().is_terminal() {
        out.line("  An agent needs an access token: resto token create --name my-agent");
        return Ok(());
    }
    let principal = owner.scope.principal("local", "owner").await.map_err(told)?;
    let scopes = owner.allowance.to_string();
    let (_, token) =
        owner.scope.create_token(principal.id, "first-agent", &scopes, None).await.map_err(told)?;
    owner.scope.put_record(collection, id, &true.into(), None).await.map_err(told)?;
    // EXPOSE: its owner sees it this once, to paste it into an agent's configuration.
    let token = token.expose_secret();
    let program =
        std::env::current_exe().map_or_else(|_| "resto".into(), |path| path.display().to_string());
    out.line("");
    out.line(out.tone(Tone::Strong, "Connect an agent. This access token is shown only now:"));
    out.line(format!("  {token}"));
    out.line(out.tone(Tone::Strong, "Claude Code"));
    out.line(format!(
        "  claude mcp add --transport http resto {mcp} --header \"Authorization: Bearer {token}\""
    ));
    out.line(out.tone(Tone::Strong, "Claude Desktop (claude_desktop_config.json)"));
    out.line(format!(
        "  {{\"mcpServers\": {{\"resto\": {{\"command\": \"{program}\", \"args\": [\"stdio\"]}}}}}}"
    ));
    out.line(out.tone(Tone::Strong, "Cursor (~/.cursor/mcp.json)"));
    out.line(format!(
        "  {{\"mcpServers\": {{\"resto\": {{\"url\": \"{mcp}\", \"headers\": {{\"Authorization\": \"Bearer {token}\"}}}}}}}}"
    ));
    out.line(out.tone(Tone::Strong, "MCP Inspector"));
    out.line(format!(
        "  npx @modelcontextprotocol/inspector --cli {mcp} --header \"Authorization: Bearer {token}\" --method tools/list"
    ));
    out.line("");
    out.line("Connect an account: resto connect github");
    Ok(())
}

pub(super) async fn stdio(session: &Session, surface: Surface) -> Result<()> {
    let host = session.host().await?;
    let mut caller = match std::env::var("RESTO_TOKEN") {
        Ok(token) => host.bearer(&token, "stdio").await?.ok_or_else(|| {
            Error::new(
                Code::Denied,
                "The access token in RESTO_TOKEN is unknown, expired or revoked. Create one: resto token create --name NAME",
            )
        })?,
        Err(_) => host.owner(&session.options.tenant, "stdio").await?,
    };
    caller.surface = host.surface(surface)?;
    host.maintain();
    let failed =
        |error: String| Error::new(Code::Internal, format!("The agent's end is not MCP: {error}"));
    let serving = Box::pin(Mcp::only(host.clone(), caller).serve(rmcp::transport::stdio()));
    let running = serving.await.map_err(|error| failed(error.to_string()))?;
    running.waiting().await.map_err(|error| failed(error.to_string()))?;
    host.tasks.close();
    host.tasks.wait().await;
    Ok(())
}
