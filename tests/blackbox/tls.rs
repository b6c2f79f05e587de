//! TLS: the same server behind a certificate, which can be exchanged while it runs.

use std::fs;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_rustls::pki_types::{CertificateDer, ServerName};
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustix::process::Signal;
use serde_json::json;

use crate::client::{CREATE, UPDATES, batch, item_any, product};
use crate::http::{Connection, Reply, Request, read_reply};
use crate::server::{Builder, Server, eventually};

/// Longer than anything here takes.
const READ_LIMIT: Duration = Duration::from_secs(30);

struct Certificate(CertifiedKey<KeyPair>);

impl Certificate {
    fn new() -> Self {
        let name = vec!["localhost".to_owned()];
        Self(generate_simple_self_signed(name).expect("a certificate can be made"))
    }

    /// Puts certificate and key where the server looks for them.
    fn install(&self, directory: &Path) {
        let write = |name: &str, text: String| {
            let aside = directory.join(format!("{name}.new"));
            fs::write(&aside, text).expect("a file can be written");
            fs::rename(aside, directory.join(name)).expect("a file can be renamed");
        };
        write("key.pem", self.0.signing_key.serialize_pem());
        write("cert.pem", self.0.cert.pem());
    }
}

fn builder(certificate: &Certificate) -> Builder {
    let builder = Builder::new()
        .env("TLS_CERT_PATH", "cert.pem")
        .env("TLS_KEY_PATH", "key.pem");
    certificate.install(builder.directory());
    builder
}

/// The harness asks for health in clear, so here the log says when the server is ready.
fn start(builder: &Builder) -> Server {
    let server = builder.spawn();
    eventually("the server is ready", || {
        server.stderr().contains("\"Ready\"").then_some(())
    });
    server
}

/// A client that trusts one certificate.
struct TlsClient {
    reader: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    address: SocketAddr,
}

impl TlsClient {
    fn connect(server: &Server, trusted: &Certificate) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        let der = CertificateDer::from(trusted.0.cert.der().to_vec());
        roots.add(der).expect("a certificate of ours");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        let stream = TcpStream::connect(server.address())?;
        stream.set_read_timeout(Some(READ_LIMIT))?;
        let mut stream = StreamOwned::new(connection, stream);
        // The handshake, so that a certificate that is not trusted is met here.
        stream.conn.complete_io(&mut stream.sock)?;
        assert_eq!(Some(&b"http/1.1"[..]), stream.conn.alpn_protocol());
        Ok(Self {
            reader: BufReader::new(stream),
            address: server.address(),
        })
    }

    fn send(&mut self, request: &Request) -> Reply {
        let bytes = request.encode(self.address);
        let stream = self.reader.get_mut();
        stream.write_all(&bytes).expect("the server reads");
        stream.flush().expect("the server reads");
        read_reply(&mut self.reader, &request.method).expect("the server answers")
    }

    fn get(&mut self, target: &str) -> Reply {
        self.send(&Request::new("GET", target))
    }
}

#[test]
fn a_client_that_trusts_the_certificate_is_served_over_one_connection() {
    let certificate = Certificate::new();
    let server = start(&builder(&certificate));
    let mut client = TlsClient::connect(&server, &certificate).expect("a handshake");
    let products: Vec<_> = (0..1000)
        .map(|i| product(&format!("item-{i}"), 5))
        .collect();
    let created = client.send(&Request::new("POST", CREATE).json(&json!({"products": products})));
    assert_eq!(200, created.status, "{}", created.text());
    let items: Vec<_> = (0..1000)
        .map(|i| item_any(&format!("item-{i}"), -1, &format!("key-{i}")))
        .collect();
    let sold = client.send(&Request::new("POST", UPDATES).json(&batch(&items)));
    assert!(
        sold.text().contains(r#""succeeded":1000"#),
        "{}",
        sold.text()
    );
    let snapshot = client.get("/v1/inventory/snapshot");
    assert_eq!(200, snapshot.status);
    assert!(
        snapshot
            .text()
            .contains(r#""item-999","name":"The item-999","available":4"#)
    );
    let page = client.get("/v1/inventory/events?offset=0&limit=1000");
    assert!(page.text().contains(r#""count":1000"#));
    server.stop();
}

#[test]
fn who_does_not_shake_hands_is_let_go_and_keeps_nobody_waiting() {
    let certificate = Certificate::new();
    let server = start(&builder(&certificate).env("HEADER_TIMEOUT", "1s"));
    let mut silent: Vec<Connection> = (0..20).map(|_| server.connect()).collect();
    let mut in_clear = server.connect();
    in_clear
        .write("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("the server reads");
    assert!(!in_clear.read_to_end().starts_with(b"HTTP/"));
    let mut client = TlsClient::connect(&server, &certificate).expect("a handshake");
    assert_eq!(200, client.get("/health").status);
    for connection in &mut silent {
        assert_eq!(Vec::<u8>::new(), connection.read_to_end());
    }
    let stranger = TlsClient::connect(&server, &Certificate::new());
    assert!(stranger.is_err(), "another certificate is not trusted");
    assert_eq!(200, client.get("/health").status);
    server.stop();
}

#[test]
fn a_new_certificate_is_taken_up_on_sighup_and_a_bad_one_is_not() {
    let (old, new) = (Certificate::new(), Certificate::new());
    let builder = builder(&old);
    let server = start(&builder);
    let mut connected = TlsClient::connect(&server, &old).expect("a handshake");
    new.install(builder.directory());
    assert!(TlsClient::connect(&server, &new).is_err(), "not yet read");
    server.signal(Signal::HUP);
    eventually("the new certificate is shown", || {
        TlsClient::connect(&server, &new).ok()
    });
    assert!(TlsClient::connect(&server, &old).is_err());
    assert_eq!(200, connected.get("/health").status);
    fs::write(builder.directory().join("key.pem"), "nonsense").expect("a file can be written");
    server.signal(Signal::HUP);
    eventually("the refusal is logged", || {
        let said = server.stderr();
        said.contains("that of before stays in use").then_some(())
    });
    TlsClient::connect(&server, &new).expect("a handshake with the certificate of before");
    server.stop();
}

#[test]
fn a_reader_that_stops_reading_is_let_go() {
    let certificate = Certificate::new();
    let server = start(&builder(&certificate).env("WRITE_TIMEOUT", "1s"));
    // Counted first: on a busy machine the server may have let go before the writing below has come to its end.
    let others = server.settled_open_files();
    let mut client = TlsClient::connect(&server, &certificate).expect("a handshake");
    let request = Request::new("GET", "/v1/inventory/snapshot").encode(client.address);
    let start = Instant::now();
    let stream = client.reader.get_mut();
    // Requests until neither side's buffers take any more, and then nothing is read.
    stream
        .sock
        .set_write_timeout(Some(Duration::from_millis(200)))
        .expect("a duration above zero");
    while stream
        .write_all(&request)
        .and_then(|()| stream.flush())
        .is_ok()
    {
        assert!(start.elapsed() < READ_LIMIT, "the server reads without end");
    }
    server.wait_for_open_files(others);
    server.stop();
}

#[test]
fn what_cannot_be_used_stops_the_start_and_is_named() {
    let certificate = Certificate::new();
    let check = |builder: Builder, words: &[&str]| {
        for command in [&[][..], &["doctor"]] {
            let finished = builder.run(command);
            assert_ne!(Some(0), finished.code);
            let said = finished.stdout + &finished.stderr;
            for word in words {
                assert!(said.contains(word), "{word} is not in {said}");
            }
        }
    };
    let missing = builder(&certificate).env("TLS_CERT_PATH", "nowhere.pem");
    check(missing, &["TLS_CERT_PATH=nowhere.pem", "No such file"]);
    check(
        builder(&certificate).env("TLS_KEY_PATH", ""),
        &["TLS_KEY_PATH", "not set"],
    );
    let mismatched = builder(&certificate);
    let other = Certificate::new().0.signing_key.serialize_pem();
    fs::write(mismatched.directory().join("key.pem"), other).expect("a file can be written");
    check(
        mismatched,
        &["TLS_CERT_PATH", "TLS_KEY_PATH", "cannot be used together"],
    );
    let empty = builder(&certificate);
    fs::write(empty.directory().join("cert.pem"), "").expect("a file can be written");
    check(empty, &["TLS_CERT_PATH", "no certificate"]);
}
