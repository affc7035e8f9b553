//! `topics plan`: tells what differs, and changes nothing.

use serde_json::{Value, json};

use super::{Desk, line, lines_of};
use crate::command::{Done, Exit, say};
use crate::decide::declared::plan::{Change, Difference, Plan, Setting, Step};

/// Tell what differs between the declared topics and the cluster's
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay topics plan --config relay.toml
  outbox-relay topics plan --json

Changes nothing. Each line is a topic:
  +  it is missing, and `topics apply` makes it
  ~  it differs, and `topics apply` changes it
  !  it differs, and you have to decide

Exit code 0 if the topics are as they are declared, 1 if something differs, 64 if none is declared,
69 if the brokers do not answer.")]
pub(super) struct Show {
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

impl Show {
    /// Tells the plan.
    pub(super) async fn run(&self, desk: &Desk) -> Done {
        let plan = desk.plan(false).await?;
        let told = if self.json {
            say(&json_of(&plan).to_string())
        } else {
            say(&text_of(&plan))
        };
        Ok(if plan.is_empty() { told } else { Exit::Failed })
    }
}

/// The form for people.
fn text_of(plan: &Plan) -> String {
    if plan.is_empty() {
        return "all topics are as they are declared".to_owned();
    }
    let steps = plan.steps.iter().map(line);
    let lines: Vec<_> = steps.chain(lines_of(&plan.differences)).collect();
    lines.join("\n")
}

/// The form for programs: its keys are a promise.
fn json_of(plan: &Plan) -> Value {
    let difference =
        |one: &Difference| json!({ "topic": one.topic, "text": one.text, "cure": one.cure });
    json!({
        "ok": plan.is_empty(),
        "changes": plan.steps.iter().map(json_of_step).collect::<Vec<_>>(),
        "differences": plan.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}

fn json_of_step(Step { topic, change }: &Step) -> Value {
    match change {
        Change::Create(declared) => json!({
            "topic": topic,
            "change": "create",
            "partitions": declared.partitions,
            "replication_factor": declared.replication_factor,
            "config": declared.config,
        }),
        Change::Alter(settings) => {
            let setting =
                |Setting { key, from, to }: &Setting| json!({ "key": key, "from": from, "to": to });
            json!({
                "topic": topic,
                "change": "alter",
                "config": settings.iter().map(setting).collect::<Vec<_>>(),
            })
        }
        Change::AddPartitions { from, to } => {
            json!({ "topic": topic, "change": "add_partitions", "from": from, "to": to })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::decide::declared::Declaration;

    fn plan() -> Plan {
        let step = |topic: &str, change| Step {
            topic: topic.to_owned(),
            change,
        };
        let setting = Setting {
            key: "retention.ms".to_owned(),
            from: "1".to_owned(),
            to: "2".to_owned(),
        };
        let declared = Declaration {
            name: "a*".to_owned(),
            partitions: Some(3),
            replication_factor: None,
            config: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        };
        Plan {
            steps: vec![
                step("a", Change::Create(declared)),
                step("b", Change::Alter(vec![setting])),
                step("c", Change::AddPartitions { from: 1, to: 2 }),
            ],
            differences: vec![Difference {
                topic: "d".to_owned(),
                text: "has 8 partitions".to_owned(),
                cure: "declare 8".to_owned(),
            }],
        }
    }

    #[test]
    fn each_line_is_a_topic_and_what_differs() {
        assert_eq!(
            text_of(&plan()),
            "+ a  create with partitions=3, cleanup.policy=compact\n\
             ~ b  retention.ms: 1 -> 2\n\
             ~ c  partitions: 1 -> 2\n\
             ! d  has 8 partitions — declare 8"
        );
        let none = text_of(&Plan::default());
        assert_eq!(none, "all topics are as they are declared");
    }

    #[test]
    fn programs_get_the_same() {
        let told = json_of(&plan());
        assert_eq!(told["ok"], false);
        assert_eq!(told["changes"][0]["change"], "create");
        assert_eq!(told["changes"][0]["replication_factor"], Value::Null);
        assert_eq!(told["changes"][1]["config"][0]["to"], "2");
        assert_eq!(told["changes"][2]["to"], 2);
        assert_eq!(told["differences"][0]["cure"], "declare 8");
        assert_eq!(json_of(&Plan::default())["ok"], true);
    }
}
