//! Where a list goes on: in a header, in the body, or after the last item.

use reqwest::header::{HeaderMap, LINK};
use serde_json::Value;

use crate::form::plain;
use crate::{Api, Paging};

/// The cursor of the page after this answer, whose list is at the JSON pointer `list`.
pub(crate) fn next_cursor(
    api: &Api,
    paging: &Paging,
    headers: &HeaderMap,
    body: &Value,
    list: &str,
) -> Option<String> {
    match paging {
        Paging::Link { cursors, .. } => linked(api, headers, cursors),
        Paging::Cursor { next, .. } => {
            body.pointer(next).and_then(plain).filter(|next| !next.is_empty())
        }
        Paging::LastId { more, .. } => {
            let more = body.pointer(more).and_then(Value::as_bool).unwrap_or_default();
            let last = body.pointer(list).and_then(Value::as_array).and_then(|items| items.last());
            last.and_then(|item| item.get("id")?.as_str()).filter(|_| more).map(str::to_owned)
        }
    }
}

fn linked(api: &Api, headers: &HeaderMap, cursors: &[&str]) -> Option<String> {
    let next = headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        // An address may hold commas, so links are told apart by their `<`.
        .flat_map(|value| value.split('<').skip(1))
        .filter_map(|link| link.split_once('>'))
        .find(|(_, parameters)| is_next(parameters))?
        .0;
    let url = api.endpoints.base_url.join(next).ok()?;
    cursors.iter().find_map(|wanted| {
        url.query_pairs()
            .find(|(name, _)| name == wanted)
            .map(|(name, value)| format!("{name}={value}"))
    })
}

/// Whether the parameters of a link say `rel="next"`, as RFC 8288 writes it.
fn is_next(parameters: &str) -> bool {
    parameters.split([';', ',']).filter_map(|parameter| parameter.split_once('=')).any(
        |(name, value)| {
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split(' ').any(|relation| relation == "next")
        },
    )
}
