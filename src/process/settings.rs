//! The settings of a process, typed and checked, and the only reader of the environment.
//!
//! Owns the shape of settings, their layers (default < file < environment < what secret files
//! hold) and the judgement whether they can be used. Does not act on any of them.
//!
//! Invariants:
//! - no default stands in Rust: every key and its default stand in `config/default.toml`;
//! - settings that exist are right: all that is wrong is found together, each with its path;
//! - a secret is in no `Debug` output and in no error.

mod checks;
mod columns;
mod declarations;
mod inline;
mod layers;
mod problems;
mod properties;
mod routes;
mod schema;
mod schemas;
mod secret;
#[cfg(test)]
mod tests;
mod warnings;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use config::Config;
use serde::Deserialize;

pub use self::problems::{Problem, SettingsError};
pub use self::secret::Secret;
pub use self::warnings::warnings;
use crate::decide::dead::OnDead;
use crate::decide::declared::Declaration;
use crate::decide::envelope::Format;
use crate::decide::letter::LetterFormat;
use crate::decide::order::{AfterPublish, Order};
use crate::decide::route::RouteSpec;
use layers::Layer;
use problems::Problems;

/// What a relay's name may take of `application_name`, which `PostgreSQL` cuts at 63 bytes and
/// which also says that it is a relay.
const NAME_MAX_BYTES: usize = 48;

/// The largest record that librdkafka takes by default (`message.max.bytes`), in bytes.
const RECORD_BYTES_MAX: u64 = 1_000_000;

/// Everything an operator can set; `config/default.toml` says what each key means.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Settings {
    /// Where the outbox is.
    pub database: Database,
    /// Where records go.
    pub kafka: Kafka,
    /// How lanes are held.
    pub lanes: Lanes,
    /// How the relay works.
    pub relay: Relay,
    /// Where an event goes that no other route is about, and how.
    pub route: Route,
    /// Where other events go, and how.
    #[serde(default)]
    pub routes: Vec<RouteSpec>,
    /// Which topics rows may reach, and how topics are to be.
    pub topics: Topics,
    /// Where the schemas are that routes encode by.
    pub schema_registry: SchemaRegistry,
    /// What becomes of rows that fail.
    pub failure: Failure,
    /// What becomes of payloads that are too large for a record.
    pub large_payload: LargePayload,
    /// What a record says of its origin.
    pub events: Events,
    /// Where the probes answer.
    pub http: Http,
    /// What is logged, and how.
    pub log: Log,
}

/// Where the outbox is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Database {
    /// The database, with its password; from `url_file` where that was given.
    pub url: Secret,
    /// The file that held it at the start; empty where it was given by itself. A path, unless
    /// somebody wrote the URL here.
    pub url_file: Secret,
    /// The schema that holds the outbox.
    pub schema: String,
    /// The outbox.
    pub table: String,
    /// What its columns are called, by our names; empty where it has none.
    pub columns: BTreeMap<String, String>,
    /// The time zone of a `created_at` that tells none.
    pub created_at_zone: String,
    /// Sessions this process may open.
    pub max_connections: u32,
    /// The time after which a statement is given up.
    pub statement_timeout_ms: u64,
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Kafka {
    /// Brokers to begin with, each `host:port`.
    pub brokers: Vec<String>,
    /// The time in which a record must be confirmed.
    pub message_timeout_ms: u64,
    /// Properties for the client by their names; none that the relay owns. Any may be secret.
    pub properties: BTreeMap<String, Secret>,
}

/// How lanes are held.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Lanes {
    /// How long a lane is held without renewing.
    pub lease_ttl_ms: u64,
    /// How often leases are renewed.
    pub renew_ms: u64,
    /// What is left unused at the end of a lease.
    pub margin_ms: u64,
}

/// How the relay works.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Relay {
    /// How this process calls itself; never empty.
    pub name: String,
    /// What keeps its order.
    pub order: Order,
    /// Events handed over and not yet marked, at most.
    pub window_rows: usize,
    /// The same in bytes.
    pub window_bytes: usize,
    /// The pause between polls while events come.
    pub poll_interval_ms: u64,
    /// The longest pause between polls.
    pub idle_poll_interval_ms: u64,
    /// What a stop waits for records under way.
    pub shutdown_grace_ms: u64,
    /// What becomes of a published row.
    pub after_publish: AfterPublish,
}

/// Where events go that no other route is about, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Route {
    /// The template of a topic for a row that names none.
    pub topic: String,
    /// The template of a record key for a row that names none; empty for none.
    pub key: String,
    /// How a record looks.
    pub format: Format,
}

/// Which topics rows may reach, and how topics are to be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Topics {
    /// Patterns of the names that rows may reach.
    pub allow: Vec<String>,
    /// Topics as they are wanted; the first one that matches a name counts.
    pub declare: Vec<Declaration>,
    /// Whether `run` makes those that are missing.
    pub create_on_start: bool,
}

/// Where the schemas are that routes encode by.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SchemaRegistry {
    /// Registries that say the same, in the order in which they are asked.
    pub urls: Vec<String>,
    /// Who asks; empty for nobody in particular.
    pub username: String,
    /// The password of that user.
    pub password: Secret,
    /// A bearer token, instead of a user; empty for none.
    pub token: Secret,
    /// A file with the authorities that are trusted; empty for those of the machine.
    pub ca_file: String,
    /// A file with the certificate that the registry is shown; empty for none.
    pub certificate_file: String,
    /// A file with the private key of that certificate.
    pub key_file: String,
    /// What a registry has for one answer.
    pub timeout_ms: u64,
    /// How often the newest versions are read again.
    pub refresh_ms: u64,
}

/// What becomes of rows that fail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Failure {
    /// What becomes of a row that failed for good.
    pub on_dead: OnDead,
    /// The template of the topics of dead letters.
    pub dead_letter_topic: String,
    /// How dead letters look.
    pub dead_letter_format: LetterFormat,
    /// So many refusals are enough; 0 is never.
    pub attempts_max: u32,
    /// The first wait before a retry.
    pub backoff_min_ms: u64,
    /// The longest wait before a retry.
    pub backoff_max_ms: u64,
}

/// What becomes of payloads that are too large for a record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LargePayload {
    /// What is done with one.
    pub action: LargeAction,
    /// Payloads that take more than this are large.
    pub over_bytes: u64,
    /// Where it is put: `database`, or the address of a store.
    pub store: String,
    /// How long consumers find one in the database.
    pub keep_hours: u32,
}

/// The database takes large payloads itself.
const IN_DATABASE: &str = "database";

impl LargePayload {
    /// The address of the store that takes large payloads, unless the database does.
    pub fn store_url(&self) -> Option<&str> {
        (self.store != IN_DATABASE).then(|| self.store.trim_end_matches('/'))
    }
}

/// What is done with a large payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LargeAction {
    /// Nothing: what is too large for a record is dead.
    Dead,
    /// It is put where consumers fetch it, and the record holds a reference.
    ClaimCheck,
}

/// What a record says of its origin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Events {
    /// The header `ce_source`.
    pub source: String,
}

/// Where the probes answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Http {
    /// The address and port.
    pub listen: SocketAddr,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// A level, or the directives of `RUST_LOG` where that was given.
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people on a terminal, as JSON elsewhere.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Settings {
    /// The largest record that the client takes, in bytes.
    pub(crate) fn record_bytes_max(&self) -> u64 {
        let property = self.kafka.properties.get("message.max.bytes");
        property
            .and_then(|value| value.expose().parse().ok())
            .unwrap_or(RECORD_BYTES_MAX)
    }

    /// Payloads that print as more bytes than this are put where consumers fetch them; none are where
    /// nothing is done with large ones.
    pub(crate) fn claim_check_over_bytes(&self) -> Option<u64> {
        let large = &self.large_payload;
        match large.action {
            LargeAction::Dead => None,
            LargeAction::ClaimCheck => Some(large.over_bytes),
        }
    }

    /// Reads settings from their layers: the compiled default, a file, the environment.
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let mut problems = Problems::default();
        let env: BTreeMap<_, _> = env.collect();
        let config = merge(file, &env, &mut problems);
        checks::all(&config, &mut problems);
        problems.into_result()?;
        let mut settings = typed(config);
        settings
            .kafka
            .properties
            .retain(|key, _| !properties::is_file(key));
        if settings.relay.name.is_empty() {
            settings.relay.name = host_and_pid();
        }
        if let Some(directives) = env.get("RUST_LOG").filter(|text| !text.is_empty()) {
            settings.log.level.clone_from(directives);
        }
        Ok(settings)
    }
}

/// The environment of this process. Bytes that are not UTF-8 are replaced: no setting needs them,
/// and a name or value of another program must not stop this one.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (lossy(name), lossy(value)))
}

/// Lays the layers on each other; what is wrong in one is left out of it.
fn merge(file: Option<&Path>, env: &BTreeMap<String, String>, problems: &mut Problems) -> Config {
    let (schema, default) = layers::default();
    let file = file
        .map(|file| layers::file(file, &schema, problems))
        .unwrap_or_default();
    let pairs = env
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    let env = layers::environment(pairs, &schema, problems);
    let mut layers = vec![default, file, env];
    let secrets = secret::from_files(&lay(&layers), problems);
    let schemas = schemas::from_files(&lay(&layers), problems);
    layers.extend([secrets, schemas]);
    lay(&layers)
}

/// Gives checked values their types.
fn typed(config: Config) -> Settings {
    config
        .try_deserialize()
        .expect("a value that passed its checks has its type: a test tries every key")
}

/// Lays layers on each other, the last on top.
fn lay(layers: &[Layer]) -> Config {
    let builder = Config::builder();
    layers
        .iter()
        .fold(builder, |builder, layer| builder.add_source(layer.clone()))
        .build()
        .expect("layers are in memory and were compared with the schema")
}

/// A name for a process that was given none. Of a long host name the end is kept: there names
/// that were made up differ.
fn host_and_pid() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let pid = std::process::id();
    let host: String = host.chars().filter(char::is_ascii_graphic).collect();
    let room = NAME_MAX_BYTES - format!("-{pid}").len();
    let end = &host[host.len().saturating_sub(room)..];
    format!("{end}-{pid}")
}
