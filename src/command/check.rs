//! `check`: looks at everything that a relay needs, and says of each whether it is there.
//!
//! Owns the form of the report and how the verb ends. The looking is in `look`, and
//! what routes make of events in `trial`.

mod look;
mod trial;

use std::path::Path;

use serde_json::{Value, json};

use self::look::look;
use super::{Done, Exit, access, say, settings};
use crate::decide::checkup::{Finding, Grade};

/// Check settings, database, brokers and topics: one line each, with the cure
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay check --config relay.toml

Looks with the same settings and rights as `run`, and changes nothing. The topics are those of the
events that wait and of the newest ones. Exit code 0 if a relay can run, 1 if something is wrong, 64
if the settings are, 69 if the database or the brokers do not answer.")]
pub(super) struct Check {
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Looks at everything and tells what was found.
    pub(super) async fn run(&self, file: Option<&Path>) -> Done {
        let settings = settings(file)?;
        let access = access(&settings, "check")?;
        let findings = look(settings, &access).await;
        let told = if self.json {
            say(&json_of(&findings).to_string())
        } else {
            say(&text_of(&findings))
        };
        let verdict = exit_of(&findings);
        Ok(if verdict == Exit::Clean {
            told
        } else {
            verdict
        })
    }
}

fn exit_of(findings: &[Finding]) -> Exit {
    let any = |grade| findings.iter().any(|finding| finding.grade == grade);
    if any(Grade::Away) {
        Exit::Unavailable
    } else if any(Grade::Wrong) {
        Exit::Failed
    } else {
        Exit::Clean
    }
}

/// The form for people.
fn text_of(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let grade = match finding.grade {
            Grade::Fine => "ok",
            Grade::Doubtful => "warn",
            Grade::Wrong | Grade::Away => "FAIL",
        };
        let cure = finding.cure.as_ref();
        let cure = cure.map_or_else(String::new, |cure| format!(" — {cure}"));
        format!("{grade:<4} {:<9} {}{cure}", finding.about, finding.text)
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The form for programs: its keys are a promise.
fn json_of(findings: &[Finding]) -> Value {
    let one = |finding: &Finding| {
        json!({
            "check": finding.about,
            "verdict": match finding.grade {
                Grade::Fine => "ok",
                Grade::Doubtful => "warn",
                Grade::Wrong => "fail",
                Grade::Away => "unreachable",
            },
            "text": finding.text,
            "cure": finding.cure,
        })
    };
    json!({
        "ok": exit_of(findings) == Exit::Clean,
        "checks": findings.iter().map(one).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides_the_end() {
        let fine = Finding::fine("a", "b");
        let doubtful = Finding::doubtful("a", "b", "c");
        let wrong = Finding::wrong("a", "b", "c");
        let away = Finding::away("a", "b", "c");
        assert_eq!(exit_of(&[fine.clone(), doubtful.clone()]), Exit::Clean);
        assert_eq!(exit_of(&[wrong.clone(), doubtful, fine]), Exit::Failed);
        assert_eq!(exit_of(&[away, wrong]), Exit::Unavailable);
    }

    #[test]
    fn a_line_has_the_grade_and_what_was_looked_at_and_the_cure() {
        let findings = [
            Finding::fine("kafka", "cluster x"),
            Finding::away("database", "no answer", "start it"),
        ];
        assert_eq!(
            text_of(&findings),
            "ok   kafka     cluster x\nFAIL database  no answer — start it"
        );
        let told = json_of(&findings);
        assert_eq!(told["ok"], false);
        assert_eq!(told["checks"][1]["verdict"], "unreachable");
        assert_eq!(told["checks"][0]["cure"], Value::Null);
    }
}
