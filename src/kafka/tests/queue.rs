//! The client's own queue, which is bounded.

use super::{Airport, Cluster, flight, record};
use crate::kafka::publish::Publish;
use crate::outcome::Class;

/// The broker is away, so that nothing leaves the queue.
#[tokio::test]
async fn a_full_queue_refuses_at_once_and_takes_more_when_records_have_left_it() {
    let cluster = Cluster::start();
    let mut airport = Airport::start(&cluster, &[]);
    assert!(airport.send_and_land(0).await.is_ok());
    cluster.mock.broker_down(1).unwrap();
    let publish = |ticket| {
        airport
            .publisher
            .publish(flight(ticket), &record("t"), false)
    };
    let taken = (1..5_000).take_while(|ticket| publish(*ticket).is_ok());
    let taken = taken.count();
    assert_eq!(taken, 2_000, "twice the window");
    let refused = publish(9_999).unwrap_err();
    assert_eq!(refused.class, Class::BackPressure, "{refused}");
    assert_eq!(
        airport.publisher.in_flight(),
        taken,
        "what was refused does not fly"
    );

    cluster.mock.broker_up(1).unwrap();
    let landed = airport.land(taken).await;
    assert!(
        !landed.contains_key(&9_999),
        "it was refused, and not taken"
    );
    assert!(airport.send_and_land(9_999).await.is_ok());
    airport.assert_quiet_to_the_end().await;
}
