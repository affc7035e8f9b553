//! An event as those verbs see it that send nothing: with its payload, or with a reference in its place.
//!
//! Owns how the two are told apart where nothing is stored. What becomes of either is decided where the
//! relay asks too.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::decide::envelope::{Envelope, Form, Place, Reference, check_size};
use crate::event::{Event, Payload};
use crate::outbox::columns;
use crate::outbox::error::OutboxError;
use crate::outbox::large::{Measured, Payloads};
use crate::outbox::names::Names;
use crate::outbox::one::one;
use crate::outbox::session::Session;
use crate::outcome::Defect;
use crate::process::settings::Settings;
use crate::record::Record;

/// An event, and what would stand for its payload.
pub(super) struct Seen {
    /// The event; without its payload where a reference stands for that.
    pub(super) event: Event,
    reference: Option<Reference>,
}

impl Seen {
    /// An event whose payload is in memory, large or not.
    pub(super) fn whole(settings: &Settings, mut event: Event) -> Self {
        let over_bytes = settings.claim_check_over_bytes();
        let is_large = |payload: &mut Payload| {
            let bytes = u64::try_from(payload.bytes().len()).unwrap_or(u64::MAX);
            over_bytes.is_some_and(|over_bytes| bytes > over_bytes)
        };
        let reference = event.payload.take_if(is_large).map(|payload| {
            let digits = Sha256::digest(payload.bytes());
            let digits = digits.iter().map(|byte| format!("{byte:02x}"));
            let size_bytes = i64::try_from(payload.bytes().len()).unwrap_or(i64::MAX);
            Reference::new(&place(settings), event.at.id, size_bytes, digits.collect())
        });
        Self { event, reference }
    }

    /// An event of which no more is known than its kind.
    pub(super) fn of_kind(event: Event) -> Self {
        Self {
            event,
            reference: None,
        }
    }

    /// The event of this number; none if it is not there, and a defect if no record can carry it. A
    /// payload that no record can carry is measured where it is if that is asked for.
    pub(super) async fn read(
        session: &mut Session,
        settings: &Settings,
        seq: i64,
        measures: bool,
    ) -> Result<Option<Result<Self, Defect>>, OutboxError> {
        let names = columns::look(session, &settings.database).await?;
        let bytes_max = settings.record_bytes_max();
        let defect = match one(session, &names, seq, bytes_max).await? {
            Some(Err(defect)) => defect,
            found => return Ok(found.map(|event| event.map(|event| Self::whole(settings, event)))),
        };
        let payloads = Payloads::new(&names, bytes_max);
        let bare = match settings.claim_check_over_bytes() {
            Some(_) => payloads.event(session, seq, None).await?,
            None => None,
        };
        let Some(Ok(bare)) = bare.filter(|bare| bare.as_ref().is_ok_and(|bare| bare.has_payload))
        else {
            return Ok(Some(Err(defect)));
        };
        let place = place(settings);
        let mut reference = Reference::blank(&place);
        if measures && let Some(measured) = payloads.measure(session, bare.event.at).await? {
            let Measured { size_bytes, sha256 } = measured;
            reference = Reference::new(&place, bare.event.at.id, size_bytes, sha256);
        }
        Ok(Some(Ok(Self {
            event: bare.event,
            reference: Some(reference),
        })))
    }

    /// The record that it becomes, if the client takes that.
    pub(super) fn record(
        &self,
        settings: &Settings,
        envelope: &Envelope,
        (form, topic): (&Form, Arc<str>),
    ) -> Result<Record, Defect> {
        let record = match &self.reference {
            Some(reference) => envelope.reference(&self.event, form, topic, reference),
            None => envelope.record(&self.event, form, topic),
        }?;
        check_size(&record, settings.record_bytes_max()).map(|()| record)
    }
}

fn place(settings: &Settings) -> Place {
    let names = Names::new(&settings.database.schema, &settings.database.table);
    names.place(settings.large_payload.store_url())
}
