//! An issuer of tokens: its key set for Envoy, and tokens that it signs or that others forge.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::certs::openssl;

pub const ISSUER: &str = "https://issuer.test";

/// An RSA key of a token issuer.
pub struct Issuer {
    key: PathBuf,
}

// === impl Issuer ===

impl Issuer {
    pub fn new(directory: &Path, name: &str) -> Issuer {
        let key = directory.join(format!("{name}.jwt.key"));
        openssl(&["genrsa", "-out", key.to_str().expect("text"), "2048"]);
        Issuer { key }
    }

    /// What Envoy checks tokens with.
    pub fn key_set(&self) -> String {
        let printed = openssl(&["rsa", "-noout", "-modulus", "-in", self.key.to_str().expect("text")]);
        let printed = String::from_utf8(printed).expect("text");
        let digits = printed.trim().strip_prefix("Modulus=").expect("a modulus");
        let modulus: Vec<u8> = (0..digits.len() / 2)
            .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).expect("hexadecimal"))
            .collect();
        json!({"keys": [{"kty": "RSA", "alg": "RS256", "kid": "one", "n": base64url(&modulus), "e": "AQAB"}]})
            .to_string()
    }

    /// A token with these claims, of our issuer and valid until 2100.
    pub fn token(&self, claims: Value) -> String {
        let mut claims = claims;
        claims["iss"] = json!(ISSUER);
        claims["exp"] = json!(4_102_444_800_u64);
        let signed = format!("{}.{}", part(&json!({"alg": "RS256", "kid": "one"})), part(&claims));
        let input = self.key.with_extension(format!("{}.in", claims["sub"].as_str().unwrap_or("x").len()));
        std::fs::write(&input, &signed).expect("a file of our own");
        let key = self.key.to_str().expect("text");
        let signature = openssl(&["dgst", "-sha256", "-sign", key, input.to_str().expect("text")]);
        format!("{signed}.{}", base64url(&signature))
    }
}

/// A token that says of itself that nobody has signed it.
pub fn unsigned(claims: Value) -> String {
    let mut claims = claims;
    claims["iss"] = json!(ISSUER);
    format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims))
}

/// The middle part of a token, as proxies hand it on.
pub fn payload(token: &str) -> &str {
    token.split('.').nth(1).expect("three parts")
}

fn part(value: &Value) -> String {
    base64url(value.to_string().as_bytes())
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let number =
            three.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..=three.len() {
            out.push(char::from(DIGITS[number >> (18 - 6 * digit) & 63]));
        }
    }
    out
}

#[test]
fn base64url_has_no_padding() {
    assert_eq!(base64url(b"\xfb\xff\xfe"), "-__-");
    assert_eq!((base64url(b"a").as_str(), base64url(b"ab").as_str(), base64url(b"").as_str()), ("YQ", "YWI", ""));
}
