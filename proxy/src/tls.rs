//! Certificates of the listeners.

use crate::config::ListenerTls;
use anyhow::Context as _;
use pingora::listeners::tls::TlsSettings;

/// The settings of a TLS listener that offers HTTP/2 and HTTP/1.1.
///
/// # Errors
/// When a path is not text. The files themselves were read and matched when the configuration was loaded.
pub fn settings(tls: &ListenerTls) -> anyhow::Result<TlsSettings> {
    let certificate = tls.certificate.to_str().context("the certificate's path is not text")?;
    let key = tls.private_key.to_str().context("the private key's path is not text")?;
    let mut settings = TlsSettings::intermediate(certificate, key)
        .map_err(|error| anyhow::anyhow!("the certificate cannot be used: {error}"))?;
    settings.enable_h2();
    Ok(settings)
}
