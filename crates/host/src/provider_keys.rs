//! Pasted keys: at which company, of what form, and with which rights.

use resto_core::{
    ActionSpec, Auth, Code, Error, Integration, KeyAuth, KeyField, Provider, Result, covers, least,
};
use secrecy::{ExposeSecret, SecretString};

use crate::host::Host;

/// How an integration is connected with a pasted key: at this provider, which has to be named where
/// there are several, since a key is for nobody else to see.
///
/// # Errors
/// It cannot be, or the provider was left open.
pub fn key_auth(
    integration: &'static Integration,
    provider: Option<&str>,
) -> Result<(&'static Provider, &'static KeyAuth)> {
    let with_key: Vec<_> = integration
        .providers
        .iter()
        .filter_map(|provider| {
            provider.auth.iter().find_map(|auth| match auth {
                Auth::Key(key) => Some((provider, key)),
                Auth::OAuth(_) => None,
            })
        })
        .collect();
    let known: Vec<&str> = with_key.iter().map(|(provider, _)| provider.id).collect();
    let (name, known) = (integration.name, known.join(", "));
    let wrong = |message: String| Err(Error::new(Code::InvalidInput, message));
    match (with_key.as_slice(), provider) {
        ([], _) => wrong(format!(
            "{name} is not connected with a key: a person signs in there, in a browser. Begin with: resto sign-in"
        )),
        ([only], None) => Ok(*only),
        (_, None) => wrong(format!(
            "{name} may be several companies; say whose key it is with --provider: {known}. Nothing was asked or sent."
        )),
        (all, Some(id)) => match all.iter().find(|(provider, _)| provider.id == id) {
            Some(found) => Ok(*found),
            None => wrong(format!(
                "{name} is not connected with a key of `{id}`. Its providers: {known}."
            )),
        },
    }
}

/// Whether a part of a key has the form of one.
///
/// # Errors
/// It has not; nothing of it is repeated.
pub(crate) fn check_key(
    provider: &Provider,
    key: &KeyAuth,
    field: &KeyField,
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

impl Host {
    /// The least rights that all actions of an integration need together at this provider, with what
    /// they allow.
    #[must_use]
    pub fn needed(
        &self,
        integration: &Integration,
        provider: &Provider,
    ) -> Vec<(String, &'static str)> {
        let actions = self.catalog.adapter(integration.id).map(resto_core::Adapter::actions);
        least_rights(integration, provider, actions.unwrap_or_default())
    }
}

/// The least rights that some actions of an integration need together at this provider, with what they
/// allow.
pub(crate) fn least_rights<'a>(
    integration: &Integration,
    provider: &Provider,
    actions: impl IntoIterator<Item = &'a ActionSpec>,
) -> Vec<(String, &'static str)> {
    let others = || integration.providers.iter().filter(|other| other.id != provider.id);
    // `cloudflare:dns:write` is a right that only Cloudflare knows.
    let foreign = |right: &&str| {
        right.split_once(':').is_some_and(|(owner, _)| others().any(|other| other.id == owner))
    };
    let own = |action: &&'a ActionSpec| -> Vec<&'static [&'static str]> {
        let sets = action.permissions.iter().copied();
        sets.filter(|set| !set.iter().any(foreign)).collect()
    };
    let alternatives: Vec<_> =
        actions.into_iter().map(|action| own(&action)).filter(|sets| !sets.is_empty()).collect();
    let first = alternatives.iter().filter_map(|sets| sets.first()).flat_map(|set| set.iter());
    let mut rights = least(first.copied());
    // A right that one action needs may serve another in place of the one that it names first.
    for right in rights.clone() {
        let rest: Vec<&str> = rights.iter().copied().filter(|other| *other != right).collect();
        let has = |needed: &str| rest.iter().any(|granted| covers(granted, needed));
        if alternatives.iter().all(|sets| sets.iter().any(|set| set.iter().all(|one| has(one)))) {
            rights = rest;
        }
    }
    rights
        .into_iter()
        .map(|right| {
            let listed = integration.permissions.iter().find(|permission| permission.id == right);
            (right.to_owned(), listed.map_or("", |permission| permission.allows))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_whose_key_it_is_where_there_are_several_companies() {
        let error = key_auth(&resto_registrar::REGISTRAR, None).unwrap_err();
        assert!(error.message().contains("cloudflare, porkbun, namecom"), "{error}");
        let (provider, _) = key_auth(&resto_registrar::REGISTRAR, Some("namecom")).unwrap();
        assert_eq!(provider.id, "namecom");
        assert!(key_auth(&resto_registrar::REGISTRAR, Some("godaddy")).is_err());
        assert!(key_auth(&resto_stripe::STRIPE, None).is_ok());
    }

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
