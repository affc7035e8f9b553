//! Payloads that are no JSON by their type, and ids that are no UUID, in every format.

use serde_json::Value;

use super::*;

/// A row whose payload is no JSON by its type, in a format.
fn made_of(format: Format, payload: Payload, headers: Option<&str>) -> Result<Record, Defect> {
    let event = Event {
        payload: Some(payload),
        ..event(headers)
    };
    record_by(&Form { format, ..form() }, &event)
}

fn made_in(format: Format, event: &Event) -> Record {
    record_by(&Form { format, ..form() }, event).unwrap()
}

fn kind_of(record: &Record) -> Option<String> {
    let mut headers = all(record).into_iter();
    headers.find(|(name, _)| name == "content-type")?.1
}

#[test]
fn text_and_bytes_are_the_value_as_they_are_and_say_what_they_are() {
    let text = || Payload::Text("a\u{0}\"ü".to_owned());
    let bytes = || Payload::Bytes(vec![0, 255, 7]);
    let own = Some(r#"{"content-type": "application/x-protobuf"}"#);
    for (payload, kind) in [
        (text(), "text/plain"),
        (bytes(), "application/octet-stream"),
    ] {
        let plain = made_of(Format::Payload, payload.clone(), None).unwrap();
        assert_eq!(plain.value(), Some(payload.bytes()));
        assert_eq!(kind_of(&plain).as_deref(), Some(kind));
        let declared = made_of(Format::Payload, payload.clone(), own).unwrap();
        assert_eq!(
            kind_of(&declared).as_deref(),
            Some("application/x-protobuf")
        );
        let raw = made_of(Format::Raw, payload.clone(), None).unwrap();
        assert_eq!(
            (raw.value(), raw.headers().len()),
            (Some(payload.bytes()), 0)
        );
    }
}

#[test]
fn within_documents_text_is_a_string_and_bytes_are_base64() {
    let text = Payload::Text("say \"hi\"\n".to_owned());
    let bytes = Payload::Bytes(vec![0, 255, 7]);
    for (format, name) in [
        (Format::Cloudevents, "data"),
        (Format::Event, "data"),
        (Format::HeaderPayload, "payload"),
    ] {
        let value = |payload: &Payload| -> Value {
            let record = made_of(format, payload.clone(), None).unwrap();
            serde_json::from_slice(record.value().unwrap()).unwrap()
        };
        assert_eq!(value(&text)[name], "say \"hi\"\n");
        let is_event = format == Format::Cloudevents;
        let name = if is_event { "data_base64" } else { name };
        assert_eq!(value(&bytes)[name], "AP8H");
        if is_event {
            assert_eq!(value(&text)["datacontenttype"], "text/plain");
            let kind = &value(&bytes)["datacontenttype"];
            assert_eq!(kind, "application/octet-stream");
            assert_eq!(value(&bytes)["data"], Value::Null);
        }
    }
}

#[test]
fn text_and_bytes_that_are_declared_as_json_stand_in_documents_as_they_are() {
    let json = "{\"n\": 1.50}";
    let payloads = [Payload::Text(json.to_owned()), Payload::Bytes(json.into())];
    for kind in ["application/json", "Application/vnd.a+JSON; charset=utf-8"] {
        let own = serde_json::json!({ "Content-Type": kind }).to_string();
        for payload in &payloads {
            let record = made_of(Format::Cloudevents, payload.clone(), Some(&own)).unwrap();
            let value = String::from_utf8(record.value().unwrap().to_vec()).unwrap();
            assert!(value.ends_with(",\"data\":{\"n\": 1.50}}"), "{value}");
        }
        for wrong in [
            Payload::Text("{".to_owned()),
            Payload::Text(String::new()),
            Payload::Bytes(vec![255]),
        ] {
            let defect = made_of(Format::Event, wrong, Some(&own)).unwrap_err();
            assert!(defect.reason.contains("declared as JSON"), "{defect}");
        }
    }
}

#[test]
fn an_id_that_is_no_uuid_is_told_as_it_is() {
    let event = Event {
        own_id: Some("4711".to_owned()),
        ..event(None)
    };
    assert!(all(&made_in(Format::Payload, &event)).contains(&pair("ce_id", "4711")));
    let document = made_in(Format::Cloudevents, &event);
    let value: Value = serde_json::from_slice(document.value().unwrap()).unwrap();
    assert_eq!(value["id"], "4711");
    assert_eq!(template("{id}").render(&event).unwrap(), "4711");
}
