//! `dev`: the whole of it on one machine, to see it work or to point a service at it.
//!
//! Owns the arguments and the order of events. What comes up and goes down is in `world`.

mod world;

use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use tokio::time::sleep;

use self::world::World;
use super::{Done, Exit, Refusal, access, say, settings};
use crate::dev::service::Service;
use crate::dev::story::Story;
use crate::dev::{Fate, News, lines};
use crate::outbox::names::Names;
use crate::outbox::session::Access;
use crate::process::settings::Settings;
use crate::process::shutdown::Shutdown;
use crate::process::telemetry;

/// Try it: a throw-away database, an in-process Kafka, a sample service, a relay and a consumer
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay dev --for 20s

Needs PostgreSQL's server programs and nothing else; whatever it starts ends with it. Ends by
Ctrl-C or --for with a summary that it has checked; exit code 1 if an event was lost, invented, out
of order or not marked. No settings are read but RUST_LOG.

  outbox-relay dev --no-writer
  outbox-relay dev --writer-only --config relay.toml

The first waits for your events, and makes the topics that they need. The second is the sample
service alone: it writes orders to database.url of the settings, into a schema sample_shop of its
own, and their events to the outbox there, for the topics order-events and stock-events.")]
pub(super) struct Dev {
    /// Stop after this time, for example 500ms, 20s or 2m
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    length: Option<Duration>,
    /// Start no sample service; print a psql line to write events with
    #[arg(long)]
    no_writer: bool,
    /// Start the sample service alone, on the database of the settings
    #[arg(long, conflicts_with_all = ["no_writer", "keep"])]
    writer_only: bool,
    /// Leave the database's folder behind
    #[arg(long)]
    keep: bool,
}

impl Dev {
    /// Runs until a signal or for its time.
    pub(super) async fn run(&self, file: Option<&Path>) -> Done {
        let shutdown = Shutdown::on_signals().map_err(|error| Refusal::new(Exit::Bug, &error))?;
        if self.writer_only {
            return self.write(&settings(file)?, &shutdown).await;
        }
        let world = tokio::select! {
            world = World::bring_up(self.keep) => world?,
            () = shutdown.wait() => return Ok(Exit::Clean),
        };
        self.watch(world, &shutdown).await
    }

    /// Lets the world run, and judges what came through.
    async fn watch(&self, mut world: World, shutdown: &Shutdown) -> Done {
        tokio::select! {
            ready = world.ready() => ready?,
            () = shutdown.wait() => {}
        }
        say(&world.introduction());
        let service = (!self.no_writer).then(|| world.open_shop());
        let mut story = Story::default();
        tokio::select! {
            refusal = world.follow(&mut story) => return Err(refusal),
            () = self.over(shutdown) => {}
        }
        if let Some(service) = service {
            service.stop().await;
        }
        let summary = world.take_down(story).await?;
        let text = if self.no_writer {
            lines::others(&summary)
        } else {
            lines::summary(&summary)
        };
        say(&format!("\n{text}"));
        Ok(if summary.holds() {
            Exit::Clean
        } else {
            Exit::Failed
        })
    }

    /// The sample service alone.
    async fn write(&self, settings: &Settings, shutdown: &Shutdown) -> Done {
        telemetry::init(&settings.log);
        let (access, names) = outbox(settings)?;
        let (news_in, mut news) = unbounded_channel();
        let service = Service::start(&access, &names, &news_in);
        drop(news_in);
        tracing::info!(outbox = names.outbox(), "the sample service writes orders");
        let (mut committed, mut rolled_back) = (0, 0);
        let mut count = async || {
            while let Some(news) = news.recv().await {
                match news {
                    News::Ended {
                        ids,
                        fate: Fate::Committed,
                    } => committed += ids.len(),
                    News::Ended {
                        ids,
                        fate: Fate::RolledBack,
                    } => rolled_back += ids.len(),
                    News::Written { .. } | News::Arrived(_) => {}
                }
            }
        };
        tokio::select! {
            () = count() => {}
            () = self.over(shutdown) => {}
        }
        service.stop().await;
        count().await;
        Ok(say(&format!(
            "committed {committed} events, rolled back {rolled_back}"
        )))
    }

    /// Waits for a signal, or for the end of the time.
    async fn over(&self, shutdown: &Shutdown) {
        let time = async {
            match self.length {
                Some(length) => sleep(length).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time => {}
            () = shutdown.wait() => {}
        }
    }
}

/// Where the outbox of some settings is, and what it is called.
fn outbox(settings: &Settings) -> Result<(Access, Names), Refusal> {
    let names = Names::new(&settings.database.schema, &settings.database.table);
    Ok((access(settings, "dev")?, names))
}

/// A time with its unit.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit_ms = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err("expected a number and ms, s or m, such as 20s".to_owned()),
    };
    let number: u32 = digits
        .parse()
        .map_err(|_| format!("{digits:?} is not a whole number"))?;
    Ok(Duration::from_millis(u64::from(number) * unit_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_and_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        for wrong in ["", "20", "s", "1.5s", "-1s", "20h", "20 s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
