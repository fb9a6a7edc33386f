//! Text as somebody sends it who wants to hide something: every kind of character that nobody sees, in every form.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::*;

/// The characters that are taken out, by kind.
const CHARACTERS: &[(&str, &[RangeInclusive<char>])] = &[
    ("C0", &['\0'..='\u{8}', '\u{b}'..='\u{1f}', '\u{7f}'..='\u{7f}']),
    // Those between begin escape sequences, which stand below.
    ("C1", &['\u{80}'..='\u{8f}', '\u{91}'..='\u{97}', '\u{99}'..='\u{9a}', '\u{9c}'..='\u{9c}']),
    (
        "direction",
        &[
            '\u{61c}'..='\u{61c}',
            '\u{200e}'..='\u{200f}',
            '\u{202a}'..='\u{202e}',
            '\u{2066}'..='\u{2069}',
        ],
    ),
    (
        "no width",
        &[
            '\u{200b}'..='\u{200d}',
            '\u{2060}'..='\u{2064}',
            '\u{feff}'..='\u{feff}',
            '\u{180e}'..='\u{180e}',
        ],
    ),
    ("soft hyphen and joiner", &['\u{ad}'..='\u{ad}', '\u{34f}'..='\u{34f}']),
    ("ends of lines", &['\u{2028}'..='\u{2029}']),
    (
        "fillers",
        &[
            '\u{115f}'..='\u{1160}',
            '\u{3164}'..='\u{3164}',
            '\u{ffa0}'..='\u{ffa0}',
            '\u{17b4}'..='\u{17b5}',
        ],
    ),
    (
        "shapes that are out of use",
        &['\u{206a}'..='\u{206f}', '\u{180b}'..='\u{180d}', '\u{180f}'..='\u{180f}'],
    ),
    ("annotations", &['\u{fff9}'..='\u{fffb}']),
    ("music", &['\u{1d173}'..='\u{1d17a}']),
    ("tags", &['\u{e0000}'..='\u{e007f}']),
];

/// Escape sequences, with whatever is between their ends.
const SEQUENCES: &[&str] = &[
    "\u{1b}[31m",
    "\u{1b}[0m",
    "\u{1b}[2J",
    "\u{1b}[1;1H",
    "\u{1b}[?25l",
    "\u{1b}[38;2;0;0;0m",
    "\u{9b}1m",
    "\u{9b}8;5u",
    "\u{1b}]0;a title\u{7}",
    "\u{1b}]8;;https://evil.example\u{1b}\\",
    "\u{1b}]52;c;aGlkZGVu\u{7}",
    "\u{9d}0;a title\u{9c}",
    "\u{1b}P1$r0m\u{1b}\\",
    "\u{90}q#0;2;0;0;0\u{9c}",
    "\u{1b}Xhidden\u{1b}\\",
    "\u{98}hidden\u{9c}",
    "\u{1b}^hidden\u{1b}\\",
    "\u{9e}hidden\u{9c}",
    "\u{1b}_hidden\u{1b}\\",
    "\u{9f}hidden\u{9c}",
];

/// Names that HTML has for what cannot be seen.
const NAMED: &[&str] = &[
    "&ApplyFunction;",
    "&InvisibleComma;",
    "&InvisibleTimes;",
    "&NoBreak;",
    "&ZeroWidthSpace;",
    "&NegativeThinSpace;",
    "&af;",
    "&ic;",
    "&it;",
    "&lrm;",
    "&rlm;",
    "&shy;",
    "&zwj;",
    "&zwnj;",
];

/// Selectors in a row, each of which a letter before it may carry one of.
const STACKED: &[&str] = &[
    "\u{fe00}\u{fe01}",
    "\u{fe0f}\u{fe0f}\u{fe0f}",
    "\u{fe02}\u{e0101}\u{e0174}",
    "\u{e0100}\u{e01ef}",
    "\u{fe0e}\u{200b}\u{fe0f}",
];

/// Each dirty text and what a reader sees of it.
fn corpus() -> Vec<(String, String)> {
    let mut corpus = Vec::new();
    let mut add = |dirty: String, seen: &str| corpus.push((dirty, seen.to_owned()));
    let characters = CHARACTERS.iter().flat_map(|(_, ranges)| ranges.iter().cloned().flatten());
    let characters: Vec<char> = characters.collect();
    let raw = characters.iter().map(char::to_string);
    let raw = raw.chain([SEQUENCES, NAMED, STACKED].concat().into_iter().map(str::to_owned));
    for hidden in raw {
        add(hidden.clone(), "");
        add(format!("{hidden}pay now"), "pay now");
        add(format!("pay n{hidden}ow"), "pay now");
        add(format!("pay now{hidden}"), "pay now");
        add(format!("pay {hidden}{hidden}now"), "pay now");
        add(format!("p&#x200b;a{hidden}y&zwj; &#8206;n\u{202e}ow"), "pay now");
        // What is taken out joins the halves of an entity; one selector would stay between them.
        if !hidden.starts_with(is_selector) {
            add(format!("pay n&#x20{hidden}0B;ow"), "pay now");
        }
    }
    let selectors = ['\u{fe00}', '\u{fe0f}', '\u{e0100}', '\u{e01ef}'];
    for c in characters.into_iter().chain(selectors) {
        let number = u32::from(c);
        for entity in [
            format!("&#{number};"),
            format!("&#{number:09};"),
            format!("&#x{number:x};"),
            format!("&#X{number:08X};"),
        ] {
            add(format!("pay n{entity}ow"), "pay now");
            add(format!("{entity}pay {c}now{entity}"), "pay now");
            // Of two encodings, whoever shows the text takes one away, and sees the other.
            let twice = format!("pay n{}ow", entity.replace('&', "&amp;"));
            add(twice.clone(), &twice);
        }
    }
    corpus
}

#[test]
fn d4_nothing_hidden_is_left_and_nothing_visible_is_lost() {
    let corpus = corpus();
    let distinct: BTreeSet<&str> = corpus.iter().map(|(dirty, _)| dirty.as_str()).collect();
    assert!(distinct.len() >= 200, "{} texts", distinct.len());
    for (dirty, seen) in &corpus {
        let cleaned = clean(dirty);
        assert!(!cleaned.contains(is_denied), "{dirty:?}: {cleaned:?}");
        let chars: Vec<char> = cleaned.chars().collect();
        assert!(!chars.windows(2).any(|two| two.iter().all(|c| is_selector(*c))), "{dirty:?}");
        assert_eq!(cleaned.replace(is_selector, ""), *seen, "{dirty:?}");
        assert_eq!(clean(&cleaned), cleaned, "{dirty:?}");
    }
}
