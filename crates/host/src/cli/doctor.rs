//! `resto doctor`: what is right, what is wrong, and what to do, without changing anything.

use std::os::unix::fs::PermissionsExt;

use resto_core::{Code, Error, Result};
use resto_vault::Keyring;
use serde::Serialize;

use super::Session;
use super::print::Tone;
use crate::host::{Host, lost_key, told};

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
    find("configuration", broken.map_or(Ok("is right".to_owned()), Err));
    let started = find("data folder", data_dir(session));
    let key = find("key file", key_file(session));
    if started && key {
        find("database", database(session).await);
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

fn data_dir(session: &Session) -> Result<String> {
    let Some(dir) = session.config.database_folder()? else {
        return Ok("is not needed: the database is a server".to_owned());
    };
    let Ok(metadata) = std::fs::metadata(&dir) else {
        return Ok(format!("{} is not there yet; the first start creates it", dir.display()));
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::new(
            Code::InvalidInput,
            format!(
                "{} can be entered by other users (mode {mode:o}). Close it: chmod 700 {}",
                dir.display(),
                dir.display()
            ),
        ));
    }
    Ok(format!("{} is ours alone", dir.display()))
}

fn key_file(session: &Session) -> Result<String> {
    let file = session.config.key_file()?;
    let folder = session.config.database_folder()?;
    if !file.exists() {
        if let Some(lost) = lost_key(&session.config)? {
            return Err(lost);
        }
        return Ok(format!("{} is not there yet; the first start creates it", file.display()));
    }
    let keyring = Keyring::from_file(&file, folder.as_deref()).map_err(told)?;
    Ok(format!("{} holds the root key {}", file.display(), keyring.id()))
}

async fn database(session: &Session) -> Result<String> {
    let url = session.config.database()?;
    let file = url.strip_prefix("sqlite://");
    if file.is_some_and(|file| !std::path::Path::new(file).exists()) {
        return Ok("is not there yet; the first start creates it".to_owned());
    }
    let host = Host::open(&session.config).await?;
    host.vault.check().await.map_err(told)?;
    let tenants = host.vault.tenants().await.map_err(told)?.len();
    Ok(format!("answers, takes writes, and knows {tenants} tenants"))
}
