//! Dates in `Expires`, read by the algorithm that browsers use (RFC 6265, section 5.1.1).

/// Unix time in seconds. `None` where a browser would ignore the attribute.
pub fn parse_cookie_date(text: &[u8]) -> Option<i64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(|b| is_delimiter(*b)).filter(|token| !token.is_empty()) {
        if time.is_none()
            && let Some(found) = parse_time(token)
        {
            time = Some(found);
        } else if day.is_none()
            && let Some(found) = number(token, 1..=2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = parse_month(token)
        {
            month = Some(found);
        } else if year.is_none()
            && let Some(found) = number(token, 2..=4)
        {
            year = Some(found);
        }
    }
    let year = match year? {
        short @ 70..=99 => short + 1900,
        short @ 0..=69 => short + 2000,
        full => full,
    };
    let ((hour, minute, second), day, month) = (time?, day?, month?);
    if !(1..=31).contains(&day) || year < 1601 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, 0x09 | 0x20..=0x2f | 0x3b..=0x40 | 0x5b..=0x60 | 0x7b..=0x7e)
}

/// A token that begins with a number of so many digits, followed by no further digit.
fn number(token: &[u8], digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let count = token.iter().take_while(|b| b.is_ascii_digit()).count();
    let text = token.get(..count).filter(|_| digits.contains(&count))?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn parse_time(token: &[u8]) -> Option<(i64, i64, i64)> {
    let mut fields = token.splitn(3, |b| *b == b':');
    let exact = |field: &[u8]| field.iter().all(u8::is_ascii_digit).then(|| number(field, 1..=2)).flatten();
    let (hour, minute) = (exact(fields.next()?)?, exact(fields.next()?)?);
    Some((hour, minute, number(fields.next()?, 1..=2)?))
}

fn parse_month(token: &[u8]) -> Option<i64> {
    let name = token.get(..3)?;
    let months: [&[u8]; 12] =
        [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
    let position = months.iter().position(|month| month.eq_ignore_ascii_case(name))?;
    i64::try_from(position + 1).ok()
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in 400-year cycles that begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let cycle = year.div_euclid(400);
    let year_of_cycle = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    cycle * 146_097 + day_of_cycle - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_browsers_do() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 01-Jan-1970 00:00:01 GMT", Some(1)),
            ("Thursday, 01-Jan-70 00:00:00 GMT", Some(0)),
            ("Thu Jan  1 00:00:00 1970", Some(0)),
            ("Wed, 09 Jun 2038 10:18:14 GMT", Some(2_159_691_494)),
            ("29 Feb 2024 23:59:59", Some(1_709_251_199)),
            ("2038 Jun 09 10:18:14", Some(2_159_691_494)),
            ("1 january 69 0:0:0", Some(3_124_224_000)),
            ("Thu, 01 Jan 1600 00:00:00 GMT", None),
            ("Thu, 01 Jan 1970 24:00:00 GMT", None),
            ("Thu, 01 Jan 1970", None),
            ("0", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(parse_cookie_date(text.as_bytes()), seconds, "{text}");
        }
    }
}
