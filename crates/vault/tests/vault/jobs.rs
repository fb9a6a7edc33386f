//! Jobs: each is done by one process at a time, and by another when that one dies.

use std::time::Duration;

use resto_vault::{NewConnection, Next, TenantScope, Vault};

use crate::store::{Store, new_connection, on_both};

on_both! {
    a_job_that_is_due_is_claimed_once
    of_many_who_claim_each_job_goes_to_one
    a_hold_that_ends_lets_another_process_take_over
    a_job_that_failed_counts_its_attempts
    what_is_scheduled_anew_meanwhile_stands
    one_job_is_claimed_by_name_whether_or_not_it_is_due
    jobs_come_and_go_with_their_connection
    a_tenant_that_is_deleted_has_no_jobs
}

const NOW: Duration = Duration::ZERO;
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

async fn subjects(vault: &Vault) -> Vec<String> {
    let mut claimed: Vec<String> = vault
        .claim_jobs(100, HOUR)
        .await
        .unwrap()
        .into_iter()
        .map(|(_, job)| job.subject)
        .collect();
    claimed.sort();
    claimed
}

async fn schedule(scope: &TenantScope, subject: &str, in_: Duration) {
    scope.schedule_job("probe", subject, in_).await.unwrap();
}

async fn a_job_that_is_due_is_claimed_once(store: Store) {
    let (vault, scope) = store.tenant().await;
    schedule(&scope, "github", NOW).await;
    schedule(&scope, "stripe", HOUR).await;
    let mut claimed = vault.claim_jobs(100, HOUR).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let (claimed_scope, job) = claimed.remove(0);
    assert_eq!(claimed_scope.tenant(), scope.tenant());
    assert_eq!((job.kind.as_str(), job.subject.as_str(), job.attempts), ("probe", "github", 1));
    assert_eq!(subjects(&vault).await, [""; 0]);
    assert!(scope.finish_job(&job, Next::In(NOW)).await.unwrap());
    assert_eq!(subjects(&vault).await, ["github"]);
    store.move_clock(HOUR * 3).await;
    assert_eq!(subjects(&vault).await, ["github", "stripe"]);
}

async fn of_many_who_claim_each_job_goes_to_one(store: Store) {
    let (vault, scope) = store.tenant().await;
    let other = store.open().await;
    for n in 0..40 {
        schedule(&scope, &format!("{n:02}"), NOW).await;
    }
    let claims = (0..8).map(|n| {
        let vault = if n % 2 == 0 { vault.clone() } else { other.clone() };
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claimed = vault.claim_jobs(3, HOUR).await.unwrap();
                if claimed.is_empty() {
                    return mine;
                }
                mine.extend(claimed.into_iter().map(|(_, job)| job.subject));
            }
        })
    });
    let mut all = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        all.extend(claim.await.unwrap());
    }
    all.sort();
    let expected: Vec<String> = (0..40).map(|n| format!("{n:02}")).collect();
    assert_eq!(all, expected);
}

async fn a_hold_that_ends_lets_another_process_take_over(store: Store) {
    let (vault, scope) = store.tenant().await;
    schedule(&scope, "github", NOW).await;
    let (_, first) = vault.claim_jobs(1, HOUR).await.unwrap().remove(0);
    store.move_clock(HOUR / 2).await;
    assert!(scope.renew_job(&first, HOUR).await.unwrap());
    store.move_clock(HOUR * 5 / 4).await;
    assert_eq!(subjects(&vault).await, [""; 0]);
    store.move_clock(HOUR * 2).await;
    let (_, second) = vault.claim_jobs(1, HOUR).await.unwrap().remove(0);
    assert_eq!(second.attempts, 2);
    assert!(!scope.renew_job(&first, HOUR).await.unwrap());
    assert!(!scope.finish_job(&first, Next::Never).await.unwrap());
    assert!(scope.finish_job(&second, Next::Never).await.unwrap());
    store.move_clock(DAY).await;
    assert_eq!(subjects(&vault).await, [""; 0]);
}

async fn a_job_that_failed_counts_its_attempts(store: Store) {
    let (vault, scope) = store.tenant().await;
    schedule(&scope, "github", NOW).await;
    for attempt in 1..4 {
        let (_, job) = vault.claim_jobs(1, HOUR).await.unwrap().remove(0);
        assert_eq!(job.attempts, attempt);
        scope.finish_job(&job, Next::Retry(NOW)).await.unwrap();
    }
    let (_, job) = vault.claim_jobs(1, HOUR).await.unwrap().remove(0);
    scope.finish_job(&job, Next::In(NOW)).await.unwrap();
    assert_eq!(vault.claim_jobs(1, HOUR).await.unwrap().remove(0).1.attempts, 1);
}

async fn what_is_scheduled_anew_meanwhile_stands(store: Store) {
    let (vault, scope) = store.tenant().await;
    for (n, next) in [Next::Never, Next::In(DAY), Next::Retry(DAY)].into_iter().enumerate() {
        let subject = format!("{n}");
        schedule(&scope, &subject, NOW).await;
        let (_, job) = vault.claim_jobs(1, HOUR).await.unwrap().remove(0);
        // The same moment would be the same job.
        store.move_clock(Duration::from_secs(n as u64 + 1)).await;
        schedule(&scope, &subject, NOW).await;
        assert!(scope.finish_job(&job, next).await.unwrap());
        assert_eq!(subjects(&vault).await, [subject], "{next:?}");
    }
}

async fn one_job_is_claimed_by_name_whether_or_not_it_is_due(store: Store) {
    let (vault, scope) = store.tenant().await;
    schedule(&scope, "github", DAY).await;
    for subject in ["github", "stripe"] {
        let job = scope.claim_job("probe", subject, HOUR).await.unwrap().unwrap();
        assert_eq!(scope.claim_job("probe", subject, HOUR).await.unwrap(), None);
        assert!(scope.finish_job(&job, Next::In(DAY)).await.unwrap());
        let again = scope.claim_job("probe", subject, HOUR).await.unwrap().unwrap();
        assert_eq!(again.attempts, 1);
        assert!(scope.finish_job(&again, Next::Never).await.unwrap());
    }
    store.move_clock(DAY * 2).await;
    assert_eq!(subjects(&vault).await, [""; 0]);
}

async fn jobs_come_and_go_with_their_connection(store: Store) {
    let (vault, scope) = store.tenant().await;
    let new = |jobs| NewConnection { jobs, ..new_connection("github", "x") };
    scope.connect(new(vec![("probe", NOW), ("refresh", NOW)])).await.unwrap();
    schedule(&scope, "other", NOW).await;
    scope.connect(new(vec![("refresh", NOW)])).await.unwrap();
    assert_eq!(subjects(&vault).await, ["github", "other"]);
    assert!(!scope.disconnect("github", 1).await.unwrap());
    assert!(scope.disconnect("github", 2).await.unwrap());
    store.move_clock(DAY).await;
    assert_eq!(subjects(&vault).await, ["other"]);
}

async fn a_tenant_that_is_deleted_has_no_jobs(store: Store) {
    let (vault, scope) = store.tenant().await;
    schedule(&scope, "github", NOW).await;
    vault.delete_tenant(scope.tenant()).await.unwrap();
    assert_eq!(subjects(&vault).await, [""; 0]);
    assert!(scope.schedule_job("probe", "github", NOW).await.is_err());
}
