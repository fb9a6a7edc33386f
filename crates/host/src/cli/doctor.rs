//! `resto doctor`: what is right, what is wrong, and what to do, without changing anything.

use std::io::ErrorKind;

use resto_core::{Code, Error, Result};
use resto_vault::{AlertKind, KeySource};
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::Session;
use super::audit::short;
use super::print::Tone;
use crate::checks::{check_folder, checked};
use crate::config::unusable;
use crate::connect::check_overrides;
use crate::host::{Host, adapters, told};
use crate::root_keys;

/// How many alerts are told, and for how long.
const ALERTS: u32 = 5;
const RECENT: Duration = Duration::days(7);

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    told: String,
}

pub(super) async fn check(session: &Session, broken: Option<Error>) -> Result<()> {
    let mut findings = Vec::new();
    let mut find = |what, result: Result<String>| {
        let ok = result.is_ok();
        findings.push(Finding { what, ok, told: result.unwrap_or_else(|error| error.to_string()) });
        ok
    };
    let right = broken.map_or_else(|| checked(&session.config).map(|_| "is right".to_owned()), Err);
    let right = find("configuration", right);
    find("services", services(session));
    let started = find("data folder", data_dir(session));
    let key = find("root keys", root_keys(session).await);
    if right && started && key {
        match database(session).await {
            Ok(Some(host)) => {
                find("database", answers(&host).await);
                find("alerts", alerts(session, &host).await);
                find("rules", rules(&host).await);
            }
            Ok(None) => {
                find("database", Ok("is not there yet; the first start creates it".to_owned()));
            }
            Err(error) => {
                find("database", Err(error));
            }
        }
    }
    let wrong = findings.iter().filter(|finding| !finding.ok).count();
    let out = session.out;
    if out.json {
        out.value(&findings)?;
    } else {
        for finding in &findings {
            let mark = if finding.ok {
                out.tone(Tone::Good, "ok   ")
            } else {
                out.tone(Tone::Bad, "wrong")
            };
            out.line(format!("{mark}  {:14} {}", finding.what, finding.told));
        }
    }
    match wrong {
        0 => Ok(()),
        1 => Err(Error::new(Code::InvalidInput, "One thing is wrong; see above.")),
        more => Err(Error::new(Code::InvalidInput, format!("{more} things are wrong; see above."))),
    }
}

fn services(session: &Session) -> Result<String> {
    Ok(match check_overrides(&session.config, &adapters())? {
        0 => "are connected with keys; no OAuth client is configured".to_owned(),
        clients => format!("have {clients} OAuth clients, whose secrets are ours alone to read"),
    })
}

fn data_dir(session: &Session) -> Result<String> {
    let Some(dir) = session.config.database_folder()? else {
        return Ok("is not needed: the database is a server".to_owned());
    };
    let metadata = match std::fs::metadata(&dir) {
        Ok(found) if !found.is_dir() => {
            return Err(unusable(&dir, &ErrorKind::NotADirectory.into()));
        }
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(format!("{} is not there yet; the first start creates it", dir.display()));
        }
        Err(error) => return Err(unusable(&dir, &error)),
    };
    check_folder(&dir, &metadata)?;
    Ok(format!("{} is ours alone", dir.display()))
}

async fn root_keys(session: &Session) -> Result<String> {
    let config = &session.config;
    if config.key_source()?.is_none() {
        let file = config.key_file()?;
        if !file.exists() {
            if let Some(lost) = root_keys::lost_key(config).await? {
                return Err(lost);
            }
            return Ok(format!("{} is not there yet; the first start creates it", file.display()));
        }
    }
    let keyring = root_keys::keyring(config).await?;
    let source = match config.key_source()? {
        None => format!("{} holds", config.key_file()?.display()),
        Some(KeySource::File(file)) => format!("{} holds", file.display()),
        Some(KeySource::Env(name)) => format!("the environment variable {name} holds"),
        Some(KeySource::Command(argv)) => {
            format!("the command {} gives", argv.first().map_or("", String::as_str))
        }
    };
    let accepted = match keyring.accepted_ids() {
        ids if ids.is_empty() => String::new(),
        ids => format!("; accepted: {}", ids.join(", ")),
    };
    Ok(format!("{source} the root key {}{accepted}", keyring.id()))
}

/// A rule for a tenant that there is not protects nobody, and a misspelt one never will.
async fn rules(host: &Host) -> Result<String> {
    let missing = host.tenants_of_rules_only().await?;
    if missing.is_empty() {
        return Ok("are about what there is".to_owned());
    }
    Err(Error::new(
        Code::NotFound,
        format!(
            "are about tenants that there are not: {}. Make them with `resto tenant create`, or correct the rules.",
            missing.join(", ")
        ),
    ))
}

async fn alerts(session: &Session, host: &Host) -> Result<String> {
    let mut alerts = host.vault.whole().open_alerts(ALERTS).await.map_err(told)?;
    if let Some(tenant) = host.vault.tenant(&session.options.tenant).await.map_err(told)? {
        alerts.extend(host.vault.scope(tenant.id).open_alerts(ALERTS).await.map_err(told)?);
    }
    alerts.retain(|alert| {
        let is_recent = OffsetDateTime::now_utc() - alert.raised_at < RECENT;
        is_recent && AlertKind::read(&alert.kind).is_none_or(|kind| !kind.is_reminder())
    });
    if alerts.is_empty() {
        return Ok("none open within 7 days".to_owned());
    }
    let lines: Vec<String> = alerts
        .iter()
        .map(|alert| format!("{} {} {}", short(alert.raised_at), alert.kind, alert.subject))
        .collect();
    Err(Error::new(
        Code::Denied,
        format!("Someone must look at this: {}. `resto alerts` says what to do.", lines.join("; ")),
    ))
}

/// None where there is no database yet.
async fn database(session: &Session) -> Result<Option<Host>> {
    let url = session.config.database()?;
    let file = url.strip_prefix("sqlite://");
    if file.is_some_and(|file| !std::path::Path::new(file).exists()) {
        return Ok(None);
    }
    Host::open(&session.config).await.map(Some)
}

async fn answers(host: &Host) -> Result<String> {
    host.vault.check().await.map_err(told)?;
    let tenants = host.vault.tenants().await.map_err(told)?.len();
    Ok(format!("answers, takes writes, and knows {tenants} tenants"))
}
