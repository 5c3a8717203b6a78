//! Commands and their shapes.

use std::fmt;

/// A command's number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Command(pub u16);

/// The form of a command's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// No value.
    Nothing,
    /// An integer of this many bytes: 1, 2, 4, 8, 16, 32 or 64.
    Integer(usize),
    /// A length of this many bytes (1, 2, 4 or 8), then that many bytes.
    Bytes(usize),
}

impl Command {
    /// The form of this command's value. Bit 15 means that a string follows; bits 14 to 12 are the
    /// power of two of the integer's or length's width. `0111` and `11xx` have no value.
    #[inline]
    #[must_use]
    pub const fn shape(self) -> Shape {
        match self.0 >> 12 {
            power @ 0..=6 => Shape::Integer(1 << power),
            power @ 8..=11 => Shape::Bytes(1 << (power - 8)),
            _ => Shape::Nothing,
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_four_bits_give_the_shape() {
        let shapes: Vec<Shape> = (0..16).map(|top: u16| Command(top << 12).shape()).collect();
        let integers = [1, 2, 4, 8, 16, 32, 64].map(Shape::Integer);
        assert_eq!(shapes[..7], integers);
        assert_eq!(shapes[7], Shape::Nothing);
        assert_eq!(shapes[8..12], [1, 2, 4, 8].map(Shape::Bytes));
        assert_eq!(shapes[12..], [Shape::Nothing; 4]);
    }
}
