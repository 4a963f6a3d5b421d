//! A JSON Web Token signed with RS256 (RFC 7515, RFC 7518), as Google's service accounts make them.

use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::base::base64;
use crate::base::secret::Secret;

/// The key of a service account.
pub struct Key(RsaKeyPair);

// === impl Key ===

impl Key {
    /// Reads PKCS #8 in PEM; nothing for what is no RSA key of 2048 bits or more.
    pub fn read(pem: &str) -> Option<Key> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok().map(Key)
    }

    /// Signs claims, which are the JSON of an object; nothing where there is no randomness.
    pub fn sign(&self, key_id: &str, claims: &str) -> Option<Secret> {
        let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": key_id}).to_string();
        let text = format!("{}.{}", url_safe(header.as_bytes()), url_safe(claims.as_bytes()));
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).ok()?;
        Some(Secret::new(&format!("{text}.{}", url_safe(&signature))))
    }
}

/// RFC 4648, section 5, without padding.
fn url_safe(bytes: &[u8]) -> String {
    base64::encode(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}
