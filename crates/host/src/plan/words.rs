//! Finds phrases in what people write of their business, and whether they want the thing, want it later or do not
//! want it. English only; it reads words, it does not understand sentences.

pub(super) use super::stance::Stance;
use super::stance::stances;

/// Text cut into sentences of words.
pub(super) struct Text {
    sentences: Vec<Vec<Word>>,
}

struct Word {
    text: String,
    stance: Stance,
    /// Whether a comma stands before it.
    after_comma: bool,
}

/// Words in a row: `card payment*`; `*` ends a word as it likes, `..` stands for up to three words.
#[derive(Clone, Debug)]
pub(super) struct Phrase(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Word(String),
    Beginning(String),
    Gap,
}

/// Where a phrase was found.
#[derive(Clone, Debug)]
pub(super) struct Hit {
    /// As the person wrote it, in lower case.
    pub words: String,
    pub stance: Stance,
    sentence: usize,
    start: usize,
    end: usize,
}

/// The most words for which `..` stands.
const GAP: usize = 3;

impl Hit {
    /// Whether two hits in one text share a word.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.sentence == other.sentence && self.start < other.end && other.start < self.end
    }

    /// Whether two hits in one text stand in one sentence.
    pub fn shares_sentence(&self, other: &Self) -> bool {
        self.sentence == other.sentence
    }

    /// The same, as something that is not wanted.
    pub fn denied(self) -> Self {
        Self { stance: Stance::Not, ..self }
    }

    /// How many words it has.
    pub fn len(&self) -> usize {
        self.end - self.start
    }
}

impl Text {
    /// Reads it.
    pub fn read(text: &str) -> Self {
        let plain = text.to_lowercase().replace("e-mail", "email").replace(['\'', '’'], "");
        let mut sentences = vec![Vec::new()];
        let mut after_comma = false;
        let mut word = String::new();
        let mut letters = plain.chars().peekable();
        while let Some(letter) = letters.next() {
            let inner = letter == '.' && letters.peek().is_some_and(|next| next.is_alphanumeric());
            if letter.is_alphanumeric() || (inner && !word.is_empty()) {
                word.push(letter);
                continue;
            }
            end_word(&mut word, &mut sentences, &mut after_comma);
            match letter {
                '.' | '!' | '?' | ';' | ':' | '\n' | '(' | ')' => {
                    sentences.push(Vec::new());
                    after_comma = false;
                }
                ',' => after_comma = true,
                _ => {}
            }
        }
        end_word(&mut word, &mut sentences, &mut after_comma);
        sentences.retain(|sentence| !sentence.is_empty());
        for sentence in &mut sentences {
            let texts: Vec<&str> = sentence.iter().map(|word| word.text.as_str()).collect();
            let commas: Vec<bool> = sentence.iter().map(|word| word.after_comma).collect();
            let found = stances(&texts, &commas);
            for (word, stance) in sentence.iter_mut().zip(found) {
                word.stance = stance;
            }
        }
        Self { sentences }
    }

    /// Every place where the phrase stands.
    pub fn find(&self, phrase: &Phrase) -> Vec<Hit> {
        let mut hits = Vec::new();
        for (index, sentence) in self.sentences.iter().enumerate() {
            for start in 0..sentence.len() {
                let Some(end) = ends(sentence, start, &phrase.0) else { continue };
                let matched = sentence.get(start..end).unwrap_or_default();
                let stance = matched.iter().map(|word| word.stance).max();
                let words: Vec<&str> = matched.iter().map(|word| word.text.as_str()).collect();
                hits.push(Hit {
                    words: words.join(" "),
                    stance: stance.unwrap_or(Stance::Wants),
                    sentence: index,
                    start,
                    end,
                });
            }
        }
        hits
    }

    /// The words before a hit, the nearest last, at most `count`.
    pub fn before(&self, hit: &Hit, count: usize) -> Vec<&str> {
        let sentence = self.sentences.get(hit.sentence).map(Vec::as_slice).unwrap_or_default();
        let before = sentence.get(hit.start.saturating_sub(count)..hit.start).unwrap_or_default();
        before.iter().map(|word| word.text.as_str()).collect()
    }

    /// The words after a hit, at most `count`.
    pub fn after(&self, hit: &Hit, count: usize) -> Vec<&str> {
        let sentence = self.sentences.get(hit.sentence).map(Vec::as_slice).unwrap_or_default();
        let after = sentence.get(hit.end..).unwrap_or_default();
        after.iter().take(count).map(|word| word.text.as_str()).collect()
    }

    /// Whether a hit stands in the first sentence.
    pub fn opens(hit: &Hit) -> bool {
        hit.sentence == 0
    }

    /// All its words.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.sentences.iter().flatten().map(|word| word.text.as_str())
    }
}

impl Phrase {
    /// Reads one as the rules write it.
    pub fn read(text: &str) -> Self {
        let parts = text.split_whitespace().map(|part| match part.strip_suffix('*') {
            _ if part == ".." => Part::Gap,
            Some(beginning) => Part::Beginning(beginning.to_owned()),
            None => Part::Word(part.to_owned()),
        });
        Self(parts.collect())
    }
}

fn end_word(word: &mut String, sentences: &mut [Vec<Word>], after_comma: &mut bool) {
    if word.is_empty() {
        return;
    }
    if let Some(sentence) = sentences.last_mut() {
        sentence.push(Word {
            text: std::mem::take(word),
            stance: Stance::Wants,
            after_comma: std::mem::take(after_comma),
        });
    }
}

/// Where a match of these parts that begins here ends.
fn ends(sentence: &[Word], at: usize, parts: &[Part]) -> Option<usize> {
    let Some((first, rest)) = parts.split_first() else { return Some(at) };
    let word = |at: usize| sentence.get(at).map(|word| word.text.as_str());
    match first {
        Part::Word(text) => (word(at)? == text).then(|| ends(sentence, at + 1, rest))?,
        Part::Beginning(text) => {
            word(at)?.starts_with(text.as_str()).then(|| ends(sentence, at + 1, rest))?
        }
        Part::Gap => (0..=GAP).find_map(|skipped| ends(sentence, at + skipped, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stance(text: &str, phrase: &str) -> Option<Stance> {
        let found = Text::read(text).find(&Phrase::read(phrase));
        found.iter().map(|hit| hit.stance).max()
    }

    #[test]
    fn finds_words_in_a_row() {
        for (text, phrase, words) in [
            ("Card payments!", "card payment*", "card payments"),
            ("They pay us 9 euros monthly.", "pay .. monthly", "pay us 9 euros monthly"),
            ("Runs on Fly.io, mostly", "fly.io", "fly.io"),
            ("by e-mail", "email", "email"),
            ("in-app purchases", "in app purchase*", "in app purchases"),
        ] {
            let hits = Text::read(text).find(&Phrase::read(phrase));
            assert_eq!(hits.first().map(|hit| hit.words.as_str()), Some(words), "{text}");
        }
        for (text, phrase) in [
            ("We pay. Monthly we meet", "pay .. monthly"),
            ("pay one two three four monthly", "pay .. monthly"),
            ("repayment", "payment*"),
            ("", "pay*"),
        ] {
            assert!(Text::read(text).find(&Phrase::read(phrase)).is_empty(), "{text}");
        }
    }

    #[test]
    fn hears_what_is_denied_or_for_another_day() {
        use Stance::{Later, Not, Wants};
        for (text, expected) in [
            ("We take payments.", Wants),
            ("No payments yet.", Not),
            ("We don't need payments", Not),
            ("no ads, chat or payments", Not),
            ("No ads, just payments", Wants),
            ("No ads but payments", Wants),
            ("no ads and we take payments", Wants),
            ("no ads and payments", Not),
            ("not only payments but refunds", Wants),
            ("Payments are not needed.", Not),
            ("A shop, payments are out of scope", Not),
            ("Payments come later, first the blog", Later),
            ("Maybe payments, first the blog", Later),
            ("First the blog, payments eventually", Later),
            ("Payments, perhaps later", Later),
            ("Ads later, payments now", Wants),
            ("Neither ads nor payments", Not),
            ("cash instead of payments", Not),
            ("Users who skip payments lose access", Wants),
            ("If there are no payments we remind them", Wants),
            ("We never sleep. Payments matter.", Wants),
        ] {
            assert_eq!(stance(text, "payments"), Some(expected), "{text}");
        }
    }

    #[test]
    fn reads_anything_without_fault() {
        for text in [
            "",
            ".",
            ",,,",
            "no",
            "no no no",
            "…",
            "日本語の店",
            "a.b.c.",
            "\u{202e}no\u{0}",
            "not",
        ] {
            let read = Text::read(text);
            assert!(read.find(&Phrase::read("payments")).is_empty(), "{text}");
        }
    }
}
