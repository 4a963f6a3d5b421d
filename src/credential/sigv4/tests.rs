//! What AWS publishes: its signing test suite, restated as rows.

use super::*;

/// The suite's own key, region, service and instant.
const HOST: &str = "example.amazonaws.com";
const SCOPE: Scope<'_> = Scope { region: "us-east-1", service: "service" };
const INSTANT: u64 = 1_440_938_160;
const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflf\
     KD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8Y\
     QcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLx\
     BA==";
const LETTERS: &str = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Method, path, headers, signature.
type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

fn keys() -> Keys {
    let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    Keys { id: Secret::new("AKIDEXAMPLE"), secret, token: None }
}

fn signature(request: &Request<'_>, keys: &Keys) -> String {
    let signed = sign(request, keys, SCOPE, INSTANT);
    signed.authorization.expose().rsplit_once("Signature=").expect("a signature").1.to_owned()
}

fn must_come_out(rows: &[Row<'_>]) {
    for (method, path, headers, expected) in rows {
        let request = Request { method, host: HOST, path, headers, body: b"" };
        assert_eq!(signature(&request, &keys()), *expected, "{method} {path} {headers:?}");
    }
}

#[test]
fn every_path_of_awss_suite_comes_out() {
    let unreserved = format!("/{LETTERS}");
    let rows: &[Row<'_>] = &[
        ("GET", "/", &[], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "", &[], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "/example/..", &[], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "/example1/example2/../..", &[], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "/./", &[], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "//", &[], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "/./example", &[], "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"),
        ("GET", "//example//", &[], "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
        ("GET", "/example space/", &[], "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
        ("GET", &unreserved, &[], "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
        ("GET", "/\u{1234}", &[], "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    ];
    must_come_out(rows);
}

#[test]
fn every_query_and_header_of_awss_suite_comes_out() {
    const MY: &str = "my-header1";
    let unreserved_query = format!("/?{LETTERS}={LETTERS}");
    let rows: &[Row<'_>] = &[
        ("GET", "/?Param1=value1", &[], "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
        (
            "GET",
            "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            &[],
            "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        ),
        (
            "GET",
            "/?Param2=value2&Param1=value1",
            &[],
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        ("GET", &unreserved_query, &[], "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
        ("GET", "/?\u{1234}=bar", &[], "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
        (
            "GET",
            "/",
            &[(MY, "value2"), (MY, "value2"), (MY, "value1")],
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ),
        (
            "GET",
            "/",
            &[(MY, "value1\n  value2\n     value3")],
            "cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd",
        ),
        (
            "GET",
            "/",
            &[(MY, "value4"), (MY, "value1"), (MY, "value3"), (MY, "value2")],
            "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
        ),
        (
            "GET",
            "/",
            &[("my-header2", "\"a   b   c\""), (MY, " value1")],
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        ("POST", "/", &[], "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("POST", "/", &[(MY, "value1")], "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
        ("POST", "/", &[(MY, "VALUE1")], "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"),
        ("POST", "/?Param1=value1", &[], "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
    ];
    must_come_out(rows);
}

#[test]
fn a_temporary_key_signs_its_token() {
    const SHORT: &str = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
    for (method, token, expected) in [
        ("GET", SHORT, "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"),
        ("POST", TOKEN, "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"),
    ] {
        let keys = Keys { token: Some(Secret::new(token)), ..keys() };
        let request = Request { method, host: HOST, path: "/", headers: &[], body: b"" };
        assert_eq!(signature(&request, &keys), expected, "{method}");
        let signed = sign(&request, &keys, SCOPE, INSTANT);
        assert!(signed.authorization.expose().contains("SignedHeaders=host;x-amz-date;x-amz-security-token, "));
        assert_eq!(signed.date, "20150830T123600Z");
    }
}

#[test]
fn a_body_is_signed() {
    // The suite's own `post-x-www-form-urlencoded`, with the header of the hash that it signs too.
    let hash = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";
    let headers = [
        ("x-amz-content-sha256", hash),
        ("content-length", "13"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let request = Request { method: "POST", host: HOST, path: "/", headers: &headers, body: b"Param1=value1" };
    let expected = "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b";
    assert_eq!(signature(&request, &keys()), expected);
    let other = Request { body: b"Param1=value2", ..request };
    assert_ne!(signature(&other, &keys()), expected);
}

#[test]
fn an_escaped_path_is_escaped_again() {
    let path =
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-west-2%3A892717189312%3Afunction%3Amy-rusty-fun/invocations";
    assert_eq!(canonical_path(path), path.replace("%3A", "%253A"));
    assert_eq!(canonical_path("/model/a:b%2Fc/converse"), "/model/a%3Ab%252Fc/converse");
    assert_eq!(canonical_query("b=%2f&a=1+2&c&%zz=%"), "%25zz=%25&a=1%2B2&b=%2F&c=");
}

#[test]
fn an_instant_has_its_date() {
    for (unix, expected) in [
        (0, "19700101T000000Z"),
        (951_827_696, "20000229T123456Z"),
        (1_709_164_800, "20240229T000000Z"),
        (1_735_689_599, "20241231T235959Z"),
        (4_107_542_400, "21000301T000000Z"),
    ] {
        assert_eq!(stamp(unix), expected, "{unix}");
    }
}

#[test]
fn a_long_secret_is_hashed_first() {
    // RFC 4231, test case 6.
    let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
    let expected = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
    assert_eq!(hex(&hmac(&[0xaa; 131], text)), expected);
}
