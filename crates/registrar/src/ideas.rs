//! Names made from the words of a business, where a registrar has no search of its own.

use crate::names::DomainName;

/// Endings that most businesses consider.
const ENDINGS: &[&str] = &["com", "net", "co", "io", "app", "shop", "dev", "org"];

/// Names from these words under these endings, the plainest first.
pub(crate) fn names(words: &str, endings: &[String], limit: usize) -> Vec<DomainName> {
    let words: Vec<String> = words
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .take(6)
        .collect();
    let joined = words.concat();
    if joined.is_empty() {
        return Vec::new();
    }
    let mut labels = vec![joined.clone(), words.join("-")];
    labels.extend(["get", "try", "my"].map(|before| format!("{before}{joined}")));
    labels.extend(["app", "hq", "online"].map(|after| format!("{joined}{after}")));
    let usual: Vec<String> = ENDINGS.iter().map(|ending| (*ending).to_owned()).collect();
    let endings = if endings.is_empty() { &usual } else { endings };
    let mut found: Vec<DomainName> = Vec::new();
    for label in labels {
        for ending in endings {
            if let Ok(name) = DomainName::new(&format!("{label}.{ending}"))
                && !found.contains(&name)
            {
                found.push(name);
            }
        }
    }
    found.truncate(limit);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_names_from_words_the_plainest_first() {
        let endings = ["com".to_owned(), "shop".to_owned()];
        let made: Vec<String> =
            names("Coffee & Bücher!", &endings, 5).into_iter().map(String::from).collect();
        let first = ["xn--coffeebcher-zhb.com", "xn--coffeebcher-zhb.shop"];
        assert_eq!(made[..2], first);
        assert_eq!(made.len(), 5);
        assert_eq!(names("shop", &[], 3).len(), 3);
        assert_eq!(names("!!!", &endings, 9), []);
        assert_eq!(names("a", &["not an ending".to_owned()], 9), []);
    }
}
