//! Sizes and durations as people write them: `64MiB`, `30s`.

/// Why a text is no quantity; says what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}; write a whole number and a unit, such as {example}")]
pub struct QuantityError {
    text: String,
    what: &'static str,
    example: &'static str,
}

/// Reads `500ms`, `30s`, `5m`, `2h` or `7d` as milliseconds.
///
/// # Errors
/// [`QuantityError`] if the unit is missing or unknown, or the number does not fit.
pub fn parse_duration_ms(text: &str) -> Result<u64, QuantityError> {
    const UNITS: [(&str, u64); 5] =
        [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    parse(text, &UNITS).ok_or_else(|| refuse(text, "duration", "`30s`, `5m`, `2h` or `7d`"))
}

/// Reads `512B`, `64KiB`, `64MiB`, `1GiB`, `10kB`, `10MB` or `1GB` as bytes.
///
/// # Errors
/// [`QuantityError`] if the unit is missing or unknown, or the number does not fit.
pub fn parse_bytes(text: &str) -> Result<u64, QuantityError> {
    const UNITS: [(&str, u64); 9] = [
        ("B", 1),
        ("kB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    parse(text, &UNITS).ok_or_else(|| refuse(text, "size", "`4KiB`, `64MiB` or `1GiB`"))
}

/// A number of bytes with the largest binary unit that leaves at least one.
pub fn show_bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, size)| *size <= bytes) {
        Some((unit, size)) if bytes.is_multiple_of(*size) => format!("{} {unit}", bytes / size),
        Some((unit, size)) => format!("{:.1} {unit}", bytes as f64 / *size as f64),
        None => format!("{bytes} B"),
    }
}

/// A number of milliseconds in the largest unit that leaves at least one.
pub fn show_duration_ms(ms: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)];
    match UNITS.iter().find(|(_, size)| *size <= ms) {
        Some((unit, size)) if ms.is_multiple_of(*size) => format!("{} {unit}", ms / size),
        Some((unit, size)) => format!("{:.1} {unit}", ms as f64 / *size as f64),
        None => format!("{ms} ms"),
    }
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let (_, size) = units.iter().find(|(unit, _)| *unit == text[digits..].trim_start())?;
    number.checked_mul(*size)
}

fn refuse(text: &str, what: &'static str, example: &'static str) -> QuantityError {
    QuantityError { text: text.chars().take(40).collect(), what, example }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_whole_numbers_with_a_unit() {
        assert_eq!(parse_duration_ms("30s"), Ok(30_000));
        assert_eq!(parse_duration_ms("7 d"), Ok(604_800_000));
        assert_eq!(parse_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(parse_bytes("10kB"), Ok(10_000));
        for text in ["", "30", "s", "-1s", "1.5s", "30 sec", "99999999999999999d", "30S", "３s"] {
            assert!(parse_duration_ms(text).is_err(), "{text}");
        }
        for text in ["64", "64mib", "64M", "99999999TiB", "1e3B"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
        let error = parse_bytes("64M").unwrap_err().to_string();
        assert_eq!(
            error,
            "`64M` is not a size; write a whole number and a unit, such as `4KiB`, `64MiB` or `1GiB`"
        );
    }

    #[test]
    fn quantities_are_shown_short() {
        assert_eq!(show_bytes(64 << 20), "64 MiB");
        assert_eq!(show_bytes(1_500_000), "1.4 MiB");
        assert_eq!(show_bytes(12), "12 B");
        assert_eq!(show_duration_ms(90_000), "1.5 min");
        assert_eq!(show_duration_ms(604_800_000), "7 d");
    }
}
