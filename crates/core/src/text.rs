//! Text from elsewhere, made safe to show to a model or on a terminal: no escape sequences, no
//! invisible or direction-changing characters.

use std::borrow::Cow;

use serde_json::Value;

/// Removes escape sequences, control characters except tab and the ends of lines, characters that change the
/// direction of text or cannot be seen, and the same written as HTML entities. Idempotent.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if text
        .bytes()
        .all(|byte| (byte >= 0x20 || byte == b'\n' || byte == b'\t') && byte < 0x7f && byte != b'&')
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    // Where in `out` each `&` stands that no `;` has followed yet. What is removed can join the
    // halves of another entity, so entities are looked for in `out`, and in one pass.
    let mut ampersands = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(len) = escape_len(rest) {
            rest = rest.get(len..).unwrap_or_default();
            continue;
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        // One variation selector shapes an emoji; several in a row smuggle bytes.
        let smuggles = is_selector(c) && out.chars().next_back().is_none_or(is_selector);
        let ends_line = c == '\r' && rest.starts_with('\n');
        if (is_denied(c) && !ends_line) || smuggles {
            continue;
        }
        if c == '&' {
            ampersands.push(out.len());
        }
        out.push(c);
        if c == ';'
            && let Some(start) = ampersands.pop()
            && out.get(start..).is_some_and(is_denied_entity)
        {
            out.truncate(start);
        }
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// The most that is kept of somebody else's words where we speak, in characters.
const MAX_QUOTE: usize = 300;

/// Somebody else's words as part of a sentence of ours: cleaned, on one line, cut at 300 characters.
#[must_use]
pub fn quote(words: &str) -> String {
    clean(words)
        .replace("\r\n", " ")
        .replace(['\n', '\t'], " ")
        .trim()
        .trim_end_matches('.')
        .chars()
        .take(MAX_QUOTE)
        .collect()
}

/// [`clean`] on every string of a JSON value, names of fields included.
pub fn clean_json(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(cleaned) = clean(text) {
                *text = cleaned;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(clean_json),
        Value::Object(fields) => {
            if fields.keys().any(|name| clean(name) != name.as_str()) {
                *fields = std::mem::take(fields)
                    .into_iter()
                    .map(|(name, value)| (clean(&name).into_owned(), value))
                    .collect();
            }
            fields.values_mut().for_each(clean_json);
        }
        _ => {}
    }
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

fn is_denied(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

/// The length of the terminal escape sequence at the start of `text` (ECMA-48: CSI, and the strings OSC, DCS, SOS, PM, APC).
fn escape_len(text: &str) -> Option<usize> {
    let mut chars = text.chars();
    let introducer = match chars.next()? {
        '\u{1b}' => chars.next()?,
        // The same in eight bits.
        c1 @ '\u{80}'..='\u{9f}' => char::from_u32(u32::from(c1) - 0x40)?,
        _ => return None,
    };
    if !matches!(introducer, '[' | ']' | 'P' | 'X' | '^' | '_') {
        return None;
    }
    let body = chars.as_str();
    let start = text.len() - body.len();
    if introducer == '[' {
        let end = body.find(|c: char| !matches!(c, '\u{20}'..='\u{3f}'))?;
        let last = body.get(end..)?.chars().next()?;
        return matches!(last, '\u{40}'..='\u{7e}').then_some(start + end + last.len_utf8());
    }
    let end = body.find(char::is_control)?;
    let terminator = body.get(end..)?;
    let len = match terminator.chars().next()? {
        '\u{1b}' if terminator.starts_with("\u{1b}\\") => 2,
        last @ ('\u{7}' | '\u{9c}') => last.len_utf8(),
        _ => 0,
    };
    Some(start + end + len)
}

/// Whether this HTML entity, from its `&` to its `;`, stands for a denied character.
fn is_denied_entity(entity: &str) -> bool {
    let Some(name) = entity.strip_prefix('&').and_then(|rest| rest.strip_suffix(';')) else {
        return false;
    };
    let Some(number) = name.strip_prefix('#') else {
        return matches!(
            name,
            "ApplyFunction"
                | "InvisibleComma"
                | "InvisibleTimes"
                | "NegativeMediumSpace"
                | "NegativeThickSpace"
                | "NegativeThinSpace"
                | "NegativeVeryThinSpace"
                | "NoBreak"
                | "ZeroWidthSpace"
                | "af"
                | "ic"
                | "it"
                | "lrm"
                | "rlm"
                | "shy"
                | "zwj"
                | "zwnj"
        );
    };
    let (digits, radix) = match number.strip_prefix(['x', 'X']) {
        Some(hex) => (hex, 16),
        None => (number, 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return false;
    }
    // A number that is no character is shown as nothing or as rubbish.
    u32::from_str_radix(digits, radix)
        .ok()
        .and_then(char::from_u32)
        .is_none_or(|c| is_denied(c) || is_selector(c))
}

#[cfg(test)]
mod corpus;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn leaves_ordinary_text_alone() {
        for text in [
            "plain",
            "a\n\tb",
            "a\r\nb\r\n",
            "grüße 日本語 🙂",
            "✈\u{fe0f}",
            "fish &amp; chips &lt;b&gt;",
            "x && y;",
        ] {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn removes_what_a_reader_cannot_see() {
        for (dirty, cleaned) in [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]8;;http://e\u{1b}\\link", "link"),
            ("\u{9b}1mx", "x"),
            ("a\u{202e}b\u{2066}c", "abc"),
            ("z\u{200b}e\u{feff}ro", "zero"),
            ("\u{e0041}\u{e0042}tag", "tag"),
            ("x\u{fe01}\u{fe02}\u{e0101}", "x\u{fe01}"),
            ("a\r\u{0}b\u{85}", "ab"),
            ("a\rb\r\r\nc\r\u{200b}\nd", "ab\r\nc\nd"),
            ("a&#x200B;b&zwj;c&#8238;d", "abcd"),
            ("&#x2\u{200b}00B;x", "x"),
            ("a&#x000000000000000000200B;b&NegativeVeryThinSpace;c&it;d", "abcd"),
            ("&#x2&zwj;00B;&&#173;zwnj;x", "x"),
            ("\u{9d}0;title\u{9c}x", "x"),
            ("\u{1b}]0;title\nx", "\nx"),
            ("\u{1b}\u{200b}[31mx", "[31mx"),
        ] {
            assert_eq!(clean(dirty), cleaned, "{dirty:?}");
            assert_eq!(clean(cleaned), cleaned);
        }
    }

    /// Passing again over what a removal joined would take hours here.
    #[test]
    fn takes_one_pass_over_hostile_text() {
        let nested = "&#x2".repeat(500_000) + &"00B;".repeat(500_000);
        assert_eq!(clean(&nested), "");
        assert_eq!(clean(&"\u{9d}".repeat(1_000_000)), "");
        assert_eq!(clean(&"\u{1b}[0".repeat(500_000)).len(), 1_000_000);
        assert_eq!(clean(&"&;".repeat(500_000)).len(), 1_000_000);
    }

    proptest! {
        /// Strings made of the pieces from which escapes and entities are built.
        #[test]
        fn leaves_nothing_denied_and_changes_nothing_twice(
            text in "(\\PC|[\u{0}-\u{9f}]|\u{1b}[\\[\\]]|[&#x0-9;]|&#|200B;|zwj;|[\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{2069}]|[\u{fe00}-\u{fe0f}]|[\u{e0000}-\u{e01ef}]){0,40}"
        ) {
            let cleaned = clean(&text);
            prop_assert!(!cleaned.replace("\r\n", "").contains(is_denied), "{:?}", cleaned);
            let chars: Vec<char> = cleaned.chars().collect();
            prop_assert!(!chars.windows(2).any(|pair| pair.iter().all(|c| is_selector(*c))));
            prop_assert_eq!(clean(&cleaned), cleaned.as_ref());
        }
    }

    #[test]
    fn cleans_every_string_of_a_document() {
        let mut value = serde_json::json!({"a\u{200b}": ["x\u{7}", {"b": "y\u{2028}"}], "n": 1});
        clean_json(&mut value);
        assert_eq!(value, serde_json::json!({"a": ["x", {"b": "y"}], "n": 1}));
    }
}
