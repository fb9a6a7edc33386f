//! Finds the actions that somebody means: BM25 over their names, their descriptions and what a business says when it
//! wants them.

#[cfg(test)]
mod evaluation;
mod words;

use bm25::{Document, SearchEngine, SearchEngineBuilder, Tokenizer};
use resto_core::{Result, Risk};

use crate::catalog::Catalog;
use words::Words;

/// How often the words of an action's name count, against once for those of its description and its phrases.
const NAME: usize = 3;

/// How much the phrase that fits best adds to the whole.
const PHRASE: f32 = 0.5;

/// What is left of the score of an action that changes something for whoever asks a question, and of one that reads for
/// whoever wants a change.
const ANOTHER_INTENT: f32 = 0.6;

/// The words of `words.toml` that want a change.
const CHANGES: [&str; 7] = ["create", "delete", "update", "send", "cancel", "buy", "deploy"];

/// An index of the catalog.
pub(crate) struct Finder {
    words: Words,
    actions: Vec<Known>,
    /// One document for each action.
    whole: Engine,
    /// One document for each phrase.
    phrases: Engine,
    /// The action of each phrase.
    of_phrase: Vec<usize>,
}

struct Known {
    tool: String,
    reads: bool,
}

type Engine = SearchEngine<usize, u32, Apart>;

/// Words that were read already stand between spaces.
struct Apart;

impl Tokenizer for Apart {
    fn tokenize(&self, text: &str) -> Vec<String> {
        text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
}

impl Finder {
    /// Reads all actions; it takes some milliseconds.
    ///
    /// # Errors
    /// The data beside this file is broken.
    pub fn new(catalog: &Catalog) -> Result<Self> {
        let mut words = Words::new()?;
        let (mut actions, mut whole) = (Vec::new(), Vec::new());
        let (mut phrases, mut of_phrase) = (Vec::new(), Vec::new());
        for entry in catalog.entries() {
            let action = entry.action;
            let mut all = vec![words.learn(&action.tool.replace('_', " ")); NAME].concat();
            all.extend(words.learn(&action.description));
            for phrase in action.phrases {
                let phrase = words.learn(phrase);
                phrases.push(phrase.join(" "));
                of_phrase.push(actions.len());
                all.extend(phrase);
            }
            whole.push(all.join(" "));
            actions.push(Known { tool: action.tool.clone(), reads: action.risk == Risk::Read });
        }
        Ok(Self { words, actions, whole: engine(whole), phrases: engine(phrases), of_phrase })
    }

    /// The tools that fit, the best first.
    pub fn find(&self, said: &str) -> Vec<&str> {
        let heard = self.words.hear(said);
        let is_any = |words: &[&str]| {
            heard.iter().any(|heard| words.iter().any(|word| self.words.stem(word) == *heard))
        };
        let asks = heard.first().is_some_and(|first| *first == self.words.stem("read"));
        let changes = !asks && is_any(&CHANGES);
        let heard = heard.join(" ");
        let mut scores = vec![0.0_f32; self.actions.len()];
        for found in self.whole.search(&heard, None) {
            if let Some(score) = scores.get_mut(found.document.id) {
                *score = found.score;
            }
        }
        let mut best = vec![0.0_f32; self.actions.len()];
        for found in self.phrases.search(&heard, None) {
            let action = self.of_phrase.get(found.document.id).copied().unwrap_or_default();
            if let Some(best) = best.get_mut(action) {
                *best = best.max(found.score);
            }
        }
        let scored = self.actions.iter().zip(scores).zip(best);
        let mut fitting: Vec<(f32, &str)> = scored
            .map(|((known, whole), phrase)| {
                let another = if known.reads { changes } else { asks };
                let factor = if another { ANOTHER_INTENT } else { 1.0 };
                (factor * (whole + PHRASE * phrase), known.tool.as_str())
            })
            .filter(|(score, _)| *score > 0.0)
            .collect();
        fitting.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
        fitting.into_iter().map(|(_, tool)| tool).collect()
    }
}

fn engine(documents: Vec<String>) -> Engine {
    let documents = documents.into_iter().enumerate();
    let documents = documents.map(|(id, text)| Document::new(id, text)).collect::<Vec<_>>();
    SearchEngineBuilder::with_tokenizer_and_documents(Apart, documents).build()
}
