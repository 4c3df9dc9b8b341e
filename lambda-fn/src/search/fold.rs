//! Words as a search compares them: without case, without accents, with single blanks.

/// Folds a text for comparison and keeps at most its first [`CHARS_MAX`] characters.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        if letter.is_whitespace() {
            if !folded.is_empty() && !folded.ends_with(' ') {
                folded.push(' ');
            }
        } else if !is_combining_mark(letter) {
            match base(letter) {
                Some(letters) => folded.push_str(letters),
                None => folded.push(letter),
            }
        }
    }
    folded.truncate(folded.trim_end().len());
    folded.char_indices().nth(CHARS_MAX).map(|(end, _)| end).into_iter().for_each(|end| folded.truncate(end));
    folded
}

/// Longer words are compared by their beginning only; no name is this long.
pub const CHARS_MAX: usize = 200;

fn is_combining_mark(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}')
}

/// The plain letters of a composed Latin one, lower case. Other scripts are compared as they are written.
fn base(letter: char) -> Option<&'static str> {
    if letter.is_ascii() {
        return None;
    }
    LATIN.iter().find(|(_, composed)| composed.contains(letter)).map(|(plain, _)| *plain)
}

const LATIN: &[(&str, &str)] = &[
    ("a", "àáâãäåāăąǎǟǡǻȁȃȧạảấầẩẫậắằẳẵặḁẚ"),
    ("ae", "æǣǽ"),
    ("b", "ḃḅḇƀɓ"),
    ("c", "çćĉċčḉƈ"),
    ("d", "ďđḋḍḏḑḓðɗ"),
    ("e", "èéêëēĕėęěȅȇȩẹẻẽếềểễệḕḗḙḛḝə"),
    ("f", "ḟƒ"),
    ("g", "ĝğġģǥǧǵḡ"),
    ("h", "ĥħȟḣḥḧḩḫẖ"),
    ("i", "ìíîïĩīĭįıǐȉȋỉịḭḯ"),
    ("ij", "ĳ"),
    ("j", "ĵǰ"),
    ("k", "ķǩḱḳḵƙ"),
    ("l", "ĺļľŀłḷḹḻḽ"),
    ("m", "ḿṁṃ"),
    ("n", "ñńņňŉŋǹṅṇṉṋ"),
    ("o", "òóôõöøōŏőơǒǫǭǿȍȏȫȭȯȱọỏốồổỗộớờởỡợṍṏṑṓ"),
    ("oe", "œ"),
    ("p", "ṕṗ"),
    ("r", "ŕŗřȑȓṙṛṝṟ"),
    ("s", "śŝşšșſṡṣṥṧṩ"),
    ("ss", "ß"),
    ("t", "ţťŧțṫṭṯṱẗ"),
    ("th", "þ"),
    ("u", "ùúûüũūŭůűųưǔǖǘǚǜȕȗụủứừửữựṳṵṷṹṻ"),
    ("v", "ṽṿ"),
    ("w", "ŵẁẃẅẇẉẘ"),
    ("x", "ẋẍ"),
    ("y", "ýÿŷȳẏẙỳỵỷỹ"),
    ("z", "źżžẑẓẕƶ"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_blanks_do_not_matter() {
        for (written, expected) in [
            ("Muñoz", "munoz"),
            ("Mun\u{303}oz", "munoz"),
            ("ŁUKASZ", "lukasz"),
            ("Straße", "strasse"),
            ("Nguyễn  Văn\tÁnh ", "nguyen van anh"),
            ("İpek", "ipek"),
            ("Ægir Þór", "aegir thor"),
            ("王小明", "王小明"),
            ("", ""),
        ] {
            assert_eq!(fold(written), expected, "{written:?}");
        }
    }

    #[test]
    fn a_word_without_end_is_cut_between_characters() {
        assert_eq!(fold(&"王".repeat(500)).chars().count(), CHARS_MAX);
    }
}
