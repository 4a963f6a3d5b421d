//! WeirBootstrap: what belongs to the process, read once at its start. Never a Kubernetes resource.

use std::path::PathBuf;
use std::time::Duration;

use super::super::read::Reader;
use super::super::shape::{Fields, Rule, SIZE, Shape, may, need};
use super::super::text;
use super::super::value::{self, Address};
use super::listener::{self, Listen};
use super::stores::{self, SharedRedis};
use super::{or, process};
use crate::identity::Role;
use crate::limit::journal;

/// The process: where it listens and how much it takes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    pub role: Role,
    pub listen: Listeners,
    pub egress: Egress,
    /// The store that replicas share; none where each has its own.
    pub redis: Option<SharedRedis>,
    /// As stated in the document; what the environment says comes first.
    pub workload: WorkloadNames,
    pub overload: Overload,
    /// The file that usage records are appended to; none for no ledger.
    pub ledger: Option<PathBuf>,
    /// Where what is spent of limits that are counted in this process is kept; none for nowhere.
    pub journal: Option<journal::Settings>,
    /// How long exchanges may take to finish after the process was told to stop.
    pub drain_timeout: Duration,
}

/// Where the process listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listeners {
    pub ext_proc: Listen,
    /// Permission bits of the Unix socket.
    pub socket_mode: u32,
    pub socket_access: SocketAccess,
    /// The path of the admin socket.
    pub admin_socket: PathBuf,
    pub metrics: Address,
}

/// What keeps others away from the Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SocketAccess {
    /// The directory is Weir's own and closed to others; this is checked.
    #[default]
    Directory,
    /// Only the proxy and Weir mount the directory; this is believed.
    Mount,
}

/// The proxy that `up` runs and `render` describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    pub listen: Address,
    pub envoy_admin: Address,
}

/// The names of the workload, each where it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadNames {
    pub namespace: Option<String>,
    pub service_account: Option<String>,
    pub name: Option<String>,
}

/// How much is taken on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overload {
    /// Exchanges at the same time; more are shed.
    pub max_exchanges: usize,
    /// Bytes held over all exchanges.
    pub max_buffered: usize,
    /// Bytes of answers that are kept in memory.
    pub max_cached: u64,
    /// The longest that Weir itself lets a request wait.
    pub max_wait: Duration,
}

pub(in super::super) const BOOTSTRAP: Fields = Fields::of(&[
    may("role", Shape::Word(&ROLES), "Which sources of identity exist, who is anonymous, what may be signed.")
        .or("Sidecar"),
    may("listen", Shape::Object(&LISTEN), "Where the process listens."),
    may("egress", Shape::Object(&EGRESS), "The proxy that `up` runs and `render` describes."),
    may("stores", Shape::Object(&stores::STORES), "What replicas share; absent means that each process has its own."),
    may("workload", Shape::Object(&WORKLOAD), "The workload's names, where the environment does not say them."),
    may("overload", Shape::Object(&OVERLOAD), "How much is taken on at once."),
    may("ledger", Shape::Object(&LEDGER), "Where usage records are appended to; absent means nowhere."),
    may("journal", Shape::Object(&process::JOURNAL), "Where budgets that are counted per process survive a restart."),
    may("envoy", Shape::Object(&process::ENVOY), "The proxy, where it does not say itself what it is."),
    may(
        "drainTimeout",
        Shape::Text(&text::DURATION),
        "How long exchanges may take to finish after the process was told to stop.",
    )
    .or("10m"),
]);
const ROLES: &[(&str, Option<Role>)] = &[("Sidecar", Some(Role::Sidecar)), ("Gateway", Some(Role::Gateway))];
const ACCESS: &[(&str, Option<SocketAccess>)] =
    &[("Directory", Some(SocketAccess::Directory)), ("Mount", Some(SocketAccess::Mount))];
const LISTEN: Fields = Fields {
    rows: &[
        may("extProc", Shape::Text(&text::LISTENER), "Where the proxy reaches Weir: unix:/PATH or tcp:HOST:PORT.")
            .or("unix:/run/weir/extproc.sock"),
        may("tls", Shape::Object(&listener::TLS), "TLS of a TCP listener, with the peers that may call."),
        may("socketMode", Shape::Text(&text::MODE), "Permission bits of the Unix socket, in octal and in quotes.")
            .or("0666"),
        may(
            "socketAccess",
            Shape::Word(&ACCESS),
            "What keeps others away from the socket: a private directory, or that only proxy and Weir mount it.",
        )
        .or("Directory"),
        may("adminSocket", Shape::Text(&text::SOCKET), "The socket of the admin interface.")
            .or("unix:/run/weir/admin.sock"),
        may("metrics", Shape::Text(&text::ADDRESS), "HOST:PORT of metrics and health.").or("0.0.0.0:9090"),
    ],
    rules: &[Rule::Other {
        says: "only a TCP listener has TLS",
        cel: "!has(self.tls) || has(self.extProc) && self.extProc.startsWith('tcp:')",
        json: r#"{"if": {"required": ["tls"]}, "then": {"properties": {"extProc": {"pattern": "^tcp:"}}, "required": ["extProc"]}}"#,
    }],
};
const EGRESS: Fields = Fields::of(&[
    may("listen", Shape::Text(&text::ADDRESS), "Where applications call.").or("127.0.0.1:10000"),
    may("envoyAdmin", Shape::Text(&text::ADDRESS), "Where the proxy's own admin interface is.").or("127.0.0.1:9901"),
]);
const WORKLOAD: Fields = Fields::of(&[
    may("namespace", Shape::Text(&text::LABEL), "WEIR_NAMESPACE comes first."),
    may("serviceAccount", Shape::Text(&text::SUBDOMAIN), "WEIR_SERVICE_ACCOUNT comes first."),
    may("name", Shape::Text(&text::SUBDOMAIN), "WEIR_WORKLOAD comes first."),
]);
const OVERLOAD: Fields = Fields::of(&[
    may(
        "maxExchanges",
        Shape::Whole { least: 1, most: MAX_EXCHANGES },
        "Exchanges at the same time; more are refused with 503.",
    )
    .or_whole(4096),
    may("maxBuffered", SIZE, "Bytes held over all exchanges. Those kept for another attempt are given up first.")
        .or("512Mi"),
    may("maxCached", SIZE, "Bytes of answers that LLMCachePolicy documents keep in memory.").or("64Mi"),
    may("maxWait", Shape::Text(&text::DURATION), "The longest that Weir itself lets a request wait.").or("4m"),
]);
/// The most exchanges at the same time.
const MAX_EXCHANGES: u64 = u32::MAX as u64;
const LEDGER: Fields = Fields::of(&[need("path", Shape::Text(&text::ANY_PATH), "A file; one JSON object a line.")]);

// === impl Bootstrap ===

impl Bootstrap {
    pub(in super::super) fn read(reader: &Reader<'_>) -> Option<Bootstrap> {
        let object = reader.object(&BOOTSTRAP)?;
        let default = Bootstrap::default();
        process::read(&object);
        Some(Bootstrap {
            role: or(&object, "role", default.role, |role| role.word(ROLES)),
            listen: or(&object, "listen", default.listen, |listen| Listeners::read(&listen)),
            egress: or(&object, "egress", default.egress, |egress| Egress::read(&egress)),
            redis: object.get("stores").map(|stores| SharedRedis::read(&stores)),
            workload: or(&object, "workload", default.workload, |workload| WorkloadNames::read(&workload)),
            overload: or(&object, "overload", default.overload, |overload| Overload::read(&overload)),
            ledger: object.get("ledger").and_then(|ledger| {
                let path = ledger.object(&LEDGER)?.need("path")?;
                path.text().map(PathBuf::from)
            }),
            journal: object.get("journal").and_then(|journal| process::journal(&journal)),
            drain_timeout: or(&object, "drainTimeout", default.drain_timeout, |time| time.parsed(value::duration)),
        })
    }
}

impl Listeners {
    fn read(reader: &Reader<'_>) -> Option<Listeners> {
        let object = reader.object(&LISTEN)?;
        let default = Listeners::default();
        Some(Listeners {
            ext_proc: listener::read(&object, default.ext_proc),
            socket_mode: or(&object, "socketMode", default.socket_mode, |mode| mode.parsed(value::mode)),
            socket_access: or(&object, "socketAccess", default.socket_access, |word| word.word(ACCESS)),
            admin_socket: or(&object, "adminSocket", default.admin_socket, |socket| {
                socket.parsed(value::socket).map(PathBuf::from)
            }),
            metrics: or(&object, "metrics", default.metrics, |metrics| metrics.parsed(value::address)),
        })
    }
}

impl Egress {
    fn read(reader: &Reader<'_>) -> Option<Egress> {
        let object = reader.object(&EGRESS)?;
        let default = Egress::default();
        let address = |reader: Reader<'_>| reader.parsed(value::address);
        Some(Egress {
            listen: or(&object, "listen", default.listen, address),
            envoy_admin: or(&object, "envoyAdmin", default.envoy_admin, address),
        })
    }
}

impl WorkloadNames {
    fn read(reader: &Reader<'_>) -> Option<WorkloadNames> {
        let object = reader.object(&WORKLOAD)?;
        Some(WorkloadNames {
            namespace: object.get("namespace").and_then(|name| name.parsed(value::label)),
            service_account: object.get("serviceAccount").and_then(|name| name.parsed(value::subdomain)),
            name: object.get("name").and_then(|name| name.parsed(value::subdomain)),
        })
    }

    /// These names, and those of `other` where there is none here.
    pub fn or(&self, other: &WorkloadNames) -> WorkloadNames {
        WorkloadNames {
            namespace: self.namespace.clone().or_else(|| other.namespace.clone()),
            service_account: self.service_account.clone().or_else(|| other.service_account.clone()),
            name: self.name.clone().or_else(|| other.name.clone()),
        }
    }
}

impl Overload {
    fn read(reader: &Reader<'_>) -> Option<Overload> {
        let object = reader.object(&OVERLOAD)?;
        let default = Overload::default();
        Some(Overload {
            max_exchanges: or(&object, "maxExchanges", default.max_exchanges, |number| {
                number.whole(value::quantity, 1, MAX_EXCHANGES)?.try_into().ok()
            }),
            max_buffered: or(&object, "maxBuffered", default.max_buffered, |number| {
                number.whole(value::size, 1, u64::MAX)?.try_into().ok()
            }),
            max_cached: or(&object, "maxCached", default.max_cached, |number| number.whole(value::size, 1, u64::MAX)),
            max_wait: or(&object, "maxWait", default.max_wait, |wait| wait.parsed(value::duration)),
        })
    }
}

impl Default for Bootstrap {
    fn default() -> Self {
        Bootstrap {
            role: Role::default(),
            listen: Listeners::default(),
            egress: Egress::default(),
            redis: None,
            workload: WorkloadNames::default(),
            overload: Overload::default(),
            ledger: None,
            journal: None,
            drain_timeout: Duration::from_secs(600),
        }
    }
}

impl Default for Listeners {
    fn default() -> Self {
        Listeners {
            ext_proc: Listen::Unix("/run/weir/extproc.sock".into()),
            socket_mode: 0o666,
            socket_access: SocketAccess::default(),
            admin_socket: "/run/weir/admin.sock".into(),
            metrics: Address { host: "0.0.0.0".to_owned(), port: 9090 },
        }
    }
}

impl Default for Egress {
    fn default() -> Self {
        let loopback = |port| Address { host: "127.0.0.1".to_owned(), port };
        Egress { listen: loopback(10000), envoy_admin: loopback(9901) }
    }
}

impl Default for Overload {
    fn default() -> Self {
        Overload {
            max_exchanges: 4096,
            max_buffered: 512 << 20,
            max_cached: 64 << 20,
            max_wait: Duration::from_secs(240),
        }
    }
}
