//! The integers modulo 2^255 - 19, by `fiat-crypto`: its code is generated with a proof that it computes what it
//! says, and its types keep apart what was reduced and what was only added.

use fiat_crypto::curve25519_64::{
    fiat_25519_add, fiat_25519_carry_mul, fiat_25519_carry_square, fiat_25519_from_bytes,
    fiat_25519_loose_field_element as Loose, fiat_25519_sub,
    fiat_25519_tight_field_element as Tight, fiat_25519_to_bytes,
};

const LIMBS: [u64; 5] = [0; 5];

/// A number.
#[derive(Clone, Copy)]
pub(super) struct Element(Tight);

/// The sum or difference of two numbers, which can be multiplied, or reduced to a number.
#[derive(Clone, Copy)]
pub(super) struct Sum(Loose);

impl Element {
    pub(super) const ZERO: Self = Self(Tight(LIMBS));
    pub(super) const ONE: Self = Self(Tight([1, 0, 0, 0, 0]));

    /// The number of 255 bits, little-endian. The last bit is ignored.
    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        let (mut bytes, mut number) = (bytes, Tight(LIMBS));
        let [.., last] = &mut bytes;
        *last &= 0x7f;
        fiat_25519_from_bytes(&mut number, &bytes);
        Self(number)
    }

    /// The number in its one encoding.
    pub(super) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        fiat_25519_to_bytes(&mut bytes, &self.0);
        bytes
    }

    #[inline]
    pub(super) fn plus(&self, other: &Self) -> Sum {
        let mut sum = Loose(LIMBS);
        fiat_25519_add(&mut sum, &self.0, &other.0);
        Sum(sum)
    }

    #[inline]
    pub(super) fn minus(&self, other: &Self) -> Sum {
        let mut difference = Loose(LIMBS);
        fiat_25519_sub(&mut difference, &self.0, &other.0);
        Sum(difference)
    }

    #[inline]
    pub(super) fn times(&self, other: &Self) -> Self {
        Sum::from(self).times(&other.into())
    }

    /// The number squared so many times.
    fn squared(&self, times: u32) -> Self {
        let mut number = self.0;
        for _ in 0..times {
            let base = Loose(number.0);
            fiat_25519_carry_square(&mut number, &base);
        }
        Self(number)
    }

    /// The multiplicative inverse, 0 for 0: the number to the power of 2^255 - 21 (Fermat).
    pub(super) fn inverse(&self) -> Self {
        let to_2 = self.squared(1);
        let to_9 = to_2.squared(2).times(self);
        let to_11 = to_9.times(&to_2);
        // Each is the number to the power of 2^n - 1.
        let ones_5 = to_11.squared(1).times(&to_9);
        let ones_10 = ones_5.squared(5).times(&ones_5);
        let ones_20 = ones_10.squared(10).times(&ones_10);
        let ones_40 = ones_20.squared(20).times(&ones_20);
        let ones_50 = ones_40.squared(10).times(&ones_10);
        let ones_100 = ones_50.squared(50).times(&ones_50);
        let ones_200 = ones_100.squared(100).times(&ones_100);
        let ones_250 = ones_200.squared(50).times(&ones_50);
        ones_250.squared(5).times(&to_11)
    }
}

impl Sum {
    #[inline]
    pub(super) fn times(&self, other: &Self) -> Element {
        let mut product = Tight(LIMBS);
        fiat_25519_carry_mul(&mut product, &self.0, &other.0);
        Element(product)
    }
}

impl From<&Element> for Sum {
    #[inline]
    fn from(number: &Element) -> Self {
        Self(Loose(number.0.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_times_its_inverse_is_one(bytes in any::<[u8; 32]>()) {
            let number = Element::from_bytes(bytes);
            let is_zero = number.to_bytes() == [0; 32];
            let one = if is_zero { Element::ZERO } else { Element::ONE };
            prop_assert_eq!(number.times(&number.inverse()).to_bytes(), one.to_bytes());
        }
    }

    #[test]
    fn the_inverse_of_zero_is_zero_also_if_it_is_encoded_as_the_modulus() {
        let mut modulus = [0xff; 32];
        (modulus[0], modulus[31]) = (0xed, 0x7f);
        for zero in [[0; 32], modulus] {
            let zero = Element::from_bytes(zero);
            assert_eq!(zero.to_bytes(), [0; 32]);
            assert_eq!(zero.inverse().to_bytes(), [0; 32]);
        }
    }
}
