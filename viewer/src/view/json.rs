//! JSON into values, with a bound on what that may cost.

use serde_json::Value;

use super::reading::Trouble;

/// Values in one record. A parsed value takes some 200 bytes (measured: 3 million of them, 6 MB of text, took 600 MB),
/// so a bound on the text alone bounds nothing useful. The largest official example Patient has fewer than 300.
const VALUES_MAX: usize = 50_000;

/// Parses a whole document.
///
/// # Errors
/// [`Trouble::TooLarge`] beyond the bound, [`Trouble::Unreadable`] where it is no JSON.
pub fn parse(text: &[u8]) -> Result<Value, Trouble> {
    if values(text) > VALUES_MAX {
        return Err(Trouble::TooLarge);
    }
    serde_json::from_slice(text).map_err(|_| Trouble::Unreadable)
}

/// No fewer values than the text can hold: each but the first follows a comma, a colon or an opening bracket.
fn values(text: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b':' | b'[' | b'{' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_very_many_values_is_refused_before_it_is_parsed() {
        let check = |count: usize| parse(format!("[{}1]", "1,".repeat(count)).as_bytes());
        assert!(check(VALUES_MAX - 10).is_ok());
        assert_eq!(check(VALUES_MAX), Err(Trouble::TooLarge));
        assert_eq!(parse("[".repeat(VALUES_MAX).as_bytes()), Err(Trouble::TooLarge));
    }

    #[test]
    fn punctuation_inside_text_is_not_counted() {
        assert_eq!(values(br#"{"a,b":"[{:\",\\"}"#), 3);
        let photo = format!("{{\"data\":\"{}\"}}", ",".repeat(VALUES_MAX * 2));
        assert!(parse(photo.as_bytes()).is_ok());
    }
}
