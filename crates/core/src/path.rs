//! Paths of requests: a template from the source code, filled with values that can neither leave
//! their segment nor change the shape of the path.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::is_nfc;

use crate::{Code, Error, Result};

/// The longest value that a path may hold, in bytes.
const MAX_VALUE: usize = 1024;

/// A value that may fill a `{}` of a path template.
pub trait PathArg: Sync {
    /// Appends the value, percent-encoded.
    ///
    /// # Errors
    /// The value is empty, `.`, `..`, too long, not in its composed form, or holds a character that no name holds.
    fn append(&self, path: &mut String) -> Result<()>;
}

impl PathArg for str {
    fn append(&self, path: &mut String) -> Result<()> {
        check(self)?;
        if self.contains(['/', '\\']) {
            return Err(invalid(self, "has a slash"));
        }
        encode(self, path);
        Ok(())
    }
}

impl PathArg for &str {
    fn append(&self, path: &mut String) -> Result<()> {
        (**self).append(path)
    }
}

impl PathArg for String {
    fn append(&self, path: &mut String) -> Result<()> {
        self.as_str().append(path)
    }
}

impl PathArg for u64 {
    fn append(&self, path: &mut String) -> Result<()> {
        let _ = write!(path, "{self}");
        Ok(())
    }
}

/// A file path inside a repository or a bucket: segments with `/` between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PathSegments(pub String);

impl PathArg for PathSegments {
    fn append(&self, path: &mut String) -> Result<()> {
        append_segments(&self.0, path, "/")
    }
}

/// A git branch, tag or commit; branches may hold `/`, which is encoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct GitRef(pub String);

impl PathArg for GitRef {
    fn append(&self, path: &mut String) -> Result<()> {
        let name = &self.0;
        if name.contains("..") || name.contains(['~', '^', ':', '?', '*', '[', ' ']) {
            return Err(invalid(name, "is not the name of a branch, a tag or a commit"));
        }
        append_segments(name, path, "%2F")
    }
}

fn append_segments(value: &str, path: &mut String, slash: &str) -> Result<()> {
    check(value)?;
    if value.contains('\\') {
        return Err(invalid(value, "has a backslash"));
    }
    for (index, segment) in value.split('/').enumerate() {
        check(segment)?;
        if index > 0 {
            path.push_str(slash);
        }
        encode(segment, path);
    }
    Ok(())
}

fn check(value: &str) -> Result<()> {
    if value.is_empty() {
        return Err(invalid(value, "is empty, or has two slashes in a row or one at an end"));
    }
    if value.len() > MAX_VALUE {
        return Err(invalid("", "is longer than 1,024 bytes"));
    }
    // An encoded dot, slash or NUL is nobody's name; some servers decode twice.
    let lower = value.to_ascii_lowercase();
    if value == "."
        || value == ".."
        || ["%2e", "%2f", "%5c", "%00"].iter().any(|bad| lower.contains(bad))
    {
        return Err(invalid(value, "would change the path"));
    }
    if value.chars().any(char::is_control) || crate::clean(value) != value {
        return Err(invalid("", "has control or invisible characters"));
    }
    // The same name written in two ways would pass a rule about the one and reach the other.
    if !is_nfc(value) {
        let what = "is not in Unicode normalization form C (NFC): write letters with their accents as one character";
        return Err(invalid(value, what));
    }
    Ok(())
}

fn invalid(value: &str, what: &str) -> Error {
    Error::new(Code::InvalidInput, format!("invalid input: `{value}` {what}. Nothing was sent."))
}

fn encode(value: &str, path: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

/// Fills the `{}` of a template, one value each.
pub(crate) fn fill(template: &str, args: &[&dyn PathArg]) -> Result<String> {
    let mut path = String::with_capacity(template.len() + 32);
    let mut args = args.iter();
    let mut parts = template.split("{}");
    path.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let arg = args.next().ok_or_else(|| {
            Error::new(Code::Internal, format!("the path `{template}` lacks a value"))
        })?;
        arg.append(&mut path)?;
        path.push_str(part);
    }
    match args.next() {
        None => Ok(path),
        Some(_) => {
            Err(Error::new(Code::Internal, format!("the path `{template}` has a value too many")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
    use url::Url;

    use super::*;

    #[test]
    fn encodes_each_value_inside_its_segment() {
        let path = fill(
            "/repos/{}/{}/contents/{}",
            &[&"o w", &"r%20?x=#", &PathSegments("a/b c.txt".into())],
        )
        .unwrap();
        assert_eq!(path, "/repos/o%20w/r%2520%3Fx%3D%23/contents/a/b%20c.txt");
        assert_eq!(fill("/heads/{}", &[&GitRef("feat/x".into())]).unwrap(), "/heads/feat%2Fx");
        assert_eq!(fill("/issues/{}", &[&7_u64]).unwrap(), "/issues/7");
    }

    #[test]
    fn refuses_what_would_change_the_path() {
        for bad in [
            "",
            ".",
            "..",
            "../../",
            "x/../../user",
            "a/b",
            "a\\b",
            "a\0",
            "a\r\nb",
            "%2e%2e",
            "..%2f",
            "a\u{202e}b",
        ] {
            assert!(fill("/repos/{}", &[&bad]).is_err(), "{bad:?}");
        }
        for bad in ["", "/a", "a/", "a//b", "a/../b", "./a", "a\\b"] {
            assert!(fill("/c/{}", &[&PathSegments(bad.into())]).is_err(), "{bad:?}");
        }
        for bad in ["a..b", "a b", "a~1", "/x"] {
            assert!(fill("/c/{}", &[&GitRef(bad.into())]).is_err(), "{bad:?}");
        }
        assert!(fill("/c/{}", &[&"x".repeat(1025)]).is_err());
    }

    #[test]
    fn d2_refuses_names_that_are_not_in_their_composed_form() {
        let ways: [fn(&str) -> Result<String>; 3] = [
            |name| fill("/repos/{}", &[&name]),
            |name| fill("/c/{}", &[&PathSegments(format!("a/{name}"))]),
            |name| fill("/c/{}", &[&GitRef(format!("a/{name}"))]),
        ];
        for way in ways {
            // As two characters, as jamo, as the sign for the unit.
            for name in ["cafe\u{301}", "\u{1112}\u{1161}\u{11ab}", "\u{212b}"] {
                let error = way(name).unwrap_err();
                assert_eq!(error.code(), Code::InvalidInput);
                assert!(error.message().contains("NFC"), "{error}");
            }
            for name in ["caf\u{e9}", "\u{d55c}", "\u{c5}", "日本語", "\u{fb01}"] {
                assert!(way(name).is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn a_template_and_its_values_must_agree() {
        assert_eq!(fill("/a/{}", &[]).unwrap_err().code(), Code::Internal);
        assert_eq!(fill("/a", &[&"x"]).unwrap_err().code(), Code::Internal);
    }

    fn segments(path: &str) -> (String, Vec<String>) {
        let url = Url::parse(&format!("https://api.example.com/base{path}")).unwrap();
        assert_eq!((url.query(), url.fragment()), (None, None));
        (
            url.origin().ascii_serialization(),
            url.path_segments().unwrap().map(str::to_owned).collect(),
        )
    }

    /// Anything, with the characters that mean something in an address more often.
    const NASTY: &str = "(\\PC|[\u{0}-\u{20}]|[./\\\\%?#@:&=~;,]|%2[eEfF]|%5[cC]|\\.\\.){1,12}";

    /// D2: of each address that a tool asks.
    #[test]
    fn d2_no_value_leaves_the_address_of_its_tool() {
        let requests = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/requests.tsv");
        let requests = std::fs::read_to_string(requests).unwrap();
        let paths = requests.lines().filter_map(|line| Some(line.rsplit_once(' ')?.1));
        let templates: BTreeSet<&str> = paths.filter(|path| path.contains("{}")).collect();
        assert!(templates.len() > 100, "{}", templates.len());
        let is_full = std::env::var_os("RESTO_TEST_FULL").is_some();
        let config = ProptestConfig::with_cases(if is_full { 100_000 } else { 1_000 });
        for template in templates {
            let values = vec(NASTY, template.matches("{}").count());
            let held = TestRunner::new(config.clone()).run(&values, |values| {
                let values: Vec<&dyn PathArg> = values.iter().map(|value| value as _).collect();
                let Ok(path) = fill(template, &values) else { return Ok(()) };
                let (origin, found) = segments(&path);
                prop_assert_eq!(origin, "https://api.example.com");
                let wanted: Vec<&str> = template.split('/').collect();
                prop_assert_eq!(found.len(), wanted.len());
                for (found, wanted) in found.iter().zip(wanted).skip(1) {
                    let (start, _) = wanted.split_once("{}").unwrap_or((wanted, ""));
                    let (_, end) = wanted.rsplit_once("{}").unwrap_or(("", wanted));
                    prop_assert!(found.starts_with(start) && found.ends_with(end), "{}", path);
                    prop_assert!(wanted.contains("{}") || found == wanted, "{}", path);
                }
                Ok(())
            });
            held.unwrap_or_else(|error| panic!("{template}: {error}"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        /// D2: whatever the values are, the address keeps its origin and its shape.
        #[test]
        fn a_value_stays_inside_its_segment(owner in NASTY, repo in NASTY) {
            if let Ok(path) = fill("/repos/{}/{}/git", &[&owner, &repo]) {
                let (origin, segments) = segments(&path);
                prop_assert_eq!(origin, "https://api.example.com");
                prop_assert_eq!(segments.len(), 5);
                prop_assert_eq!((&*segments[0], &*segments[1], &*segments[4]), ("base", "repos", "git"));
            }
        }

        #[test]
        fn a_file_path_stays_below_its_folder(file in NASTY) {
            if let Ok(path) = fill("/repos/{}/contents/{}", &[&"r", &PathSegments(file.clone())]) {
                let (origin, segments) = segments(&path);
                prop_assert_eq!(origin, "https://api.example.com");
                prop_assert_eq!(segments.len(), 4 + file.split('/').count());
                prop_assert_eq!((&*segments[0], &*segments[3]), ("base", "contents"));
            }
        }

        #[test]
        fn a_git_reference_is_one_segment(name in NASTY) {
            if let Ok(path) = fill("/heads/{}/x", &[&GitRef(name)]) {
                let (origin, segments) = segments(&path);
                prop_assert_eq!(origin, "https://api.example.com");
                prop_assert_eq!((segments.len(), &*segments[3]), (4, "x"));
            }
        }
    }
}
