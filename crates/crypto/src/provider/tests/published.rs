//! Published vectors, on both providers.

use data_encoding::HEXLOWER;

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
}

macro_rules! published_vectors {
    ($provider:ident) => {
        mod $provider {
            use super::bytes;
            use crate::provider::AeadCipher;
            use crate::provider::$provider::*;

            /// FIPS 180-4 and FIPS 202, the message "abc".
            #[test]
            fn digests_are_as_published() {
                let mut state = Sha256State::new();
                state.update(b"abc");
                let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
                assert_eq!(state.finish(), bytes(sha256));
                let published = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                              2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
                assert_eq!(sha512(b"abc"), bytes(published));
                let sha3 = "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532";
                assert_eq!(sha3_256(&[b"a", b"bc"]), bytes(sha3));
            }

            /// RFC 4231, section 4.3; RFC 2202, section 3, case 2.
            #[test]
            fn authentication_codes_are_as_published() {
                let message = b"what do ya want for nothing?";
                let sha256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
                let code: [u8; 32] = bytes(sha256);
                assert_eq!(HmacKey::sha256(b"Jefe").authenticate(message), code);
                let code: [u8; 20] = bytes("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
                assert_eq!(HmacKey::sha1(b"Jefe").authenticate(message), code);
            }

            /// RFC 5869, section A.1.
            #[test]
            fn derived_keys_are_as_published() {
                let (salt, info) = (bytes::<13>("000102030405060708090a0b0c"), [0xf0, 0xf1, 0xf2]);
                let info: [&[u8]; 2] = [&info, &bytes::<7>("f3f4f5f6f7f8f9")];
                let mut key = [0; 42];
                assert!(hkdf_sha256(&salt, &[0x0b; 22], &info, &mut key));
                let published = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf\
                                 34007208d5b887185865";
                assert_eq!(key, bytes(published));
            }

            /// NIST GCM test cases 2 and 14.
            #[test]
            fn aes_gcm_seals_as_published() {
                for (cipher, sealed) in [
                    (
                        AeadCipher::Aes128Gcm,
                        "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf",
                    ),
                    (
                        AeadCipher::Aes256Gcm,
                        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
                    ),
                ] {
                    let mut text = [0; 16];
                    let tag = AeadKey::new(cipher, &[0; 32]).seal([0; 12], &[], &mut text);
                    assert_eq!([text, tag.unwrap()].concat(), bytes::<32>(sealed));
                }
            }

            /// RFC 8439, section 2.8.2.
            #[test]
            fn chacha20_poly1305_seals_as_published() {
                let key = std::array::from_fn(|at| 0x80 + u8::try_from(at).unwrap());
                let nonce = bytes("070000004041424344454647");
                let associated: [u8; 12] = bytes("50515253c0c1c2c3c4c5c6c7");
                let mut text = *b"Ladies and Gentlemen of the class of '99: If I could offer you \
                                  only one tip for the future, sunscreen would be it.";
                let key = AeadKey::new(AeadCipher::ChaCha20Poly1305, &key);
                let tag = key.seal(nonce, &associated, &mut text);
                assert_eq!(tag, Some(bytes("1ae10b594f09e26a7e902ecbd0600691")));
                let first: [u8; 16] = bytes("d31a8d34648e60db7b86afbc53ef7ec2");
                assert_eq!(text[..16], first);
            }

            /// RFC 7748, section 6.1.
            #[test]
            fn the_shared_secret_is_as_published() {
                let bob = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
                let (bob, public) = X25519Key::new(&bytes(bob));
                let published = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
                assert_eq!(public, bytes(published));
                let alice = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
                let shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
                assert_eq!(*bob.agree(&bytes(alice)).unwrap(), bytes(shared));
                // Points of order 1, 2 and 8.
                let eight = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
                let mut one = [0; 32];
                one[0] = 1;
                for small in [[0; 32], one, bytes(eight)] {
                    assert!(bob.agree(&small).is_none());
                }
            }

            /// RFC 8032, section 7.1, TEST 2.
            #[test]
            fn the_signature_is_as_published() {
                let secret = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
                let (key, public) = Ed25519Key::new(&bytes(secret));
                let published = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
                assert_eq!(public, bytes(published));
                let published = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                                 085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
                assert_eq!(key.sign(&[0x72]), bytes(published));
                assert!(verify_ed25519(&public, &[0x72], &bytes(published)));
                assert!(!verify_ed25519(&[0xff; 32], &[0x72], &bytes(published)));
            }
        }
    };
}

published_vectors!(aws_lc);
published_vectors!(rust_crypto);
