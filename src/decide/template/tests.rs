//! Proves what templates refuse, what they make of rows, and that they are total.

use proptest::prelude::*;

use super::*;
use crate::event::Payload;

fn rendered(template: &str, event: &Event) -> Result<String, String> {
    let template = Template::parse(template).unwrap_or_else(|error| panic!("{template}: {error}"));
    let text = template.render(event).map(Cow::into_owned);
    let mut appended = ">".to_owned();
    let written = template.render_to(event, &mut appended);
    assert_eq!(written.is_ok(), text.is_ok());
    if let Ok(text) = &text {
        assert_eq!(appended, format!(">{text}"), "both ways give the same");
    }
    text.map_err(|defect| defect.reason)
}

fn with_payload(payload: &str) -> Event {
    Event {
        payload: Some(Payload::Json(payload.to_owned())),
        ..Event::sample()
    }
}

fn of_type(event_type: &str) -> Event {
    Event {
        event_type: event_type.to_owned(),
        ..Event::sample()
    }
}

#[test]
fn every_column_fills_its_placeholder() {
    let event = Event {
        topic: Some("audit".to_owned()),
        partition_key: Some("region-7".to_owned()),
        ..Event::sample()
    };
    for (template, text) in [
        ("{aggregate_type}-events", "order-events"),
        ("{aggregate_id}", "o-1"),
        ("{event_type}", "OrderPlaced"),
        ("{id}", "01234567-89ab-cdef-0123-456789abcdef"),
        ("{seq}", "5"),
        ("{created_at}", "2026-03-04T05:06:07.000089Z"),
        ("{partition_key}/{topic}", "region-7/audit"),
        ("", ""),
        ("all", "all"),
    ] {
        assert_eq!(rendered(template, &event).unwrap(), text, "{template}");
    }
    for (template, reason) in [
        ("{partition_key}", "partition_key is missing or null"),
        ("x{topic}", "topic is missing or null"),
    ] {
        assert_eq!(rendered(template, &Event::sample()).unwrap_err(), reason);
    }
}

/// These are for ever: topics and keys rest on them.
#[test]
fn filters_do_what_they_always_did() {
    for (filter, value, text) in [
        ("lower", "OrderÄ", "orderä"),
        ("upper", "Order-ß", "ORDER-SS"),
        ("kebab", "PurchaseOrder", "purchase-order"),
        ("kebab", "purchase_order line", "purchase-order-line"),
        ("kebab", "HTTPRequest", "http-request"),
        ("kebab", "game.pageViewed2Times", "game-page-viewed2-times"),
        ("snake", "GamePage-Viewed", "game_page_viewed"),
        ("plural", "order", "orders"),
        ("plural", "search", "searches"),
        ("plural", "address", "addresses"),
        ("plural", "box", "boxes"),
        ("plural", "wish", "wishes"),
        ("plural", "category", "categories"),
        ("plural", "survey", "surveys"),
        ("plural", "y", "ys"),
        ("plural", "", "s"),
        ("domain", "todos.task.created", "todos"),
        ("entity", "todos.task.created", "task"),
        ("action", "todos.task.created", "created"),
        ("entity", "todos.task.item.created", "task.item"),
        ("domain", "order.created", "order"),
        ("action", "order.created", "created"),
        ("kebab|plural|upper", "GameView", "GAME-VIEWS"),
    ] {
        let template = format!("{{event_type|{filter}}}");
        assert_eq!(
            rendered(&template, &of_type(value)).unwrap(),
            text,
            "{filter} {value}"
        );
    }
    for (filter, text) in [
        ("minute", "2026-03-04T05:06Z"),
        ("hour", "2026-03-04T05Z"),
        ("day", "2026-03-04"),
        ("day|lower", "2026-03-04"),
    ] {
        let template = format!("{{ created_at | {filter} }}");
        assert_eq!(rendered(&template, &Event::sample()).unwrap(), text);
    }
}

#[test]
fn a_text_that_cannot_be_split_is_a_defect() {
    for (filter, value) in [
        ("domain", "created"),
        ("action", ""),
        ("entity", "order.created"),
        ("domain", ".created"),
        ("entity", "a..b"),
        ("action", "a.b."),
    ] {
        let reason = rendered(&format!("{{event_type|{filter}}}"), &of_type(value)).unwrap_err();
        assert!(
            reason.starts_with("event_type has n"),
            "{filter} {value}: {reason}"
        );
    }
}

#[test]
fn a_field_of_the_payload_is_found_on_its_way() {
    let event = with_payload(
        r#" {"a": {"b": {"c": "tr\u00e8s"}}, "n": 1.500e3, "t": true, "x": null, "list": [1],
             "big": 123456789012345678901234567890, "a.b": 7, "": 8, "e\"q": 9, "d": 1, "d": 2} "#,
    );
    for (template, text) in [
        ("{payload.a.b.c}", "très"),
        ("{payload.n}:{payload.t}", "1.500e3:true"),
        ("{payload.big}", "123456789012345678901234567890"),
        ("{payload.e\"q}", "9"),
        ("{payload.d}", "2"),
    ] {
        assert_eq!(rendered(template, &event).unwrap(), text, "{template}");
    }
    for (template, reason) in [
        ("{payload.x}", "payload.x is missing or null"),
        ("{payload.y}", "payload.y is missing or null"),
        ("{payload.n.y}", "payload.n.y is missing or null"),
        ("{payload.list.0}", "payload.list.0 is missing or null"),
        ("{payload.a.b}", "payload.a.b is an object or an array"),
        ("{payload.list}", "payload.list is an object or an array"),
    ] {
        assert_eq!(rendered(template, &event).unwrap_err(), reason);
    }
}

#[test]
fn what_holds_no_field_is_a_defect_that_shows_no_value() {
    for payload in [
        "",
        "7",
        "\"canary\"",
        "[]",
        "{\"canary\": ",
        "{\"a\": canary}",
        "{\"a\":\"\\ud800\"}",
    ] {
        let reason = rendered("{payload.a}", &with_payload(payload)).unwrap_err();
        assert!(!reason.contains("canary"), "{reason}");
    }
    let tombstone = Event {
        payload: None,
        ..Event::sample()
    };
    assert!(rendered("{payload.a}", &tombstone).is_err());
}

#[test]
fn what_is_nested_deeply_is_skipped() {
    let deep = |inside: &str| format!("{}{inside}{}", "[".repeat(100_000), "]".repeat(100_000));
    let event = with_payload(&format!(r#"{{"deep": {}, "a": 1}}"#, deep("0")));
    assert_eq!(rendered("{payload.a}", &event).unwrap(), "1");
    let reason = rendered("{payload.deep}", &event).unwrap_err();
    assert_eq!(reason, "payload.deep is an object or an array");
}

#[test]
fn a_header_is_found_by_its_whole_name() {
    let event = Event {
        headers: Some(r#"{"x.tenant": "acme", "n": 7}"#.to_owned()),
        ..Event::sample()
    };
    let text = rendered("{headers.x.tenant|upper}-{headers.n}", &event);
    assert_eq!(text.unwrap(), "ACME-7");
    let reason = rendered("{headers.x}", &event).unwrap_err();
    assert_eq!(reason, "headers.x is missing or null");
    assert!(rendered("{headers.x}", &Event::sample()).is_err());
}

#[test]
fn a_wrong_template_tells_the_place_and_what_would_be_right() {
    for (template, at, told) in [
        (
            "ä-{agregate_type}",
            3,
            "`{agregate_type}` is not known; use aggregate_type,",
        ),
        (
            "{aggregate_type|kebap}",
            1,
            "no filter `kebap`; there are lower, upper, kebab",
        ),
        ("{aggregate_type|}", 1, "no filter ``"),
        (
            "x{aggregate_id|minute}",
            2,
            "`minute` takes a time; only created_at is one",
        ),
        (
            "{created_at|lower}",
            1,
            "`lower` takes a text; make one of the time by minute",
        ),
        ("{created_at|day|hour}", 1, "`hour` takes a time"),
        ("a{aggregate_type", 2, "`{` has no `}`"),
        ("{{aggregate_type}}", 1, "`{` has no `}`"),
        ("aggregate_type}", 15, "`}` has no `{`"),
        ("}{", 1, "`}` has no `{`"),
        ("{}", 1, "`{}` is not known"),
        ("{payload}", 1, "not known"),
        ("{payload.}", 1, "not known"),
        ("{payload.a..b}", 1, "headers.NAME or payload.FIELD"),
        ("{headers.}", 1, "not known"),
    ] {
        let error = Template::parse(template).unwrap_err();
        assert_eq!(error.at, at, "{template}: {error}");
        assert!(error.reason.contains(told), "{template}: {error}");
    }
}

#[test]
fn a_template_knows_whether_it_is_a_text_and_whether_it_needs_the_whole_row() {
    let template = |text| Template::parse(text).unwrap();
    assert_eq!(template("all").only_text(), Some("all"));
    assert_eq!(template("").only_text(), Some(""));
    assert_eq!(template("{seq}").only_text(), None);
    assert!(!template("{aggregate_type}{id}").needs_whole_row());
    for more in [
        "a{headers.x}",
        "{payload.x|lower}",
        "{created_at|day}",
        "{partition_key}",
    ] {
        assert!(template(more).needs_whole_row(), "{more}");
    }
    assert_eq!(
        template("a-{id}{created_at|hour}").sample(),
        "a-x1970-01-01T00Z"
    );
}

/// Templates that are nearly or wholly right.
fn any_template() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        prop::sample::select(COLUMNS.map(|(name, _)| name.to_owned()).to_vec()),
        "(headers|payload)\\.[a-c](\\.[a-c])?",
        "[a-z_.]{0,9}",
    ];
    let filters = prop::sample::select(FILTERS.map(|(name, _)| name).to_vec());
    let filters = prop::collection::vec(filters, 0..3);
    let placeholder = (name, filters).prop_map(|(name, filters)| {
        format!(
            "{{{}}}",
            [&[name.as_str()], filters.as_slice()].concat().join("|")
        )
    });
    let piece = prop_oneof![4 => placeholder, 2 => "[a-z.-]{0,5}", 1 => "[{}|]"];
    prop_oneof![
        ".*",
        prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat()),
    ]
}

/// JSON that holds the fields that templates ask for, or is no JSON at all.
fn any_json() -> impl Strategy<Value = Option<String>> {
    let value = "(\"[a-zA-Z.]{0,9}\"|1\\.50|true|null|\\[1\\]|\\{\"a\": \"x.y.z\"\\})";
    let pair = ("[a-c]", value).prop_map(|(name, value)| format!("\"{name}\": {value}"));
    let object = prop::collection::vec(pair, 0..4).prop_map(|all| format!("{{{}}}", all.join(",")));
    prop::option::of(prop_oneof![1 => ".*", 3 => object])
}

proptest! {
    #[test]
    fn any_template_fails_when_it_is_read_or_is_total(
        template in any_template(),
        (payload, headers) in (any_json(), any_json()),
        texts in any::<(String, String, String)>(),
        (topic, partition_key) in any::<(Option<String>, Option<String>)>(),
    ) {
        let Ok(parsed) = Template::parse(&template) else {
            return Ok(());
        };
        prop_assert_eq!(parsed.text(), &template);
        let payload = payload.map(Payload::Json);
        let mut event = Event { event_type: texts.0, payload, headers, topic, partition_key, ..Event::sample() };
        event.key.aggregate_type = texts.1;
        event.key.aggregate_id = texts.2;
        match parsed.render(&event) {
            Ok(text) => if let Some(only) = parsed.only_text() {
                prop_assert_eq!(text, only);
            },
            Err(defect) => {
                let known = parsed.sources().any(|source| defect.reason.starts_with(&source.to_string()));
                prop_assert!(known, "{}", defect.reason);
            }
        }
    }

    #[test]
    fn a_text_of_the_payload_arrives_as_it_is(value: String) {
        let payload = serde_json::json!({"a": {"b": value}}).to_string();
        prop_assert_eq!(rendered("{payload.a.b}", &with_payload(&payload)).unwrap(), value);
    }
}
