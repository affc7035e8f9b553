//! A service whose orders are encoded by a schema, and a relay for it.
//!
//! Owns its settings, its topics and the way to its registry. Knows nothing of what a test asks.

use std::fs;

use tempfile::TempDir;

use crate::support::{Kafka, Outbox, Probes, Proxy, Receiver, RelayProcess, SOON, SchemaRegistry};

/// A service whose events are encoded by schemas.
pub(super) struct Shop {
    pub(super) outbox: Outbox,
    folder: TempDir,
    /// The address of the registry, perhaps by way of a proxy.
    registry: String,
    pub(super) probes: Probes,
}

impl Shop {
    /// A service with this schema for its orders, at the shared registry.
    pub(super) async fn of(schema: &str) -> Self {
        let registry = SchemaRegistry::shared().await;
        Self::at(&registry.url(), schema).await
    }

    /// The same, with a registry at this address.
    pub(super) async fn at(registry: &str, schema: &str) -> Self {
        let outbox = Outbox::create().await;
        let topic = &outbox.topic;
        let kafka = Kafka::shared().await;
        for other in ["dlq", "plain"] {
            let name = format!("{topic}.{other}");
            kafka.create_topic(&name, 1, &[]).await;
        }
        let folder = tempfile::tempdir().expect("a folder is made");
        let toml = format!(
            "[[routes]]
             match = {{ aggregate_type = 'plain' }}
             topic = '{topic}.plain'
             [[routes]]
             topic = '{topic}'
             schema = {schema}"
        );
        fs::write(folder.path().join("relay.toml"), toml).expect("the file is written");
        Self {
            outbox,
            folder,
            registry: registry.to_owned(),
            probes: Probes::new(),
        }
    }

    /// The same, with a proxy before the shared registry.
    pub(super) async fn by_proxy(schema: &str) -> (Self, Proxy) {
        let registry = SchemaRegistry::shared().await;
        let proxy = Proxy::before(registry.server()).await;
        let url = SchemaRegistry::url_at(proxy.address());
        (Self::at(&url, schema).await, proxy)
    }

    /// Starts a verb, with its arguments behind it.
    pub(super) fn verb(&self, verb: &str, settings: &[(&str, &str)]) -> RelayProcess {
        let file = self.folder.path().join("relay.toml");
        let file = file.to_str().expect("the name is text");
        let arguments: Vec<&str> = ["--config", file]
            .into_iter()
            .chain(verb.split(' '))
            .collect();
        let own = [
            ("schema_registry.urls", self.registry.as_str()),
            ("http.listen", &self.probes.listen),
        ];
        self.outbox.verb(&arguments, &[&own[..], settings].concat())
    }

    pub(super) fn relay(&self) -> RelayProcess {
        self.verb("run", &[])
    }

    pub(super) fn subject(&self) -> String {
        format!("{}-value", self.outbox.topic)
    }

    /// A receiver of this topic of its own: `""`, `.dlq` or `.plain`.
    pub(super) async fn receiver(&self, ending: &str) -> Receiver {
        let topic = format!("{}{ending}", self.outbox.topic);
        Receiver::start(Kafka::shared().await, &[&topic]).await
    }

    pub(super) async fn check(&self, exit: i32) -> String {
        let mut check = self.verb("check", &[]);
        assert_eq!(check.wait_exit(SOON).await, exit, "{:?}", check.stdout());
        let lines = check.stdout();
        let about = lines.into_iter().filter(|line| line.contains(" schemas "));
        about.collect::<Vec<_>>().join("\n")
    }
}
