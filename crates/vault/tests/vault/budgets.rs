//! Budgets: no more requests than the rate allows in any time of its length, whoever takes them.

use std::time::Duration;

use resto_vault::{Rate, Taken};

use crate::store::{Store, new_tenant, on_both};

on_both! {
    e6_a_burst_is_granted_once_and_then_one_at_a_time
    e6_in_no_time_of_its_length_are_more_than_the_rate_granted
    e6_a_clock_that_is_set_back_stops_nobody_and_lets_no_more_through
    e6_of_many_who_take_at_once_none_passes_the_limit
    e7_tenants_have_budgets_of_their_own_and_one_together
}

const HOUR: Duration = Duration::from_hours(1);
/// Three minutes from one request to the next.
const SLOW: Rate = Rate { requests: 40, per: HOUR, burst: 20 };

async fn e6_a_burst_is_granted_once_and_then_one_at_a_time(store: Store) {
    let (vault, scope) = store.tenant().await;
    assert_eq!(scope.take("github", &SLOW, 15).await.unwrap(), Taken::Granted);
    let Taken::In(wait) = scope.take("github", &SLOW, 10).await.unwrap() else { panic!() };
    assert!(wait <= Duration::from_mins(15) && wait > Duration::from_mins(14), "{wait:?}");
    // What was refused was not counted.
    assert_eq!(scope.take("github", &SLOW, 5).await.unwrap(), Taken::Granted);
    let Taken::In(wait) = scope.take("github", &SLOW, 1).await.unwrap() else { panic!() };
    assert!(wait <= Duration::from_mins(3) && wait > Duration::from_mins(2), "{wait:?}");
    store.move_clock(Duration::from_mins(3)).await;
    assert_eq!(scope.take("github", &SLOW, 1).await.unwrap(), Taken::Granted);
    assert!(matches!(scope.take("github", &SLOW, 1).await.unwrap(), Taken::In(_)));
    // However long the pause, no more than the burst is saved up.
    store.move_clock(HOUR * 100).await;
    assert_eq!(scope.take("github", &SLOW, 20).await.unwrap(), Taken::Granted);
    assert!(matches!(scope.take("github", &SLOW, 1).await.unwrap(), Taken::In(_)));
    drop(vault);
}

async fn e6_a_clock_that_is_set_back_stops_nobody_and_lets_no_more_through(store: Store) {
    let (_, scope) = store.tenant().await;
    store.move_clock(HOUR * 100).await;
    assert_eq!(scope.take("github", &SLOW, 20).await.unwrap(), Taken::Granted);
    store.move_clock(Duration::ZERO).await;
    assert_eq!(scope.take("github", &SLOW, 20).await.unwrap(), Taken::Granted);
    let Taken::In(wait) = scope.take("github", &SLOW, 1).await.unwrap() else { panic!() };
    assert!(wait <= Duration::from_mins(3), "{wait:?}");
}

async fn e6_in_no_time_of_its_length_are_more_than_the_rate_granted(store: Store) {
    let (_, scope) = store.tenant().await;
    let rate = Rate { requests: 30, per: Duration::from_mins(1), burst: 10 };
    let mut granted = Vec::new();
    for step in 0..60 {
        store.move_clock(Duration::from_secs(step * 3)).await;
        let now = store.number("SELECT now_ms FROM clock").await;
        while scope.take("github", &rate, 1).await.unwrap() == Taken::Granted {
            granted.push(now);
        }
    }
    let most = granted
        .iter()
        .map(|from| granted.iter().filter(|at| (*from..from + 60_000).contains(at)).count())
        .max();
    assert!(most.is_some_and(|most| (20..=30).contains(&most)), "{most:?}");
}

async fn e6_of_many_who_take_at_once_none_passes_the_limit(store: Store) {
    let (vault, scope) = store.tenant().await;
    let other = store.open().await;
    let takers = (0..8).map(|n| {
        let vault = if n % 2 == 0 { vault.clone() } else { other.clone() };
        let scope = vault.scope(scope.tenant());
        tokio::spawn(async move {
            let mut granted = 0;
            while scope.take("github", &SLOW, 1).await.unwrap() == Taken::Granted {
                granted += 1;
            }
            granted
        })
    });
    let mut granted = 0;
    for taker in takers.collect::<Vec<_>>() {
        granted += taker.await.unwrap();
    }
    assert_eq!(granted, 20);
}

async fn e7_tenants_have_budgets_of_their_own_and_one_together(store: Store) {
    let (vault, scope) = store.tenant().await;
    let other = vault.scope(new_tenant(&vault, "other").await.id);
    assert_eq!(scope.take("github", &SLOW, 20).await.unwrap(), Taken::Granted);
    assert!(matches!(scope.take("github", &SLOW, 1).await.unwrap(), Taken::In(_)));
    assert_eq!(scope.take("stripe", &SLOW, 1).await.unwrap(), Taken::Granted);
    assert_eq!(other.take("github", &SLOW, 20).await.unwrap(), Taken::Granted);
    assert_eq!(vault.shared().take("github", &SLOW, 20).await.unwrap(), Taken::Granted);
    assert!(matches!(vault.shared().take("github", &SLOW, 1).await.unwrap(), Taken::In(_)));
    vault.delete_tenant(scope.tenant()).await.unwrap();
    assert_eq!(store.number("SELECT count(*) FROM budgets").await, 2);
}
