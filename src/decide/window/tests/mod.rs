//! The window against a model of all that surrounds it: random schedules in which statements see
//! old snapshots, transactions commit late, reports fail after the record was written, lanes are
//! lost and the database takes marks back.

mod cases;
mod delayed;
mod filled;
mod hot;
mod lane;
mod pauses;
mod refusals;
mod rows;
mod steps;
mod turns;
mod world;

use std::collections::HashSet;

use proptest::prelude::*;

use self::rows::RowState;
use self::world::World;
use super::*;
use crate::decide::order::Order;

fn run(seed: u64, order: impl Into<Option<Order>>, limits: Limits, faults: bool) -> World {
    let mut world = World::new(seed, order.into(), limits, faults);
    world.run(700);
    let kafka: HashSet<EventRef> = world.log.iter().copied().collect();
    for row in &world.rows {
        match row.state {
            RowState::Published { .. } => assert!(kafka.contains(&row.at)),
            RowState::RolledBack => assert!(!kafka.contains(&row.at)),
            RowState::Dead => assert!(row.poison),
            RowState::Uncommitted | RowState::Waiting | RowState::Judged { .. } => {
                panic!("left behind")
            }
        }
    }
    world
}

fn limits() -> impl Strategy<Value = Limits> {
    (4_usize..40, 100_usize..4_000).prop_map(|(rows, bytes)| Limits { rows, bytes })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn strict_order_survives_every_schedule(seed: u64, limits in limits(), faults: bool) {
        run(seed, Order::Strict, limits, faults).check_order();
    }

    #[test]
    fn pipelined_loses_nothing(seed: u64, limits in limits(), faults: bool) {
        let world = run(seed, Order::Pipelined, limits, faults);
        prop_assert!(world.is_done());
    }

    #[test]
    fn without_order_nothing_is_lost(seed: u64, limits in limits(), faults: bool) {
        let world = run(seed, Order::None, limits, faults);
        prop_assert!(world.is_done());
    }

    #[test]
    fn strict_order_survives_beside_rows_in_others(seed: u64, limits in limits(), faults: bool) {
        run(seed, None, limits, faults).check_order();
    }

    #[test]
    fn without_faults_nothing_is_sent_twice(seed: u64, limits in limits()) {
        let world = run(seed, Order::Strict, limits, false);
        let distinct: HashSet<EventRef> = world.log.iter().copied().collect();
        prop_assert_eq!(distinct.len(), world.log.len());
    }
}
