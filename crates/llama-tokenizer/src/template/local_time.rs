//! The date that templates may show.
//!
//! Owns [`LocalTime`] and its formatting. It deliberately reads no clock and knows no time zones: the caller passes the seconds, shifted
//! if local time is wanted.

/// A second of the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    seconds: i64,
    year: i64,
    month: u8,
    day: u8,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const SECONDS_PER_DAY: i64 = 86_400;

impl LocalTime {
    /// The date that many seconds after the start of 1970 (UTC; add the offset of the time zone for local time).
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Self {
        // Days are counted from 1 March of year 0, so that the leap day ends a year; 146097 days are 400 years. The method is
        // Howard Hinnant's `civil_from_days`.
        let days = seconds.div_euclid(SECONDS_PER_DAY) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = small(day_of_year - (153 * shifted_month + 2) / 5 + 1);
        let month = small(if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 });
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { seconds, year, month, day }
    }

    /// Formats as Python's `strftime` does on Linux in the C locale; `None` for a directive that is not implemented.
    pub(super) fn format(self, format: &str) -> Option<String> {
        let mut text = String::new();
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                text.push(character);
                continue;
            }
            match characters.next()? {
                '-' => {
                    let padded = self.directive(characters.next()?)?;
                    let bare = padded.trim_start_matches(['0', ' ']);
                    text.push_str(if bare.is_empty() { "0" } else { bare });
                }
                directive => text.push_str(&self.directive(directive)?),
            }
        }
        Some(text)
    }

    fn directive(self, directive: char) -> Option<String> {
        let of_day = self.seconds.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        Some(match directive {
            'Y' => self.year.to_string(),
            'y' => format!("{:02}", self.year.rem_euclid(100)),
            'm' => format!("{:02}", self.month),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:2}", self.day),
            'B' => self.month_name().to_owned(),
            'b' | 'h' => self.month_name()[..3].to_owned(),
            'A' => self.weekday_name().to_owned(),
            'a' => self.weekday_name()[..3].to_owned(),
            'j' => format!("{:03}", self.day_of_year()),
            'H' => format!("{hour:02}"),
            'I' => format!("{:02}", (hour + 11) % 12 + 1),
            'M' => format!("{minute:02}"),
            'S' => format!("{second:02}"),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'F' => format!("{}-{:02}-{:02}", self.year, self.month, self.day),
            'T' => format!("{hour:02}:{minute:02}:{second:02}"),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }

    fn month_name(self) -> &'static str {
        MONTHS[usize::from(self.month) - 1]
    }

    fn weekday_name(self) -> &'static str {
        // 1 January 1970 was a Thursday.
        let idx = (self.seconds.div_euclid(SECONDS_PER_DAY) + 4).rem_euclid(7);
        WEEKDAYS[usize::from(small(idx))]
    }

    fn day_of_year(self) -> u16 {
        const BEFORE_MONTH: [u16; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let is_leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let leap_day = u16::from(is_leap && self.month > 2);
        BEFORE_MONTH[usize::from(self.month) - 1] + u16::from(self.day) + leap_day
    }
}

fn small(number: i64) -> u8 {
    u8::try_from(number).expect("calendar arithmetic stays within a month or a week")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: i64, format: &str, expected: Option<&str>) {
        assert_eq!(
            LocalTime::from_unix_seconds(seconds).format(format).as_deref(),
            expected,
            "{seconds} {format}"
        );
    }

    // The expected texts are what Python 3.11 prints for datetime.fromtimestamp(seconds, UTC).
    #[test]
    fn as_python_formats() {
        check(0, "%A %d %B %Y %H:%M:%S", Some("Thursday 01 January 1970 00:00:00"));
        check(1_721_952_000, "%d %b %Y", Some("26 Jul 2024"));
        check(
            1_709_210_096,
            "%F %T %a %j %-d %-m %I%p %y %%",
            Some("2024-02-29 12:34:56 Thu 060 29 2 12PM 24 %"),
        );
        check(951_782_400, "%F %j", Some("2000-02-29 060"));
        check(-1, "%F %T", Some("1969-12-31 23:59:59"));
        check(4_102_444_800, "%F %A", Some("2100-01-01 Friday"));
        check(0, "%Q", None);
        check(0, "%", None);
    }
}
