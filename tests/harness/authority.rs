//! A certificate authority of the harness's own, and certificates for its scripted upstreams.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An authority, and the directory where its certificates lie for the proxy to read.
#[derive(Debug)]
pub struct Authority {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// A certificate and key as files, for a program's configuration.
#[derive(Clone, Debug)]
pub struct Files {
    /// PEM chain.
    pub certificate: PathBuf,
    /// PEM key.
    pub private_key: PathBuf,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// Makes a new one.
    ///
    /// # Panics
    /// When its files cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Aorta test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let root = params.self_signed(&key).expect("a root can be signed");
        let directory = tempfile::tempdir().expect("a directory can be made");
        std::fs::write(directory.path().join("ca.pem"), root.pem()).expect("the root can be written");
        Self { root: root.der().clone(), issuer: Issuer::new(params, key), directory }
    }

    /// The root certificate's file.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A directory that lives as long as this authority.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A server's TLS for `host`, offering these protocols in this order.
    ///
    /// # Panics
    /// When `host` is no name.
    #[must_use]
    pub fn server(&self, host: &str, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let (leaf, key) = self.leaf(host);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows the versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .expect("the key fits");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// A client's TLS that trusts this authority only.
    ///
    /// # Panics
    /// When the root is no root.
    #[must_use]
    pub fn client(&self, protocols: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("the root is one");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows the versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// A certificate for `host` as files.
    ///
    /// # Panics
    /// When they cannot be written.
    #[must_use]
    pub fn files(&self, host: &str) -> Files {
        let (leaf, key) = self.leaf(host);
        let files = Files {
            certificate: self.directory.path().join(format!("{host}.pem")),
            private_key: self.directory.path().join(format!("{host}.key")),
        };
        std::fs::write(&files.certificate, leaf.pem()).expect("the certificate can be written");
        std::fs::write(&files.private_key, key.serialize_pem()).expect("the key can be written");
        files
    }

    fn leaf(&self, host: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a host name");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.signed_by(&key, &self.issuer).expect("a leaf can be signed"), key)
    }
}
