//! Reminders: one for each credential and period, however many processes there are and however often they die.

use std::time::Duration;

use resto_vault::{AlertKind, AuthType, NewConnection, TenantScope, Vault};
use time::OffsetDateTime;

use crate::connections::token;
use crate::store::{Store, new_connection, new_tenant, on_both};

on_both! {
    f8_in_400_days_each_credential_is_reminded_of_once_a_period
    a_key_that_is_exchanged_is_reminded_of_from_then_on
    an_end_that_becomes_known_or_changes_is_reminded_of_once_each
    whoever_has_nothing_connected_gets_no_summary
}

const DAY: Duration = Duration::from_hours(24);
const HOLD: Duration = Duration::from_hours(1);

fn key(integration: &str) -> NewConnection {
    NewConnection { jobs: vec![("remind", Duration::ZERO)], ..new_connection(integration, "x") }
}

fn signed_in(integration: &str) -> NewConnection {
    let mut new = key(integration);
    new.credential.auth_type = AuthType::OAuth2;
    new
}

/// Does what is due, as a process that lives does it.
async fn work(vault: &Vault) {
    loop {
        let claimed = vault.claim_jobs(3, HOLD).await.unwrap();
        if claimed.is_empty() {
            return;
        }
        for (scope, job) in claimed {
            let next = match job.kind.as_str() {
                "remind" => scope.remind(&job, "summarise").await.unwrap(),
                "summarise" => scope.summarise(&job).await.unwrap(),
                other => panic!("{other}"),
            };
            assert!(scope.finish_job(&job, next).await.unwrap());
        }
    }
}

/// The days on which alerts of a kind were raised about something, oldest first.
async fn days(
    scope: &TenantScope,
    kind: AlertKind,
    subject: &str,
    start: OffsetDateTime,
) -> Vec<i64> {
    let raised = scope.alerts(1000).await.unwrap();
    let of = raised.iter().rev().filter(|one| {
        one.kind == kind.as_str() && (subject == one.subject || kind == AlertKind::QuarterlySummary)
    });
    of.map(|alert| (alert.raised_at - start).whole_days()).collect()
}

async fn f8_in_400_days_each_credential_is_reminded_of_once_a_period(store: Store) {
    let (mut first, scope) = store.tenant().await;
    let mut second = store.open().await;
    // From noon to noon: an hour more or less is the same day.
    let now = OffsetDateTime::now_utc();
    let noon = now.replace_time(time::macros::time!(12:00)) + time::Duration::DAY;
    let ahead = (noon - now).unsigned_abs();
    store.move_clock(ahead).await;
    let in_days = |days| Some(noon + time::Duration::days(days));
    scope.connect(key("github")).await.unwrap();
    let ends = NewConnection { expires_at: in_days(100), ..key("stripe") };
    let start_of_keys = scope.connect(ends).await.unwrap().connection.connected_at;
    let renews = NewConnection { reauthorize_by: in_days(180), ..signed_in("gmail") };
    scope.connect(renews).await.unwrap();
    scope.connect(signed_in("vercel")).await.unwrap();
    for day in 0..=400_u32 {
        store.move_clock(ahead + DAY * day).await;
        if day % 30 == 7 {
            // One dies with what it held, and both start again.
            drop(first.claim_jobs(9, HOLD).await.unwrap());
            first = store.open().await;
            second = store.open().await;
            store.move_clock(ahead + DAY * day + HOLD * 2).await;
        }
        tokio::join!(work(&first), work(&second));
    }
    let scope = first.scope(scope.tenant());
    let reminded = async |kind, subject| days(&scope, kind, subject, start_of_keys).await;
    for service in ["github", "stripe"] {
        assert_eq!(reminded(AlertKind::KeyDue, service).await, [90, 180, 270, 360], "{service}");
    }
    for service in ["gmail", "vercel"] {
        assert_eq!(reminded(AlertKind::KeyDue, service).await, [0; 0], "{service}");
    }
    assert_eq!(reminded(AlertKind::AccessEnds, "stripe").await, [70, 93, 99]);
    assert_eq!(reminded(AlertKind::AccessEnds, "gmail").await, [150, 173, 179]);
    assert_eq!(reminded(AlertKind::AccessEnds, "vercel").await, [0; 0]);
    let quarters: Vec<i64> = (1..=400)
        .filter(|day| {
            let (before, then) = (in_days(day - 1).unwrap(), in_days(*day).unwrap());
            let quarter = |at: OffsetDateTime| (at.year(), (u8::from(at.month()) - 1) / 3);
            quarter(before) != quarter(then)
        })
        .collect();
    assert_eq!(reminded(AlertKind::QuarterlySummary, "").await, quarters);
    let raised = scope.alerts(1000).await.unwrap();
    assert_eq!(raised.len(), 8 + 6 + quarters.len());
    let told = |kind: AlertKind| {
        let found = raised.iter().find(|alert| alert.kind == kind.as_str()).unwrap();
        found.detail.clone().unwrap()
    };
    let summary = told(AlertKind::QuarterlySummary);
    assert!(summary.starts_with("4 accounts are connected. github: key of "), "{summary}");
    assert!(summary.contains("days, due to be exchanged"), "{summary}");
    assert!(summary.contains("vercel: by signing in"), "{summary}");
    assert!(told(AlertKind::KeyDue).starts_with("360 days old: it was stored on "));
    assert!(told(AlertKind::AccessEnds).starts_with("within a day, on "));
}

async fn a_key_that_is_exchanged_is_reminded_of_from_then_on(store: Store) {
    let (vault, scope) = store.tenant().await;
    let start = scope.connect(key("github")).await.unwrap().connection.connected_at;
    for day in 0..=200_u32 {
        store.move_clock(DAY * day).await;
        if day == 89 {
            scope.connect(key("github")).await.unwrap();
        }
        work(&vault).await;
    }
    assert_eq!(days(&scope, AlertKind::KeyDue, "github", start).await, [179]);
    let age = scope.connection("github").await.unwrap().unwrap();
    assert_eq!(age.key_age_days(start + time::Duration::days(100)), Some(10));
}

async fn an_end_that_becomes_known_or_changes_is_reminded_of_once_each(store: Store) {
    let (vault, scope) = store.tenant().await;
    let connected = scope.connect(key("github")).await.unwrap().connection;
    let start = connected.connected_at;
    let learn = async |generation, days: Option<i64>| {
        let end = days.map(|days| start + time::Duration::days(days));
        scope.learn_end(("github", generation), end, "remind").await.unwrap()
    };
    for day in 0..=110_u32 {
        store.move_clock(DAY * day).await;
        match day {
            12 => {
                assert!(!learn(2, Some(40)).await, "another credential's");
                assert!(learn(1, Some(40)).await);
                assert!(!learn(1, Some(40)).await, "it is known");
            }
            20 => assert!(learn(1, Some(100)).await),
            95 => assert!(learn(1, None).await),
            _ => {}
        }
        work(&vault).await;
    }
    assert_eq!(days(&scope, AlertKind::AccessEnds, "github", start).await, [12, 70, 93]);
    // What was sealed anew is what it was, and its row agrees.
    assert_eq!(token(&scope, "github").await, "x");
    let now = scope.connection("github").await.unwrap().unwrap();
    assert_eq!((now.generation, now.expires_at), (1, None));
    assert!(scope.disconnect("github", 1).await.unwrap());
    assert!(!learn(1, Some(40)).await);
}

async fn whoever_has_nothing_connected_gets_no_summary(store: Store) {
    let (vault, scope) = store.tenant().await;
    scope.connect(key("github")).await.unwrap();
    work(&vault).await;
    let other = vault.scope(new_tenant(&vault, "other").await.id);
    other.connect(key("github")).await.unwrap();
    work(&vault).await;
    assert!(scope.disconnect("github", 1).await.unwrap());
    store.move_clock(DAY * 93).await;
    work(&vault).await;
    assert_eq!(scope.alerts(9).await.unwrap(), []);
    let summaries = days(&other, AlertKind::QuarterlySummary, "", OffsetDateTime::now_utc()).await;
    assert_eq!(summaries.len(), 1);
    assert!(matches!(vault.claim_jobs(9, HOLD).await.unwrap()[..], []));
}
