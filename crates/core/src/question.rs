//! What an action asks the caller's person in the middle of a call.

use serde_json::Value;
use url::Url;

/// A question to the caller's person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked, and by whom.
    pub message: String,
    /// How it is answered.
    pub way: Way,
}

/// How a person answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// In a form: a JSON schema of an object whose fields are plain.
    Form(Value),
    /// On a page that they open; what they do there is not told.
    Page(Url),
}

/// What a person answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// They agreed; with what they filled in, where it was a form.
    Given(Value),
    /// They did not want to.
    Declined,
    /// They closed it, or did not answer in time.
    Closed,
}
