//! Puts new certificates, keys and CAs in force when their files change. Connections that are there go on;
//! handshakes that begin after it go by the new ones. Files that are gone, broken or do not fit together
//! keep the last good terms, which is said once and shown in a metric until it is over.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::terms::{Pems, Terms, TermsError, is_open_to_others};
use crate::config::ListenTls;
use crate::config::watch::Watch;
use crate::telemetry::metrics::Handshakes;

/// The files of one listener.
pub(super) struct Rotation {
    tls: Arc<ListenTls>,
    terms: Arc<ArcSwap<Terms>>,
    /// Of the terms in force.
    good: Pems,
    /// What was tried last, where it was not taken.
    bad: Option<Bad>,
}

/// Files that are not taken, by what they say.
#[derive(PartialEq, Eq)]
enum Bad {
    Unread(TermsError),
    Useless(Box<Pems>),
}

/// What one look came to.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Same,
    Renewed,
    /// The files hold again what is in force.
    Back,
    Kept(TermsError),
}

// === impl Rotation ===

impl Rotation {
    /// Reads the files for the first time.
    pub fn begin(tls: &ListenTls) -> Result<(Arc<ArcSwap<Terms>>, Rotation), TermsError> {
        let good = Pems::read(tls)?;
        let terms = Arc::new(ArcSwap::from_pointee(Terms::new(tls, &good)?));
        warn_of_key(tls);
        Ok((terms.clone(), Rotation { tls: Arc::new(tls.clone()), terms, good, bad: None }))
    }

    /// Follows the files until it is dropped.
    pub async fn run(mut self, metrics: Handshakes) {
        let mut watch = Watch::new(self.paths());
        loop {
            watch.changed().await;
            let tls = self.tls.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || Pems::read(&tls)).await else { continue };
            match self.look(read) {
                Look::Same => {}
                Look::Renewed => {
                    tracing::info!("the ext_proc listener's certificates have changed; new connections go by them");
                    warn_of_key(&self.tls);
                    metrics.renewed();
                }
                Look::Back => {
                    tracing::info!("the ext_proc listener's certificates are again in their files");
                    metrics.kept(false);
                }
                Look::Kept(error) => {
                    tracing::warn!("{error}; the ext_proc listener keeps the certificates that it has");
                    metrics.kept(true);
                }
            }
        }
    }

    fn look(&mut self, read: Result<Pems, TermsError>) -> Look {
        let (bad, error) = match read {
            Ok(pems) if pems == self.good => {
                return if self.bad.take().is_some() { Look::Back } else { Look::Same };
            }
            Ok(pems) if matches!(&self.bad, Some(Bad::Useless(bad)) if **bad == pems) => return Look::Same,
            Ok(pems) => match Terms::new(&self.tls, &pems) {
                Ok(terms) => {
                    self.terms.store(Arc::new(terms));
                    (self.good, self.bad) = (pems, None);
                    return Look::Renewed;
                }
                Err(error) => (Bad::Useless(Box::new(pems)), error),
            },
            Err(error) => (Bad::Unread(error.clone()), error),
        };
        if self.bad.as_ref() == Some(&bad) {
            return Look::Same;
        }
        self.bad = Some(bad);
        Look::Kept(error)
    }

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.tls.certificate.clone(), self.tls.key.clone(), self.tls.client_ca.clone()]
    }
}

fn warn_of_key(tls: &ListenTls) {
    if is_open_to_others(&tls.key) {
        tracing::warn!(
            "spec.listen.tls.key: every user of this machine can read {}; make it mode 0440 or less (a mounted Secret: \
             defaultMode: 0440)",
            tls.key.display()
        );
    }
}

/// Nothing of the files.
impl std::fmt::Debug for Rotation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rotation").field("tls", &self.tls).finish_non_exhaustive()
    }
}
