//! Long texts, cut so that they do not fill an agent's memory.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text of at most `N` characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String")]
pub struct Excerpt<const N: usize> {
    /// The text, or its part.
    pub text: String,
    /// Whether a part of it is left out.
    pub truncated: bool,
}

/// The beginning of a text.
impl<const N: usize> From<String> for Excerpt<N> {
    fn from(mut text: String) -> Self {
        let cut = text.char_indices().nth(N).map(|(at, _)| at);
        if let Some(at) = cut {
            text.truncate(at);
        }
        Self { text, truncated: cut.is_some() }
    }
}

impl<const N: usize> Excerpt<N> {
    /// The end of a text.
    pub(crate) fn end_of(text: &str) -> Self {
        let skipped = text.chars().count().saturating_sub(N);
        Self { text: text.chars().skip(skipped).collect(), truncated: skipped > 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_characters_and_says_so() {
        let whole = Excerpt::<3>::from("äöü".to_owned());
        assert_eq!((whole.text.as_str(), whole.truncated), ("äöü", false));
        let start = Excerpt::<3>::from("äöüß".to_owned());
        assert_eq!((start.text.as_str(), start.truncated), ("äöü", true));
        let end = Excerpt::<3>::end_of("äöüß");
        assert_eq!((end.text.as_str(), end.truncated), ("öüß", true));
        assert!(!Excerpt::<3>::end_of("äöü").truncated);
    }
}
