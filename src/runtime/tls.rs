//! TLS of the server's side: its certificate and key, read from files, and the handshake.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsAcceptor;
use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{self, ServerConfig};
use futures_rustls::server::TlsStream;

/// The only protocol that is spoken inside.
const PROTOCOL: &[u8] = b"http/1.1";

/// A certificate with its key, ready to shake hands with.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
}

/// Why certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of the kind.
    #[error("{variable}={path}: {reason}")]
    File {
        /// The variable that names it.
        variable: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The two do not belong together, or are of a kind that is not supported.
    #[error("TLS_CERT_PATH and TLS_KEY_PATH cannot be used together: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Tls {
    /// Reads the chain of certificates, the server's own first, and its private key, both in PEM.
    ///
    /// # Errors
    /// If a file cannot be read, or the key is not that of the certificate.
    pub fn read(certificates: &Path, key: &Path) -> Result<Tls, TlsError> {
        let chain = read_chain(certificates)?;
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| in_file("TLS_KEY_PATH", key, error.to_string()))?;
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        // A client that comes back brings its session itself: nothing is kept here for it.
        config.ticketer = ring::Ticketer::new()?;
        Ok(Tls {
            acceptor: Arc::new(config).into(),
        })
    }

    /// Shakes hands with the client behind `stream`.
    pub(super) async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: IO,
    ) -> io::Result<TlsStream<IO>> {
        self.acceptor.accept(stream).await
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |reason: String| in_file("TLS_CERT_PATH", path, reason);
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(error.to_string()))?;
    match chain.is_empty() {
        true => Err(wrong("no certificate in it".to_owned())),
        false => Ok(chain),
    }
}

fn in_file(variable: &'static str, path: &Path, reason: String) -> TlsError {
    TlsError::File {
        variable,
        path: path.display().to_string(),
        reason,
    }
}
