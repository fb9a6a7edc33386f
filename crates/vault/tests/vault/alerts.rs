//! Alerts: written once, with the job that delivers them, and open until a person says that they saw them.

use std::time::Duration;

use resto_vault::{
    AlertKind, Delivery, Intent, Needs, NewConnection, Next, Status, TenantId, TenantScope, Vault,
};
use serde_json::json;

use crate::store::{Store, intent, new_connection, on_both};

on_both! {
    f8_an_alert_and_the_job_that_delivers_it_are_written_together
    f8_of_many_who_notice_the_same_one_raises_it
    f8_what_happens_and_its_alert_are_written_together
    f8_an_alert_of_a_tenant_that_is_gone_keeps_no_other_from_being_written
    an_alert_is_open_until_somebody_acknowledges_it
}

const HOUR: Duration = Duration::from_hours(1);
const FAILED: AlertKind = AlertKind::ConnectionFailed;

async fn delivering(store: &Store) -> (Vault, TenantScope) {
    let (vault, scope) = store.tenant().await;
    (vault.delivering("deliver"), scope)
}

/// The tenants and subjects of the jobs that deliver, which are held from now on.
async fn to_deliver(vault: &Vault) -> Vec<(TenantScope, resto_vault::Job)> {
    let claimed = vault.claim_jobs(100, HOUR).await.unwrap();
    assert!(claimed.iter().all(|(_, job)| job.kind == "deliver"), "{claimed:?}");
    claimed
}

async fn f8_an_alert_and_the_job_that_delivers_it_are_written_together(store: Store) {
    let (vault, scope) = delivering(&store).await;
    scope.raise(FAILED, "github").await;
    scope.raise(FAILED, "github").await;
    scope.raise(FAILED, "stripe").await;
    vault.whole().raise(AlertKind::MassOpening, "").await;
    let raised = scope.open_alerts(9).await.unwrap();
    assert_eq!(raised.len(), 2);
    assert!(raised.iter().all(|alert| alert.delivery == Some(Delivery::Due)));
    let mut due: Vec<String> = raised.iter().map(|alert| alert.id.to_string()).collect();
    due.push(vault.alerts(9).await.unwrap()[0].id.to_string());
    due.sort();
    let jobs = to_deliver(&vault).await;
    let mut subjects: Vec<String> = jobs.iter().map(|(_, job)| job.subject.clone()).collect();
    subjects.sort();
    assert_eq!(subjects, due);
    for (scope, job) in jobs {
        let id = job.subject.parse().unwrap();
        assert!(scope.finish_delivery(&job, id, Delivery::Done).await.unwrap());
        assert_eq!(scope.alert(id).await.unwrap().unwrap().delivery, Some(Delivery::Done));
        assert!(!scope.finish_delivery(&job, id, Delivery::GivenUp).await.unwrap());
        assert_eq!(scope.alert(id).await.unwrap().unwrap().delivery, Some(Delivery::Done));
    }
    // An hour later it is told again.
    store.move_clock(HOUR + Duration::from_secs(1)).await;
    scope.raise(FAILED, "github").await;
    assert_eq!(to_deliver(&vault).await.len(), 1);
    // Where nothing is delivered there is no job for it.
    let quiet = store.open().await.scope(scope.tenant());
    quiet.raise(AlertKind::Tampered, "record a/b").await;
    assert_eq!(quiet.alerts(1).await.unwrap()[0].delivery, None);
    assert_eq!(to_deliver(&vault).await.len(), 0);
}

async fn f8_of_many_who_notice_the_same_one_raises_it(store: Store) {
    let (vault, scope) = delivering(&store).await;
    let other = store.open().await.delivering("deliver").scope(scope.tenant());
    let all = (0..20).map(|n| {
        let scope = if n % 2 == 0 { scope.clone() } else { other.clone() };
        tokio::spawn(async move { scope.raise(FAILED, "github").await })
    });
    for raising in all.collect::<Vec<_>>() {
        raising.await.unwrap();
    }
    assert_eq!(scope.alerts(99).await.unwrap().len(), 1);
    assert_eq!(to_deliver(&vault).await.len(), 1);
}

async fn f8_what_happens_and_its_alert_are_written_together(store: Store) {
    let (vault, scope) = delivering(&store).await;
    scope.connect(new_connection("github", "x")).await.unwrap();
    let mut other = NewConnection { replaces_account: true, ..new_connection("github", "x") };
    other.credential.account_id = "another".to_owned();
    scope.connect(other).await.unwrap();
    let stop = |generation| scope.set_status_raising("github", generation, Status::Frozen, FAILED);
    assert!(!stop(7).await.unwrap());
    assert!(stop(2).await.unwrap());
    scope.schedule_job("probe", "github", Duration::ZERO).await.unwrap();
    let (_, job) = vault
        .claim_jobs(9, HOUR)
        .await
        .unwrap()
        .into_iter()
        .find(|(_, job)| job.kind == "probe")
        .unwrap();
    let changed = (AlertKind::PermissionsChanged, "github");
    assert!(scope.finish_raising(&job, Next::Never, changed).await.unwrap());
    let late = (AlertKind::PermissionsChanged, "stripe");
    assert!(!scope.finish_raising(&job, Next::Never, late).await.unwrap());
    let params = json!({});
    let reading = Intent { connection: Needs::Nothing, ..intent("read", &params) };
    drop(scope.begin(reading).await.unwrap());
    vault.sweep_unfinished(Duration::ZERO).await.unwrap();
    let raised = scope.alerts(9).await.unwrap();
    let kinds: Vec<&str> = raised.iter().rev().map(|alert| alert.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["account_changed", "connection_failed", "permissions_changed", "unknown_outcome"]
    );
    assert!(raised[0].subject.starts_with("read "), "{raised:?}");
}

async fn f8_an_alert_of_a_tenant_that_is_gone_keeps_no_other_from_being_written(store: Store) {
    let (vault, scope) = delivering(&store).await;
    let gone = vault.scope("00000000-0000-0000-0000-000000000007".parse::<TenantId>().unwrap());
    gone.raise(FAILED, "github").await;
    scope.raise(FAILED, "github").await;
    assert_eq!(gone.alerts(9).await.unwrap()[0].delivery, None);
    assert_eq!(to_deliver(&vault).await.len(), 1);
}

async fn an_alert_is_open_until_somebody_acknowledges_it(store: Store) {
    let (vault, scope) = store.tenant().await;
    for subject in ["a", "b", "c"] {
        scope.raise(FAILED, subject).await;
    }
    let other = vault.scope(crate::store::new_tenant(&vault, "other").await.id);
    let subjects = async || {
        let open = scope.open_alerts(9).await.unwrap();
        open.into_iter().map(|alert| alert.subject).collect::<Vec<_>>()
    };
    let one = scope.open_alerts(9).await.unwrap()[1].id;
    assert_eq!(other.acknowledge_alerts(one, true, "a stranger").await.unwrap(), 0);
    assert_eq!(other.alert(one).await.unwrap(), None);
    assert_eq!(subjects().await, ["c", "b", "a"]);
    assert_eq!(scope.acknowledge_alerts(one, false, "ada (web)").await.unwrap(), 1);
    assert_eq!(scope.acknowledge_alerts(one, false, "bob (web)").await.unwrap(), 0);
    assert_eq!(subjects().await, ["c", "a"]);
    let (_, by) = scope.alert(one).await.unwrap().unwrap().acknowledged.unwrap();
    assert_eq!(by, "ada (web)");
    // What was raised since the list was looked at stays open.
    let newest = scope.open_alerts(9).await.unwrap()[0].id;
    store.move_clock(Duration::from_secs(1)).await;
    scope.raise(FAILED, "d").await;
    assert_eq!(scope.acknowledge_alerts(newest, true, "ada (web)").await.unwrap(), 2);
    assert_eq!(subjects().await, ["d"]);
    assert_eq!(scope.alerts(9).await.unwrap().len(), 4);
}
