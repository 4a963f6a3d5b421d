//! Whether it is off-peak: pure arithmetic on the time that is told.

use super::{OffPeak, Window};

const MINUTES_A_DAY: u64 = 24 * 60;

// === impl OffPeak ===

impl OffPeak {
    /// Whether its rates hold at a second since the Unix epoch, in UTC.
    pub fn holds_at(&self, unix_seconds: u64) -> bool {
        let minutes = unix_seconds / 60;
        let minute = u16::try_from(minutes % MINUTES_A_DAY).unwrap_or(0);
        let east = self.weekday_timezone.map_or(0, |zone| u64::from(zone.minutes()));
        // The first day was a Thursday.
        let days = (minutes + east) / MINUTES_A_DAY;
        let weekday = u8::try_from((days + 3) % 7 + 1).unwrap_or(1);
        self.windows.iter().any(|window| window.holds(weekday, minute))
    }
}

// === impl Window ===

impl Window {
    /// `weekday` is 1 on Mondays, `minute` one of the day in UTC.
    fn holds(&self, weekday: u8, minute: u16) -> bool {
        let within = |&(from, to): &(u16, u16)| {
            if to > from { from <= minute && minute < to } else { minute >= from || minute < to }
        };
        (self.weekdays.is_empty() || self.weekdays.contains(&weekday)) && self.hours_utc.iter().any(within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23, a Monday, 00:00 UTC.
    const MONDAY: u64 = 1_795_392_000;

    fn at(day: u64, hours: u64, minutes: u64) -> u64 {
        MONDAY + ((day * 24 + hours) * 60 + minutes) * 60
    }

    #[test]
    fn windows_are_of_the_day_and_of_the_week() {
        let working = Window { hours_utc: vec![(0, 60), (600, 0)], weekdays: vec![1, 2, 3, 4, 5] };
        let weekend = Window { hours_utc: vec![(0, 0)], weekdays: vec![6, 7] };
        let off_peak = OffPeak { windows: vec![working, weekend], ..OffPeak::default() };
        for (day, hours, minutes, holds) in [
            (0, 0, 0, true),
            (0, 0, 59, true),
            (0, 1, 0, false),
            (0, 9, 59, false),
            (0, 10, 0, true),
            (0, 23, 59, true),
            (4, 5, 0, false),
            (5, 5, 0, true),
            (6, 23, 59, true),
            (7, 5, 0, false),
        ] {
            assert_eq!(off_peak.holds_at(at(day, hours, minutes)), holds, "day {day} {hours}:{minutes}");
        }
        let beijing = OffPeak { weekday_timezone: "Asia/Shanghai".parse().ok(), ..off_peak };
        // Friday 16:30 UTC is Saturday in Shanghai, Sunday 16:30 UTC Monday.
        assert!(beijing.holds_at(at(4, 16, 30)), "and by the hours of working days");
        let weekend = OffPeak { windows: vec![Window { hours_utc: vec![(0, 0)], weekdays: vec![6, 7] }], ..beijing };
        assert!(weekend.holds_at(at(4, 16, 30)) && !weekend.holds_at(at(4, 15, 59)));
        assert!(!weekend.holds_at(at(6, 16, 30)) && weekend.holds_at(at(6, 15, 59)));
    }

    #[test]
    fn a_window_may_go_over_midnight() {
        let night = OffPeak {
            windows: vec![Window { hours_utc: vec![(16 * 60 + 30, 30)], weekdays: vec![] }],
            ..OffPeak::default()
        };
        assert!(night.holds_at(at(0, 16, 30)) && night.holds_at(at(0, 0, 29)));
        assert!(!night.holds_at(at(0, 16, 29)) && !night.holds_at(at(0, 0, 30)));
        assert!(!OffPeak::default().holds_at(0) && night.holds_at(0) && !night.holds_at(u64::MAX / 1000));
    }
}
