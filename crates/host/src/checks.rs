//! What a configuration must not say: every command refuses it with the reason, and `resto doctor` tells it.

use std::fs::{File, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use http::uri::Authority;
use resto_core::{Code, Error, Result};
use rustix::process::geteuid;

use crate::catalog::Catalog;
use crate::config::Config;
use crate::connect::check_overrides;
use crate::host::adapters;
use crate::identity::Identity;
use crate::maintain::Sink;
use crate::place::Place;
use crate::policy::check_rules;
use crate::remote::{self, Offer, Remote};

/// The catalog, the servers of others, and where people reach this server, when nothing in the configuration is wrong.
pub(crate) fn checked(config: &Config) -> Result<(Catalog, Vec<Arc<Remote>>, Place)> {
    check(config)?;
    let mut all = adapters();
    let remotes = remote::servers(config, &all)?;
    all.extend(remotes.iter().map(|remote| remote.adapter(&Offer::default())));
    let catalog = Catalog::new(all);
    check_overrides(config, catalog.adapters())?;
    let may_come = |tool: &str| remotes.iter().any(|remote| remote.may_publish(tool));
    check_rules(&config.rules, &catalog, may_come)?;
    config.spend.check_names()?;
    Sink::of(config)?;
    Ok((catalog, remotes, Place::new(config)?))
}

/// Refuses a server that strangers could reach or read under another name than its own.
fn check(config: &Config) -> Result<()> {
    let bind = config.bind();
    let is_named = config.public_url.is_some() || !config.allowed_hosts.is_empty();
    if !bind.ip().is_loopback() && !is_named {
        return Err(refused(format!(
            "bind: {bind} is reached from other machines, and neither public_url nor allowed_hosts says under which name. Name it there, and let a proxy speak HTTPS in front of this server; or listen on 127.0.0.1."
        )));
    }
    config.identity.iter().try_for_each(Identity::check)?;
    config.allowed_hosts.iter().try_for_each(|name| check_host(name))
}

fn check_host(name: &str) -> Result<()> {
    let wrong = |why: &str| {
        refused(format!(
            "allowed_hosts: `{name}` {why}. Write it as it stands in the Host header: resto.example.com, or resto.example.com:8443 where only that port is meant."
        ))
    };
    if name.contains('*') {
        return Err(wrong("lets in whatever name a stranger gives this machine"));
    }
    let authority: Authority = name.parse().map_err(|_| wrong("is no host name"))?;
    if authority.host().is_empty() || name.contains('@') {
        return Err(wrong("is no host name"));
    }
    Ok(())
}

/// Refuses a configuration file that another user can write: it names programs that are run.
pub(crate) fn check_file(path: &Path, file: &File) -> std::io::Result<Result<()>> {
    let metadata = file.metadata()?;
    let shown = path.display();
    if metadata.uid() != geteuid().as_raw() && metadata.uid() != 0 {
        return Ok(Err(refused(format!(
            "The configuration file {shown} belongs to another user, who could let this program run theirs. Let this process's user own it."
        ))));
    }
    let mode = mode(&metadata);
    if mode & 0o022 != 0 {
        return Ok(Err(refused(format!(
            "The configuration file {shown} can be written by other users (mode {mode:o}), who could let this program run theirs. Close it: chmod go-w {shown}"
        ))));
    }
    Ok(Ok(()))
}

/// Refuses a data folder that other users can enter.
pub(crate) fn check_folder(folder: &Path, metadata: &Metadata) -> Result<()> {
    let (mode, shown) = (mode(metadata), folder.display());
    if mode & 0o077 != 0 {
        return Err(refused(format!(
            "The data folder {shown} can be entered by other users (mode {mode:o}). Close it: chmod 700 {shown}"
        )));
    }
    Ok(())
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o7777
}

fn refused(why: String) -> Error {
    Error::new(Code::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g2_lets_the_right_names_through() {
        for name in ["resto.example.com", "resto.example.com:8443", "10.0.0.7", "[fd00::1]:80"] {
            check_host(name).unwrap();
        }
    }

    #[test]
    fn g2_listens_for_other_machines_only_under_a_name() {
        let mut config = Config::default();
        check(&config).unwrap();
        for bind in ["0.0.0.0:8787", "[::]:8787", "192.168.1.7:80"] {
            config.bind = bind.parse().ok();
            config.allowed_hosts = Vec::new();
            check(&config).unwrap_err();
            config.allowed_hosts = vec!["resto.example.com".into()];
            check(&config).unwrap();
        }
    }
}
