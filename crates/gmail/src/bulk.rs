//! One request for each of many things, where Gmail has none for all of them.

use std::future::Future;

use futures::{Stream, StreamExt as _, stream};
use resto_core::Api;

/// Requests at the same time; Gmail allows few for one mailbox.
const AT_ONCE: usize = 4;

/// Asks for each of them, a few at the same time, and tells the caller how far that is. The answers come in their order.
pub(crate) fn each<'a, Thing, Asked>(
    api: &'a Api,
    what: &'a str,
    things: Vec<Thing>,
    ask: impl FnMut(Thing) -> Asked + 'a,
) -> impl Stream<Item = Asked::Output> + 'a
where
    Thing: 'a,
    Asked: Future + 'a,
{
    let total = things.len() as u64;
    stream::iter(1..).zip(stream::iter(things).map(ask).buffered(AT_ONCE)).map(
        move |(done, answer)| {
            api.progress(done, Some(total), what);
            answer
        },
    )
}
