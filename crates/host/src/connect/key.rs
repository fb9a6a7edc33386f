//! Connecting an account with a key that a person pastes.

use std::collections::BTreeSet;

use resto_core::{Auth, Code, Error, Integration, KeyAuth, Provider, Result, Secrets};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{Candidate, Report, lifecycle, recorded};
use crate::call::Learnt;
use crate::host::{Caller, Host, told};

/// How an integration is connected with a pasted key: at this provider, or at the first that takes
/// one.
///
/// # Errors
/// It cannot be.
pub fn key_auth(
    integration: &'static Integration,
    provider: Option<&str>,
) -> Result<(&'static Provider, &'static KeyAuth)> {
    find_key(integration, provider).map(|(provider, _, key)| (provider, key))
}

fn find_key(
    integration: &'static Integration,
    provider: Option<&str>,
) -> Result<(&'static Provider, &'static Auth, &'static KeyAuth)> {
    let mut with_key = integration
        .providers
        .iter()
        .filter(|candidate| provider.is_none_or(|id| candidate.id == id))
        .filter_map(|candidate| {
            candidate.auth.iter().find_map(|auth| match auth {
                Auth::Key(key) => Some((candidate, auth, key)),
                Auth::OAuth(_) => None,
            })
        });
    with_key.next().ok_or_else(|| {
        let known: Vec<&str> = integration.providers.iter().map(|provider| provider.id).collect();
        let name = integration.name;
        Error::new(
            Code::InvalidInput,
            match provider {
                Some(id) => format!(
                    "{name} is not connected with a key of `{id}`. Its providers: {}.",
                    known.join(", ")
                ),
                None => format!("{name} is not connected with a key."),
            },
        )
    })
}

impl Host {
    /// Tests a pasted key at the provider, and stores it sealed.
    ///
    /// # Errors
    /// The key is not of the right form, or the provider refuses it or cannot be reached. Nothing is
    /// stored then.
    pub async fn connect_key(
        &self,
        caller: &Caller,
        integration: &'static Integration,
        provider: Option<&str>,
        secrets: Secrets,
    ) -> Result<Report> {
        let intent = lifecycle(caller, integration, "connect", &Value::Null);
        let ticket = caller.scope.begin(intent).await.map_err(told)?.ticket;
        let connected = self.try_connect_key(caller, integration, provider, secrets).await;
        self.finish(caller, ticket, &recorded(&connected), Learnt::default()).await;
        connected
    }

    async fn try_connect_key(
        &self,
        caller: &Caller,
        integration: &'static Integration,
        provider: Option<&str>,
        secrets: Secrets,
    ) -> Result<Report> {
        let (provider, auth, key) = find_key(integration, provider)?;
        for field in key.fields {
            check_key(provider, key, field, secrets.get(field.name))?;
        }
        let scopes = BTreeSet::new();
        let candidate = Candidate { provider, auth, secrets, scopes, expires_at: None };
        self.adopt(caller, integration, candidate).await
    }
}

fn check_key(
    provider: &Provider,
    key: &KeyAuth,
    field: &resto_core::KeyField,
    value: Option<&SecretString>,
) -> Result<()> {
    // EXPOSE: its form is checked; nothing of it is repeated.
    let value = value.map(ExposeSecret::expose_secret).unwrap_or_default();
    let wrong = |why: &str| {
        Err(Error::invalid(
            field.name,
            format!(
                "This is not a {} of {}: {why}. One looks like {}; create it at {}",
                key.name, provider.name, field.hint, key.create_url
            ),
        ))
    };
    if value.is_empty() {
        return wrong("it is empty");
    }
    if value.len() > 4096 || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("it has spaces or characters that no key has");
    }
    if let Some((prefix, why)) = field.refused.iter().find(|(prefix, _)| value.starts_with(prefix))
    {
        return wrong(&format!("it begins with {prefix}. {why}"));
    }
    if !field.prefixes.is_empty() && !field.prefixes.iter().any(|prefix| value.starts_with(prefix))
    {
        return wrong(&format!("it begins with none of {}", field.prefixes.join(", ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_key_of_stripe_is_refused_with_the_reason_and_the_page() {
        let (provider, key) = key_auth(&resto_stripe::STRIPE, None).unwrap();
        let check = |kind: &str| {
            let value = SecretString::from(format!("{kind}_test_1234"));
            check_key(provider, key, &key.fields[0], Some(&value))
        };
        assert!(check("rk").is_ok());
        let error = check("sk").unwrap_err();
        assert!(error.message().contains("can do everything in the account"), "{error}");
        assert!(error.message().contains("dashboard.stripe.com/apikeys/create?"), "{error}");
        assert!(!error.message().contains("1234"), "{error}");
        assert!(check("xx").unwrap_err().message().contains("begins with none of rk_"));
    }
}
