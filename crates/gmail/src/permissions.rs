//! The scopes of Google that the actions need: first the narrowest, then the one that an ordinary
//! connection has. Which method takes which is in Google's discovery documents.

use resto_core::Permission;

/// Any one of these sets.
type Needs = &'static [&'static [&'static str]];

const READONLY: &str = "https://www.googleapis.com/auth/gmail.readonly";
const COMPOSE: &str = "https://www.googleapis.com/auth/gmail.compose";
pub(crate) const MODIFY: &str = "https://www.googleapis.com/auth/gmail.modify";
const LABELS: &str = "https://www.googleapis.com/auth/gmail.labels";
pub(crate) const SETTINGS: &str = "https://www.googleapis.com/auth/gmail.settings.basic";
const CONTACTS_READONLY: &str = "https://www.googleapis.com/auth/contacts.readonly";
pub(crate) const CONTACTS: &str = "https://www.googleapis.com/auth/contacts";

pub(crate) const MAIL_READ: Needs = &[&[READONLY], &[MODIFY]];
pub(crate) const DRAFTS_READ: Needs = &[&[READONLY], &[COMPOSE], &[MODIFY]];
pub(crate) const DRAFTS_WRITE: Needs = &[&[COMPOSE], &[MODIFY]];
/// Before and after sending, the mailbox is searched for the message.
pub(crate) const MAIL_SEND: Needs = &[&[COMPOSE, READONLY], &[MODIFY]];
pub(crate) const MAIL_MODIFY: Needs = &[&[MODIFY]];
pub(crate) const LABELS_READ: Needs = &[&[LABELS], &[READONLY], &[MODIFY]];
pub(crate) const LABELS_WRITE: Needs = &[&[LABELS], &[MODIFY]];
pub(crate) const FILTERS_READ: Needs = &[&[READONLY], &[MODIFY], &[SETTINGS]];
pub(crate) const SETTINGS_WRITE: Needs = &[&[SETTINGS]];
/// A filter's label is looked up by its name.
pub(crate) const FILTERS_WRITE: Needs = &[&[SETTINGS, LABELS], &[SETTINGS, MODIFY]];
pub(crate) const CONTACTS_READ: Needs = &[&[CONTACTS_READONLY], &[CONTACTS]];
pub(crate) const CONTACTS_WRITE: Needs = &[&[CONTACTS]];

/// All of them, for people; the narrower before the wider.
pub(crate) const ALL: &[Permission] = &[
    Permission { id: READONLY, allows: "read mail and settings" },
    Permission { id: LABELS, allows: "see and create labels" },
    Permission { id: COMPOSE, allows: "write drafts and send mail" },
    Permission { id: MODIFY, allows: "read, write, send, label, archive and trash mail" },
    Permission { id: SETTINGS, allows: "change filters and the vacation reply" },
    Permission { id: CONTACTS_READONLY, allows: "see your contacts" },
    Permission { id: CONTACTS, allows: "see, create, change and delete your contacts" },
];
