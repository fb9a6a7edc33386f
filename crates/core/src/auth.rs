//! How one signs in at a provider, as data, and how requests carry what one got there.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use crate::{Code, Error, Result, Revocation, Secrets};

/// A way to sign in.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "facts are static: none is ever moved")]
pub enum Auth {
    /// A key that a person creates at the provider and pastes on our side.
    Key(KeyAuth),
    /// OAuth 2 with the authorization code flow.
    OAuth(OAuthConfig),
}

impl Auth {
    /// How a request is signed.
    #[must_use]
    pub fn scheme(&self) -> &Scheme {
        match self {
            Self::Key(key) => &key.scheme,
            Self::OAuth(oauth) => &oauth.scheme,
        }
    }

    /// The word that is stored with the connection.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "api_key",
            Self::OAuth(_) => "oauth2",
        }
    }
}

/// Facts about a pasted key.
#[derive(Debug)]
pub struct KeyAuth {
    /// What the provider calls it.
    pub name: &'static str,
    /// The parts to ask for; most keys have one.
    pub fields: &'static [KeyField],
    /// The page where a person creates one, with the least permissions filled in where possible.
    pub create_url: &'static str,
    /// How requests are signed with it.
    pub scheme: Scheme,
}

impl KeyAuth {
    /// One key sent as a bearer token, to fill in the rest of a literal from:
    /// `KeyAuth { create_url: "...", ..KeyAuth::BEARER }`.
    pub const BEARER: Self = Self {
        name: "API key",
        fields: &[KeyField::KEY],
        create_url: "",
        scheme: Scheme::Bearer(KeyField::KEY.name),
    };
}

/// One part of a pasted key.
#[derive(Debug)]
pub struct KeyField {
    /// The name under which it is sealed.
    pub name: &'static str,
    /// What a person is asked for.
    pub label: &'static str,
    /// What one looks like.
    pub hint: &'static str,
    /// What one begins with; any of these. Empty: anything.
    pub prefixes: &'static [&'static str],
    /// What another kind of key begins with, and why that kind is not taken.
    pub refused: &'static [(&'static str, &'static str)],
}

impl KeyField {
    /// A key of any form, to fill in the rest of a literal from:
    /// `KeyField { hint: "acme_...", ..KeyField::KEY }`.
    pub const KEY: Self =
        Self { name: "key", label: "API key", hint: "", prefixes: &[], refused: &[] };
}

/// Facts about a provider's OAuth.
#[derive(Debug)]
pub struct OAuthConfig {
    /// Where a person consents.
    pub authorize_url: &'static str,
    /// Where a code becomes tokens.
    pub token_url: &'static str,
    /// Who the authorization server says it is (RFC 8414), where it has a name.
    pub issuer: Option<&'static str>,
    /// Whether its answers always name it (RFC 9207), so that one without the name is refused.
    pub names_issuer: bool,
    /// How what a person allowed is taken back.
    pub revocation: Revocation,
    /// The page where a person decides what our app may do, where `scopes` do not; else empty.
    pub rights_url: &'static str,
    /// Whether PKCE with S256 is supported.
    pub pkce: bool,
    /// How our client shows who it is at the token URL.
    pub client_auth: ClientAuth,
    /// What the tokens are for (RFC 8707), where the authorization server gives them for several services.
    pub resource: Option<&'static str>,
    /// What is asked for; empty where the app's registration decides.
    pub scopes: &'static [&'static str],
    /// What else the page of consent is asked with, such as `access_type=offline`.
    pub authorize_parameters: &'static [(&'static str, &'static str)],
    /// How long an access token works where the answer does not say; `None`: it does not end.
    pub access_lifetime: Option<Duration>,
    /// Whether a refresh token is spent by its use. Where the answer to it is lost, it is then tried once more at once, which
    /// a provider with a grace period answers again; else it is tried until there is an answer.
    pub rotates_refresh_token: bool,
    /// How requests are signed with the access token.
    pub scheme: Scheme,
}

/// How an OAuth client authenticates at the token URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_id` and `client_secret` in the form.
    Body,
    /// HTTP Basic.
    Basic,
    /// Not at all: it has no secret, and PKCE protects the code.
    Public,
    /// HTTP Basic, with the secret as the user and no password.
    SecretAsUser,
}

/// How a request is signed.
#[derive(Debug)]
pub enum Scheme {
    /// `Authorization: Bearer`, with the secret of this name.
    Bearer(&'static str),
    /// HTTP Basic (RFC 7617), with the secrets of these names.
    Basic {
        /// The user name.
        user: &'static str,
        /// The password.
        password: &'static str,
    },
    /// Headers of these names, each with the secret of that name.
    Headers(&'static [(&'static str, &'static str)]),
}

impl Scheme {
    /// Signs a request.
    ///
    /// # Errors
    /// The secret is missing, or cannot stand in a header.
    pub fn sign(&self, request: &mut reqwest::Request, secrets: &Secrets) -> Result<()> {
        match self {
            Self::Bearer(token) => {
                let value = format!("Bearer {}", expose(secrets, token)?);
                set(request, AUTHORIZATION, value)
            }
            Self::Basic { user, password } => {
                let pair = format!("{}:{}", expose(secrets, user)?, expose(secrets, password)?);
                set(request, AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)))
            }
            Self::Headers(headers) => headers.iter().try_for_each(|(header, secret)| {
                set(request, HeaderName::from_static(header), expose(secrets, secret)?.to_owned())
            }),
        }
    }
}

fn expose<'a>(secrets: &'a Secrets, name: &str) -> Result<&'a str> {
    // EXPOSE: the request is what the credential is for.
    secrets.get(name).map(ExposeSecret::expose_secret).ok_or_else(|| unusable(name))
}

fn set(request: &mut reqwest::Request, name: HeaderName, value: String) -> Result<()> {
    let mut value = HeaderValue::try_from(value).map_err(|_| unusable(name.as_str()))?;
    value.set_sensitive(true);
    request.headers_mut().insert(name, value);
    Ok(())
}

fn unusable(name: &str) -> Error {
    Error::new(
        Code::AuthExpired,
        format!("The stored credential has no usable `{name}`. Reconnect."),
    )
}
