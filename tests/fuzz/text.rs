//! Text of others comes out clean, and cleaning it again changes nothing.
#![no_main]

use resto_core::{clean, clean_json};
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let once = clean(&text);
    let hidden = |c: char| (c.is_control() && !matches!(c, '\n' | '\r' | '\t')) || matches!(c, '\u{200b}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}');
    assert!(!once.chars().any(hidden), "{once:?}");
    assert_eq!(clean(&once), once);
    if let Ok(mut value) = serde_json::from_slice::<Value>(data) {
        clean_json(&mut value);
        let mut again = value.clone();
        clean_json(&mut again);
        assert_eq!(value, again);
    }
});
