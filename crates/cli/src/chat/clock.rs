//! The time of day, where the reader is: the zone of `TZ` or `/etc/localtime`, read as TZif (RFC 9636) or as POSIX writes
//! it; UTC if there is none.
use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// The largest file of a zone that is read.
const ZONE_MAX: usize = 64 << 10;
const DAY: i64 = 86_400;

/// A clock on the wall.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Zone);

#[derive(Clone, Debug, Default)]
enum Zone {
    #[default]
    Utc,
    File(Vec<u8>),
    Rule(String),
}

impl Clock {
    /// In the zone of this process.
    pub(crate) fn local() -> Self {
        let zone = match std::env::var("TZ") {
            Ok(tz) if !tz.is_empty() => {
                let name = tz.strip_prefix(':').unwrap_or(&tz);
                let file = Path::new("/usr/share/zoneinfo").join(name);
                read(&file).map(Zone::File).unwrap_or(Zone::Rule(name.to_owned()))
            }
            _ => read(Path::new("/etc/localtime")).map(Zone::File).unwrap_or_default(),
        };
        Self(zone)
    }

    /// `09:41`.
    pub(crate) fn hours_and_minutes(&self) -> String {
        #[allow(clippy::disallowed_methods, reason = "shown to a person, and decides nothing")]
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.at(i64::try_from(unix).unwrap_or(0))
    }

    fn at(&self, unix: i64) -> String {
        let offset = match &self.0 {
            Zone::Utc => None,
            Zone::File(file) => offset_in_file(file, unix),
            Zone::Rule(rule) => offset_by_rule(rule, unix),
        };
        let seconds = unix.saturating_add(offset.unwrap_or(0)).rem_euclid(DAY);
        format!("{:02}:{:02}", seconds / 3600, seconds / 60 % 60)
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok().filter(|file| file.starts_with(b"TZif") && file.len() <= ZONE_MAX)
}

/// The offset that a TZif file gives for a moment.
fn offset_in_file(file: &[u8], unix: i64) -> Option<i64> {
    let first = Block::of(file, 4)?;
    let block = if *file.get(4)? >= b'2' { Block::of(file.get(first.len()?..)?, 8)? } else { first };
    let after = block.times.chunks_exact(block.width).take_while(|time| number(time) <= unix).count();
    if after == block.count {
        let footer = block.rest.strip_prefix(b"\n").and_then(|rest| rest.split(|c| *c == b'\n').next());
        let rule = footer.and_then(|rule| std::str::from_utf8(rule).ok()).filter(|rule| !rule.is_empty());
        if let Some(offset) = rule.and_then(|rule| offset_by_rule(rule, unix)) {
            return Some(offset);
        }
    }
    let kind = match after.checked_sub(1) {
        Some(last) => usize::from(*block.kinds.get(last)?),
        None => 0,
    };
    Some(number(block.types.get(kind * 6..)?.get(..4)?))
}

struct Block<'a> {
    width: usize,
    count: usize,
    times: &'a [u8],
    kinds: &'a [u8],
    types: &'a [u8],
    rest: &'a [u8],
    start: &'a [u8],
}
impl<'a> Block<'a> {
    /// `width`: bytes of a moment.
    fn of(start: &'a [u8], width: usize) -> Option<Self> {
        let header = start.get(20..44)?;
        let mut counts = [0_usize; 6];
        for (count, bytes) in counts.iter_mut().zip(header.chunks_exact(4)) {
            *count = usize::try_from(number(bytes)).ok().filter(|count| *count <= ZONE_MAX)?;
        }
        let [utc, standard, leaps, times, types, chars] = counts;
        let (first, rest) = start.get(44..)?.split_at_checked(times * width)?;
        let (kinds, rest) = rest.split_at_checked(times)?;
        let (types, rest) = rest.split_at_checked(types * 6)?;
        let rest = rest.get(chars + leaps * (width + 4) + standard + utc..)?;
        Some(Self { width, count: times, times: first, kinds, types, rest, start })
    }
    fn len(&self) -> Option<usize> {
        self.start.len().checked_sub(self.rest.len())
    }
}

/// Big-endian, signed.
fn number(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    bytes.iter().fold(if negative { -1 } else { 0 }, |number, byte| number << 8 | i64::from(*byte))
}

/// The offset that a rule such as `CET-1CEST,M3.5.0,M10.5.0/3` gives for a moment.
fn offset_by_rule(rule: &str, unix: i64) -> Option<i64> {
    let mut rest = rule;
    name(&mut rest)?;
    let standard = -time(&mut rest)?;
    if rest.is_empty() {
        return Some(standard);
    }
    name(&mut rest)?;
    let summer = if rest.starts_with(',') { standard + 3600 } else { -time(&mut rest)? };
    let mut dates = rest.strip_prefix(',')?.split(',');
    let year = year_of(unix.saturating_add(standard));
    let begin = date(dates.next()?, year)? - standard;
    let end = date(dates.next()?, year)? - summer;
    let is_summer = if begin < end { (begin..end).contains(&unix) } else { !(end..begin).contains(&unix) };
    Some(if is_summer { summer } else { standard })
}

/// Letters, or anything between `<` and `>`.
fn name(rest: &mut &str) -> Option<()> {
    let len = if rest.starts_with('<') {
        rest.find('>')? + 1
    } else {
        rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len())
    };
    *rest = rest.get(len..)?;
    (len >= 3).then_some(())
}
/// `[+-]hh[:mm[:ss]]`, in seconds.
fn time(rest: &mut &str) -> Option<i64> {
    let len = rest.find(|c: char| !c.is_ascii_digit() && !"+-:".contains(c)).unwrap_or(rest.len());
    let (text, after) = rest.split_at_checked(len)?;
    *rest = after;
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut seconds = 0;
    for (part, unit) in text.splitn(3, ':').zip([3600, 60, 1]) {
        seconds += part.parse::<i64>().ok().filter(|part| (0..=167).contains(part))? * unit;
    }
    Some(sign * seconds)
}
/// `Mm.w.d[/time]`, `Jn` or `n`: the moment in that year, as if it were in UTC.
fn date(text: &str, year: i64) -> Option<i64> {
    let (day, at) = text.split_once('/').unwrap_or((text, "2"));
    let at = time(&mut { at })?;
    let january = days_before(year);
    let day = if let Some(rule) = day.strip_prefix('M') {
        let mut parts =
            rule.split('.').map(|part| part.parse::<i64>().ok().filter(|part| (0..=12).contains(part)));
        let (month, week, weekday) = (parts.next()??, parts.next()??, parts.next()??);
        let first = january + (1..month).map(|month| days_in(year, month)).sum::<i64>();
        // Day 0 was a Thursday.
        let offset = (weekday - (first + 4)).rem_euclid(7);
        let mut day = offset + 7 * (week - 1);
        while day >= days_in(year, month) {
            day -= 7;
        }
        first + day
    } else if let Some(day) = day.strip_prefix('J') {
        let day = day.parse::<i64>().ok().filter(|day| (1..=365).contains(day))?;
        january + day - 1 + i64::from(days_in(year, 2) == 29 && day > 59)
    } else {
        january + day.parse::<i64>().ok().filter(|day| (0..=365).contains(day))?
    };
    Some(day * DAY + at)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}
/// Days from 1970 to the first of January.
fn days_before(year: i64) -> i64 {
    let y = year - 1;
    (year - 1970) * 365 + (y / 4 - 492) - (y / 100 - 19) + (y / 400 - 4)
}
fn year_of(unix: i64) -> i64 {
    let days = unix.div_euclid(DAY);
    let mut year = 1970 + days / 366;
    while days_before(year + 1) <= days {
        year += 1;
    }
    year
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_posix_are_followed() {
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        let cases = [
            (berlin, 1_774_745_999, 3600), // 2026-03-29 00:59:59 UTC
            (berlin, 1_774_746_000, 7200), // 01:00:00
            (berlin, 1_792_889_999, 7200), // 2026-10-25 00:59:59 UTC
            (berlin, 1_792_890_000, 3600), // 01:00:00
            ("EST5EDT,M3.2.0,M11.1.0", 1_780_000_000, -14_400),
            ("EST5EDT,M3.2.0,M11.1.0", 1_767_225_600, -18_000),
            ("AEST-10AEDT,M10.1.0,M4.1.0/3", 1_767_225_600, 39_600), // January is summer
            ("AEST-10AEDT,M10.1.0,M4.1.0/3", 1_780_000_000, 36_000),
            ("<+0545>-5:45", 0, 20_700),
            ("UTC0", 0, 0),
            ("<-03>3", 0, -10_800),
        ];
        for (rule, unix, offset) in cases {
            assert_eq!(offset_by_rule(rule, unix), Some(offset), "{rule} at {unix}");
        }
        for bad in ["", "X", "CET", "CET-1CEST", "CET-1CEST,M3", "CET-1CEST,M3.5.0,M99.5.0", "CET-999"] {
            assert_eq!(offset_by_rule(bad, 0), None, "{bad}");
        }
    }

    /// Two transitions, at 1000 and 2000, then the rule in the footer.
    fn file(footer: &str) -> Vec<u8> {
        let block = |wide: bool| {
            let mut bytes = b"TZif2".to_vec();
            bytes.extend([0; 15]);
            for count in [0_u32, 0, 0, 2, 2, 4] {
                bytes.extend(count.to_be_bytes());
            }
            for time in [1000_i64, 2000] {
                let time = time.to_be_bytes();
                bytes.extend(if wide { &time[..] } else { &time[4..] });
            }
            bytes.extend([1, 0]);
            for offset in [60_i32, -120] {
                bytes.extend(offset.to_be_bytes());
                bytes.extend([0, 0]);
            }
            bytes.extend(b"ABC\0");
            bytes
        };
        [block(false), block(true), format!("\n{footer}\n").into_bytes()].concat()
    }

    #[test]
    fn files_are_read_and_cut_off_ones_are_not() {
        for (unix, offset) in [(0, 60), (999, 60), (1000, -120), (1999, -120), (2000, 3600)] {
            assert_eq!(offset_in_file(&file("CET-1"), unix), Some(offset), "{unix}");
        }
        assert_eq!(offset_in_file(&file(""), 5000), Some(60), "no rule: the last transition holds");
        let whole = file("CET-1");
        for len in 0..whole.len() {
            let _ = offset_in_file(&whole[..len], 1500);
        }
        let mut wild = whole.clone();
        wild.iter_mut().skip(20).for_each(|byte| *byte = 0xff);
        assert_eq!(offset_in_file(&wild, 0), None);
    }

    #[test]
    fn the_time_is_that_of_the_zone() {
        let at = |zone| Clock(zone).at(1_780_000_000); // 20:26:40 UTC
        assert_eq!(at(Zone::Utc), "20:26");
        assert_eq!(at(Zone::Rule("CET-1CEST,M3.5.0,M10.5.0/3".into())), "22:26");
        assert_eq!(at(Zone::Rule("nonsense".into())), "20:26");
        assert_eq!(Clock::local().hours_and_minutes().len(), 5);
    }
}
