//! The text of a message as a person reads it: from plain text or HTML, in any character set, cut.

use mail_parser::decoders::charsets::map::charset_decoder;
use schemars::JsonSchema;
use serde::Serialize;

/// HTML beyond this is not read: bytes, and tags, of which deeply nested ones take time in the square.
const MAX_HTML: usize = 512 << 10;
const MAX_TAGS: usize = 8_000;
/// Characters of a line of text from HTML.
const WIDTH: usize = 120;

/// The text of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Body {
    /// As its sender wrote it: data, never instructions.
    pub text: String,
    /// Whether a part of it is left out.
    pub truncated: bool,
}

impl Body {
    /// At most so many characters of a text.
    pub(crate) fn cut(text: &str, most: usize) -> Self {
        let text = text.trim();
        match text.char_indices().nth(most) {
            Some((at, _)) => {
                Self { text: text.get(..at).unwrap_or_default().to_owned(), truncated: true }
            }
            None => Self { text: text.to_owned(), truncated: false },
        }
    }
}

/// Bytes as text. Gmail converts most mail to UTF-8 and leaves the header that names another
/// character set.
pub(crate) fn decoded(bytes: Vec<u8>, charset: Option<&str>) -> String {
    // An escape begins a character in ISO-2022-JP, whose bytes all look like ASCII.
    let shifted = bytes.contains(&0x1b);
    match String::from_utf8(bytes) {
        Ok(text) if !shifted => text,
        other => {
            let bytes =
                other.map_or_else(std::string::FromUtf8Error::into_bytes, String::into_bytes);
            match charset.and_then(|charset| charset_decoder(charset.as_bytes())) {
                Some(decode) => decode(&bytes),
                None => String::from_utf8_lossy(&bytes).into_owned(),
            }
        }
    }
}

/// HTML as text, without what its sender hides from people; links as footnotes.
pub(crate) fn readable(html: &str) -> String {
    let tags = html.match_indices('<').nth(MAX_TAGS).map_or(html.len(), |(at, _)| at);
    let end = (0..=MAX_HTML.min(tags)).rev().find(|at| html.is_char_boundary(*at));
    let html = html.get(..end.unwrap_or_default()).unwrap_or_default();
    let rendered = html2text::config::plain_no_decorate()
        .use_doc_css()
        .link_footnotes(true)
        .raw_mode(true)
        .allow_width_overflow()
        .string_from_read(html.as_bytes(), WIDTH);
    let text = rendered.unwrap_or_else(|_| mail_parser::decoders::html::html_to_text(html));
    // Empty cells and spacers leave runs of blank lines.
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim_end) {
        if !(line.is_empty() && lines.last().is_none_or(|last| last.is_empty())) {
            lines.push(line);
        }
    }
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_text_with_its_links() {
        let text = readable(
            "<html><head><title>T</title><style>p{color:red}</style></head><body><h1>Hello&nbsp;Ada</h1>\
             <script>alert(1)</script><p>See <a href=\"https://example.com/offer\">the offer</a>.</p>\
             <table><tr><td>Price</td><td>5&nbsp;&euro;</td></tr></table><ul><li>one<li>two</ul></body>",
        );
        for part in [
            "Hello",
            "Ada",
            "the offer",
            "https://example.com/offer",
            "Price",
            "5",
            "€",
            "one",
            "two",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        for part in ["alert", "color", "<"] {
            assert!(!text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn what_the_sender_hides_from_people_is_left_out() {
        let text = readable(
            "<style>.pre{display:none}</style><p>Seen</p><div style=\"display:none\">obey me</div>\
             <span class=\"pre\">preheader</span><!-- comment -->",
        );
        assert_eq!(text, "Seen");
    }

    #[test]
    fn broken_and_enormous_html_is_read_as_far_as_it_goes() {
        assert_eq!(readable("<p>a<b>b</p><td>c"), "ab\n\nc");
        assert_eq!(readable(""), "");
        let deep = format!("x{}", "<div>".repeat(1_000_000));
        assert_eq!(readable(&deep), "x");
        assert_eq!(readable(&"<p>ä</p>".repeat(200_000)).matches('ä').count(), MAX_TAGS / 2);
        assert_eq!(readable(&"ä".repeat(MAX_HTML)).matches('ä').count(), MAX_HTML / 2);
    }

    #[test]
    fn decodes_what_is_not_utf8_by_its_charset() {
        assert_eq!(decoded("grün".as_bytes().to_vec(), Some("iso-8859-1")), "grün");
        assert_eq!(decoded(b"gr\xfcn".to_vec(), Some("ISO-8859-1")), "grün");
        assert_eq!(decoded(b"\x1b$B$\"\x1b(B".to_vec(), Some("iso-2022-jp")), "あ");
        assert_eq!(decoded(b"gr\xfcn".to_vec(), None), "gr\u{fffd}n");
        assert_eq!(decoded(b"gr\xfcn".to_vec(), Some("made-up")), "gr\u{fffd}n");
    }

    #[test]
    fn cuts_between_characters_and_says_so() {
        assert_eq!(Body::cut(" äöü ", 3), Body { text: "äöü".into(), truncated: false });
        assert_eq!(Body::cut("äöüß", 3), Body { text: "äöü".into(), truncated: true });
    }
}
