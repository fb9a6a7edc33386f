//! New tokens, from the provider into the vault: an answer that was lost is asked for again only as far as the provider's
//! rules allow, and one that came is stored whatever becomes of the database.

use std::collections::BTreeSet;
use std::time::Duration;

use resto_core::{Code, Error, Integration, Result, quote};
use resto_vault::{
    AlertKind, Connection, Credential, Job, Renewal, Sealed, Spill, Status, Vault, crash_point,
};
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use tokio::time::{sleep, timeout};

use super::{busy, due_in, life};
use crate::connect::{NoTokens, OAuthClient, Tokens, stop};
use crate::grants::Grants;
use crate::host::{Caller, Host, told};
use crate::maintain::{DAILY, HOLD, Kind};

/// How long the database may take to store new tokens before they are kept in a file.
const STORING: Duration = Duration::from_secs(1);

/// Between two attempts to store what waits in a file.
const AGAIN: Duration = Duration::from_millis(200);

/// One access that is being renewed.
pub(super) struct Refresh<'a> {
    pub host: &'a Host,
    pub caller: &'a Caller,
    pub integration: &'static Integration,
    pub ours: OAuthClient<'a>,
    pub connection: Connection,
    pub job: &'a Job,
}

impl Refresh<'_> {
    /// Stores new tokens; in how long they are to be renewed in turn.
    pub async fn run(&self, sealed: Sealed) -> Result<Duration> {
        let Self { host, caller, integration, connection, .. } = self;
        let scope = &caller.scope;
        let mut credential = sealed.open().map_err(told)?;
        let Some(spent) = credential.secrets.get("refresh_token").cloned() else {
            return Err(host.access_ended(integration));
        };
        if !self.ours.gave(&credential.secrets) {
            let error = Error::new(
                Code::AuthExpired,
                format!(
                    "{} names another authorization server now than the one at which a person signed in, and gets nothing that belongs to that one. A person asks why, and connects it again.",
                    integration.name
                ),
            );
            stop(caller, integration, connection.generation, &error).await;
            return Err(error);
        }
        // Whoever lost the hold must not send what another one sends.
        if !scope.renew_job(self.job, HOLD).await.map_err(told)? {
            return Err(busy(integration));
        }
        let (mut answer, was_lost) = self.ask(&spent).await;
        if let Err(NoTokens::Refused(word)) = &answer
            && is_final(word)
        {
            if let Some(now) = scope.connection(integration.id).await.map_err(told)?
                && now.generation != connection.generation
            {
                // Somebody else renewed it, or connected again: that is the answer.
                let (left, life) = life(&now, scope.now());
                return Ok(due_in(left, life));
            }
            let word = word.clone();
            answer = match self.former(&spent).await {
                Some(former) => self.ask(&former).await.0,
                None => Err(NoTokens::Refused(word)),
            };
        }
        crash_point("refresh.bytes_received");
        let tokens = match answer {
            Ok(tokens) => tokens,
            Err(none) => return Err(self.refused(none, was_lost).await),
        };
        if let Some(account) = &tokens.account_id
            && *account != connection.account_id
        {
            let error = Error::new(
                Code::Conflict,
                format!(
                    "{} renewed the access of another account than the one that was connected ({}). It was not taken. A person connects it again.",
                    integration.name, connection.account_name
                ),
            );
            stop(caller, integration, connection.generation, &error).await;
            return Err(error);
        }
        let lost_rights = self.narrow(&mut credential, &tokens);
        tokens.put_into(&mut credential.secrets);
        // A new refresh token of which nothing is told lives as long as the one before.
        let reauthorize_by = tokens.refresh_ends_at.or(connection.reauthorize_by);
        let renewal = sealed.renew(&credential, tokens.expires_at, reauthorize_by);
        let renewal = renewal.map_err(told)?;
        drop(credential);
        crash_point("refresh.sealed");
        let left = |end: OffsetDateTime| {
            let life = (end - scope.now()).try_into().unwrap_or_default();
            due_in(life, life)
        };
        let next = tokens.expires_at.map_or(DAILY, left);
        self.store(renewal, next).await?;
        if lost_rights {
            scope.raise(AlertKind::PermissionsChanged, integration.id).await;
        }
        Ok(next)
    }

    /// Asks for new tokens; whether an answer was lost that may have spent this refresh token.
    async fn ask(&self, refresh: &SecretString) -> (Result<Tokens, NoTokens>, bool) {
        let (_, life) = life(&self.connection, self.host.vault.now());
        let ask = || self.ours.renew(self.host, refresh, Some(life));
        let answer = ask().await;
        if matches!(answer, Err(NoTokens::Lost(_))) && self.ours.facts.rotates_refresh_token {
            return (ask().await, true);
        }
        (answer, false)
    }

    /// The refresh token before this one, while it is kept: the provider may not have got as far as we have.
    async fn former(&self, spent: &SecretString) -> Option<SecretString> {
        let former = self.caller.scope.former(&self.connection).await;
        let former = former
            .inspect_err(|error| tracing::warn!(%error, "a former credential was not opened"));
        let former = former.ok().flatten()?.secrets.remove("refresh_token")?;
        // EXPOSE: compared with another one.
        (former.expose_secret() != spent.expose_secret()).then_some(former)
    }

    /// Why there are no new tokens. Where there never will be any, people are told.
    async fn refused(&self, none: NoTokens, was_lost: bool) -> Error {
        let Self { caller, integration, connection, .. } = self;
        let name = integration.name;
        let is_final = matches!(&none, NoTokens::Refused(word) if is_final(word));
        let error = none.error(integration, |word| {
            let word = quote(word);
            if !is_final {
                let text = format!("{name} gave no new tokens: {word}. Try again later.");
                return Error::new(Code::ProviderDown, text);
            }
            // The provider may have answered a process that died, too.
            let lost = if was_lost || self.job.attempts > 1 {
                " It may have given new ones before, in an answer that did not arrive."
            } else {
                ""
            };
            let ended = self.host.access_ended(integration);
            let ended = ended.message();
            Error::new(
                Code::AuthExpired,
                format!("{name} gives no new tokens: {word}.{lost} {ended}"),
            )
        });
        if is_final {
            let (scope, status) = (&caller.scope, Status::NeedsReauth);
            match scope.set_status(integration.id, connection.generation, status).await {
                Ok(true) => scope.raise(AlertKind::RefreshFailed, integration.id).await,
                // It was connected again meanwhile.
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, "a connection that ended could not be stopped");
                }
            }
        }
        error
    }

    /// Takes away rights that were asked for, and that the new tokens no longer have; whether there are any.
    fn narrow(&self, credential: &mut Credential, tokens: &Tokens) -> bool {
        let Some(told) = &tokens.scopes else { return false };
        let mut grants = Grants::read(&credential.permissions);
        let asked: BTreeSet<&str> = self.ours.facts.scopes.iter().copied().collect();
        let before = grants.granted.len();
        grants.granted.retain(|right| told.contains(right) || !asked.contains(right.as_str()));
        let is_narrower = grants.granted.len() < before;
        if is_narrower {
            credential.permissions = serde_json::to_value(&grants).unwrap_or_default();
        }
        is_narrower
    }

    /// Stores new tokens, however long that takes: they may be the only ones that work.
    async fn store(&self, renewal: Renewal, next: Duration) -> Result<()> {
        // Whether it is still the same account, with the same rights, is asked at once.
        let jobs = [(Kind::Refresh.word(), next), (Kind::Probe.word(), Duration::ZERO)];
        let late = match timeout(STORING, renewal.store(&jobs)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) if !matches!(error, resto_vault::Error::Database { .. }) => {
                return Err(told(error));
            }
            Ok(Err(error)) => error.to_string(),
            Err(late) => late.to_string(),
        };
        tracing::error!(
            late,
            integration = self.integration.id,
            "new tokens could not be stored, and wait sealed in a file"
        );
        let file = self.host.spill.keep(&renewal);
        if let Err(error) = &file {
            tracing::error!(%error, "new tokens could not be written to a file either, and wait in memory");
        }
        crash_point("refresh.spill_written");
        loop {
            let waited = self.host.closing.run_until_cancelled(sleep(AGAIN)).await;
            if waited.is_none() {
                return Err(busy(self.integration));
            }
            let stored = match timeout(HOLD, renewal.store(&jobs)).await {
                Err(_) | Ok(Err(resto_vault::Error::Database { .. })) => continue,
                Ok(stored) => stored,
            };
            if let Ok(file) = file {
                // Another process may have found it first.
                std::fs::remove_file(file).ok();
            }
            return stored.map(drop).map_err(told);
        }
    }
}

/// Stores what a process that died, or was stopped, left in files.
pub(crate) async fn replay(vault: &Vault, spill: &Spill) {
    let files = spill.waiting().unwrap_or_else(|error| {
        tracing::error!(%error, "new tokens may wait in files that cannot be read");
        Vec::new()
    });
    for file in files {
        // When they are to be renewed in turn, whoever looks will see.
        match vault.store_spilled(&file, &[(Kind::Refresh.word(), Duration::ZERO)]).await {
            Ok(is_stored) => {
                tracing::warn!(is_stored, "new tokens that waited in a file are settled");
            }
            Err(error @ resto_vault::Error::Database { .. }) => {
                tracing::error!(%error, "new tokens wait in a file for the next start");
            }
            Err(error) => {
                tracing::error!(%error, file = %file.display(), "a file with new tokens cannot be opened");
            }
        }
    }
}

/// Whether the refresh token is no good any more. GitHub has its own word for it.
fn is_final(word: &str) -> bool {
    matches!(word, "invalid_grant" | "bad_refresh_token")
}
