//! A registry that lets in whom it knows by a certificate.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::order_of_total;
use super::shop::Shop;
use crate::support::{Certificates, SOON, SchemaRegistry};

/// A server of TLS that demands a certificate of the authority.
fn guarded(certificates: &Certificates) -> Arc<ServerConfig> {
    let chain = |name| {
        let file = CertificateDer::pem_file_iter(certificates.path(name)).expect("it is there");
        file.map(|one| one.expect("openssl writes PEM"))
            .collect::<Vec<_>>()
    };
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(chain("ca.pem"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider))
            .build()
            .expect("there is an authority");
    let key =
        PrivateKeyDer::from_pem_file(certificates.path("server.key")).expect("openssl wrote a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain("server.pem"), key)
        .expect("key and certificate belong together");
    Arc::new(config)
}

/// Passes one question without a body on to a server, and its answer back.
fn pass(config: Arc<ServerConfig>, stream: TcpStream, server: &str) -> io::Result<()> {
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut outside = BufReader::new(StreamOwned::new(connection, stream));
    let mut inside = TcpStream::connect(server)?;
    let mut line = String::new();
    while outside.read_line(&mut line)? > 2 {
        inside.write_all(line.as_bytes())?;
        line.clear();
    }
    inside.write_all(b"connection: close\r\n\r\n")?;
    io::copy(&mut inside, outside.get_mut())?;
    outside.get_mut().conn.send_close_notify();
    outside.get_mut().flush()?;
    outside.get_mut().sock.shutdown(Shutdown::Write)
}

/// Starts a gate before a server; returns its port.
fn start(certificates: &Certificates, server: &str) -> u16 {
    let config = guarded(certificates);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has one").port();
    let server = server.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Who is not let in ends the connection, which is what the test looks at.
            let _refused = pass(Arc::clone(&config), stream, &server);
        }
    });
    port
}

#[tokio::test]
async fn a_registry_that_demands_a_certificate_is_shown_one() {
    let certificates = Certificates::create();
    let registry = SchemaRegistry::shared().await;
    let port = start(&certificates, registry.server());
    let url = SchemaRegistry::url_at(&format!("localhost:{port}")).replace("http:", "https:");
    let shop = Shop::at(&url, "{ type = 'avro' }").await;
    let subject = shop.subject();
    registry.register(&subject, "AVRO", &order_of_total()).await;
    let path = |name| certificates.path(name);
    let (authority, own, key) = (path("ca.pem"), path("server.pem"), path("server.key"));
    let unknown = [("schema_registry.ca_file", authority.as_str())];
    let mut check = shop.verb("check", &unknown);
    assert_eq!(check.wait_exit(SOON).await, 69, "{:#?}", check.stdout());
    let known = [
        unknown[0],
        ("schema_registry.certificate_file", &own),
        ("schema_registry.key_file", &key),
    ];
    let mut check = shop.verb("check", &known);
    assert_eq!(check.wait_exit(SOON).await, 0, "{:#?}", check.stdout());
    let wrong = [known[0], known[1], ("schema_registry.key_file", &own)];
    let mut check = shop.verb("check", &wrong);
    assert_ne!(check.wait_exit(SOON).await, 0);
    let told = check.stdout().join("\n");
    let cause = "schema_registry.key_file: holds no private key without a passphrase";
    assert!(told.contains(cause), "{told}");
}
