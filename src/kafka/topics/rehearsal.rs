//! What the brokers think of a topic's settings, before a topic is made or changed.
//!
//! Owns the rehearsal: the request to make a topic that is only to be judged (`validate_only`).
//! Invariant: nothing comes into being.

use std::collections::BTreeMap;

use rdkafka::types::RDKafkaErrorCode;

use super::{ChangeError, Topics, number, options, refused};
use crate::decide::declared::{Declaration, cure};

/// The longest name that leaves room for a rehearsal's own: Kafka takes 249.
const REHEARSED_BYTES: usize = 230;

impl Topics {
    /// Has the brokers judge settings, where they tell an opinion; nothing comes into being.
    pub(super) async fn rehearse(
        &self,
        topic: &str,
        config: &BTreeMap<String, String>,
    ) -> Result<(), ChangeError> {
        match self.judged(topic, config).await? {
            Err(code) if number(code) == cure::INVALID_CONFIG => {
                Err(self.refused_settings(topic, config, code).await)
            }
            _ => Ok(()),
        }
    }

    /// Which of settings the brokers do not take, each judged by itself.
    pub(super) async fn refused_settings(
        &self,
        topic: &str,
        config: &BTreeMap<String, String>,
        code: RDKafkaErrorCode,
    ) -> ChangeError {
        let mut keys = Vec::new();
        for (key, value) in config {
            let alone = BTreeMap::from([(key.clone(), value.clone())]);
            match self.judged(topic, &alone).await {
                Ok(Err(code)) if number(code) == cure::INVALID_CONFIG => {
                    keys.push(format!("{key}={value}"));
                }
                Ok(_) => {}
                Err(error) => return error,
            }
        }
        if keys.is_empty() {
            return refused(code);
        }
        ChangeError::Settings { keys }
    }

    /// What brokers would say to a topic with these settings.
    async fn judged(
        &self,
        topic: &str,
        config: &BTreeMap<String, String>,
    ) -> Result<Result<(), RDKafkaErrorCode>, ChangeError> {
        // It must not be there: brokers judge no settings of one that is. Names are ASCII.
        let short = &topic[..topic.len().min(REHEARSED_BYTES)];
        let declared = Declaration {
            config: config.clone(),
            ..Declaration::default()
        };
        let options = options().validate_only(true);
        self.ask_to_create(&format!("{short}.rehearsal"), &declared, &options)
            .await
    }
}
