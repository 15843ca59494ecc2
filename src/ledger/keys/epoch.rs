//! Calendar months, as a site's time zone has them.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// A calendar month, written `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Epoch {
    year: i16,
    month: i8,
}

impl Epoch {
    /// The month that `at` lies in.
    pub fn of(at: Timestamp, zone: &TimeZone) -> Self {
        let day = zone.to_datetime(at);
        Epoch { year: day.year(), month: day.month() }
    }

    /// The month after this one.
    #[must_use]
    pub fn next(self) -> Self {
        if self.month == 12 {
            Epoch { year: self.year.saturating_add(1), month: 1 }
        } else {
            Epoch { month: self.month + 1, ..self }
        }
    }

    /// The first moment of the day that begins `months` after this month does. `None` beyond the year 9999.
    pub fn start_after(self, months: u32, zone: &TimeZone) -> Option<Timestamp> {
        let day = self.first_day()?.checked_add(i64::from(months).months()).ok()?;
        zone.to_timestamp(day.to_datetime(Time::midnight())).ok()
    }

    fn first_day(self) -> Option<Date> {
        Date::new(self.year, self.month, 1).ok().filter(|day| *day >= date(0, 1, 1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl From<Epoch> for String {
    fn from(epoch: Epoch) -> String {
        epoch.to_string()
    }
}

impl TryFrom<String> for Epoch {
    type Error = NotAnEpoch;

    fn try_from(text: String) -> Result<Self, NotAnEpoch> {
        text.parse()
    }
}

/// It is no month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a month is written as in 2026-11")]
pub struct NotAnEpoch;

impl FromStr for Epoch {
    type Err = NotAnEpoch;

    fn from_str(text: &str) -> Result<Self, NotAnEpoch> {
        let (year, month) = text.split_once('-').ok_or(NotAnEpoch)?;
        let epoch =
            Epoch { year: year.parse().map_err(|_| NotAnEpoch)?, month: month.parse().map_err(|_| NotAnEpoch)? };
        let real = epoch.first_day().is_some() && epoch.to_string() == text;
        real.then_some(epoch).ok_or(NotAnEpoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_end_where_the_site_is() {
        let cases = [
            ("2026-10-31T15:59:59Z", "Asia/Shanghai", "2026-10"),
            ("2026-10-31T16:00:00Z", "Asia/Shanghai", "2026-11"),
            ("2026-10-31T16:00:00Z", "UTC", "2026-10"),
            // Summer time ends on 1 November there, two hours into the month.
            ("2026-11-01T03:59:59Z", "America/New_York", "2026-10"),
            ("2026-11-01T04:00:00Z", "America/New_York", "2026-11"),
            ("2026-12-01T04:59:59Z", "America/New_York", "2026-11"),
            ("2026-12-01T05:00:00Z", "America/New_York", "2026-12"),
            ("2026-12-31T23:59:59.999Z", "UTC", "2026-12"),
        ];
        for (at, zone, month) in cases {
            let zone = TimeZone::get(zone).unwrap();
            assert_eq!(Epoch::of(at.parse().unwrap(), &zone).to_string(), month, "{at}");
        }
    }

    #[test]
    fn a_month_begins_when_the_one_before_ends() {
        for zone in ["UTC", "Asia/Shanghai", "America/New_York", "Europe/Berlin", "Pacific/Apia"] {
            let zone = TimeZone::get(zone).unwrap();
            let mut epoch: Epoch = "2011-01".parse().unwrap();
            for _ in 0..36 {
                let start = epoch.next().start_after(0, &zone).unwrap();
                assert_eq!(epoch.start_after(1, &zone), Some(start));
                assert_eq!(Epoch::of(start, &zone), epoch.next());
                assert_eq!(Epoch::of(start - 1.millisecond(), &zone), epoch);
                epoch = epoch.next();
            }
        }
    }

    #[test]
    fn what_is_no_month_is_refused() {
        for text in ["", "2026", "2026-13", "2026-00", "2026-1", "26-11", "+026-11", "2026-11-01", "-001-11"] {
            assert!(text.parse::<Epoch>().is_err(), "{text}");
        }
        assert_eq!("2026-11".parse::<Epoch>().unwrap().to_string(), "2026-11");
    }
}
