//! One error taxonomy for all providers, told so that an agent knows what to do next.

use std::fmt;

use serde::Serialize;

use crate::text::clean;

/// `Result` with our [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong. The words are part of the interface to agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The tenant has no account connected at this integration.
    NotConnected,
    /// The token expired or was revoked, or the account was disabled.
    AuthExpired,
    /// The token is fine, a right is missing.
    PermissionDenied,
    /// The id is wrong, or hidden by missing access.
    NotFound,
    /// A value is wrong.
    InvalidInput,
    /// It exists already, is stale, or is in the wrong state.
    Conflict,
    /// A quota is used up.
    RateLimited,
    /// Card declined, no credit, plan limit.
    PaymentRequired,
    /// A person has to do something first.
    ActionRequired,
    /// Our policy refuses it.
    Denied,
    /// 5xx, time-out, network; nothing was done.
    ProviderDown,
    /// Our own fault towards the provider.
    ProviderMisconfigured,
    /// A change was sent and the answer was lost: it may have happened.
    UnknownOutcome,
    /// The caller gave up.
    Cancelled,
    /// A fault inside this server.
    Internal,
}

impl Code {
    /// The word that agents and the audit trail see, such as `not_found`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::AuthExpired => "auth_expired",
            Self::PermissionDenied => "permission_denied",
            Self::NotFound => "not_found",
            Self::InvalidInput => "invalid_input",
            Self::Conflict => "conflict",
            Self::RateLimited => "rate_limited",
            Self::PaymentRequired => "payment_required",
            Self::ActionRequired => "action_required",
            Self::Denied => "denied",
            Self::ProviderDown => "provider_down",
            Self::ProviderMisconfigured => "provider_misconfigured",
            Self::UnknownOutcome => "unknown_outcome",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong, who said it, and what to do. Serialised, it is what an agent reads.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Error(Box<Details>);

/// The facts of an [`Error`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Details {
    /// The kind.
    pub code: Code,
    /// Our sentence: what happened, who said it, what to do.
    pub message: String,
    /// The provider's display name, such as `GitHub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The HTTP status that the provider answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The input field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The permission that would have allowed it, in the provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_permission: Option<String>,
    /// When to come back, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// The provider's id of the request, for its support.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// A page that explains it, or where a person mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What the provider asked of the caller's person, and said then, in its own words: told to the caller alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

impl Error {
    /// An error with its kind and sentence; text from elsewhere in it is cleaned.
    pub fn new(code: Code, message: impl AsRef<str>) -> Self {
        Self(Box::new(Details {
            code,
            message: clean(message.as_ref()).into_owned(),
            provider: None,
            http_status: None,
            field: None,
            missing_permission: None,
            retry_after_s: None,
            request_id: None,
            url: None,
            said: None,
        }))
    }

    /// A wrong input value and the field that holds it.
    pub fn invalid(field: impl Into<String>, message: impl AsRef<str>) -> Self {
        let mut error = Self::new(Code::InvalidInput, message);
        error.0.field = Some(field.into());
        error
    }

    /// The kind.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Our sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// All facts.
    #[must_use]
    pub fn details(&self) -> &Details {
        &self.0
    }

    /// All facts, to be filled in.
    pub fn details_mut(&mut self) -> &mut Details {
        &mut self.0
    }

    /// Names the permission that is missing.
    #[must_use]
    pub fn missing(mut self, permission: impl AsRef<str>) -> Self {
        self.0.missing_permission = Some(clean(permission.as_ref()).into_owned());
        self
    }

    /// Names the page where a person reads more, or mends it.
    #[must_use]
    pub fn url(mut self, url: impl AsRef<str>) -> Self {
        self.0.url = Some(clean(url.as_ref()).into_owned());
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {}
