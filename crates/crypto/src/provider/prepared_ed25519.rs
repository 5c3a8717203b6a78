//! Verification with Ed25519 (RFC 8032, section 5.1.7) by a key of which multiples are kept. `curve25519-dalek`
//! makes the multiples and has the scalars; `fiat-crypto` has the [field](super::field25519).
//!
//! ```text
//! R = s B - h A      s and h as windows of a few bits: each is one addition of a kept multiple of B or A
//! ```
//!
//! Everything here is public, so the time may depend on it.

use std::hint::black_box;
use std::sync::OnceLock;

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;

use super::field25519::{Element, Sum};
use super::sha512;

/// The multiples for a window of 8 bits: a scalar has 32 windows, and a multiple 120 bytes. They are 480 KiB for
/// each key, and as many for the base point.
const MULTIPLES: usize = 128;
/// The bits of a scalar, with those that are always zero.
const SCALAR_BITS: usize = 256;
/// A square root of -1.
const ROOT: [u8; 32] = [
    0xb0, 0xa0, 0x0e, 0x4a, 0x27, 0x1b, 0xee, 0xc4, 0x78, 0xe4, 0x2f, 0xad, 0x06, 0x18, 0x43, 0x2f,
    0xa7, 0xd7, 0xfb, 0x3d, 0x99, 0x00, 0x4d, 0x2b, 0x0b, 0xdf, 0xc1, 0x4f, 0x80, 0x24, 0x83, 0x2b,
];
/// The inverse of 2.
const HALF: [u8; 32] = [
    0xf7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f,
];
/// The constant d of the curve.
const D: [u8; 32] = [
    0xa3, 0x78, 0x59, 0x13, 0xca, 0x4d, 0xeb, 0x75, 0xab, 0xd8, 0x41, 0x41, 0x4d, 0x0a, 0x70, 0x00,
    0x98, 0xe8, 0x79, 0x77, 0x79, 0x40, 0xc7, 0x8c, 0x73, 0xfe, 0x6f, 0x2b, 0xee, 0x6c, 0x03, 0x52,
];

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
            negated: Multiples::of(-point),
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
        let base = BASE.get_or_init(|| Multiples::of(ED25519_BASEPOINT_POINT));
        let terms: Vec<_> = self.negated.terms(&h).chain(base.terms(&s)).collect();
        for (multiple, _) in &terms {
            multiple.fetch();
        }
        let mut sum = Point::NEUTRAL;
        for (multiple, is_negative) in terms {
            sum.add(multiple, is_negative);
        }
        sum.encoded() == *r
    }
}

/// Multiples of a point P. Row `i` has P, 2 P, …, 128 P, each times 256^i. A window has 256 values: one that is
/// greater than 128 is the negative multiple that is missing to the next window.
struct Multiples(Vec<Box<[Summand; MULTIPLES]>>);

impl Multiples {
    /// The bits of a window.
    const BITS: usize = 1 + MULTIPLES.ilog2() as usize;

    fn of(point: EdwardsPoint) -> Self {
        let mut first = point;
        let rows = (0..SCALAR_BITS.div_ceil(Self::BITS)).map(|_| {
            let (step, mut last) = (first, first);
            let row: [_; MULTIPLES] = std::array::from_fn(|at| {
                if at > 0 {
                    last += step;
                }
                last
            });
            first = last + last;
            Summand::of_row(&row)
        });
        Self(rows.collect())
    }

    /// The multiples whose sum is the point times a number, each with whether it is to be subtracted.
    fn terms<'a>(&'a self, number: &'a Scalar) -> impl Iterator<Item = (&'a Summand, bool)> {
        let windows = (0..).map(|place| window(number.as_bytes(), place * Self::BITS));
        let mut carry = 0;
        windows.zip(&self.0).filter_map(move |(window, row)| {
            let value = window % (2 * MULTIPLES) + carry;
            let is_negative = value > MULTIPLES;
            let size = if is_negative {
                2 * MULTIPLES - value
            } else {
                value
            };
            carry = usize::from(is_negative);
            let multiple = row.get(size.checked_sub(1)?)?;
            Some((multiple, is_negative))
        })
    }
}

/// At least 9 bits of a little-endian number, from this one on.
fn window(number: &[u8; 32], bit: usize) -> usize {
    let byte = |at| number.get(at).copied().map_or(0, usize::from);
    (byte(bit / 8) | byte(bit / 8 + 1) << 8) >> (bit % 8)
}

/// A point (x, y), as additions need it.
#[derive(Clone, Copy)]
struct Summand {
    /// (y + x) / 2.
    half_sum: Element,
    /// (y - x) / 2.
    half_difference: Element,
    /// d x y.
    product: Element,
}

impl Summand {
    /// Reads it into the cache of the processor. Additions take so long that each would wait for its own read.
    fn fetch(&self) {
        black_box(*self);
    }

    /// Points of the library, which gives y. Its sum with the point (i, 0), where i is a root of -1, has i x as y.
    fn of_row(points: &[EdwardsPoint; MULTIPLES]) -> Box<[Self; MULTIPLES]> {
        let [_, _, turn, ..] = EIGHT_TORSION;
        let ys = EdwardsPoint::compress_batch(points);
        let turned = EdwardsPoint::compress_batch(&points.map(|point| point + turn));
        let root = Element::from_bytes(ROOT);
        let d = Element::from_bytes(D);
        let half = Sum::from(&Element::from_bytes(HALF));
        let mut row = Box::new([Self::EMPTY; MULTIPLES]);
        for ((summand, y), turned) in row.iter_mut().zip(ys).zip(turned) {
            let y = Element::from_bytes(y.0);
            let x = Element::from_bytes(turned.0).times(&root);
            *summand = Self {
                half_sum: y.plus(&x).times(&half),
                half_difference: y.minus(&x).times(&half),
                product: x.times(&y).times(&d),
            };
        }
        row
    }

    const EMPTY: Self = Self {
        half_sum: Element::ZERO,
        half_difference: Element::ZERO,
        product: Element::ZERO,
    };
}

/// A point (x / z, y / z).
struct Point {
    x: Element,
    y: Element,
    z: Element,
    /// x y / z.
    t: Element,
}

impl Point {
    const NEUTRAL: Self = Self {
        x: Element::ZERO,
        y: Element::ONE,
        z: Element::ONE,
        t: Element::ZERO,
    };

    /// Adds a point or its negative (RFC 8032, section 5.1.4), with half of what the formulas name a to h. They
    /// hold for all points.
    fn add(&mut self, other: &Summand, is_negative: bool) {
        let (plus, minus) = match is_negative {
            true => (&other.half_difference, &other.half_sum),
            false => (&other.half_sum, &other.half_difference),
        };
        let a = self.y.minus(&self.x).times(&minus.into());
        let b = self.y.plus(&self.x).times(&plus.into());
        let c = self.t.times(&other.product);
        let d = &self.z;
        let (f, g): (Sum, Sum) = match is_negative {
            true => (d.plus(&c), d.minus(&c)),
            false => (d.minus(&c), d.plus(&c)),
        };
        let (e, h) = (b.minus(&a), b.plus(&a));
        self.x = e.times(&f);
        self.y = g.times(&h);
        self.z = f.times(&g);
        self.t = e.times(&h);
    }

    /// Its encoding (RFC 8032, section 5.1.2).
    fn encoded(&self) -> [u8; 32] {
        let inverse = self.z.inverse();
        let [x_first, ..] = self.x.times(&inverse).to_bytes();
        let mut encoded = self.y.times(&inverse).to_bytes();
        let [.., last] = &mut encoded;
        *last |= x_first << 7;
        encoded
    }
}
