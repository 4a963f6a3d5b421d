//! The listener of the external processor, as documents describe it.

use super::*;

#[test]
fn a_listener_with_tls_is_another_one_than_without() {
    let listen = |listen: &str| {
        let text =
            format!("{{apiVersion: {API}, kind: WeirBootstrap, metadata: {{name: a}}, spec: {{listen: {listen}}}}}");
        load_text(&text, &Fakes::default()).unwrap().bootstrap.listen.ext_proc
    };
    let address = Address { host: "::1".to_owned(), port: 9000 };
    let tls =
        "{certificate: {file: /c}, key: {file: /k}, clientCA: {file: /a}, peers: ['spiffe://d/p', 'spiffe://d/q']}";
    let expected = ListenTls {
        certificate: "/c".into(),
        key: "/k".into(),
        client_ca: "/a".into(),
        peers: vec!["spiffe://d/p".to_owned(), "spiffe://d/q".to_owned()],
    };
    assert_eq!(listen("{extProc: 'tcp:[::1]:9000'}"), Listen::Tcp(address.clone()));
    assert_eq!(listen(&format!("{{extProc: 'tcp:[::1]:9000', tls: {tls}}}")), Listen::Tls(address, expected));
}
