//! How a provider takes back what a person allowed this server's client there, as data.

use reqwest::Method;

/// How what a person allowed is taken back.
#[derive(Debug)]
pub struct Revocation {
    /// Ends all that the account allowed our client. While another connection lives on that, it waits.
    pub grant: Revoking,
    /// Ends one token alone, where the provider can.
    pub token: Option<Revoking>,
    /// The page where a person does it.
    pub by_hand: &'static str,
}

/// A request that takes back.
#[derive(Debug)]
pub enum Revoking {
    /// The standard's (RFC 7009), to this address: the refresh token in a form, or else the access token.
    Standard(&'static str),
    /// The provider's own, at its API.
    Own {
        /// `DELETE` or `POST`.
        method: Method,
        /// Its path, which may hold `{client_id}`, `{account_id}`, `{installation}` (as it came with the tokens) and
        /// `{found}`.
        path: &'static str,
        /// Who shows itself.
        signer: Signer,
        /// Whether the body names the access token: `{"access_token": "..."}`.
        names_token: bool,
        /// What is asked first: a path, and where its answer has what `{found}` stands for (RFC 6901).
        find: Option<(&'static str, &'static str)>,
    },
}

/// Who shows itself with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// Our client, with its id and its secret by HTTP Basic.
    Client,
    /// Our client, with its secret alone as a bearer token.
    ClientSecret,
    /// Whoever has the access token.
    AccessToken,
}
