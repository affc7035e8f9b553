//! Proves plans, on single topics and on any cluster.

use proptest::prelude::*;

use super::*;

/// What the brokers of the model choose where nothing is declared.
const CHOSEN: u16 = 1;
/// The settings that the brokers of the model know, with their defaults.
const KNOWN: [(&str, &str); 3] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "604800000"),
    ("min.insync.replicas", "1"),
];

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    pairs.iter().map(owned).collect()
}

fn orders(config: &[(&str, &str)]) -> Declaration {
    Declaration {
        name: "orders".to_owned(),
        partitions: Some(6),
        replication_factor: Some(3),
        config: texts(config),
    }
}

fn present(partitions: usize, config: &[(&str, &str)]) -> Seen {
    Seen::Present(Present {
        partitions,
        replication_factor: 3,
        config: texts(config),
    })
}

fn planned(declared: Declaration, seen: Seen, adds_partitions: bool) -> Plan {
    let seen = BTreeMap::from([("orders".to_owned(), seen)]);
    Plan::new(&[declared], &seen, adds_partitions)
}

/// The only difference, with its cure.
fn difference(plan: &Plan) -> String {
    assert_eq!(plan.steps, [], "{plan:?}");
    assert_eq!(plan.differences.len(), 1, "{plan:?}");
    let Difference { text, cure, .. } = &plan.differences[0];
    format!("{text} — {cure}")
}

#[test]
fn a_missing_topic_is_made_as_it_was_declared() {
    let declared = orders(&[("retention.ms", "1000")]);
    let plan = planned(declared.clone(), Seen::Missing, false);
    let [step] = plan.steps.as_slice() else {
        panic!("{plan:?}");
    };
    assert_eq!(step.change, Change::Create(declared));
    assert_eq!(
        step.change.to_string(),
        "create with partitions=6, replication_factor=3, retention.ms=1000"
    );
}

#[test]
fn what_is_not_declared_is_the_brokers_to_choose() {
    let bare = Change::Create(Declaration::default());
    assert_eq!(bare.to_string(), "create as the brokers choose");
    let declared = Declaration {
        name: "orders".to_owned(),
        ..Declaration::default()
    };
    let plan = planned(declared, present(9, &[("retention.ms", "7")]), true);
    assert!(plan.is_empty(), "{plan:?}");
}

#[test]
fn only_declared_keys_that_differ_are_altered() {
    let declared = orders(&[("retention.ms", "1000"), ("cleanup.policy", "delete")]);
    let now = [
        ("retention.ms", "604800000"),
        ("cleanup.policy", "delete"),
        ("segment.ms", "7"),
    ];
    let plan = planned(declared, present(6, &now), false);
    assert_eq!(plan.differences, []);
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(
        plan.steps[0].change.to_string(),
        "retention.ms: 604800000 -> 1000"
    );
}

#[test]
fn partitions_are_added_only_when_that_is_asked_for() {
    let told = difference(&planned(orders(&[]), present(4, &[]), false));
    assert!(told.contains("has 4 partitions, 6 are declared"), "{told}");
    assert!(
        told.contains("--add-partitions") && told.contains("out of order"),
        "{told}"
    );
    let plan = planned(orders(&[]), present(4, &[]), true);
    assert_eq!(plan.differences, []);
    let change = Change::AddPartitions { from: 4, to: 6 };
    assert_eq!(plan.steps[0].change, change);
    let told = difference(&planned(orders(&[]), present(8, &[]), true));
    assert!(told.contains("takes no partition away"), "{told}");
}

#[test]
fn what_no_request_mends_is_told_with_its_cure() {
    let few = Seen::Present(Present {
        partitions: 6,
        replication_factor: 1,
        config: BTreeMap::new(),
    });
    let told = difference(&planned(orders(&[]), few, true));
    assert!(told.contains("kafka-reassign-partitions.sh"), "{told}");
    let told = difference(&planned(orders(&[]), Seen::Denied, true));
    assert!(told.contains("ALTER_CONFIGS"), "{told}");
    let one = || orders(&[("retention.ms", "1000")]);
    let told = difference(&planned(one(), present(6, &[]), true));
    assert!(told.contains("does not show its settings"), "{told}");
    let told = difference(&planned(one(), present(6, &[("segment.ms", "7")]), true));
    assert!(told.contains("no setting retention.ms"), "{told}");
}

#[test]
fn values_are_the_same_in_whatever_form_a_broker_prints_them() {
    assert!(is_same("0.5", "0.50") && is_same("1000", " 1000"));
    assert!(is_same("compact,delete", "delete, compact"));
    assert!(!is_same("compact", "delete") && !is_same("", "0"));
    assert!(!is_same("9223372036854775807", "9223372036854775806"));
}

fn any_declaration() -> impl Strategy<Value = Declaration> {
    let count = || prop::option::of(1_u16..4);
    let value = prop::sample::select(vec!["1", "2", "delete", "604800000"]);
    let key = prop::sample::select(vec!["cleanup.policy", "retention.ms", "nonsense"]);
    let config = prop::collection::btree_map(key, value, 0..3);
    let name = prop::sample::select(vec!["a", "b", "a*", "*.dlq", "*"]);
    (name, count(), count(), config).prop_map(|(name, partitions, replication_factor, config)| {
        let config = config.into_iter().collect::<Vec<_>>();
        Declaration {
            name: name.to_owned(),
            partitions,
            replication_factor,
            config: texts(&config),
        }
    })
}

fn any_seen() -> impl Strategy<Value = Seen> {
    let retention = prop::sample::select(vec!["1", "604800000"]);
    let there = (1_usize..4, 1_usize..4, retention, any::<bool>()).prop_map(
        |(partitions, replication_factor, retention, is_shown)| {
            let mut config = texts(if is_shown { &KNOWN } else { &[] });
            if is_shown {
                config.insert("retention.ms".to_owned(), retention.to_owned());
            }
            Seen::Present(Present {
                partitions,
                replication_factor,
                config,
            })
        },
    );
    prop_oneof![4 => there, 2 => Just(Seen::Missing), 1 => Just(Seen::Denied)]
}

fn any_cluster() -> impl Strategy<Value = BTreeMap<String, Seen>> {
    let name = prop::sample::select(vec!["a", "ab", "b", "a.dlq", "__internal"]);
    let name = name.prop_map(str::to_owned);
    prop::collection::btree_map(name, any_seen(), 0..5)
}

/// What brokers make of a step that they take.
fn carry_out(step: &Step, cluster: &mut BTreeMap<String, Seen>) {
    let seen = cluster.get_mut(&step.topic).expect("a step is for a topic");
    match (&step.change, seen) {
        (Change::Create(declared), seen @ Seen::Missing) => {
            let mut config = texts(&KNOWN);
            config.extend(declared.config.clone());
            *seen = Seen::Present(Present {
                partitions: declared.partitions.unwrap_or(CHOSEN).into(),
                replication_factor: declared.replication_factor.unwrap_or(CHOSEN).into(),
                config,
            });
        }
        (Change::Alter(settings), Seen::Present(present)) => {
            for Setting { key, from, to } in settings {
                let before = present.config.insert(key.clone(), to.clone());
                assert_eq!(before.as_ref(), Some(from));
            }
        }
        (Change::AddPartitions { from, to }, Seen::Present(present)) => {
            assert!(present.partitions == *from && from < to, "{step:?}");
            present.partitions = *to;
        }
        (_, seen) => panic!("{step:?} for {seen:?}"),
    }
}

proptest! {
    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do(
        declarations in prop::collection::vec(any_declaration(), 0..4),
        mut cluster in any_cluster(),
        adds_partitions in any::<bool>(),
    ) {
        let plan = Plan::new(&declarations, &cluster, adds_partitions);
        for step in &plan.steps {
            carry_out(step, &mut cluster);
        }
        let again = Plan::new(&declarations, &cluster, adds_partitions);
        prop_assert_eq!(again.steps, []);
        prop_assert_eq!(again.differences, plan.differences);
    }

    #[test]
    fn no_plan_shrinks_a_topic_or_touches_what_is_not_declared(
        declarations in prop::collection::vec(any_declaration(), 0..4),
        cluster in any_cluster(),
        adds_partitions in any::<bool>(),
    ) {
        let mut after = cluster.clone();
        for step in Plan::new(&declarations, &cluster, adds_partitions).steps {
            prop_assert!(first_for(&declarations, &step.topic).is_some());
            carry_out(&step, &mut after);
        }
        for (topic, before) in &cluster {
            let Seen::Present(before) = before else { continue };
            let Seen::Present(after) = &after[topic] else {
                return Err(TestCaseError::fail(format!("{topic} is gone")));
            };
            prop_assert!(after.partitions >= before.partitions);
            prop_assert!(adds_partitions || after.partitions == before.partitions);
            prop_assert_eq!(after.replication_factor, before.replication_factor);
            let declared = first_for(&declarations, topic);
            for (key, value) in &before.config {
                let is_declared = declared.is_some_and(|one| one.config.contains_key(key));
                prop_assert!(is_declared || after.config[key] == *value, "{}", key);
            }
        }
    }
}
