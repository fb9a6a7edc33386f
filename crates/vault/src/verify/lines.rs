//! A page of entries as one text of SQLite's making: verifying a trail takes half as long again where the driver hands it over
//! row by row, value by value.

use std::mem::replace;

use data_encoding::HEXUPPER;
use memchr::memchr_iter;
use sqlx::Row;
use uuid::Uuid;

use super::PAGE;
use crate::{Result, TenantScope, chain::Covered, database::TxOn, timestamp::Timestamp};

/// What separates columns and rows. No entry that we wrote holds a control character.
pub(crate) const COLUMN: char = '\u{1f}';
pub(crate) const ROW: char = '\u{1e}';

/// A missing value is `0`, and one that is there `1` and itself. A column that nothing may miss and that misses its value, in
/// a table that somebody made anew, would leave its place to a value with a separator: the line of such an entry is empty.
const TEXT: &str = "
    SELECT count(*) AS rows, max(seq) AS last, group_concat(line, char(30)) AS lines FROM (
        SELECT seq, iif(phase IS NULL OR integration_id IS NULL OR action IS NULL OR actor IS NULL OR key_id IS NULL, '',
            concat_ws(char(31), seq, hex(prev_mac), hex(id), phase, iif(intent_id IS NULL, '0', '1' || hex(intent_id)),
            integration_id, action, coalesce(params_hash, ''), iif(result_status IS NULL, '0', '1' || result_status),
            coalesce(executed_at, ''), iif(duration_ms IS NULL, '0', '1' || duration_ms),
            iif(error_message IS NULL, '0', '1' || error_message), actor, iif(op_id IS NULL, '0', '1' || hex(op_id)),
            iif(generation IS NULL, '0', '1' || generation), key_id, hex(mac))) AS line
        FROM integration_audit_log WHERE tenant_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4)";

/// Gives each entry of a page with its mac, and returns the last one's place. `None`: this is not SQLite, there is nothing
/// more, or an entry is not of the kind that we write. Entries from there on are to be read one by one.
pub(super) async fn page(
    scope: &TenantScope,
    tx: &mut TxOn<'_>,
    (after, until): (i64, i64),
    mut each: impl FnMut(i64, Option<(Covered<'_>, &[u8])>) -> Result<()>,
) -> Result<Option<i64>> {
    let TxOn::Sqlite(tx) = tx else { return Ok(None) };
    let row = sqlx::query(TEXT)
        .bind(scope.tenant.0)
        .bind(after)
        .bind(until)
        .bind(PAGE)
        .fetch_one(&mut **tx)
        .await?;
    let rows: i64 = row.try_get("rows")?;
    // One that is no text at all is found when they are read one by one.
    let text: Option<&str> = row.try_get("lines").unwrap_or_default();
    let Some(lines) = text.and_then(|text| lines(text, rows)) else {
        return Ok(None);
    };
    let (mut last, mut prev_mac, mut mac) = (None, Vec::new(), Vec::new());
    for line in lines {
        let Some(entry) = entry(line, &mut prev_mac, &mut mac) else {
            break;
        };
        last = Some(entry.seq);
        each(entry.seq, Some((entry, &mac)))?;
    }
    Ok(last)
}

/// The lines, where each row is one.
pub(crate) fn lines(text: &str, rows: i64) -> Option<Vec<&str>> {
    let lines: Vec<_> = cut(text, ROW).collect();
    usize::try_from(rows).is_ok_and(|rows| lines.len() == rows).then_some(lines)
}

/// As `split`, many bytes at a time; the separator is one byte.
fn cut(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let ends = memchr_iter(separator as u8, text.as_bytes()).chain([text.len()]);
    let mut start = 0;
    ends.filter_map(move |end| text.get(replace(&mut start, end + 1)..end))
}

/// The entry of a line, which has all its columns and no more: each was separated from the next.
pub(crate) fn entry<'a>(
    line: &'a str,
    prev_mac: &'a mut Vec<u8>,
    mac: &mut Vec<u8>,
) -> Option<Covered<'a>> {
    let mut columns = cut(line, COLUMN);
    let mut next = || columns.next();
    let seq = next()?.parse().ok()?;
    unhex(next()?, prev_mac)?;
    let entry = Covered {
        seq,
        prev_mac,
        id: Uuid::try_parse(next()?).ok()?,
        phase: next()?,
        intent_id: maybe(next()?).ok()?.map(Uuid::try_parse).transpose().ok()?,
        integration_id: next()?,
        action: next()?,
        params_hash: next()?,
        result_status: maybe(next()?).ok()?,
        executed_at: Timestamp::parse(next()?).ok()?,
        duration_ms: maybe(next()?).ok()?.map(str::parse).transpose().ok()?,
        error_message: maybe(next()?).ok()?,
        actor: next()?,
        op_id: maybe(next()?).ok()?.map(Uuid::try_parse).transpose().ok()?,
        generation: maybe(next()?).ok()?.map(str::parse).transpose().ok()?,
        key_id: next()?,
    };
    unhex(next()?, mac)?;
    columns.next().is_none().then_some(entry)
}

fn maybe(column: &str) -> std::result::Result<Option<&str>, ()> {
    match column.split_at_checked(1) {
        Some(("0", "")) => Ok(None),
        Some(("1", value)) => Ok(Some(value)),
        _ => Err(()),
    }
}

fn unhex(digits: &str, bytes: &mut Vec<u8>) -> Option<()> {
    bytes.resize(HEXUPPER.decode_len(digits.len()).ok()?, 0);
    HEXUPPER.decode_mut(digits.as_bytes(), bytes).ok().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f6_a_value_with_a_separator_makes_a_page_ambiguous() {
        let id = Uuid::from_u128(7).simple().to_string();
        let time = "2026-01-02T03:04:05.000006Z";
        let columns = [
            "1", "", &id, "intent", "0", "github", "read", "00", "0", time, "0", "1words", "owner",
            "0", "13", "00", "0F",
        ];
        let row = columns.join("\u{1f}");
        let read = |line: &str| entry(line, &mut Vec::new(), &mut Vec::new()).is_some();
        assert!(read(&row));
        // A value that pretends to be two columns, and two that are one.
        assert!(!read(&format!("{row}\u{1f}")) && !read(&row.replacen("words\u{1f}", "words", 1)));
        // One entry that pretends to be two, and two that are one line.
        let rows = [row.clone(), row.clone()].join("\u{1e}");
        assert_eq!(lines(&row, 1), Some(vec![&*row]));
        assert_eq!(lines(&rows, 2), Some(vec![&*row, &row]));
        assert!(lines(&rows, 1).is_none() && lines(&row, 2).is_none());
    }

    #[test]
    fn f6_reads_the_digits_that_sqlite_writes_and_no_others() {
        let mut bytes = vec![7];
        assert_eq!(unhex("00FF1AB2", &mut bytes), Some(()));
        assert_eq!(bytes, [0, 255, 0x1a, 0xb2]);
        assert_eq!((unhex("", &mut bytes), bytes.len()), (Some(()), 0));
        for strange in ["0", "0F0", "0f", "G0", "0G", "/0", ":0", "@0", " 0", "é"] {
            assert_eq!(unhex(strange, &mut bytes), None, "{strange}");
        }
    }

    #[test]
    fn f6_tells_a_missing_value_from_one_that_looks_so() {
        assert_eq!(maybe("0"), Ok(None));
        assert_eq!(maybe("10"), Ok(Some("0")));
        assert_eq!(maybe("1"), Ok(Some("")));
        for strange in ["", "00", "2", "é"] {
            assert_eq!(maybe(strange), Err(()), "{strange}");
        }
    }
}
