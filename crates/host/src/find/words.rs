//! What people say, as the words in which actions are looked for: without what tells nothing, one word for those that
//! mean the same, and without typing errors.

use std::collections::{BTreeSet, HashMap, HashSet};

use resto_core::{Code, Error, Result};
use rust_stemmers::{Algorithm, Stemmer};
use serde::Deserialize;
use stop_words::Language;
use unicode_normalization::UnicodeNormalization as _;

/// The languages whose stop words are left out.
const LANGUAGES: [Language; 4] =
    [Language::English, Language::French, Language::German, Language::Spanish];

/// How people's words are read.
pub(super) struct Words {
    stemmer: Stemmer,
    idle: HashSet<String>,
    same: HashMap<String, Vec<String>>,
    /// Every word in which something can be found, as it is written.
    known: BTreeSet<String>,
    stems: HashSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    idle: Vec<String>,
    same: HashMap<String, Vec<String>>,
}

impl Words {
    /// Reads `words.toml`.
    pub fn new() -> Result<Self> {
        let data: Data = toml::from_str(include_str!("words.toml"))
            .map_err(|error| Error::new(Code::Internal, format!("words.toml: {error}")))?;
        let stop_words = LANGUAGES.iter().flat_map(|language| stop_words::get(language));
        let idle = stop_words.copied().chain(data.idle.iter().map(String::as_str));
        let idle = idle.flat_map(plain).collect();
        let mut same = HashMap::new();
        for (word, others) in &data.same {
            same.extend(others.iter().flat_map(|other| plain(other)).map(|one| (one, plain(word))));
        }
        let known = same.values().flatten().chain(same.keys()).cloned().collect();
        let stemmer = Stemmer::create(Algorithm::English);
        Ok(Self { stemmer, idle, same, known, stems: HashSet::new() })
    }

    /// Reads a text in which something can be found.
    pub fn learn(&mut self, text: &str) -> Vec<String> {
        let plain = plain(text);
        self.known.extend(plain.iter().cloned());
        let words = self.read(plain);
        self.stems.extend(words.iter().cloned());
        words
    }

    /// Reads what somebody looks for. A word that is in no text is read as the one that it was meant to be, if any.
    pub fn hear(&self, text: &str) -> Vec<String> {
        let meant = plain(text).into_iter().filter_map(|word| {
            let is_known = self.idle.contains(&word)
                || self.known.contains(&word)
                || self.stems.contains(&*self.stemmer.stem(&word));
            if is_known { Some(word) } else { self.nearest(&word).map(str::to_owned) }
        });
        self.read(meant.collect())
    }

    /// The stem of a word of `words.toml`.
    pub fn stem(&self, word: &str) -> String {
        self.stemmer.stem(word).into_owned()
    }

    fn read(&self, plain: Vec<String>) -> Vec<String> {
        let words = plain.into_iter().flat_map(|word| match self.same.get(&word) {
            Some(meant) => meant.clone(),
            None if self.idle.contains(&word) => Vec::new(),
            None => vec![word],
        });
        words.map(|word| self.stem(&word)).collect()
    }

    /// The known word that differs by one letter, or two in a long one, or of which this one is a compound or an
    /// inflection.
    fn nearest(&self, word: &str) -> Option<&str> {
        let length = word.chars().count();
        let near = self.known.iter().filter_map(|known| {
            let shorter = length.min(known.chars().count());
            let errors = strsim::osa_distance(known, word);
            let is_misspelt = errors <= usize::from(shorter >= 4) + usize::from(shorter >= 7);
            let begins = shorter >= 5 && (word.starts_with(&**known) || known.starts_with(word));
            (is_misspelt || begins)
                .then(|| (is_misspelt, strsim::jaro_winkler(known, word), known.as_str()))
        });
        let best = near.max_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
        best.map(|(_, _, known)| known)
    }
}

/// Words without capitals and accents. A domain's name is the word `domain`: which one does not tell what is wanted, and
/// neither does a mail address.
fn plain(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for piece in text.split_whitespace() {
        let piece = piece.trim_matches(|letter: char| !letter.is_alphanumeric());
        if piece.contains('@') {
            continue;
        }
        if psl::domain(piece.to_lowercase().as_bytes()).is_some_and(|name| name.suffix().is_known())
        {
            words.push("domain".to_owned());
            continue;
        }
        let letters = piece.to_lowercase().replace("e-mail", "email").replace('ß', "ss");
        let letters: String =
            letters.nfd().filter(|letter| !('\u{300}'..='\u{36f}').contains(letter)).collect();
        let parts = letters.split(|letter: char| !letter.is_alphanumeric());
        words.extend(parts.filter(|part| part.chars().count() > 1).map(str::to_owned));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        let mut words = Words::new().unwrap();
        words.learn("Deploys a branch. Refund of an invoice, calendar");
        words
    }

    #[test]
    fn reads_words_that_mean_the_same_alike() {
        let words = words();
        let heard = |text: &str| words.hear(text).join(" ");
        assert_eq!(heard("Rechnung löschen"), heard("please, the INVOICE: delete it"));
        assert_eq!(heard("Añadir una factura"), heard("create invoices"));
        assert_eq!(heard("new PR"), "creat pull request");
        assert_eq!(heard("is www.coolshop.co.uk"), "read domain");
        assert_eq!(heard("the"), "");
    }

    #[test]
    fn reads_over_typing_errors() {
        let words = words();
        for (typed, meant) in [
            ("refnud", "refund"),
            ("depoly", "deploy"),
            ("invocie", "invoic"),
            ("calender", "calendar"),
        ] {
            assert_eq!(words.hear(typed), [meant], "{typed}");
        }
        // A short word may be any other one.
        assert_eq!(words.hear("bok"), [""; 0]);
        assert_eq!(words.hear("zzzzzzzz"), [""; 0]);
    }
}
