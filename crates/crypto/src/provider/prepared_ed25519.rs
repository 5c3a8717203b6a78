//! Verification with Ed25519 (RFC 8032, section 5.1.7) by a key of which multiples are kept, by `curve25519-dalek`.
//!
//! ```text
//! R = s B - h A      s and h as windows of a few bits: each is one addition of a kept multiple of B or A
//! ```
//!
//! Everything here is public, so the time may depend on it.

use std::sync::OnceLock;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;

use super::sha512;

/// The bits of a window of `h`: 52 windows of 16 multiples of 160 bytes, 130 KiB for each key.
const KEY_BITS: usize = 5;
/// The bits of a window of `s`: 43 windows of 32 multiples, 215 KiB for all keys.
const BASE_BITS: usize = 6;
/// The bits of a scalar, with those that are always zero.
const SCALAR_BITS: usize = 256;

/// The multiples of the base point, once they were needed.
static BASE: OnceLock<Multiples> = OnceLock::new();

/// A public key with multiples of its point.
pub(crate) struct PreparedEd25519 {
    public: [u8; 32],
    /// Multiples of the negated point.
    negated: Multiples,
}

impl PreparedEd25519 {
    /// Prepares a key; `None` if it does not encode a point, or not in its one encoding, so that it verifies
    /// nothing.
    pub(crate) fn prepare(public: &[u8; 32]) -> Option<Self> {
        let encoded = CompressedEdwardsY(*public);
        let point = encoded.decompress()?;
        (point.compress() == encoded).then(|| Self {
            public: *public,
            negated: Multiples::of(-point, KEY_BITS),
        })
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let (Some(r), Some(s)) = (signature.first_chunk::<32>(), signature.last_chunk::<32>())
        else {
            return false;
        };
        let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(*s)) else {
            return false;
        };
        let hash = sha512(&[r.as_slice(), &self.public, message].concat());
        let h = Scalar::from_bytes_mod_order_wide(&hash);
        let base = BASE.get_or_init(|| Multiples::of(ED25519_BASEPOINT_POINT, BASE_BITS));
        let mut sum = EdwardsPoint::identity();
        self.negated.add(&h, &mut sum);
        base.add(&s, &mut sum);
        sum.compress().as_bytes() == r
    }
}

/// Multiples of a point P. Row `i` has P, 2 P, 3 P, … times 2^(`bits` `i`), as many as half of the values of a
/// window: a greater value is the negative multiple that is missing to the next window.
struct Multiples {
    bits: usize,
    rows: Vec<Box<[EdwardsPoint]>>,
}

impl Multiples {
    fn of(point: EdwardsPoint, bits: usize) -> Self {
        let mut first = point;
        let rows = (0..SCALAR_BITS.div_ceil(bits)).map(|_| {
            let multiples = std::iter::successors(Some(first), |multiple| Some(multiple + first));
            let row: Box<[_]> = multiples.take(1 << (bits - 1)).collect();
            let last = row.last().copied().unwrap_or(first);
            first = last + last;
            row
        });
        Self {
            bits,
            rows: rows.collect(),
        }
    }

    /// Adds a multiple of the point.
    fn add(&self, scalar: &Scalar, sum: &mut EdwardsPoint) {
        let values = 1 << self.bits;
        let mut carry = 0;
        for (place, row) in self.rows.iter().enumerate() {
            let value = window(scalar.as_bytes(), place * self.bits) % values + carry;
            let is_negative = value > values / 2;
            let size = if is_negative { values - value } else { value };
            carry = usize::from(is_negative);
            let multiple = size.checked_sub(1).and_then(|at| row.get(at));
            match multiple {
                Some(multiple) if is_negative => *sum -= multiple,
                Some(multiple) => *sum += multiple,
                None => {}
            }
        }
    }
}

/// At least 9 bits of a little-endian number, from this one on.
fn window(number: &[u8; 32], bit: usize) -> usize {
    let byte = |at| number.get(at).copied().map_or(0, usize::from);
    (byte(bit / 8) | byte(bit / 8 + 1) << 8) >> (bit % 8)
}
