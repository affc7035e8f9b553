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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::settings::Secret;

    #[test]
    fn who_asks_is_a_user_a_bearer_of_a_token_or_nobody() {
        let says = |username: &str, password: &str, token: &str| {
            authorization(&SchemaRegistry {
                urls: Vec::new(),
                username: username.to_owned(),
                password: Secret::new(password),
                token: Secret::new(token),
                ca_file: String::new(),
                certificate_file: String::new(),
                key_file: String::new(),
                timeout_ms: 0,
                refresh_ms: 0,
            })
        };
        assert_eq!(says("", "", ""), None);
        // RFC 7617, section 2.
        let basic = says("Aladdin", "open sesame", "");
        assert_eq!(basic.as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        // RFC 6750, section 2.1.
        let bearer = says("", "", "mF_9.B5f-4.1JqM");
        assert_eq!(bearer.as_deref(), Some("Bearer mF_9.B5f-4.1JqM"));
    }
}
