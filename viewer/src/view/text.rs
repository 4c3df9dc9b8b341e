//! Text from a record, made fit to be read: nothing in it can hide, reorder or flood what stands beside it.

/// Longer values are cut, visibly: names and addresses never come near, and the page stays usable.
pub const CHARS_MAX: usize = 4096;

/// Stands for a character that is not shown (U+FFFD, the standard's own sign for it).
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// The text with line breaks as spaces, with control and reordering characters made visible, and cut if overlong.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut shown: String = text.chars().take(CHARS_MAX).map(visible).collect();
    if shown.len() < text.len() {
        let count = text.chars().count();
        if count > CHARS_MAX {
            shown.push_str(&format!("… (cut here: the record holds {count} characters)"));
        }
    }
    shown
}

fn visible(character: char) -> char {
    match character {
        '\t' | '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
        // Embeddings, overrides and isolates can show a name or number in another order than it is stored.
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => REPLACEMENT,
        // Invisible: two values that differ would look the same.
        '\u{200B}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}' => REPLACEMENT,
        other if other.is_control() => REPLACEMENT,
        other => other,
    }
}
