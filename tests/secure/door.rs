//! A door where clients shake hands by TLS and are then sent away.
//!
//! Owns the listener and its threads. It speaks no protocol above TLS: whoever connects is handed
//! the certificate, says one thing, and is hung up on.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::support::Certificates;

/// A listener that lives as long as the test process.
pub(crate) struct Door {
    /// Where it listens, by the name that its certificate has.
    pub(crate) address: String,
}

impl Door {
    pub(crate) fn open(certificates: &Certificates) -> Self {
        let chain = CertificateDer::pem_file_iter(certificates.path("server.pem"))
            .and_then(Iterator::collect)
            .expect("openssl wrote it");
        let key = PrivateKeyDer::from_pem_file(certificates.path("server.key"));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key.expect("openssl wrote it"))
            .expect("the key is the certificate's");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let config = Arc::clone(&config);
                thread::spawn(move || send_away(config, stream));
            }
        });
        Self {
            address: format!("localhost:{port}"),
        }
    }
}

fn send_away(config: Arc<ServerConfig>, mut stream: TcpStream) {
    let mut connection = ServerConnection::new(config).expect("the settings are whole");
    let mut said = [0];
    // Whether it is heard or not, the stream is closed after this.
    let _heard = Stream::new(&mut connection, &mut stream).read(&mut said);
}
