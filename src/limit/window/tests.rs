//! Windows against time that is walked through minute by minute.

use jiff::civil::DateTime;
use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a bundled zone")
}

/// The second of a civil time in UTC.
fn utc(text: &str) -> u64 {
    let at: DateTime = text.parse().expect("a civil time");
    u64::try_from(at.to_zoned(TimeZone::UTC).expect("in range").timestamp().as_second()).expect("after 1970")
}

fn unit_at(zone_name: &str, unit: Unit, unix: u64) -> Span {
    Calendar { unit, zone: zone(zone_name) }.unit_at(unix)
}

#[test]
fn a_part_is_a_sixtieth_in_whole_microseconds() {
    let rows = [
        (Duration::from_secs(60), 1_000_000_000),
        (Duration::from_secs(3_600), 60_000_000_000),
        (Duration::from_secs(1), 16_667_000),
        (Duration::from_micros(60), 1_000),
        (Duration::from_nanos(60_001), 2_000),
        (Duration::ZERO, 1_000),
    ];
    for (length, nanos) in rows {
        assert_eq!(part(length), nanos, "{length:?}");
    }
    let (endless, late) = (Window::Rolling(Duration::MAX), Time { steady: u64::MAX, unix: u64::MAX });
    assert!(!endless.end(endless.bucket(late)).is_past(Time::default()));
}

proptest! {
    /// A charge counts for the whole of the window's length after it, and for a part and a part's rounding more.
    #[test]
    fn a_charge_counts_for_the_length_and_at_most_a_part_more(
        steady in 0..2_000_000_000_000_000_000u64,
        nanos in 1..40_000_000_000_000_000u64,
    ) {
        let window = Window::Rolling(Duration::from_nanos(nanos));
        let part = part(Duration::from_nanos(nanos));
        let at = |steady| Time { steady, unix: 0 };
        let end = window.end(window.bucket(at(steady)));
        prop_assert!(!end.is_past(at(steady + nanos)));
        prop_assert!(end.is_past(at(steady + 61 * part)));
        let wait = end.after(at(steady)).expect("it is a matter of time");
        let wait = u64::try_from(wait.as_nanos()).expect("short");
        prop_assert!(!end.is_past(at(steady + wait - 1)));
        prop_assert!(end.is_past(at(steady + wait)));
    }
}

/// What the clocks of a zone show for a unit: two seconds are of one unit when this is the same for both.
fn shown(calendar: &Calendar, unix: u64) -> (i64, i64) {
    let at = Timestamp::from_second(unix.cast_signed()).expect("in range");
    let civil = calendar.zone.to_datetime(at);
    let date = civil.date();
    let days = date.since(jiff::civil::date(1970, 1, 1)).expect("in range").get_days();
    let days = i64::from(days);
    let months = i64::from(date.year()) * 12 + i64::from(date.month());
    match calendar.unit {
        Unit::Hour => (days * 24 + i64::from(civil.hour()), i64::from(calendar.zone.to_offset(at).seconds())),
        Unit::Day => (days, 0),
        // 1970-01-01 was a Thursday.
        Unit::Week => ((days + 3).div_euclid(7), 0),
        Unit::Month => (months, 0),
        Unit::Year => (i64::from(date.year()), 0),
    }
}

/// Walks from one second to another and finds where units begin: an hour where what is shown changes, any other unit
/// where a later one is shown than ever before.
fn begins(calendar: &Calendar, from: u64, to: u64, step: u64) -> Vec<u64> {
    let mut begins = Vec::new();
    let mut last = shown(calendar, from);
    for unix in (from..to).step_by(usize::try_from(step).expect("small")) {
        let new = shown(calendar, unix);
        if (calendar.unit == Unit::Hour && new != last) || new.0 > last.0 {
            begins.push(unix);
            last = new;
        }
    }
    begins
}

fn agrees(calendar: &Calendar, from: u64, to: u64, step: u64) {
    let begins = begins(calendar, from, to, step);
    assert!(begins.len() >= 2, "{calendar:?}: no unit to look at");
    for pair in begins.windows(2) {
        let (begin, end) = (pair[0], pair[1]);
        for unix in (begin..end).step_by(usize::try_from(step).expect("small")).chain([end - 1]) {
            let context = (calendar.unit, calendar.zone.iana_name(), unix);
            assert_eq!(calendar.unit_at(unix), Span { begin, end }, "{context:?}");
        }
    }
}

#[test]
fn hours_and_days_are_what_the_clocks_show() {
    let rows = [
        // Set forward and back in the night, by an hour and by half of one.
        ("Europe/Berlin", "2026-03-28T00:00", 3),
        ("Europe/Berlin", "2026-10-24T00:00", 3),
        ("Australia/Lord_Howe", "2026-04-03T00:00", 3),
        ("Australia/Lord_Howe", "2026-10-02T00:00", 3),
        // Days that begin in a gap, or whose first hour comes twice.
        ("America/Sao_Paulo", "2015-10-16T00:00", 4),
        ("America/Havana", "2026-03-07T00:00", 3),
        ("America/Havana", "2026-10-31T00:00", 3),
        ("Africa/Cairo", "2026-04-22T00:00", 4),
        ("Africa/Cairo", "2026-10-28T00:00", 4),
        // A minute after midnight, back over midnight: yesterday comes again.
        ("America/St_Johns", "2010-11-05T00:00", 4),
        ("America/St_Johns", "2010-03-12T00:00", 4),
        // A gap that ends at midnight.
        ("America/Nuuk", "2026-03-27T00:00", 4),
        // A date that was left out.
        ("Pacific/Apia", "2011-12-28T00:00", 5),
        ("Asia/Kathmandu", "2026-01-01T00:00", 3),
        ("UTC", "2026-02-27T00:00", 3),
    ];
    for (name, from, days) in rows {
        for unit in [Unit::Hour, Unit::Day] {
            let from = utc(from);
            agrees(&Calendar { unit, zone: zone(name) }, from, from + days * 86_400, 60);
        }
    }
}

#[test]
fn weeks_months_and_years_are_what_the_clocks_show() {
    for name in ["UTC", "Europe/Berlin", "America/Havana", "Pacific/Apia", "Asia/Kolkata"] {
        for (unit, years) in [(Unit::Week, 1), (Unit::Month, 2), (Unit::Year, 3)] {
            let from = utc("2010-12-15T00:00");
            agrees(&Calendar { unit, zone: zone(name) }, from, from + years * 366 * 86_400, 1_800);
        }
    }
}

#[test]
fn units_begin_and_end_where_they_should() {
    let rows = [
        ("UTC", Unit::Hour, "2026-03-28T10:59:59", "2026-03-28T10:00:00", "2026-03-28T11:00:00"),
        ("Europe/Berlin", Unit::Day, "2026-03-29T12:00:00", "2026-03-28T23:00:00", "2026-03-29T22:00:00"),
        ("Europe/Berlin", Unit::Day, "2026-10-25T12:00:00", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
        ("Europe/Berlin", Unit::Hour, "2026-10-25T00:30:00", "2026-10-25T00:00:00", "2026-10-25T01:00:00"),
        ("Europe/Berlin", Unit::Hour, "2026-10-25T01:30:00", "2026-10-25T01:00:00", "2026-10-25T02:00:00"),
        ("UTC", Unit::Week, "2026-03-29T23:59:59", "2026-03-23T00:00:00", "2026-03-30T00:00:00"),
        ("UTC", Unit::Week, "2026-03-30T00:00:00", "2026-03-30T00:00:00", "2026-04-06T00:00:00"),
        ("UTC", Unit::Month, "2028-02-29T12:00:00", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
        ("America/New_York", Unit::Month, "2027-01-01T04:59:59", "2026-12-01T05:00:00", "2027-01-01T05:00:00"),
        ("Asia/Tokyo", Unit::Year, "2026-12-31T15:00:00", "2026-12-31T15:00:00", "2027-12-31T15:00:00"),
    ];
    for (name, unit, at, begin, end) in rows {
        let expected = Span { begin: utc(begin), end: utc(end) };
        assert_eq!(unit_at(name, unit, utc(at)), expected, "{name} {unit:?} {at}");
    }
}

#[test]
fn the_ends_of_time_are_units_too() {
    for unit in [Unit::Hour, Unit::Day, Unit::Week, Unit::Month, Unit::Year] {
        let first = unit_at("Europe/Berlin", unit, 0);
        assert_eq!(first.begin, 0, "{unit:?}: what began before 1970 begins with it");
        assert!(first.end > 0);
        for beyond in [300_000_000_000, i64::MAX as u64, u64::MAX] {
            assert_eq!(unit_at("Europe/Berlin", unit, beyond), Span { begin: 0, end: u64::MAX });
        }
    }
}

#[test]
fn a_held_amount_ends_with_its_call() {
    let (window, late) = (Window::Held, Time { steady: u64::MAX, unix: u64::MAX });
    assert_eq!((window.bucket(late), window.end(0)), (0, End::Release));
    assert_eq!((End::Release.after(late), End::Release.is_past(late)), (None, false));
}
