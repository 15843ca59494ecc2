//! Until when a record is kept, in the calendar of its site.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// The day at whose end a record of `day` has been kept for `months`: the same day of a later month, or the last of
/// that month if it is shorter (as periods end by Regulation (EEC, Euratom) No 1182/71, article 3(2)(c)). `None` beyond
/// the year 9999.
pub(super) fn last_day(day: Date, months: u32) -> Option<Date> {
    day.checked_add(i64::from(months).months()).ok()
}

/// The moment before which a record must have been made for its `months` to be over at `now`: the beginning of a day
/// in `zone`. `None` beyond the years that a calendar has.
pub(super) fn cutoff(now: Timestamp, months: u32, zone: &TimeZone) -> Option<Timestamp> {
    let today = zone.to_datetime(now).date();
    let mut day = today.checked_sub(i64::from(months).months()).ok()?;
    // The month back may be too short for today's number, and several days may end on one.
    while last_day(day, months)? < today {
        day = day.tomorrow().ok()?;
    }
    zone.to_timestamp(day.to_datetime(Time::midnight())).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    /// The day before which records are purged on `today`.
    fn first_kept(today: &str, months: u32, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        let noon = today.parse::<Date>().unwrap().to_datetime(Time::midnight()) + 12.hours();
        let cutoff = cutoff(zone.to_timestamp(noon).unwrap(), months, &zone).unwrap();
        assert!(zone.to_datetime(cutoff - 1.millisecond()).date() < zone.to_datetime(cutoff).date());
        zone.to_datetime(cutoff).date().to_string()
    }

    #[test]
    fn at_18_months_end_where_the_calendar_has_them_end() {
        for (today, months, kept) in [
            ("2027-02-28", 6, "2026-08-28"),
            // All of 28 to 31 August were kept until the end of 28 February.
            ("2027-03-01", 6, "2026-09-01"),
            // In a leap year, those of 28 August one day less than the others.
            ("2028-02-29", 6, "2027-08-29"),
            ("2028-03-01", 6, "2027-09-01"),
            ("2029-02-28", 12, "2028-02-28"),
            ("2029-03-01", 12, "2028-03-01"),
            ("2026-08-31", 6, "2026-03-01"),
            ("2026-12-31", 1, "2026-12-01"),
            ("2027-01-01", 1, "2026-12-01"),
            ("2027-01-01", 120, "2017-01-01"),
            ("2027-01-15", 0, "2027-01-15"),
        ] {
            for zone in ["UTC", "Asia/Shanghai", "America/New_York"] {
                assert_eq!(first_kept(today, months, zone), kept, "{today} - {months} in {zone}");
            }
        }
        // There, no day had the date 2011-12-30.
        assert_eq!(first_kept("2011-12-31", 0, "Pacific/Apia"), "2011-12-31");
    }

    proptest! {
        /// Day by day: a day's records go exactly when the day on which they end is over.
        #[test]
        fn cutoffs_are_as_counted_by_hand(
            offset in 0i32..15_000, second in 0i64..86_400, months in 0u32..25,
            zone in prop::sample::select(vec!["UTC", "Asia/Shanghai", "America/New_York", "Europe/Berlin", "America/Sao_Paulo"]),
        ) {
            let zone = TimeZone::get(zone).unwrap();
            let today = date(2000, 1, 1).checked_add(offset.days()).unwrap();
            let now = zone.to_timestamp(today.to_datetime(Time::midnight())).unwrap() + second.seconds();
            let today = zone.to_datetime(now).date();
            // By hand: the month's number counted on, the day's number held to what that month has.
            let ends = |day: Date| {
                let month = i32::from(day.year()) * 12 + i32::from(day.month()) - 1 + months as i32;
                let first = date((month / 12) as i16, (month % 12 + 1) as i8, 1);
                date(first.year(), first.month(), day.day().min(first.days_in_month()))
            };
            let mut day = date(1997, 1, 1);
            while ends(day) < today {
                day = day.tomorrow().unwrap();
            }
            let expected = zone.to_timestamp(day.to_datetime(Time::midnight())).unwrap();
            prop_assert_eq!(cutoff(now, months, &zone), Some(expected));
        }
    }
}
