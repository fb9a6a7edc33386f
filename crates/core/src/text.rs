//! Text from elsewhere, made safe to show to a model or on a terminal: no escape sequences, no
//! invisible or direction-changing characters.

use std::borrow::Cow;

use serde_json::Value;

/// Removes escape sequences, control characters except newline and tab, characters that change the
/// direction of text or cannot be seen, and the same written as HTML entities. Idempotent.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if text
        .bytes()
        .all(|byte| (byte >= 0x20 || byte == b'\n' || byte == b'\t') && byte < 0x7f && byte != b'&')
    {
        return Cow::Borrowed(text);
    }
    let mut current = pass(text);
    // A removal can join the halves of another sequence: repeat until nothing changes. Each pass
    // shortens the text, so this ends.
    loop {
        let next = pass(&current);
        if next.len() == current.len() {
            break;
        }
        current = next;
    }
    if current == text { Cow::Borrowed(text) } else { Cow::Owned(current) }
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

fn pass(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_selector = false;
    while let Some(first) = rest.chars().next() {
        let skip = escape_len(rest).or_else(|| entity_len(rest));
        if let Some(len) = skip {
            rest = rest.get(len..).unwrap_or_default();
            continue;
        }
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
        let selector = is_selector(first);
        // One variation selector shapes an emoji; several in a row smuggle bytes.
        if !is_denied(first) && !(selector && (after_selector || out.is_empty())) {
            out.push(first);
        }
        after_selector = selector;
    }
    out
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

/// The length of the terminal escape sequence at the start of `text` (ECMA-48 CSI and OSC).
fn escape_len(text: &str) -> Option<usize> {
    let (body, introducer) = if let Some(body) = text.strip_prefix("\u{1b}[") {
        (body, '[')
    } else if let Some(body) = text.strip_prefix('\u{9b}') {
        (body, '[')
    } else if let Some(body) = text.strip_prefix("\u{1b}]") {
        (body, ']')
    } else if let Some(body) = text.strip_prefix('\u{9d}') {
        (body, ']')
    } else {
        return None;
    };
    let start = text.len() - body.len();
    if introducer == '[' {
        let end = body.find(|c: char| !matches!(c, '\u{20}'..='\u{3f}'))?;
        let last = body.get(end..)?.chars().next()?;
        return matches!(last, '\u{40}'..='\u{7e}').then_some(start + end + last.len_utf8());
    }
    let end = body.find(['\u{7}', '\u{1b}', '\u{9c}', '\n'])?;
    let terminator = body.get(end..)?;
    let len = match terminator.chars().next()? {
        '\u{1b}' if terminator.starts_with("\u{1b}\\") => 2,
        '\n' | '\u{1b}' => 0,
        other => other.len_utf8(),
    };
    Some(start + end + len)
}

/// The length of an HTML entity at the start of `text` that stands for a denied character.
fn entity_len(text: &str) -> Option<usize> {
    let body = text.strip_prefix('&')?;
    let end = body.bytes().take(16).position(|byte| byte == b';')?;
    let name = body.get(..end)?;
    let denied = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).is_none_or(|c| is_denied(c) || is_selector(c))
        }
        None => matches!(
            name,
            "zwj"
                | "zwnj"
                | "shy"
                | "lrm"
                | "rlm"
                | "ZeroWidthSpace"
                | "NegativeThinSpace"
                | "NegativeMediumSpace"
                | "NegativeThickSpace"
                | "NegativeVeryThinSpace"
                | "NoBreak"
        ),
    };
    denied.then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_ordinary_text_alone() {
        for text in [
            "plain",
            "a\n\tb",
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
            ("a&#x200B;b&zwj;c&#8238;d", "abcd"),
            ("&#x2\u{200b}00B;x", "x"),
            ("\u{1b}\u{200b}[31mx", "[31mx"),
        ] {
            assert_eq!(clean(dirty), cleaned, "{dirty:?}");
            assert_eq!(clean(cleaned), cleaned);
        }
    }

    #[test]
    fn cleans_every_string_of_a_document() {
        let mut value = serde_json::json!({"a\u{200b}": ["x\u{7}", {"b": "y\u{2028}"}], "n": 1});
        clean_json(&mut value);
        assert_eq!(value, serde_json::json!({"a": ["x", {"b": "y"}], "n": 1}));
    }
}
