//! Pages of lists that Google sends whole.

use resto_core::{Error, Page, PageRequest, Result};

/// The most items of a page.
const MAX: u32 = 100;

/// One page of a whole list; its cursor is the number of items before it.
///
/// # Errors
/// The cursor is none.
pub(crate) fn page<T>(whole: Vec<T>, asked: &PageRequest) -> Result<Page<T>> {
    let before: usize = match &asked.cursor {
        None => 0,
        Some(cursor) => cursor.parse().map_err(|_| {
            Error::invalid("cursor", "invalid input: `cursor` is not a `next_cursor` of this list.")
        })?,
    };
    let size = asked.size(MAX) as usize;
    let end = before.saturating_add(size);
    let next_cursor = (end < whole.len()).then(|| end.to_string());
    Ok(Page { items: whole.into_iter().skip(before).take(size).collect(), next_cursor })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(cursor: Option<&str>, limit: u32) -> PageRequest {
        PageRequest { cursor: cursor.map(str::to_owned), limit: Some(limit) }
    }

    #[test]
    fn pages_add_up_to_the_whole() {
        let (mut cursor, mut seen) = (None, Vec::new());
        loop {
            let part = page((0..7).collect(), &asked(cursor.as_deref(), 3)).unwrap();
            seen.push(part.items.len());
            cursor = part.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, [3, 3, 1]);
        assert_eq!(page((0..3).collect(), &asked(None, 3)).unwrap().next_cursor, None);
        assert_eq!(page((0..900).collect(), &asked(None, 900)).unwrap().items.len(), 100);
    }

    #[test]
    fn refuses_the_cursor_of_another_list() {
        let error = page(vec![1], &asked(Some("CAEQ"), 1)).unwrap_err();
        assert_eq!(error.details().field.as_deref(), Some("cursor"));
        let after_the_end = usize::MAX.to_string();
        assert!(page(vec![1], &asked(Some(&after_the_end), 9)).unwrap().items.is_empty());
    }
}
