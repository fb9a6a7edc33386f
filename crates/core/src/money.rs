//! Money as whole numbers of the currency's smallest unit, whatever a provider writes: a fraction
//! of a cent must not come or go by rounding.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::{Code, Error, Result};

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Money {
    /// In the currency's smallest unit: cents for USD.
    pub minor: u64,
    /// ISO 4217, such as `USD`.
    pub currency: String,
}

impl Money {
    /// Cents of a dollar.
    #[must_use]
    pub fn cents(minor: u64) -> Self {
        Self { minor, currency: "USD".to_owned() }
    }

    /// The price of what surely costs nothing, whatever the currency: `XXX` is ISO 4217's word for none.
    #[must_use]
    pub fn nothing() -> Self {
        Self { minor: 0, currency: "XXX".to_owned() }
    }

    /// Whether a currency is written as ISO 4217 writes it; amounts are held against each other only so.
    #[must_use]
    pub fn is_currency(text: &str) -> bool {
        text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())
    }

    /// Reads a decimal text such as `12.99`.
    ///
    /// # Errors
    /// It is no amount, or finer than the currency's smallest unit.
    pub fn parse(text: &str, currency: &str) -> Result<Self> {
        let unreadable = || {
            Error::new(
                Code::ProviderDown,
                format!(
                    "The provider told the price `{text} {currency}`, which is no amount of money. Nothing was bought."
                ),
            )
        };
        let places = decimals(currency);
        let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let (fraction, finer) = match fraction.split_at_checked(places) {
            Some((fraction, finer)) => (fraction, finer),
            None => (fraction, ""),
        };
        if whole.is_empty()
            || !digits(whole)
            || !digits(fraction)
            || finer.bytes().any(|b| b != b'0')
        {
            return Err(unreadable());
        }
        let minor = format!("{whole}{fraction:0<places$}").parse().map_err(|_| unreadable())?;
        Ok(Self { minor, currency: currency.to_ascii_uppercase() })
    }

    /// Reads a JSON number. Its shortest text is taken, which for amounts is what the provider
    /// wrote: no arithmetic is done on the binary fraction.
    ///
    /// # Errors
    /// As [`Money::parse`].
    pub fn number(number: &Number, currency: &str) -> Result<Self> {
        Self::parse(&number.to_string(), currency)
    }

    /// The amount as a decimal text.
    #[must_use]
    pub fn decimal(&self) -> String {
        let places = decimals(&self.currency);
        let digits = format!("{:0>width$}", self.minor, width = places + 1);
        match digits.split_at_checked(digits.len() - places) {
            Some((whole, fraction)) if places > 0 => format!("{whole}.{fraction}"),
            _ => digits,
        }
    }

    /// So many times as much.
    #[must_use]
    pub fn times(&self, count: u64) -> Option<Self> {
        Some(Self { minor: self.minor.checked_mul(count)?, currency: self.currency.clone() })
    }

    /// The sum; `None` for another currency.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Option<Self> {
        let minor = self.minor.checked_add(other.minor)?;
        (self.currency == other.currency).then(|| Self { minor, currency: self.currency.clone() })
    }

    /// Whether it is the same currency and not more.
    #[must_use]
    pub fn within(&self, limit: &Self) -> bool {
        self.currency == limit.currency && self.minor <= limit.minor
    }
}

impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Self::nothing() {
            return f.write_str("nothing");
        }
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

/// Decimal places of a currency (ISO 4217).
fn decimals(currency: &str) -> usize {
    match currency.to_ascii_uppercase().as_str() {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_amounts_exactly() {
        for (text, currency, minor) in [
            ("12.99", "USD", 1299),
            ("8", "usd", 800),
            ("8.5", "EUR", 850),
            ("0.07", "USD", 7),
            ("10.440", "USD", 1044),
            ("1500", "JPY", 1500),
            ("1500.00", "JPY", 1500),
            ("1.234", "KWD", 1234),
            ("90071992547409.93", "USD", 9_007_199_254_740_993),
        ] {
            assert_eq!(Money::parse(text, currency).unwrap().minor, minor, "{text} {currency}");
        }
    }

    #[test]
    fn refuses_what_is_no_amount() {
        for text in [
            "",
            ".5",
            "-1",
            "+1",
            "1,000.00",
            "12.999",
            "1e3",
            "12.9.9",
            "free",
            "99999999999999999999",
        ] {
            assert!(Money::parse(text, "USD").is_err(), "{text}");
        }
        assert!(Money::parse("1.5", "JPY").is_err());
    }

    #[test]
    fn reads_numbers_without_arithmetic() {
        for (json, minor) in [
            ("0.29", 29),
            ("1.15", 115),
            ("8.7", 870),
            ("19.99", 1999),
            ("5", 500),
            ("1128.96", 112_896),
        ] {
            let number: Number = serde_json::from_str(json).unwrap();
            assert_eq!(Money::number(&number, "USD").unwrap().minor, minor, "{json}");
        }
    }

    #[test]
    fn writes_amounts_as_people_do() {
        assert_eq!(Money::cents(1299).to_string(), "12.99 USD");
        assert_eq!(Money::cents(7).to_string(), "0.07 USD");
        assert_eq!(Money::parse("1500", "JPY").unwrap().to_string(), "1500 JPY");
        assert_eq!(Money::cents(0).to_string(), "0.00 USD");
        assert_eq!(Money::nothing().to_string(), "nothing");
    }

    #[test]
    fn compares_only_the_same_currency() {
        let dollars = Money::cents(100);
        assert!(Money::cents(100).within(&dollars));
        assert!(!Money::cents(101).within(&dollars));
        let euros = Money::parse("0.50", "EUR").unwrap();
        assert!(!euros.within(&dollars));
        assert_eq!(dollars.plus(&euros), None);
        assert_eq!(dollars.plus(&dollars).and_then(|sum| sum.times(3)), Some(Money::cents(600)));
    }
}
