//! PEM files: certificates, their keys, and whether they belong together.

use super::ListenerTls;
use super::block::{Block, Text};
use super::outside::Outside;
use super::problem::quoted;
use rustls::crypto::ring;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// The roots of a CA file; none after a mistake.
pub(super) fn roots(
    block: &Block<'_>,
    key: &str,
    outside: &Outside<'_>,
) -> Option<Vec<CertificateDer<'static>>> {
    let certificates = certificates(block, key, &block.text(key)?, outside)?;
    let mut store = rustls::RootCertStore::empty();
    for certificate in &certificates {
        if let Err(error) = store.add(certificate.clone()) {
            let wrong = format!("holds a certificate that cannot be a root ({error})");
            block.problem(key, wrong, "name a PEM file with the certificates of your CA");
            return None;
        }
    }
    Some(certificates)
}

/// The two files of a listener, which can serve with them; none after a mistake.
pub(super) fn pair(block: &Block<'_>, outside: &Outside<'_>) -> Option<ListenerTls> {
    let (certificate, private_key) = ("certificate", "private_key");
    let (chain_file, key_file) = (block.text(certificate), block.text(private_key));
    let chain = chain_file.as_ref().and_then(|file| certificates(block, certificate, file, outside));
    let key = key_file.as_ref().and_then(|file| key(block, private_key, file, outside));
    let chain = chain?;
    let not_after_unix = chain.first().and_then(not_after);
    let certified = certified(block, chain, key?)?;
    Some(ListenerTls { certified: Arc::new(certified), not_after_unix })
}

fn not_after(leaf: &CertificateDer<'_>) -> Option<i64> {
    let (_, leaf) = x509_parser::parse_x509_certificate(leaf).ok()?;
    Some(leaf.validity().not_after.timestamp())
}

fn certified(
    block: &Block<'_>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Option<CertifiedKey> {
    match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
        Ok(certified) => Some(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let right = "name the key it was issued for";
            block.problem("private_key", "is not the key of the certificate", right);
            None
        }
        Err(error) => {
            let wrong = format!("certificate and key do not serve ({error})");
            block.problem("certificate", wrong, "name a certificate with its chain, the leaf first");
            None
        }
    }
}

fn certificates(
    block: &Block<'_>,
    key: &str,
    file: &Text<'_>,
    outside: &Outside<'_>,
) -> Option<Vec<CertificateDer<'static>>> {
    let bytes = read(block, key, file, outside)?;
    let parsed: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    match parsed {
        Ok(certificates) if !certificates.is_empty() => Some(certificates),
        _ => {
            let wrong = format!("{} holds no PEM certificate", quoted(file.text));
            block.problem(key, wrong, "name a file that starts with `-----BEGIN CERTIFICATE-----`");
            None
        }
    }
}

fn key(
    block: &Block<'_>,
    name: &str,
    file: &Text<'_>,
    outside: &Outside<'_>,
) -> Option<PrivateKeyDer<'static>> {
    let bytes = read(block, name, file, outside)?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Some(key),
        // The cause might repeat a line of the key.
        Err(_) => {
            let wrong = format!("{} holds no PEM private key", quoted(file.text));
            block.problem(name, wrong, "name an unencrypted key in PKCS#8, PKCS#1 or SEC1 form");
            None
        }
    }
}

fn read(block: &Block<'_>, key: &str, file: &Text<'_>, outside: &Outside<'_>) -> Option<Vec<u8>> {
    match outside.read(file.text) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            let wrong = format!("{} cannot be read ({error})", quoted(file.text));
            block.problem(key, wrong, "name a PEM file the proxy may read, from the configuration's folder");
            None
        }
    }
}
