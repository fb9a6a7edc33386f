//! What must not compile: writing a secret out by accident.

use std::{borrow::Borrow, fmt, ops::Deref};

use secrecy::SecretString;
use serde::Serialize;
use static_assertions::assert_not_impl_any;

use crate::{
    Credential, Keyring, NewConnection, Sealed, envelope::Key, keyring::MacKey, keys::Sealer,
};

/// The assertions are the compiler's: each fails the build of the tests as soon as one of the traits is implemented.
#[test]
fn b9_no_secret_can_be_serialised_displayed_or_turned_into_text() {
    assert_not_impl_any!(SecretString: Serialize, fmt::Display, fmt::LowerHex, ToString, Into<String>);
    assert_not_impl_any!(SecretString: AsRef<str>, AsRef<[u8]>, Borrow<str>, Deref);
    assert_not_impl_any!(Credential: Serialize, fmt::Display, ToString, Clone, Into<String>);
    assert_not_impl_any!(NewConnection: Serialize, fmt::Display, ToString, Clone);
    assert_not_impl_any!(Sealed: Serialize, fmt::Display, ToString, Clone);
    assert_not_impl_any!(Keyring: Serialize, fmt::Display, ToString, AsRef<[u8]>);
    assert_not_impl_any!(Key: Serialize, fmt::Display, fmt::Debug, Clone, AsRef<[u8]>);
    assert_not_impl_any!(MacKey: Serialize, fmt::Display, fmt::Debug, Clone, AsRef<[u8]>);
    assert_not_impl_any!(Sealer: Serialize, fmt::Display, fmt::Debug, Clone, AsRef<[u8]>);
    let shown = format!("{:?}", SecretString::from("a canary"));
    assert!(!shown.contains("canary"), "{shown}");
}
