//! Whether a text is in a language that the rules can read.

use super::words::Text;

/// Whether words look like another language than English: by the small words that hold sentences together, and by the
/// letters. `understood` is whether a rule found anything in them.
pub(super) fn is_foreign(text: &Text, understood: bool) -> bool {
    const ENGLISH: &[&str] = &[
        "the", "and", "of", "to", "with", "our", "their", "they", "that", "from", "who", "where",
        "when", "not", "but", "want", "have", "for", "are", "you", "your", "which", "what", "how",
        "we",
    ];
    const OTHERS: &[&str] = &[
        "und", "der", "die", "das", "wir", "mit", "für", "ein", "eine", "unsere", "nicht", "le",
        "la", "les", "des", "et", "une", "nous", "avec", "pour", "sur", "el", "los", "las", "una",
        "con", "para", "que", "nosotros", "il", "gli", "che", "di", "per", "os", "um", "uma",
        "com", "não", "het", "een", "en", "wij", "met", "voor", "van", "och", "att", "med", "och",
        "ve", "bir", "için", "się", "dla", "oraz", "jest",
    ];
    let count = |fits: &dyn Fn(&str) -> bool| text.words().filter(|word| fits(word)).count();
    let all = text.words().count();
    let english = count(&|word| ENGLISH.contains(&word));
    let others = count(&|word| OTHERS.contains(&word));
    let letters = count(&|word| !word.is_ascii());
    letters * 2 > all
        || (others >= 2 && others > english)
        || (all >= 5 && english == 0 && !understood)
}
