//! Numbers with units, as they are typed and as they are read.
use std::{ops::Range, time::Duration};

/// The longest latency: a dial gives up after 10 s, so nothing longer ever connects.
const LATENCY_MAX: Duration = Duration::from_secs(10);
/// Virtual time is counted in nanoseconds; a century is enough.
const TIME_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A number and a unit: `80ms`, `1.5s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("min", 60_000_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let text = text.trim();
    if text.starts_with('-') {
        return Err(format!("{text} is negative: time only passes forwards"));
    }
    let unknown = || format!("{text:?} is no time: a number and a unit, such as 80ms or 60s");
    let (number, unit) =
        UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).ok_or_else(unknown)?;
    let nanos = scaled(number, unit).ok_or_else(unknown)?;
    let time = Duration::from_nanos(u64::try_from(nanos).map_err(|_| unknown())?);
    if time > TIME_MAX { Err(format!("{text} is longer than a century")) } else { Ok(time) }
}

/// The latencies of links: `5ms..80ms`, or one that all have.
pub(super) fn latency(text: &str) -> Result<Range<Duration>, String> {
    let (from, to) = match text.split_once("..") {
        Some((from, to)) => (duration(from)?, duration(to)?),
        None => (duration(text)?, duration(text)?),
    };
    if from > to {
        return Err(peerage_sim::SimError::Latency { from, to }.to_string());
    }
    if to > LATENCY_MAX {
        return Err(format!("{} is too long: a dial is given up after 10 s", time(to)));
    }
    Ok(from..to)
}

/// A share of links that fail every second, in millionths: `0.1%/s`.
pub(super) fn loss(text: &str) -> Result<u32, String> {
    let number = text.trim();
    if number.starts_with('-') {
        return Err(format!("{number} is negative: links fail, or they do not"));
    }
    let number = number.strip_suffix("/s").unwrap_or(number);
    let number = number.strip_suffix('%').ok_or("a share of the links in a second, such as 0.1%/s")?;
    let millionths = scaled(number, 10_000).ok_or("a share of the links in a second, such as 0.1%/s")?;
    match u32::try_from(millionths) {
        Ok(millionths) if millionths <= 1_000_000 => Ok(millionths),
        _ => Err("more than all links cannot fail: at most 100%/s".into()),
    }
}

/// Bytes: `256`, `64KiB`, `3GiB`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 5] =
        [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)];
    let text = text.trim();
    let unit = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)));
    let (number, unit) = unit.unwrap_or((text, 1));
    let bytes = scaled(number, unit).and_then(|bytes| u64::try_from(bytes).ok());
    bytes.ok_or_else(|| format!("{text:?} is no number of bytes: such as 256 or 64KiB"))
}

/// A decimal number times a unit, in integers; what is smaller than 1 is cut off.
fn scaled(number: &str, unit: u64) -> Option<u128> {
    let (whole, part) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 18;
    if whole.is_empty() || !digits(whole) || !digits(part) {
        return None;
    }
    let value: u128 = format!("{whole}{part}").parse().ok()?;
    Some(value * u128::from(unit) / 10_u128.pow(part.len() as u32))
}

/// Short, and without a loss if it has at most three digits behind the point.
pub(super) fn time(time: Duration) -> String {
    let nanos = time.as_nanos();
    let (unit, name) = match nanos {
        0..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "us"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let part = format!("{:03}", nanos % unit * 1_000 / unit);
    match part.trim_end_matches('0') {
        "" => format!("{}{name}", nanos / unit),
        part => format!("{}.{part}{name}", nanos / unit),
    }
}
/// A share in millionths, as [`loss`] reads it.
pub(super) fn share(per_million: u32) -> String {
    let part = format!("{:04}", per_million % 10_000);
    match part.trim_end_matches('0') {
        "" => format!("{}%/s", per_million / 10_000),
        part => format!("{}.{part}%/s", per_million / 10_000),
    }
}
/// `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
/// `312.4 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{value:.1} {}", UNITS.get(unit).unwrap_or(&"")),
    }
}
/// `1 message`, `2 messages`.
pub(super) fn many(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for text in ["0ns", "5ms", "80ms", "1.5s", "60s", "2.25us"] {
            assert_eq!(time(duration(text).unwrap()), text);
        }
        assert_eq!(duration("2min"), duration("120s"));
        assert_eq!(duration("1h"), duration("3600s"));
        for text in ["", "5", "ms", "5 parsecs", "1.2.3s", "0x5s", "99999999999999999999s", "5e3s", "+5s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("-5ms"), Err("-5ms is negative: time only passes forwards".into()));
    }
    #[test]
    fn latencies_shares_and_sizes_are_read_and_what_cannot_be_is_explained() {
        assert_eq!(latency("5ms..80ms"), Ok(Duration::from_millis(5)..Duration::from_millis(80)));
        assert_eq!(latency("63ms").unwrap().start, latency("63ms").unwrap().end);
        let reason = |text| latency(text).unwrap_err();
        assert_eq!(reason("80ms..5ms"), "latencies from 80ms to 5ms: the shorter comes first");
        assert!(reason("-5ms..80ms").contains("negative") && reason("5ms..-1s").contains("negative"));
        assert!(reason("5ms..11s").contains("a dial is given up after 10 s"));
        assert_eq!((loss("0.1%/s"), loss("100%"), loss("0.0001%/s")), (Ok(1_000), Ok(1_000_000), Ok(1)));
        assert_eq!(share(1_000), "0.1%/s");
        assert!(loss("100.1%/s").unwrap_err().contains("at most 100%/s") && loss("0.1").is_err());
        assert_eq!((bytes("256"), bytes("64KiB"), bytes("1.5GiB")), (Ok(256), Ok(65_536), Ok(3 << 29)));
        assert!(bytes("-1").is_err() && bytes("many").is_err());
        assert_eq!(
            (count(1_234_567), count(12), size(1536)),
            ("1,234,567".into(), "12".into(), "1.5 KiB".into())
        );
    }
}
