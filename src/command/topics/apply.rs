//! `topics apply`: makes the topics as they are declared, and tells of each as it is done.

use super::{Desk, line, lines_of};
use crate::command::{Done, Exit, say};

/// Make the topics as they are declared
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay topics plan && echo nothing to do
  outbox-relay topics apply --config relay.toml
  outbox-relay topics apply --add-partitions

Does what `topics plan` tells, topic by topic, a line each. What fails hinders nothing else, and it
may be run again at any time. The brokers want CREATE, ALTER, ALTER_CONFIGS and DESCRIBE_CONFIGS of
the principal.

Added partitions are for good, and move keys: events of one aggregate from before and after it are
in different partitions, and may be consumed out of order.

Exit code 0 if the topics are as they are declared then, 1 if something failed or is left to you,
64 if none is declared, 69 if the brokers do not answer.")]
pub(super) struct Apply {
    /// Add partitions too, where more are declared
    #[arg(long)]
    add_partitions: bool,
}

impl Apply {
    /// Carries the plan out.
    pub(super) async fn run(&self, desk: &Desk) -> Done {
        let plan = desk.plan(self.add_partitions).await?;
        let mut exit = if plan.differences.is_empty() {
            Exit::Clean
        } else {
            Exit::Failed
        };
        if plan.is_empty() {
            return Ok(say("all topics are as they are declared"));
        }
        for step in &plan.steps {
            match desk.topics.carry_out(&step.topic, &step.change).await {
                Ok(()) => {
                    say(&format!("{}: done", line(step)));
                }
                Err(error) => {
                    say(&format!(
                        "{}: FAILED: {error} — {}",
                        line(step),
                        error.cure()
                    ));
                    if error.is_away() {
                        return Ok(Exit::Unavailable);
                    }
                    exit = Exit::Failed;
                }
            }
        }
        for line in lines_of(&plan.differences) {
            say(&line);
        }
        Ok(exit)
    }
}
