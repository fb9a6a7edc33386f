//! The configuration: one struct, read from a TOML file; flags and environment variables go before
//! it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use resto_core::{Code, Error, Result};
use resto_vault::{Cipher, KeySource};
use serde::{Deserialize, Serialize};

use crate::approve::Caps;
use crate::checks;
use crate::identity::Identity;
use crate::limits::LimitOverrides;
use crate::origin::Origin;
use crate::policy::Rule;
use crate::remote::RemoteServer;

/// The configuration. Everything may be left out.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the database is kept. `RESTO_DATA_DIR`, `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `sqlite:///absolute/path` or `postgres://...`; a file in `data_dir` if left out.
    /// `RESTO_DATABASE_URL`, `--database`.
    pub database: Option<String>,
    /// The file with the root key, outside `data_dir`. `RESTO_KEY_FILE`, `--key-file`.
    pub key_file: Option<PathBuf>,
    /// Root keys from elsewhere than a file, and former ones.
    pub keys: Keys,
    /// The file that remembers outside the database how far each audit trail went, so that a cut tail shows;
    /// `audit-anchors.jsonl` beside the key file if left out. Best on a medium that cannot be rewritten.
    pub audit_anchors: Option<PathBuf>,
    /// Where `resto serve` listens; `127.0.0.1:8787` if left out. `RESTO_BIND`, `--bind`.
    pub bind: Option<SocketAddr>,
    /// What seals new credentials: `xchacha20-poly1305` (the default) or `aes-256-gcm`.
    pub cipher: Cipher,
    /// Names under which this server is reached, besides the loopback ones, as in the `Host` header.
    pub allowed_hosts: Vec<String>,
    /// Where people's browsers reach this server, such as `https://resto.example.com`; the address where it
    /// listens if left out.
    pub public_url: Option<String>,
    /// Whether clients that know only the transport of the first revision come in, at `/sse`; `true` if left out.
    pub sse: Option<bool>,
    /// Web pages that may call this server, such as `https://app.example.com`.
    pub allowed_origins: Vec<Origin>,
    /// DNS resolvers that `detect_integrations` asks, such as `10.0.0.2:53`; three that the public uses if left out.
    pub dns_servers: Vec<SocketAddr>,
    /// Where alerts are delivered, besides the pages and tools of this server.
    pub alerts: Alerts,
    /// An external identity provider whose access tokens let agents in, and where people sign in.
    pub identity: Option<Identity>,
    /// Per integration id.
    pub integrations: BTreeMap<String, Overrides>,
    /// MCP servers that others run, per integration id.
    pub remote: BTreeMap<String, RemoteServer>,
    /// What runs, what a person approves first, and what does not run; the first that fits decides.
    pub rules: Vec<Rule>,
    /// What may be spent.
    pub spend: Caps,
    /// What is told to those who run this server.
    pub telemetry: Telemetry,
}

/// Logs, metrics and spans.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Writes each event of the log as one JSON object.
    pub json_logs: bool,
    /// Where `/metrics` (for Prometheus), `/healthz` and `/readyz` are served: an address that is not for the public, such
    /// as `127.0.0.1:9464`.
    pub metrics: Option<SocketAddr>,
    /// The OpenTelemetry collector to which a span of each call is sent by OTLP over HTTP, such as
    /// `http://127.0.0.1:4318`.
    pub otlp: Option<String>,
}

/// Where root keys come from: each is `{ file = "/path" }`, `{ env = "NAME" }`, or `{ command = ["program", "argument"] }`
/// that prints it, all as 32 bytes in one line of base64.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// The key that seals, instead of the one in `key_file`.
    pub current: Option<KeySource>,
    /// Keys that only open: the next one before it becomes current, and former ones until `resto keys status` says
    /// that they may go.
    pub accept: Vec<KeySource>,
}

/// The webhook that is told of each alert of every tenant, signed by the Standard Webhooks scheme. Both or neither.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// Its address, over HTTPS.
    pub webhook: Option<String>,
    /// The file with the secret that signs, `whsec_...`, which only this process's user can read.
    pub secret_file: Option<PathBuf>,
}

/// Our OAuth client at an integration, other limits, and other addresses than its own: an enterprise server, or a
/// stand-in for tests.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    /// The API.
    pub base_url: Option<String>,
    /// Where a person consents.
    pub authorize_url: Option<String>,
    /// Where a code becomes tokens.
    pub token_url: Option<String>,
    /// Where tokens are revoked by the standard's request (RFC 7009), in place of the provider's own way.
    pub revoke_url: Option<String>,
    /// Who the server at `authorize_url` says it is, if its answers name it (RFC 9207).
    pub issuer: Option<String>,
    /// The id of our OAuth client there.
    pub client_id: Option<String>,
    /// The file with its secret, which only this process's user can read.
    pub client_secret_file: Option<PathBuf>,
    /// The file with the secret with which it signs the messages that it sends to `/webhooks/{integration}`; without it
    /// none are taken. Only this process's user can read it.
    pub webhook_secret_file: Option<PathBuf>,
    /// How many requests it may get.
    pub limits: Option<LimitOverrides>,
}

impl Overrides {
    /// The addresses that are set, with their names.
    pub fn urls(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("base_url", &self.base_url),
            ("authorize_url", &self.authorize_url),
            ("token_url", &self.token_url),
            ("revoke_url", &self.revoke_url),
        ]
        .into_iter()
        .filter_map(|(name, url)| url.as_deref().map(|url| (name, url)))
    }
}

impl Config {
    /// Of a test, in this folder.
    #[cfg(test)]
    pub(crate) fn of_a_test(folder: &Path) -> Self {
        let (data, key) = (folder.join("data"), folder.join("keys/root.key"));
        Self { data_dir: Some(data), key_file: Some(key), ..Self::default() }
    }

    /// Reads the file, or the one in the configuration folder if there is one.
    ///
    /// # Errors
    /// The file cannot be read, can be written by others, or holds something that is not understood.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        let path = match file {
            Some(path) => path.to_owned(),
            None => {
                let path = config_dir()?.join("config.toml");
                if !path.exists() {
                    return Ok(Self::default());
                }
                path
            }
        };
        let wrong = |why: String| {
            Error::new(
                Code::InvalidInput,
                format!("The configuration file {} {why}", path.display()),
            )
        };
        let unreadable = |error: std::io::Error| wrong(format!("cannot be read: {error}."));
        let mut file = File::open(&path).map_err(unreadable)?;
        checks::check_file(&path, &file).map_err(unreadable)??;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(unreadable)?;
        toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
            let at = line.map(|line| format!(" (line {line})")).unwrap_or_default();
            wrong(format!("is not right{at}: {}", error.message()))
        })
    }

    /// The data folder.
    ///
    /// # Errors
    /// None is configured, and the operating system names no home folder.
    pub fn data_dir(&self) -> Result<PathBuf> {
        let dir = match &self.data_dir {
            Some(dir) => dir.clone(),
            None => folders()?.data_dir().to_owned(),
        };
        std::path::absolute(&dir).map_err(|error| unusable(&dir, &error))
    }

    /// Where the current root key comes from, when it is not the key file.
    ///
    /// # Errors
    /// A key file is named as well.
    pub fn key_source(&self) -> Result<Option<&KeySource>> {
        if self.keys.current.is_some() && self.key_file.is_some() {
            return Err(Error::new(
                Code::InvalidInput,
                "The current root key is named twice: by `keys.current` in the configuration, and by a key file (`key_file`, RESTO_KEY_FILE or --key-file). Leave one out.",
            ));
        }
        Ok(self.keys.current.as_ref())
    }

    /// The key file.
    ///
    /// # Errors
    /// As [`Config::data_dir`].
    pub fn key_file(&self) -> Result<PathBuf> {
        match &self.key_file {
            Some(file) => Ok(file.clone()),
            None => Ok(config_dir()?.join("root.key")),
        }
    }

    /// The file of the audit trail's anchors.
    ///
    /// # Errors
    /// As [`Config::data_dir`].
    pub fn audit_anchors(&self) -> Result<PathBuf> {
        match &self.audit_anchors {
            Some(file) => Ok(file.clone()),
            None => Ok(self.key_file()?.with_file_name("audit-anchors.jsonl")),
        }
    }

    /// The database.
    ///
    /// # Errors
    /// As [`Config::data_dir`].
    pub fn database(&self) -> Result<String> {
        match &self.database {
            Some(url) => Ok(url.clone()),
            None => Ok(format!("sqlite://{}", self.data_dir()?.join("resto.db").display())),
        }
    }

    /// The folder of a SQLite database; `None` where the database is a server.
    ///
    /// # Errors
    /// As [`Config::data_dir`].
    pub fn database_folder(&self) -> Result<Option<PathBuf>> {
        let url = self.database()?;
        let file = url.strip_prefix("sqlite://").map(Path::new).filter(|file| file.is_absolute());
        Ok(file.and_then(Path::parent).map(Path::to_owned))
    }

    /// Where `serve` listens.
    #[must_use]
    pub fn bind(&self) -> SocketAddr {
        self.bind.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8787)))
    }
}

fn folders() -> Result<directories::ProjectDirs> {
    directories::ProjectDirs::from("", "", "resto").ok_or_else(|| {
        Error::new(
            Code::InvalidInput,
            "There is no home folder. Name the folders: --data-dir DIR --key-file FILE",
        )
    })
}

fn config_dir() -> Result<PathBuf> {
    Ok(folders()?.config_dir().to_owned())
}

/// A folder that cannot be used.
pub(crate) fn unusable(dir: &Path, error: &std::io::Error) -> Error {
    let what = match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            "cannot be a folder: a file is in its place. Move that file".to_owned()
        }
        _ => format!("cannot be used: {error}. Make it writable"),
    };
    Error::new(
        Code::InvalidInput,
        format!("{} {what}, or name another folder: --data-dir DIR", dir.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_wrong_in_a_file_and_where() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        std::fs::write(&file, "bind = \"127.0.0.1:1\"\n[integrations.github]\nbase = \"x\"\n")
            .unwrap();
        let error = Config::load(Some(&file)).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("`base`"), "{error}");
        std::fs::write(
            &file,
            "cipher = \"aes-256-gcm\"\n[integrations.github]\nbase_url = \"http://127.0.0.1:1\"\n",
        )
        .unwrap();
        let config = Config::load(Some(&file)).unwrap();
        assert_eq!(config.cipher, Cipher::Aes256Gcm);
        assert_eq!(
            config.integrations["github"].urls().next(),
            Some(("base_url", "http://127.0.0.1:1"))
        );
        assert!(Config::load(Some(&dir.path().join("none.toml"))).is_err());
    }

    #[test]
    fn reads_the_sources_of_root_keys_and_refuses_a_second_current_one() {
        let text = "[keys]\ncurrent = { command = [\"op\", \"read\", \"op://vault/root\"] }\n\
                    accept = [{ file = \"/etc/old.key\" }, { env = \"OLD_KEY\" }]\n";
        let mut config: Config = toml::from_str(text).unwrap();
        let command = ["op", "read", "op://vault/root"].map(str::to_owned).to_vec();
        assert_eq!(config.key_source().unwrap(), Some(&KeySource::Command(command)));
        let accepted = [KeySource::File("/etc/old.key".into()), KeySource::Env("OLD_KEY".into())];
        assert_eq!(config.keys.accept, accepted);
        config.key_file = Some("/etc/new.key".into());
        let refused = config.key_source().unwrap_err().to_string();
        assert!(refused.contains("named twice"), "{refused}");
        assert!(toml::from_str::<Config>("[keys]\ncurrent = { shell = \"id\" }\n").is_err());
        assert_eq!(Config::default().key_source().unwrap(), None);
    }
}
