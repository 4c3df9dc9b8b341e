//! Bytes of a text sixteen at a time: which of them matter, as bits.
//!
//! The crate `wide` says it in the processor's own words (SSE2 on x86-64, NEON on ARM, which all of them have).

use wide::u8x16;

/// Bytes that are looked at together.
pub(crate) const LANES: usize = 16;
/// Bytes of which [`Marks`] tell.
pub(crate) const BLOCK: usize = 64;

/// The last of the control characters, which stand in no string (RFC 8259 section 7).
const CONTROL_MAX: u8 = 0x1f;

/// A bit for each byte that ends a run of plain bytes inside a string: a quote, a backslash or a control character.
/// The lowest bit is the first byte's.
#[inline]
pub(crate) fn ends_run(bytes: &[u8; LANES]) -> u32 {
    let lanes = u8x16::new(*bytes);
    let is_control = lanes.min(u8x16::splat(CONTROL_MAX)).simd_eq(lanes);
    (is(lanes, b'"') | is(lanes, b'\\') | is_control).to_bitmask()
}

/// What shapes a text of JSON: a bit for each byte, the lowest for the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) quotes: u64,
    pub(crate) backslashes: u64,
    /// Brackets of both kinds that open.
    pub(crate) opens: u64,
    /// Brackets of both kinds that close.
    pub(crate) closes: u64,
}

/// Looks at one block.
#[inline]
pub(crate) fn marks(block: &[u8; BLOCK]) -> Marks {
    let mut marks = Marks::default();
    let (sixteens, _) = block.as_chunks::<LANES>();
    for (index, sixteen) in sixteens.iter().enumerate() {
        let lanes = u8x16::new(*sixteen);
        // One bit tells `[` from `{` and `]` from `}`.
        let brackets = lanes | u8x16::splat(b'{' ^ b'[');
        let bits = |lanes, byte| u64::from(is(lanes, byte).to_bitmask()) << (index * LANES);
        marks.quotes |= bits(lanes, b'"');
        marks.backslashes |= bits(lanes, b'\\');
        marks.opens |= bits(brackets, b'{');
        marks.closes |= bits(brackets, b'}');
    }
    marks
}

#[inline]
fn is(lanes: u8x16, byte: u8) -> u8x16 {
    lanes.simd_eq(u8x16::splat(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told_apart_wherever_it_lies() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                let mark = |is: bool| u64::from(is) << at;
                let expected = Marks {
                    quotes: mark(byte == b'"'),
                    backslashes: mark(byte == b'\\'),
                    opens: mark(matches!(byte, b'{' | b'[')),
                    closes: mark(matches!(byte, b'}' | b']')),
                };
                assert_eq!(marks(&block), expected, "{byte:#x} at {at}");
                let ends = matches!(byte, b'"' | b'\\' | ..=CONTROL_MAX);
                let (sixteens, _) = block.as_chunks::<LANES>();
                assert_eq!(ends_run(&sixteens[at / LANES]), u32::from(ends) << (at % LANES), "{byte:#x}");
            }
        }
    }
}
