//! References: what each format makes of one, and that nothing of it is taken for the payload.

use super::*;

fn reference() -> Reference {
    Reference {
        location: "postgresql:shop.outbox_payload".to_owned(),
        size_bytes: 62_914_560,
        sha256: "ab".repeat(32),
    }
}

fn referring(form: &Form, event: &Event) -> Result<Record, Defect> {
    Envelope::new("/shop").reference(event, form, Arc::from("order-events"), &reference())
}

/// An event whose payload was not fetched.
fn large(headers: Option<&str>) -> Event {
    Event {
        payload: None,
        ..event(headers)
    }
}

fn document() -> String {
    format!(
        "{{\"id\":\"01234567-89ab-cdef-0123-456789abcdef\",\
         \"location\":\"postgresql:shop.outbox_payload\",\"size_bytes\":62914560,\
         \"sha256\":\"{}\"}}",
        "ab".repeat(32)
    )
}

#[test]
fn a_reference_stands_where_the_payload_would_in_every_format() {
    for (format, around) in [
        (Format::Payload, ("", "")),
        (Format::Raw, ("", "")),
        (Format::Cloudevents, ("{\"specversion\"", "}")),
        (Format::HeaderPayload, ("{\"header\"", "}")),
        (Format::Event, ("{\"event_id\"", "}")),
    ] {
        let record = referring(&Form { format, ..form() }, &large(None)).unwrap();
        let value = std::str::from_utf8(record.value().unwrap()).unwrap();
        let (start, end) = around;
        assert!(value.starts_with(start), "{value}");
        assert!(value.ends_with(&format!("{}{end}", document())), "{value}");
        assert_eq!(record.key(), Some(&b"o-1"[..]));
        let told = pair("claim-check", "postgresql:shop.outbox_payload");
        assert_eq!(all(&record).last(), Some(&told));
    }
}

#[test]
fn no_header_of_a_row_makes_a_payload_a_reference_to_elsewhere() {
    let own = r#"{"Claim-Check": "elsewhere", "tenant": "acme"}"#;
    let record = referring(&form(), &large(Some(own))).unwrap();
    let told = all(&record).into_iter();
    let told: Vec<_> = told
        .filter(|(name, _)| name.eq_ignore_ascii_case("claim-check"))
        .collect();
    assert_eq!(
        told,
        [pair("claim-check", "postgresql:shop.outbox_payload")]
    );
}

#[test]
fn a_template_of_the_payload_finds_none_and_least_of_all_the_references() {
    let form = Form {
        key: Some(template("{payload.id}")),
        ..form()
    };
    let defect = referring(&form, &large(None)).unwrap_err();
    assert!(defect.reason.contains("payload.id"), "{}", defect.reason);
}

#[test]
fn a_blank_reference_takes_no_less_room_than_any() {
    let id = event(None).at.id;
    for place in [
        Place::Table("postgresql:shop.outbox_payload".to_owned()),
        Place::Store("s3://bucket/shop".to_owned()),
    ] {
        let real = Reference::new(&place, id, 62_914_560, "ab".repeat(32));
        assert!(Reference::blank(&place).document(id).len() >= real.document(id).len());
    }
}

#[test]
fn in_a_store_each_payload_has_a_place_of_its_own_and_the_same_each_time() {
    let place = Place::Store("s3://bucket/shop".to_owned());
    let id = event(None).at.id;
    let location = |sha256: &str| Reference::new(&place, id, 7, sha256.to_owned()).location;
    assert_eq!(
        location("ab"),
        "s3://bucket/shop/01234567-89ab-cdef-0123-456789abcdef/ab"
    );
    assert_ne!(location("ab"), location("cd"));
}
