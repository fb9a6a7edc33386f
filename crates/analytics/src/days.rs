//! Days and periods as Google reads them: dates, or days counted back from today in the time zone of
//! the property. A period before is found without knowing which day it is.

use resto_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Iso8601;
use time::{Date, Duration};

/// The furthest back that a day may be.
const MAX_AGO: i64 = 36_500;

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// Days before today.
    Ago(i64),
    On(Date),
}

impl Day {
    fn read(field: &str, text: &str) -> Result<Self> {
        let ago = match text {
            "today" => Some(0),
            "yesterday" => Some(1),
            other => other.strip_suffix("daysAgo").and_then(|days| days.parse::<u16>().ok()),
        };
        let day = match ago {
            Some(days) => Some(Self::Ago(i64::from(days))).filter(|_| i64::from(days) <= MAX_AGO),
            None => Date::parse(text, &Iso8601::DATE).ok().map(Self::On),
        };
        day.ok_or_else(|| {
            Error::invalid(
                field,
                format!("invalid input: `{field}` must be a date such as 2026-01-31, or `today`, `yesterday`, `28daysAgo`. Nothing was sent."),
            )
        })
    }

    fn earlier(self, days: i64) -> Option<Self> {
        match self {
            Self::Ago(ago) => Some(Self::Ago(ago.checked_add(days)?)),
            Self::On(date) => date.checked_sub(Duration::days(days)).map(Self::On),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Ago(0) => "today".to_owned(),
            Self::Ago(1) => "yesterday".to_owned(),
            Self::Ago(days) => format!("{days}daysAgo"),
            Self::On(date) => {
                let (year, month, day) = date.to_calendar_date();
                format!("{year:04}-{:02}-{day:02}", u8::from(month))
            }
        }
    }
}

/// A period, both days included, in the property's time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    /// First day, such as `2026-01-31` or `28daysAgo`.
    pub start_date: String,
    /// Last day.
    pub end_date: String,
}

/// Which days. Actions flatten it into their input.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct When {
    /// Such as `2026-01-31`, `today`, `28daysAgo`, the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_date: Option<String>,
    /// Included; default `yesterday`, still being counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_date: Option<String>,
}

/// What a period is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// As many days just before it.
    PeriodBefore,
    /// The same weekdays 52 weeks before.
    YearBefore,
}

/// A period whose days were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Days {
    start: Day,
    end: Day,
}

impl When {
    /// With these days instead, where given.
    pub(crate) fn with(self, start_date: Option<String>, end_date: Option<String>) -> Self {
        Self { start_date: start_date.or(self.start_date), end_date: end_date.or(self.end_date) }
    }

    /// Reads it.
    ///
    /// # Errors
    /// A day cannot be read, or the last one is before the first.
    pub(crate) fn days(&self) -> Result<Days> {
        let start = Day::read("start_date", self.start_date.as_deref().unwrap_or("28daysAgo"))?;
        let end = Day::read("end_date", self.end_date.as_deref().unwrap_or("yesterday"))?;
        let backwards = match (start, end) {
            (Day::Ago(start), Day::Ago(end)) => start < end,
            (Day::On(start), Day::On(end)) => start > end,
            _ => false,
        };
        if backwards {
            return Err(Error::invalid(
                "end_date",
                "invalid input: `end_date` is before `start_date`. Nothing was sent.",
            ));
        }
        Ok(Days { start, end })
    }
}

impl Days {
    pub(crate) fn period(self) -> Period {
        Period { start_date: self.start.text(), end_date: self.end.text() }
    }

    /// How many days it has; `None` where that depends on which day it is.
    pub(crate) fn count(self) -> Option<i64> {
        match (self.start, self.end) {
            (Day::Ago(start), Day::Ago(end)) => Some(start - end + 1),
            (Day::On(start), Day::On(end)) => Some((end - start).whole_days() + 1),
            _ => None,
        }
    }

    /// The period that it is compared with.
    ///
    /// # Errors
    /// One day is a date and the other one counted from today.
    pub(crate) fn compared(self, with: Comparison) -> Result<Days> {
        let shift = match with {
            Comparison::PeriodBefore => self.count(),
            Comparison::YearBefore => Some(364),
        };
        let earlier = |day: Day| shift.and_then(|days| day.earlier(days));
        let both = earlier(self.start).zip(earlier(self.end));
        both.map(|(start, end)| Days { start, end }).ok_or_else(|| {
            Error::invalid(
                "start_date",
                "invalid input: to compare with the period before, give `start_date` and `end_date` both as dates, or both counted from today. Nothing was sent.",
            )
        })
    }

    /// Whether it reaches into the days that Google still counts.
    pub(crate) fn is_fresh(self) -> bool {
        matches!(self.end, Day::Ago(0 | 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(start: &str, end: &str) -> Result<Days> {
        When { start_date: Some(start.into()), end_date: Some(end.into()) }.days()
    }

    fn compared(start: &str, end: &str, with: Comparison) -> (String, String) {
        let period = days(start, end).unwrap().compared(with).unwrap().period();
        (period.start_date, period.end_date)
    }

    #[test]
    fn four_weeks_until_yesterday_is_what_nothing_said_means() {
        let days = When::default().days().unwrap();
        assert_eq!(
            days.period(),
            Period { start_date: "28daysAgo".into(), end_date: "yesterday".into() }
        );
        assert!(days.is_fresh());
    }

    #[test]
    fn finds_the_period_before_without_a_clock() {
        use Comparison::{PeriodBefore, YearBefore};
        for (start, end, with, wanted) in [
            ("28daysAgo", "yesterday", PeriodBefore, ("56daysAgo", "29daysAgo")),
            ("today", "today", PeriodBefore, ("yesterday", "yesterday")),
            ("2026-03-01", "2026-03-31", PeriodBefore, ("2026-01-29", "2026-02-28")),
            ("2026-03-02", "2026-03-08", YearBefore, ("2025-03-03", "2025-03-09")),
            ("7daysAgo", "yesterday", YearBefore, ("371daysAgo", "365daysAgo")),
            ("2026-03-02", "yesterday", YearBefore, ("2025-03-03", "365daysAgo")),
        ] {
            let (first, last) = compared(start, end, with);
            assert_eq!((first.as_str(), last.as_str()), wanted, "{start} {end}");
        }
    }

    #[test]
    fn says_which_day_is_wrong() {
        for (start, end, field) in [
            ("last week", "today", "start_date"),
            ("2026-02-30", "today", "start_date"),
            ("-1daysAgo", "today", "start_date"),
            ("99999daysAgo", "today", "start_date"),
            ("7daysAgo", "tomorrow", "end_date"),
            ("yesterday", "7daysAgo", "end_date"),
            ("2026-02-02", "2026-02-01", "end_date"),
        ] {
            let error = days(start, end).unwrap_err();
            assert_eq!(error.details().field.as_deref(), Some(field), "{start} {end}");
        }
        let mixed = days("2026-02-01", "yesterday").unwrap().compared(Comparison::PeriodBefore);
        assert!(mixed.unwrap_err().message().contains("both as dates"));
    }
}
