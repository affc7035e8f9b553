//! The look at declared topics.
//!
//! Owns which ones are told. How they are compared with the cluster's is the relay's.

use std::collections::{BTreeMap, BTreeSet};

use super::Look;
use crate::decide::checkup::topics;
use crate::decide::declared::plan::{Change, Plan};
use crate::kafka::KafkaError;
use crate::kafka::admin::Admin;
use crate::kafka::topics::Topics;
use crate::outbox::survey::Kind;
use crate::relay;

impl Look {
    /// Compares the declared topics with the cluster's, and tells where they differ; `wanted` are
    /// those that events go to. Returns the ones that are missing.
    pub(super) async fn at_declared(
        &mut self,
        admin: &Admin,
        kinds: &[Kind],
        wanted: &BTreeMap<String, Option<f64>>,
    ) -> BTreeSet<String> {
        let declared = &self.settings.topics;
        if declared.declare.is_empty() {
            return BTreeSet::new();
        }
        let plan = match self.plan(admin, kinds).await {
            Ok(plan) => plan,
            Err(error) => {
                self.kafka_failed("topics", &error);
                return BTreeSet::new();
            }
        };
        let is_used = |topic: &str| wanted.contains_key(topic);
        let found = topics::declared(&plan, is_used, declared.create_on_start);
        self.findings.extend(found);
        let steps = plan.steps.into_iter();
        let made = steps.filter(|step| matches!(step.change, Change::Create(_)));
        made.map(|step| step.topic).collect()
    }

    async fn plan(&self, admin: &Admin, kinds: &[Kind]) -> Result<Plan, KafkaError> {
        let client = Topics::start(admin)?;
        relay::topics::plan(&client, &self.settings, kinds, false).await
    }
}
