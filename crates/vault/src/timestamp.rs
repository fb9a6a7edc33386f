//! Times as the two databases store them, the same to the microsecond on both.

use sqlx::{
    Database, Decode, Encode, Postgres, Sqlite, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgTypeInfo, PgValueRef},
    sqlite::{SqliteTypeInfo, SqliteValueRef},
};
use time::{
    OffsetDateTime, UtcOffset, format_description::StaticFormatDescription,
    format_description::well_known::Rfc3339, macros::format_description,
};

/// One width, so that the text sorts as the time does; the driver's own text does not.
const TEXT: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// A time in a `TIMESTAMPTZ` column, or in a text column of SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timestamp(pub(crate) OffsetDateTime);

impl Timestamp {
    /// In UTC and cut to microseconds, which is what both databases give back.
    pub(crate) fn new(time: OffsetDateTime) -> Self {
        let time = time.to_offset(UtcOffset::UTC);
        Self(time.replace_microsecond(time.microsecond()).unwrap_or(time))
    }

    /// Reads what SQLite stores.
    pub(crate) fn parse(text: &str) -> Result<Self, time::error::Parse> {
        Ok(Self::new(OffsetDateTime::parse(text, &Rfc3339)?))
    }

    /// As SQLite stores it, and PostgreSQL reads it.
    pub(crate) fn text(self) -> String {
        // No time that a database gave fails to be written.
        self.0.format(TEXT).unwrap_or_default()
    }

    /// Microseconds since 1970.
    pub(crate) fn micros(self) -> i64 {
        i64::try_from(self.0.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
    }
}

/// The time so many microseconds after 1970.
pub(crate) fn from_micros(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The time of a `BIGINT` column.
pub(crate) fn from_millis(millis: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

impl Type<Sqlite> for Timestamp {
    fn type_info() -> SqliteTypeInfo {
        <str as Type<Sqlite>>::type_info()
    }
}

impl Encode<'_, Sqlite> for Timestamp {
    fn encode_by_ref(
        &self,
        buffer: &mut <Sqlite as Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        <String as Encode<'_, Sqlite>>::encode(self.0.format(TEXT)?, buffer)
    }
}

impl<'r> Decode<'r, Sqlite> for Timestamp {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        let text = <&str as Decode<Sqlite>>::decode(value)?;
        Ok(Self::parse(text)?)
    }
}

impl Type<Postgres> for Timestamp {
    fn type_info() -> PgTypeInfo {
        <OffsetDateTime as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Timestamp {
    fn encode_by_ref(
        &self,
        buffer: &mut <Postgres as Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        <OffsetDateTime as Encode<'_, Postgres>>::encode_by_ref(&self.0, buffer)
    }
}

impl<'r> Decode<'r, Postgres> for Timestamp {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self::new(<OffsetDateTime as Decode<Postgres>>::decode(value)?))
    }
}
