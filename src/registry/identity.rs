//! Who asks a registry, and whom it trusts.
//!
//! Owns the forms of credentials and the reading of certificates. Knows nothing of questions.
//!
//! Invariant: no error shows what a file holds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::tls::{Certificate, ClientCert, PemItem, RootCerts, parse_pem};

use super::RegistryError;
use crate::process::settings::SchemaRegistry;

/// What says who asks: a user and a password (RFC 7617), a token (RFC 6750), or nothing.
pub(super) fn authorization(settings: &SchemaRegistry) -> Option<String> {
    let token = settings.token.expose();
    if settings.username.is_empty() {
        return (!token.is_empty()).then(|| format!("Bearer {token}"));
    }
    let pair = format!("{}:{}", settings.username, settings.password.expose());
    Some(format!("Basic {}", STANDARD.encode(pair)))
}

/// The authorities that are trusted: those of a file, or those of this machine.
pub(super) fn trusted(file: &str) -> Result<RootCerts, RegistryError> {
    let certificates: Vec<Certificate<'static>> = if file.is_empty() {
        let found = rustls_native_certs::load_native_certs().certs;
        found
            .iter()
            .map(|one| Certificate::from_der(one).to_owned())
            .collect()
    } else {
        certificates_of("ca_file", file)?
    };
    Ok(RootCerts::new_with_certs(&certificates))
}

/// The certificate that the registry is shown, with its key.
pub(super) fn shown(settings: &SchemaRegistry) -> Result<Option<ClientCert>, RegistryError> {
    if settings.certificate_file.is_empty() {
        return Ok(None);
    }
    let chain = certificates_of("certificate_file", &settings.certificate_file)?;
    let key = items_of("key_file", &settings.key_file)?
        .into_iter()
        .find_map(|item| {
            if let PemItem::PrivateKey(key) = item {
                Some(key)
            } else {
                None
            }
        });
    let key = key.ok_or_else(|| wrong("key_file", "holds no private key without a passphrase"))?;
    Ok(Some(ClientCert::new_with_certs(&chain, key)))
}

/// The certificates of a file, in its order.
fn certificates_of(
    key: &'static str,
    file: &str,
) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let certificates: Vec<_> = items_of(key, file)?
        .into_iter()
        .filter_map(|item| {
            if let PemItem::Certificate(one) = item {
                Some(one)
            } else {
                None
            }
        })
        .collect();
    if certificates.is_empty() {
        return Err(wrong(key, "holds no certificate"));
    }
    Ok(certificates)
}

fn items_of(key: &'static str, file: &str) -> Result<Vec<PemItem<'static>>, RegistryError> {
    let bytes = std::fs::read(file)
        .map_err(|error| wrong(key, format!("names a file that cannot be read: {error}")))?;
    let items: Result<_, _> = parse_pem(&bytes).collect();
    items.map_err(|_| wrong(key, "names a file that is not in PEM"))
}

fn wrong(key: &'static str, reason: impl Into<String>) -> RegistryError {
    RegistryError::Setting {
        key,
        reason: reason.into(),
    }
}
