//! A local certificate authority and a certificate for each host, for the simulator's own TLS.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use thiserror::Error;

use crate::ids::civil;

/// Years a certificate is good for.
const YEARS: u64 = 10;

/// Why the certificates could not be made.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file could not be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A host that is no DNS name and no address, or that would not be a file name.
    #[error("--host {0}: not a host name or address")]
    Host(String),
    /// The generator refused.
    #[error("cannot make a certificate: {0}")]
    Generate(#[from] rcgen::Error),
}

/// Which files a call made anew.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Names of the files written; empty when all that existed was good.
    pub files: Vec<String>,
}

impl Made {
    fn note(&mut self, path: &Path) {
        self.files.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
}

/// Makes `ca.pem` (with `ca.key`) and, for each host, `HOST.pem` and `HOST.key` in `directory`.
///
/// What exists and is still valid for its host under this authority is kept.
///
/// # Errors
/// [`CertificateError`].
pub fn make(directory: &Path, hosts: &[String]) -> Result<Made, CertificateError> {
    fs::create_dir_all(directory).map_err(|source| file_error(directory, source))?;
    let mut made = Made::default();
    let authority = authority(directory, &mut made)?;
    for host in hosts {
        let name = ServerName::try_from(host.as_str()).map_err(|_| CertificateError::Host(host.clone()))?;
        let certificate = directory.join(format!("{host}.pem"));
        let key = directory.join(format!("{host}.key"));
        if is_valid(&directory.join("ca.pem"), &certificate, &key, &name) {
            continue;
        }
        let pair = KeyPair::generate()?;
        let leaf = leaf_params(host)?.signed_by(&pair, &authority)?;
        write(&certificate, &leaf.pem(), &mut made)?;
        write_secret(&key, &pair.serialize_pem(), &mut made)?;
    }
    Ok(made)
}

fn authority(directory: &Path, made: &mut Made) -> Result<Issuer<'static, KeyPair>, CertificateError> {
    let (certificate, key) = (directory.join("ca.pem"), directory.join("ca.key"));
    let kept = fs::read_to_string(&key).ok().and_then(|pem| KeyPair::from_pem(&pem).ok());
    if let Some(pair) = kept.filter(|_| CertificateDer::from_pem_file(&certificate).is_ok()) {
        return Ok(Issuer::new(authority_params(), pair));
    }
    let pair = KeyPair::generate()?;
    let params = authority_params();
    write(&certificate, &params.self_signed(&pair)?.pem(), made)?;
    write_secret(&key, &pair.serialize_pem(), made)?;
    Ok(Issuer::new(params, pair))
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Aorta local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params);
    params
}

fn leaf_params(host: &str) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    // A common name holds 64 characters; the name that counts is the alternative one.
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Aorta gateway simulator");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params);
    Ok(params)
}

/// From the start of last year, so that a clock that is behind does not matter.
fn set_validity(params: &mut CertificateParams) {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
    let year = i32::try_from(civil(days).0).unwrap_or(2_025);
    let years = i32::try_from(YEARS).unwrap_or(10);
    params.not_before = date_time_ymd(year - 1, 1, 1);
    params.not_after = date_time_ymd(year + years, 1, 1);
}

/// Whether a client that trusts the authority would take this certificate for this host, and the key fits.
fn is_valid(authority: &Path, certificate: &Path, key: &Path, name: &ServerName<'_>) -> bool {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let check = || -> Option<()> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).ok()?).ok()?;
        let leaf = CertificateDer::from_pem_file(certificate).ok()?;
        let key = PrivateKeyDer::from_pem_file(key).ok()?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .ok()?
            .verify_server_cert(&leaf, &[], name, &[], UnixTime::now())
            .ok()?;
        rustls::sign::CertifiedKey::from_der(vec![leaf], key, &provider).ok().map(|_| ())
    };
    check().is_some()
}

fn write(path: &Path, text: &str, made: &mut Made) -> Result<(), CertificateError> {
    fs::write(path, text).map_err(|source| file_error(path, source))?;
    made.note(path);
    Ok(())
}

fn write_secret(path: &Path, text: &str, made: &mut Made) -> Result<(), CertificateError> {
    let open = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|source| file_error(path, source))?;
    made.note(path);
    Ok(())
}

fn file_error(path: &Path, source: io::Error) -> CertificateError {
    CertificateError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "a1.execute-api.us-east-1.amazonaws.com";

    #[test]
    fn what_exists_and_is_valid_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let hosts = [HOST.to_owned(), "127.0.0.1".to_owned()];
        let first = make(directory.path(), &hosts).unwrap();
        assert_eq!(first.files.len(), 6);
        assert_eq!(make(directory.path(), &hosts).unwrap(), Made::default());
        let more = make(directory.path(), &[HOST.to_owned(), "localhost".to_owned()]).unwrap();
        assert_eq!(more.files, ["localhost.pem", "localhost.key"]);
    }

    #[test]
    fn what_does_not_fit_its_authority_or_key_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let hosts = [HOST.to_owned()];
        make(directory.path(), &hosts).unwrap();
        fs::write(directory.path().join(format!("{HOST}.key")), KeyPair::generate().unwrap().serialize_pem())
            .unwrap();
        assert_eq!(make(directory.path(), &hosts).unwrap().files.len(), 2);
        fs::remove_file(directory.path().join("ca.pem")).unwrap();
        assert_eq!(make(directory.path(), &hosts).unwrap().files.len(), 4);
    }

    #[test]
    fn a_host_that_is_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for host in ["", "../x", "a b"] {
            assert!(
                matches!(make(directory.path(), &[host.to_owned()]), Err(CertificateError::Host(_))),
                "{host}"
            );
        }
    }
}
