//! The check that a service of AWS makes of a request that arrives: its signature holds for it, over the headers
//! that it names, and names every header that must be signed.

use weir::base::rfc3339;
use weir::base::secret::Secret;
use weir::credential::sigv4::{self, Keys, Request, Scope};

/// A request as it arrived.
pub struct Arrived<'a> {
    pub method: &'a str,
    pub host: &'a str,
    pub path: &'a str,
    /// Names in lower case.
    pub headers: Vec<(&'a str, &'a str)>,
    pub body: &'a [u8],
}

// === impl Arrived ===

impl Arrived<'_> {
    /// When it was signed, in seconds since the Unix epoch; panics where the signature does not hold.
    pub fn signed_at(&self, keys: &Keys, region: &str) -> u64 {
        let all = |name: &str| {
            let values = self.headers.iter().filter(|(key, _)| *key == name);
            values.map(|(_, value)| *value).collect::<Vec<_>>()
        };
        let one = |name: &str| match all(name)[..] {
            [value] => value,
            ref other => panic!("{name}: {other:?} in {:?}", self.headers),
        };
        let sent = one("authorization");
        let names = sent.split_once("SignedHeaders=").expect("names").1.split_once(',').expect("a signature").0;
        for (name, _) in self.headers.iter().filter(|(name, _)| name.starts_with("x-amz-") || *name == "content-type") {
            assert!(names.split(';').any(|signed| signed == *name), "{name} is not signed: {sent}");
        }
        let token: Vec<&str> = keys.token.iter().map(Secret::expose).collect();
        assert_eq!(all("x-amz-security-token"), token);
        let own = ["host", "x-amz-date", "x-amz-security-token"];
        let more: Vec<(&str, &str)> =
            names.split(';').filter(|name| !own.contains(name)).map(|name| (name, one(name))).collect();
        let Arrived { method, host, path, body, .. } = *self;
        let unix = unix(one("x-amz-date"));
        let request = Request { method, host, path, headers: &more, body };
        let signed = sigv4::sign(&request, keys, Scope { region, service: "bedrock" }, unix);
        assert_eq!(sent, signed.authorization.expose(), "{method} {path} {:?}", self.headers);
        unix
    }
}

/// Of `YYYYMMDDThhmmssZ`.
fn unix(stamp: &str) -> u64 {
    let ranges = [0..4, 4..6, 6..8, 9..11, 11..13, 13..15];
    let [year, month, day, hour, minute, second] = ranges.map(|range| stamp.get(range).expect("a stamp"));
    rfc3339::unix(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")).expect("a time")
}
