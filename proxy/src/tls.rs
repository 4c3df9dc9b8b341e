//! Certificates of the listeners: the one that a reload found good serves the next handshake.

use crate::config::Listener;
use arc_swap::ArcSwap;
use pingora::listeners::tls::TlsSettings;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::net::SocketAddr;
use std::sync::Arc;

/// The certificate of one listener.
#[derive(Debug)]
pub struct Certificate(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Those of all listeners that speak TLS.
#[derive(Debug)]
pub struct Certificates(Vec<(SocketAddr, Arc<Certificate>)>);

impl Certificates {
    /// As configured at the start.
    #[must_use]
    pub fn new(listeners: &[Listener]) -> Self {
        let certificate = |listener: &Listener| {
            let tls = listener.tls.as_ref()?;
            Some((listener.address, Arc::new(Certificate(ArcSwap::new(Arc::clone(&tls.certified))))))
        };
        Self(listeners.iter().filter_map(certificate).collect())
    }

    /// That of the listener at this address.
    #[must_use]
    pub fn of(&self, address: SocketAddr) -> Option<Arc<Certificate>> {
        self.0.iter().find(|(at, _)| *at == address).map(|(_, certificate)| Arc::clone(certificate))
    }

    /// From the next handshake on those of this configuration serve; connections that stand are left alone.
    pub fn replace(&self, listeners: &[Listener]) {
        for listener in listeners {
            if let (Some(tls), Some(held)) = (&listener.tls, self.of(listener.address)) {
                held.0.store(Arc::clone(&tls.certified));
            }
        }
    }
}

/// The settings of a TLS listener that offers HTTP/2 and HTTP/1.1.
///
/// # Errors
/// Never by itself; Pingora's constructor may.
pub fn settings(certificate: Arc<Certificate>) -> anyhow::Result<TlsSettings> {
    // The resolver stands in for the files.
    let mut settings = TlsSettings::intermediate("", "")
        .map_err(|error| anyhow::anyhow!("the certificate cannot be used: {error}"))?;
    settings.set_cert_resolver(certificate);
    settings.enable_h2();
    Ok(settings)
}
