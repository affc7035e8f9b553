//! Questions to a registry, over HTTP.
//!
//! Owns addresses and what each status means. Blocks: who asks from a runtime does
//! so on a thread for that.
//!
//! Invariant: of several registries the next one is asked only where one does not answer.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::tls::TlsConfig;
use ureq::{Agent, Body, RequestBuilder};

use super::RegistryError;
use super::identity;
use crate::decide::schema::{Numbered, Schema};
use crate::process::settings::SchemaRegistry;
use crate::record::{SchemaName, SchemaOrigin, SchemaType};

/// What a registry's answers are written in, and our questions.
const CONTENT: &str = "application/vnd.schemaregistry.v1+json";
/// An answer has at most this many bytes: a schema is made by people.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A schema refers to at most this many others.
const REFERENCES_MAX: usize = 100;
/// So much of what a registry says is told, in characters.
const REASON_MAX: usize = 300;

/// Asks registries that say the same.
pub struct Client {
    agent: Agent,
    urls: Vec<String>,
    authorization: Option<String>,
}

/// A schema as a registry tells it. A registry that was given one tells its number alone.
#[derive(Deserialize)]
struct Told {
    id: u32,
    schema: Option<String>,
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

/// Another schema that one refers to.
#[derive(Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: u32,
}

/// What a registry says when it refuses.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Complaint {
    error_code: u64,
    message: String,
}

impl Client {
    /// A client by the settings; it asks nothing yet.
    pub fn new(settings: &SchemaRegistry) -> Result<Self, RegistryError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(identity::trusted(&settings.ca_file)?)
            .client_cert(identity::shown(settings)?)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_millis(settings.timeout_ms)))
            .build()
            .into();
        let urls = settings.urls.iter();
        Ok(Self {
            agent,
            urls: urls
                .map(|url| url.trim_end_matches('/').to_owned())
                .collect(),
            authorization: identity::authorization(settings),
        })
    }

    /// The number of a schema, without its content: whether it is there.
    pub fn find(&self, name: &SchemaName) -> Result<u32, RegistryError> {
        self.look_up(name, false).map(|told| told.id)
    }

    /// Whether the schema of a file may follow the versions that its subject has.
    pub fn may_follow(&self, name: &SchemaName, schema: &str) -> Result<bool, RegistryError> {
        #[derive(Deserialize)]
        struct Answer {
            is_compatible: bool,
        }
        let subject = escaped(&name.subject);
        let path = format!("/compatibility/subjects/{subject}/versions/latest");
        match self.post(&path, &body(name.kind, schema)) {
            Ok(Answer { is_compatible }) => Ok(is_compatible),
            // The first version of a subject follows none.
            Err(RegistryError::Unknown { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// A schema, with all that it refers to.
    pub fn fetch(&self, name: &SchemaName) -> Result<Numbered, RegistryError> {
        let told = self.look_up(name, true)?;
        let own = match &name.origin {
            SchemaOrigin::File(file) => Some(&file.text),
            SchemaOrigin::Latest | SchemaOrigin::Version(_) => told.schema.as_ref(),
        };
        let text = own.ok_or_else(|| unusable("the registry tells no schema"))?;
        let mut known = Vec::new();
        self.collect(&told.references, &mut BTreeSet::new(), &mut known)?;
        let message = name.message.as_deref();
        let schema = Schema::parse(name.kind, text, &known, message).map_err(unusable)?;
        Ok(Numbered {
            id: told.id,
            schema,
        })
    }

    /// What the registry tells of a schema. One of a file is registered if that is allowed, here and by
    /// the route.
    fn look_up(&self, name: &SchemaName, may_register: bool) -> Result<Told, RegistryError> {
        let subject = escaped(&name.subject);
        let told = match &name.origin {
            SchemaOrigin::Latest => self.get(&version_path(&subject, "latest"))?,
            SchemaOrigin::Version(version) => {
                self.get(&version_path(&subject, &version.to_string()))?
            }
            SchemaOrigin::File(file) => {
                let registers = may_register && file.register;
                let versions = if registers { "/versions" } else { "" };
                let path = format!("/subjects/{subject}{versions}");
                self.post(&path, &body(name.kind, &file.text))?
            }
        };
        check_kind(&told, name.kind)?;
        Ok(told)
    }

    /// Collects the schemas that are referred to, each behind those that it refers to itself.
    fn collect(
        &self,
        references: &[Reference],
        seen: &mut BTreeSet<String>,
        known: &mut Vec<(String, String)>,
    ) -> Result<(), RegistryError> {
        for reference in references {
            if !seen.insert(reference.name.clone()) {
                continue;
            }
            if seen.len() > REFERENCES_MAX {
                return Err(unusable("the schema refers to too many others"));
            }
            let subject = escaped(&reference.subject);
            let told: Told = self.get(&version_path(&subject, &reference.version.to_string()))?;
            self.collect(&told.references, seen, known)?;
            let text = told
                .schema
                .ok_or_else(|| unusable("the registry tells no schema"))?;
            known.push((reference.name.clone(), text));
        }
        Ok(())
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RegistryError> {
        self.ask(|url| self.signed(self.agent.get(format!("{url}{path}"))).call())
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, RegistryError> {
        let body = body.to_string();
        self.ask(|url| {
            let request = self.signed(self.agent.post(format!("{url}{path}")));
            request.header("content-type", CONTENT).send(body.as_str())
        })
    }

    /// A request that says who asks, and in which form it is answered.
    fn signed<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        let request = request.header("accept", CONTENT);
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }

    /// Asks one registry after the other until one answers.
    fn ask<T: DeserializeOwned>(
        &self,
        request: impl Fn(&str) -> Result<ureq::http::Response<Body>, ureq::Error>,
    ) -> Result<T, RegistryError> {
        let mut last = away("there is no address");
        for url in &self.urls {
            match request(url).map_or_else(|error| Err(away(error.to_string())), answer) {
                Err(error) if error.is_away() => last = error,
                told => return told,
            }
        }
        Err(last)
    }
}

impl fmt::Debug for Client {
    /// Shows where it asks, and not as whom.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

/// What an answer means.
fn answer<T: DeserializeOwned>(
    mut response: ureq::http::Response<Body>,
) -> Result<T, RegistryError> {
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    let text = body
        .read_to_string()
        .map_err(|error| away(error.to_string()))?;
    if (200..300).contains(&status) {
        // The parser's own reason may quote what it read.
        return serde_json::from_str(&text)
            .map_err(|_| away("its answer is none of a schema registry"));
    }
    let Complaint {
        error_code: code,
        message,
    } = serde_json::from_str(&text).unwrap_or_default();
    let reason: String = message.chars().take(REASON_MAX).collect();
    Err(match status {
        401 | 403 => RegistryError::Denied { status },
        404 => RegistryError::Unknown { code },
        409 => RegistryError::Incompatible { reason },
        408 | 429 | 500.. => RegistryError::Failing {
            status,
            code,
            reason,
        },
        _ => RegistryError::Refused {
            status,
            code,
            reason,
        },
    })
}

fn away(reason: impl Into<String>) -> RegistryError {
    RegistryError::Away {
        reason: reason.into(),
    }
}

fn unusable(reason: impl Into<String>) -> RegistryError {
    RegistryError::Unusable {
        reason: reason.into(),
    }
}

/// A registry leaves the type out where it is Avro.
fn check_kind(told: &Told, wanted: SchemaType) -> Result<(), RegistryError> {
    let kind = told.kind.as_deref().unwrap_or("AVRO");
    // What was given is of the type that was given.
    if told.schema.is_none() || kind == wanted.to_string() {
        return Ok(());
    }
    let text = format!("the schema is of type {kind}, and the route says {wanted}");
    Err(unusable(text))
}

fn version_path(subject: &str, version: &str) -> String {
    format!("/subjects/{subject}/versions/{version}")
}

fn body(kind: SchemaType, schema: &str) -> Value {
    json!({"schemaType": kind.to_string(), "schema": schema})
}

/// A subject as one segment of a path (RFC 3986, "Percent-Encoding").
fn escaped(subject: &str) -> String {
    let mut text = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.extend(['%', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
    text
}

fn digit(digit: u8) -> char {
    char::from_digit(u32::from(digit), 16).map_or('0', |digit| digit.to_ascii_uppercase())
}
