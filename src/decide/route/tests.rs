//! Proves which route an event takes, and that no illegal topic ever leaves.

use proptest::prelude::*;

use super::*;
use crate::decide::envelope::Format;
use crate::event::Payload;

fn event(aggregate_type: &str, event_type: &str, topic: Option<&str>) -> Event {
    let mut event = Event {
        event_type: event_type.to_owned(),
        topic: topic.map(ToOwned::to_owned),
        ..Event::sample()
    };
    aggregate_type.clone_into(&mut event.key.aggregate_type);
    event
}

fn usual(topic: &str) -> Usual {
    Usual {
        topic: topic.to_owned(),
        key: "{aggregate_id}".to_owned(),
        format: Format::Payload,
        order: Order::Strict,
        on_dead: OnDead::DeadLetter,
    }
}

/// Routes as the settings write them, and the last one with this template.
fn routes(specs: &str, topic: &str) -> Routes {
    let specs: Vec<RouteSpec> = serde_json::from_str(specs).unwrap();
    let read = |spec: &RouteSpec| spec.read(&usual(topic)).unwrap();
    let rest = read(&RouteSpec::default());
    Routes::new(specs.iter().map(read).collect(), rest, Allowed::default())
}

fn faults(spec: &str) -> Vec<(String, String)> {
    let spec: RouteSpec = serde_json::from_str(spec).unwrap();
    let faults = spec.read(&usual("t")).unwrap_err();
    let faults = faults.into_iter().map(|fault| (fault.key, fault.reason));
    faults.collect()
}

/// Kafka's rule written once more, in another way, for the properties to hold on to.
fn is_legal(name: &str) -> bool {
    let alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    (1..=249).contains(&name.chars().count())
        && name.chars().all(|letter| alphabet.contains(letter))
        && ![".", ".."].contains(&name)
        && name.get(..2) != Some("__")
}

fn topic(template: &str, event: &Event) -> Result<String, Defect> {
    let mut routes = routes("[]", template);
    let (_, topic) = routes.route(event);
    topic.map(|topic| (*topic).to_owned())
}

#[test]
fn the_first_route_that_is_about_an_event_counts_and_there_is_always_one() {
    let mut routes = routes(
        r#"[
            {"match": {"aggregate_type": "order*", "event_type": "/^Order(Created|Paid)$/",
                "headers": {"tenant": "acme", "n": "1.50"}}, "topic": "acme"},
            {"match": {"aggregate_type": "order*"}, "topic": "{aggregate_type|kebab|plural}"},
            {"match": {"event_type": "order.*"}, "topic": "third"}
        ]"#,
        "rest",
    );
    let mut expect = |headers: Option<&str>, of: &str, kind: &str, name: &str, topic: &str| {
        let event = Event {
            headers: headers.map(ToOwned::to_owned),
            ..event(of, kind, None)
        };
        assert_eq!(routes.name_for(&event), name);
        assert_eq!(&*routes.route(&event).1.unwrap(), topic);
    };
    let acme = Some(r#"{"n": 1.50, "tenant": "acme"}"#);
    expect(acme, "orderLine", "OrderPaid", "routes[0]", "acme");
    expect(acme, "orderLine", "OrderSent", "routes[1]", "order-lines");
    for other in [
        None,
        Some("null"),
        Some(r#"{"tenant": "acme", "n": [1.50]}"#),
        Some("{"),
    ] {
        expect(other, "orderLine", "OrderPaid", "routes[1]", "order-lines");
    }
    expect(None, "invoice", "order.paid", "routes[2]", "third");
    expect(None, "invoice", "Paid", "route", "rest");
}

#[test]
fn a_route_says_what_it_says_and_is_as_usual_else() {
    let mut routes = routes(
        r#"[{"match": {"event_type": "a"}, "key": "", "format": "cloudevents", "order": "none",
             "on_dead": "block", "partition": "3", "headers": {"b": "2", "a": "{event_type}"}}]"#,
        "t",
    );
    let (route, _) = routes.route(&event("order", "a", None));
    assert!(route.form.key.is_none());
    assert_eq!(route.form.partition.as_ref().unwrap().text(), "3");
    assert_eq!(route.form.format, Format::Cloudevents);
    assert_eq!((route.order, route.on_dead), (Order::None, OnDead::Block));
    let headers = route.form.headers.iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| (name.as_str(), value.text()))
        .collect();
    assert_eq!(headers, [("b", "2"), ("a", "{event_type}")]);
    assert_eq!(route.topic().text(), "t");
    let (route, _) = routes.route(&event("order", "b", None));
    assert_eq!(route.form.key.as_ref().unwrap().text(), "{aggregate_id}");
    assert_eq!(route.form.format, Format::Payload);
    assert_eq!(
        (route.order, route.on_dead),
        (Order::Strict, OnDead::DeadLetter)
    );
    assert!(route.form.headers.is_empty() && route.form.partition.is_none());
}

#[test]
fn all_that_is_wrong_with_a_route_is_told_at_once() {
    let told = faults(
        r#"{"match": {"aggregate_type": "/(/", "headers": {"tenant": "/x"}}, "topic": "a b",
            "key": "{agregate_id}", "partition": "-1", "headers": {"region": "{"}}"#,
    );
    let expected = [
        ("match.headers.tenant", "ends with /"),
        ("match.aggregate_type", "unclosed group"),
        ("topic", "has a character other than"),
        ("key", "`{agregate_id}` is not known"),
        ("partition", "expected a number from 0"),
        ("headers.region", "`{` has no `}`"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for ((key, reason), (expected, part)) in told.iter().zip(expected) {
        assert_eq!(key, expected);
        assert!(reason.contains(part), "{key}: {reason}");
    }
}

#[test]
fn what_a_route_does_to_order_is_said() {
    for (spec, said) in [
        ("{}", "stay in order, in one partition"),
        (
            r#"{"key": "{aggregate_type}/{aggregate_id}"}"#,
            "stay in order, in one partition",
        ),
        (r#"{"order": "pipelined"}"#, "after a failure later ones"),
        (r#"{"order": "none"}"#, "in one partition, in any order"),
        (r#"{"key": ""}"#, "no key"),
        (r#"{"key": "", "partition": ""}"#, "no key"),
        (
            r#"{"key": "", "partition": "3"}"#,
            "stay in order, in one partition",
        ),
        (
            r#"{"key": "{payload.user}"}"#,
            "may go to different partitions",
        ),
        (
            r#"{"partition": "{headers.p}"}"#,
            "may go to different partitions",
        ),
        (
            r#"{"key": "{payload.user}", "order": "none"}"#,
            "may go to different partitions",
        ),
    ] {
        let spec: RouteSpec = serde_json::from_str(spec).unwrap();
        let route = spec.read(&usual("t")).unwrap();
        assert!(
            route.about_order().contains(said),
            "{}",
            route.about_order()
        );
    }
}

#[test]
fn a_topic_is_told_by_the_kind_of_an_event_where_that_decides() {
    let routes = routes(
        r#"[{"match": {"event_type": "a*", "headers": {"x": "*"}}, "topic": "by-header"},
            {"match": {"event_type": "b"}, "topic": "x-{payload.region}"},
            {"match": {"event_type": "c"}, "topic": "{event_type|domain}"}]"#,
        "{aggregate_type}-events",
    );
    let told = |kind: &str, own| routes.name_by_kind(&event("order", kind, own));
    assert_eq!(told("d", None).as_deref(), Some("order-events"));
    assert_eq!(told("a1", Some("own")).as_deref(), Some("own"));
    assert_eq!(told("a1", None), None);
    assert_eq!(told("b", None), None);
    assert_eq!(told("c", None).as_deref(), Some(""));
    let whole = Event {
        payload: Some(Payload::Json(r#"{"region": "e u"}"#.to_owned())),
        ..event("order", "b", None)
    };
    assert_eq!(
        routes.name(&whole).as_deref(),
        Some("x-e u"),
        "legal or not"
    );
    assert_eq!(routes.name(&event("order", "b", None)), None);
    assert!(routes.need_whole_rows());
}

#[test]
fn a_topic_that_is_not_allowed_is_a_defect() {
    let allowed = Allowed::parse(&["order-*".to_owned()]).unwrap();
    let route = RouteSpec::default()
        .read(&usual("{aggregate_type}-x"))
        .unwrap();
    let mut routes = Routes::new(Vec::new(), route, allowed);
    assert!(routes.route(&event("order", "x", None)).1.is_ok());
    assert!(routes.route(&event("order", "x", Some("audit"))).1.is_err());
}

#[test]
fn the_template_names_the_topic() {
    let placed = event("order", "OrderPlaced", None);
    assert_eq!(
        topic("{aggregate_type}-events", &placed).unwrap(),
        "order-events"
    );
    assert_eq!(topic("all", &placed).unwrap(), "all");
    assert_eq!(
        topic("shop.{aggregate_type}.{event_type}", &placed).unwrap(),
        "shop.order.OrderPlaced"
    );
}

#[test]
fn a_rows_own_topic_wins() {
    let own = event("order", "OrderPlaced", Some("audit"));
    assert_eq!(topic("{aggregate_type}-events", &own).unwrap(), "audit");
}

#[test]
fn a_name_kafka_would_refuse_is_a_defect() {
    let long = "x".repeat(250);
    for name in [
        "",
        ".",
        "..",
        "a b",
        "ä",
        "a/b",
        "a\0",
        "a\n",
        "{x}",
        "__consumer_offsets",
        "__x",
        &long,
    ] {
        assert!(
            topic("t", &event("o", "E", Some(name))).is_err(),
            "{name:?}"
        );
    }
    for name in ["...", "_x", "a__b", "A.b-c_9", &long[..249]] {
        assert_eq!(topic("t", &event("o", "E", Some(name))).unwrap(), name);
    }
}

#[test]
fn an_aggregate_type_cannot_forge_an_internal_topic() {
    assert!(topic("{aggregate_type}-events", &event("__consumer", "E", None)).is_err());
    assert!(topic("_{aggregate_type}", &event("_x", "E", None)).is_err());
}

#[test]
fn a_template_that_makes_no_legal_topic_is_refused_when_it_is_read() {
    for wrong in [
        "",
        "a b",
        "__{aggregate_type}",
        &"x".repeat(250),
        "{created_at}",
        "{aggregate_type}-{created_at|minute}",
        "{agregate_type}",
        "{aggregate_type",
    ] {
        assert!(RouteSpec::default().read(&usual(wrong)).is_err(), "{wrong}");
    }
    assert!(
        RouteSpec::default()
            .read(&usual("e-{created_at|day}"))
            .is_ok()
    );
}

#[test]
fn a_topic_met_again_is_the_same_arc() {
    let mut routes = routes("[]", "{aggregate_type}-events");
    let first = routes.route(&event("order", "A", None)).1.unwrap();
    let again = routes.route(&event("order", "B", None)).1.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
}

#[test]
fn rows_that_invent_names_do_not_fill_the_memory() {
    let mut routes = routes("[]", "t");
    for number in 0..3 * KNOWN_MAX {
        let name = format!("topic-{number}");
        let given = routes.route(&event("o", "E", Some(&name))).1.unwrap();
        assert_eq!(&*given, name);
    }
    assert!(routes.known.len() <= KNOWN_MAX);
}

/// Templates, and the same rule as a function of aggregate type and event type.
type Template = (&'static str, fn(&str, &str) -> String);
const TEMPLATES: &[Template] = &[
    ("{aggregate_type}", |of, _| of.to_owned()),
    ("{aggregate_type}-events", |of, _| format!("{of}-events")),
    ("_{event_type}", |_, kind| format!("_{kind}")),
    ("{aggregate_type}{event_type}", |of, kind| {
        format!("{of}{kind}")
    }),
    ("a.{event_type}.{aggregate_type}", |of, kind| {
        format!("a.{kind}.{of}")
    }),
];

/// Names near the border of what is legal, and any text at all.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9._-]{0,260}", "[_.]{0,4}", ".*"]
}

proptest! {
    #[test]
    fn a_template_of_anything_names_legal_topics_or_none(
        template in "(a\\.)?\\{(payload\\.[ab]|event_type|aggregate_id|headers\\.a)(\\|(lower|kebab|plural|action))?\\}(-x)?",
        kind in any_name(),
        (a, b) in (any_name(), any_name()),
    ) {
        let contents = serde_json::json!({"a": a, "b": b}).to_string();
        let event = Event {
            payload: Some(Payload::Json(contents.clone())),
            headers: Some(contents),
            ..event(&b, &kind, None)
        };
        if let Ok(topic) = topic(&template, &event) {
            prop_assert!(is_legal(&topic), "{}", topic);
        }
    }

    #[test]
    fn no_illegal_name_ever_leaves(
        (template, render) in prop::sample::select(TEMPLATES),
        rows in prop::collection::vec(
            (any_name(), any_name(), prop::option::of(any_name())), 1..20,
        ),
    ) {
        let mut routes = routes("[]", template);
        for (aggregate_type, event_type, own) in rows {
            let expected = own.clone().unwrap_or_else(|| render(&aggregate_type, &event_type));
            let event = event(&aggregate_type, &event_type, own.as_deref());
            let named = routes.name_by_kind(&event);
            prop_assert_eq!(named.as_ref(), Some(&expected));
            match routes.route(&event).1 {
                Ok(topic) => {
                    prop_assert!(is_legal(&topic));
                    prop_assert_eq!(&*topic, expected.as_str());
                }
                Err(_) => prop_assert!(!is_legal(&expected)),
            }
        }
    }
}
