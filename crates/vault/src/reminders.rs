//! What people are reminded of: keys that are old, credentials that end, and a summary of both each quarter. A reminder and
//! the job of the next one are written together, so that each is written once, however many processes there are.

use std::time::Duration;

use time::{Date, Duration as Span, Month, OffsetDateTime};

use crate::{
    AlertKind, AuthType, Connection, Job, Next, Result, Status, TenantScope,
    alerts::say,
    database::{Tx, on},
    timestamp::from_millis,
};

/// How old a key grows before its people are reminded to exchange it, and how often after that.
const KEY_DUE: Span = Span::days(90);

/// How long before a credential ends they are reminded, in days.
const BEFORE_END: [i64; 3] = [30, 7, 1];

/// The longest time until it is looked again: an end may become known later.
const LOOK: Span = Span::days(30);

/// The subject of the job that summarises: no integration has this id.
const QUARTER: &str = "-";

/// Something to be reminded of.
#[derive(Debug, PartialEq, Eq)]
struct Reminder {
    kind: AlertKind,
    detail: String,
}

impl Connection {
    /// How many days ago the key was stored; `None` for what is no key.
    #[must_use]
    pub fn key_age_days(&self, now: OffsetDateTime) -> Option<i64> {
        (self.auth_type == AuthType::ApiKey).then(|| (now - self.connected_at).whole_days())
    }

    /// When only a person can renew it.
    fn ends_at(&self) -> Option<OffsetDateTime> {
        match self.auth_type {
            AuthType::ApiKey => self.expires_at,
            AuthType::OAuth2 => self.reauthorize_by,
        }
    }

    /// The reminder of a key's age that came last, and the next one.
    fn of_age(&self, now: OffsetDateTime) -> (Option<Reminder>, Option<OffsetDateTime>) {
        let Some(days) = self.key_age_days(now) else { return (None, None) };
        let passed = days / KEY_DUE.whole_days();
        let at = |periods: i64| self.connected_at + Span::days(periods * KEY_DUE.whole_days());
        let last = (passed > 0).then(|| Reminder {
            kind: AlertKind::KeyDue,
            detail: format!(
                "{} days old: it was stored on {}",
                passed * KEY_DUE.whole_days(),
                self.connected_at.date()
            ),
        });
        (last, Some(at(passed + 1)))
    }

    /// The reminder of its end that came last, and the next one.
    fn of_end(&self, now: OffsetDateTime) -> (Option<Reminder>, Option<OffsetDateTime>) {
        let Some(end) = self.ends_at() else { return (None, None) };
        let all = BEFORE_END.map(|days| (end - Span::days(days), days));
        let last = all.iter().rfind(|(at, _)| *at <= now && *at >= self.connected_at);
        let last = last.map(|(_, days)| Reminder {
            kind: AlertKind::AccessEnds,
            detail: match days {
                1 => format!("within a day, on {}", end.date()),
                days => format!("within {days} days, on {}", end.date()),
            },
        });
        (last, all.iter().map(|(at, _)| *at).find(|at| *at > now))
    }

    /// How it stands, for a summary.
    fn summary(&self, now: OffsetDateTime) -> String {
        let of = match self.key_age_days(now) {
            Some(days) if days >= KEY_DUE.whole_days() => {
                format!("key of {days} days, due to be exchanged")
            }
            Some(1) => "key of 1 day".to_owned(),
            Some(days) => format!("key of {days} days"),
            None => "by signing in".to_owned(),
        };
        let ends = self.ends_at().map(|end| {
            let soon = if end - now <= Span::days(30) { ", due to be renewed" } else { "" };
            format!(", ends on {}{soon}", end.date())
        });
        let unused =
            (self.status != Status::Active).then(|| format!(", not in use ({})", self.status));
        let (ends, unused) = (ends.unwrap_or_default(), unused.unwrap_or_default());
        format!("{}: {of}{ends}{unused}", self.integration_id)
    }
}

/// The quarter of the calendar in which a moment lies, such as `2027-Q1`.
fn quarter(now: OffsetDateTime) -> String {
    format!("{}-Q{}", now.year(), (u8::from(now.month()) - 1) / 3 + 1)
}

/// The first moment of the next one.
fn next_quarter(now: OffsetDateTime) -> OffsetDateTime {
    let (year, month) = match u8::from(now.month()) {
        1..=3 => (now.year(), Month::April),
        4..=6 => (now.year(), Month::July),
        7..=9 => (now.year(), Month::October),
        _ => (now.year() + 1, Month::January),
    };
    let first = Date::from_calendar_date(year, month, 1).unwrap_or(Date::MAX);
    first.midnight().assume_utc()
}

fn wait(now: OffsetDateTime, until: OffsetDateTime) -> Duration {
    (until - now).try_into().unwrap_or(Duration::ZERO)
}

impl TenantScope {
    /// Does a job whose subject is an integration: reminds people of its key's age and of its end where they are due, and
    /// says when it is to be done again. It also sees to the job of this other kind that summarises each quarter.
    /// Returns [`Next::Done`], since the job is let go in the transaction that reminds.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn remind(&self, job: &Job, summarise: &str) -> Result<Next> {
        let mut tx = self.write().await?;
        let now = from_millis(tx.now_ms().await?);
        let row = self.row(&mut tx, &job.subject).await?;
        let Some(connection) = row.map(Connection::from_row).transpose()? else {
            return Ok(Next::Never);
        };
        let (age, next_age) = connection.of_age(now);
        let (end, next_end) = connection.of_end(now);
        let next = [next_age, next_end, Some(now + LOOK)].into_iter().flatten().min();
        let next = Next::In(wait(now, next.unwrap_or(now + LOOK)));
        if !self.finish_held(&mut tx, job, next).await? {
            // Connected again, or held by another process: what there is to say is said there.
            return Ok(Next::Done);
        }
        let in_use = matches!(connection.status, Status::Active | Status::Frozen);
        for reminder in [age, end].into_iter().flatten().filter(|_| in_use) {
            let Reminder { kind, detail } = reminder;
            self.write_reminder(&mut tx, kind, &job.subject, &detail).await?;
        }
        let quarter = wait(now, next_quarter(now));
        self.schedule_unless(&mut tx, summarise, QUARTER, quarter).await?;
        tx.commit().await?;
        Ok(Next::Done)
    }

    /// Does the job that [`Self::remind`] sees to: tells once a quarter what is connected and how old the keys are.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn summarise(&self, job: &Job) -> Result<Next> {
        let mut tx = self.write().await?;
        let now = from_millis(tx.now_ms().await?);
        let rows = self.rows(&mut tx).await?;
        let connections: Vec<Connection> =
            rows.into_iter().map(Connection::from_row).collect::<Result<_>>()?;
        if connections.is_empty() {
            // The next connection sees to it again.
            return Ok(Next::Never);
        }
        let next = Next::In(wait(now, next_quarter(now)));
        if !self.finish_held(&mut tx, job, next).await? {
            return Ok(Next::Done);
        }
        let each: Vec<String> = connections.iter().map(|one| one.summary(now)).collect();
        let detail = match connections.len() {
            1 => format!("1 account is connected. {}", each.join("; ")),
            count => format!("{count} accounts are connected. {}", each.join("; ")),
        };
        self.write_reminder(&mut tx, AlertKind::QuarterlySummary, &quarter(now), &detail).await?;
        tx.commit().await?;
        Ok(Next::Done)
    }

    /// Writes a reminder within a transaction, unless the very same was ever written.
    pub(crate) async fn write_reminder(
        &self,
        tx: &mut Tx,
        kind: AlertKind,
        subject: &str,
        detail: &str,
    ) -> Result<()> {
        let before: Option<i64> = on!(&mut *tx, c => sqlx::query_scalar(
            "SELECT raised_at FROM alerts
             WHERE tenant_id = $1 AND kind = $2 AND subject = $3 AND detail = $4 LIMIT 1",
        ).bind(self.tenant.0).bind(kind.as_str()).bind(subject).bind(detail).fetch_optional(c).await)?;
        if before.is_some() {
            return Ok(());
        }
        say(kind, self.tenant, subject);
        self.insert_alert(tx, kind, subject, Some(detail)).await
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn quarters_follow_one_another_over_the_years() {
        for (now, present, begins, next) in [
            (datetime!(2026-11-28 18:00 UTC), "2026-Q4", datetime!(2027-01-01 0:00 UTC), "2027-Q1"),
            (datetime!(2027-01-01 0:00 UTC), "2027-Q1", datetime!(2027-04-01 0:00 UTC), "2027-Q2"),
            (datetime!(2027-06-30 23:59 UTC), "2027-Q2", datetime!(2027-07-01 0:00 UTC), "2027-Q3"),
            (datetime!(2028-02-29 12:00 UTC), "2028-Q1", datetime!(2028-04-01 0:00 UTC), "2028-Q2"),
        ] {
            assert_eq!(quarter(now), present);
            assert_eq!(next_quarter(now), begins);
            assert_eq!(quarter(begins), next);
        }
    }
}
