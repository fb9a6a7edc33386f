//! `resto connect`, `disconnect` and `connections`.

use resto_core::{Code, Error, Integration, Provider, Result, Secrets};

use super::Session;
use super::print::{Tone, read_secret};
use crate::connect::Report;
use crate::host::Host;
use crate::provider_keys::key_auth;

#[derive(clap::Args)]
pub(super) struct ConnectArgs {
    /// The service, such as github
    integration: String,
    /// Which company, where a service has several, such as the registrar
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Read the key from standard input instead of a hidden prompt; a key of several parts has one a line
    #[arg(long)]
    key_stdin: bool,
    /// Let the key of another account take the place of the connected one
    #[arg(long)]
    replace: bool,
}

pub(super) async fn connect(session: &Session, args: ConnectArgs) -> Result<()> {
    let (host, caller) = session.owner().await?;
    let integration = host.integration(&args.integration)?;
    let (provider, key) = key_auth(integration, args.provider.as_deref())?;
    explain(session, &host, integration, provider);
    if host.has_oauth(integration)? {
        session.out.remark("Or sign in at the service, in a browser: resto sign-in");
    }
    session.out.remark(format!("Create a {} at {}", key.name, key.create_url));
    let mut secrets = Secrets::new();
    let mut lines = args.key_stdin.then(|| std::io::stdin().lines());
    for field in key.fields {
        let prompt =
            format!("{} of {} (not shown, like {}): ", field.label, provider.name, field.hint);
        secrets.insert(field.name.to_owned(), read_secret(&prompt, lines.as_mut())?);
    }
    // A second line is no part of the key: two keys, or one broken by a paste.
    if lines.is_some_and(|mut rest| rest.any(|line| line.is_ok_and(|line| !line.trim().is_empty())))
    {
        return Err(Error::new(
            Code::InvalidInput,
            format!(
                "Standard input holds more lines than the key's {}. Nothing was stored.",
                key.fields.len()
            ),
        ));
    }
    let report = host
        .connect_key(&caller, integration, args.provider.as_deref(), secrets, args.replace)
        .await?;
    if session.out.json {
        return session.out.value(&report);
    }
    let out = session.out;
    out.line(format!(
        "{} {} Its key is stored encrypted.",
        out.tone(Tone::Good, "Tested."),
        report.outcome()
    ));
    describe(session, &report);
    Ok(())
}

pub(super) async fn sign_in(session: &Session) -> Result<()> {
    let (host, caller) = session.owner().await?;
    let link = host.sign_in_link(&caller).await?;
    if session.out.json {
        return session.out.value(&serde_json::json!({ "link": link }));
    }
    session.out.line(link);
    session.out.remark("It works once, within 10 minutes, where `resto serve` runs.");
    Ok(())
}

fn explain(session: &Session, host: &Host, integration: &Integration, provider: &Provider) {
    let out = session.out;
    out.remark(format!("{}: {}", integration.name, integration.purpose));
    out.remark(
        "All actions together need these rights. Leave out what you do not want agents to do:",
    );
    for (right, allows) in host.needed(integration, provider) {
        out.remark(format!("  {right:28}{allows}"));
    }
}

fn describe(session: &Session, report: &Report) {
    let out = session.out;
    if let Some(mode) = &report.mode {
        out.line(format!("  Mode      {mode}"));
    }
    if report.permissions.known {
        let granted: Vec<&str> = report.permissions.granted.iter().map(String::as_str).collect();
        out.line(format!(
            "  Rights    {}",
            if granted.is_empty() { "none".to_owned() } else { granted.join(", ") }
        ));
    } else {
        out.line("  Rights    the provider does not tell; each action shows it when it is tried");
    }
    out.line(format!("  Allowed   {} actions", report.allowed.len()));
    if !report.refused.is_empty() {
        out.line(format!("  Refused   {}", report.refused.join(", ")));
    }
    if !report.unknown.is_empty() {
        out.line(format!("  Untried   {} actions", report.unknown.len()));
    }
}

pub(super) async fn disconnect(session: &Session, integration: &str) -> Result<()> {
    let (host, caller) = session.owner().await?;
    let integration = host.integration(integration)?;
    let receipt = host.disconnect(&caller, integration).await?;
    if session.out.json {
        return session.out.value(&receipt);
    }
    session.out.line(format!(
        "The account of {} at {} is disconnected; our copy of its key is destroyed.",
        receipt.account, integration.name
    ));
    if let Some(proof) = receipt.proof {
        session.out.line(proof);
    }
    if let Some(left_to_do) = receipt.left_to_do {
        session.out.line(session.out.tone(Tone::Strong, &left_to_do));
    }
    Ok(())
}

pub(super) async fn list(session: &Session) -> Result<()> {
    let (host, caller) = session.owner().await?;
    let reports = host.connections(&caller).await?;
    if session.out.json {
        return session.out.value(&reports);
    }
    if reports.is_empty() {
        session.out.line("Nothing is connected. Connect an account: resto connect github");
        return Ok(());
    }
    for report in &reports {
        let out = session.out;
        let tone = if report.status == "active" { Tone::Good } else { Tone::Bad };
        out.line(format!(
            "{}  {} at {}  {}",
            out.tone(Tone::Strong, &report.integration),
            report.account,
            report.provider,
            out.tone(tone, &report.status)
        ));
        if let Some(why) = report.standing() {
            out.line(format!("  {why}"));
        }
        describe(session, report);
        let used = report.last_used_at.map_or_else(|| "never".to_owned(), super::audit::short);
        let age = match report.key_age_days {
            None => String::new(),
            Some(1) => " (the key is 1 day old)".to_owned(),
            Some(days) => format!(" (the key is {days} days old)"),
        };
        let end = report.ends_at().map(|end| format!(", ends {}", super::audit::short(end)));
        out.line(format!(
            "  Connected {}{age}, last used {used}{}",
            super::audit::short(report.connected_at),
            end.unwrap_or_default()
        ));
    }
    Ok(())
}
