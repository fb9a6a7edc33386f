//! How a result is shown to a person whose client shows more than text: as data, which one page draws for every action.

use serde::Serialize;

/// One part of what is shown of a result, from top to bottom.
///
/// Paths are names of fields with dots between them, from the result for `rows` and from a row for all others. A field
/// that is an object stands for each of its own fields. What a row has under `change_percent` is shown beside the number
/// of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its heading; empty: none.
    pub title: &'static str,
    /// How it is shown.
    pub shape: Shape,
    /// Where its rows are: a list, or an object, which is the only row; empty: the result itself.
    pub rows: &'static str,
    /// What is told of a row, in this order.
    pub columns: &'static [&'static str],
    /// Which of them are drawn.
    pub drawn: &'static [&'static str],
    /// Which of them are amounts in the smallest unit of the row's `currency`.
    pub amounts: &'static [&'static str],
}

/// How a part is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A few large numbers.
    Scorecard,
    /// Lines along the first column, with all numbers beside them.
    Line,
    /// A table with bars in it.
    Bar,
    /// A table.
    Table,
    /// Each row says itself how it is shown: it has a `title`, one of the above as `kind`, and `rows`.
    Cards,
    /// Sentences.
    Notes,
}

impl Part {
    /// A few large numbers.
    #[must_use]
    pub const fn scorecard(
        title: &'static str,
        rows: &'static str,
        columns: &'static [&'static str],
    ) -> Self {
        Self { title, shape: Shape::Scorecard, rows, columns, drawn: &[], amounts: &[] }
    }

    /// A table.
    #[must_use]
    pub const fn table(
        title: &'static str,
        rows: &'static str,
        columns: &'static [&'static str],
    ) -> Self {
        Self { shape: Shape::Table, ..Self::scorecard(title, rows, columns) }
    }

    /// Lines for the columns that are drawn, along the first one.
    #[must_use]
    pub const fn line(
        title: &'static str,
        rows: &'static str,
        columns: &'static [&'static str],
        drawn: &'static [&'static str],
    ) -> Self {
        Self { shape: Shape::Line, drawn, ..Self::scorecard(title, rows, columns) }
    }

    /// A table with bars for the columns that are drawn.
    #[must_use]
    pub const fn bar(
        title: &'static str,
        rows: &'static str,
        columns: &'static [&'static str],
        drawn: &'static [&'static str],
    ) -> Self {
        Self { shape: Shape::Bar, ..Self::line(title, rows, columns, drawn) }
    }

    /// Cards that say themselves how they are shown, with these columns.
    #[must_use]
    pub const fn cards(rows: &'static str, columns: &'static [&'static str]) -> Self {
        Self { shape: Shape::Cards, ..Self::scorecard("", rows, columns) }
    }

    /// Sentences: a text or a list of them.
    #[must_use]
    pub const fn notes(rows: &'static str) -> Self {
        Self { shape: Shape::Notes, ..Self::scorecard("", rows, &[]) }
    }

    /// The same, with these columns as amounts in the smallest unit of the row's `currency`.
    #[must_use]
    pub const fn amounts(self, amounts: &'static [&'static str]) -> Self {
        Self { amounts, ..self }
    }
}
