//! The proxy does to a connection what it was told, and nothing else.

use std::io;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::{cluster_id, send};
use crate::support::{Deed, Kafka, Outbox, Proxy, Receiver, SOON, Way, throughout};

/// How long nothing must come to be called nothing.
const A_WHILE: Duration = Duration::from_millis(300);

/// A server and a client with a proxy between them, connected.
struct Line {
    proxy: Proxy,
    server: TcpStream,
    client: TcpStream,
    listener: TcpListener,
}

impl Line {
    async fn lay() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let proxy = Proxy::before(&address).await;
        let (client, server) = connect(&proxy, &listener).await;
        Self {
            proxy,
            server,
            client,
            listener,
        }
    }
}

async fn connect(proxy: &Proxy, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let (client, server) = tokio::join!(TcpStream::connect(proxy.address()), listener.accept());
    let (server, _) = server.expect("the proxy connects");
    (client.expect("the proxy accepts"), server)
}

async fn says(from: &mut TcpStream, text: &str) {
    from.write_all(text.as_bytes())
        .await
        .expect("the connection stands");
}

async fn hears(at: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    timeout(SOON, at.read_exact(&mut heard))
        .await
        .expect("something comes")
        .expect("the connection stands");
    assert_eq!(String::from_utf8_lossy(&heard), text);
}

async fn hears_nothing(at: &TcpStream) {
    throughout("nothing comes", A_WHILE, async || {
        match at.try_read(&mut [0; 64]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Everything up to the end of the connection, however it ends.
async fn hears_the_end(at: &mut TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    let end = timeout(SOON, at.read_to_end(&mut heard)).await;
    let _reset = end.expect("the connection ends");
    heard
}

#[tokio::test]
async fn a_proxy_passes_both_ways_and_tells_each_side_of_the_others_end() {
    let mut line = Line::lay().await;
    says(&mut line.client, "question").await;
    hears(&mut line.server, "question").await;
    says(&mut line.server, "answer").await;
    hears(&mut line.client, "answer").await;
    line.client.shutdown().await.unwrap();
    assert!(hears_the_end(&mut line.server).await.is_empty());
    says(&mut line.server, "late").await;
    hears(&mut line.client, "late").await;
}

#[tokio::test]
async fn a_cut_ends_what_is_open_and_a_refusal_what_is_new() {
    let mut line = Line::lay().await;
    line.proxy.refuse(true);
    says(&mut line.client, "still open").await;
    hears(&mut line.server, "still open").await;
    line.proxy.cut();
    hears_the_end(&mut line.client).await;
    hears_the_end(&mut line.server).await;
    let mut refused = TcpStream::connect(line.proxy.address()).await.unwrap();
    hears_the_end(&mut refused).await;
    line.proxy.refuse(false);
    let (mut client, mut server) = connect(&line.proxy, &line.listener).await;
    says(&mut client, "again").await;
    hears(&mut server, "again").await;
}

#[tokio::test]
async fn what_is_held_one_way_comes_when_it_is_released_though_its_sender_is_gone() {
    let mut line = Line::lay().await;
    line.proxy.hold(Way::ToServer);
    says(&mut line.client, "held").await;
    says(&mut line.server, "not held").await;
    hears(&mut line.client, "not held").await;
    hears_nothing(&line.server).await;
    drop(line.client);
    hears_nothing(&line.server).await;
    line.proxy.release();
    assert_eq!(hears_the_end(&mut line.server).await, b"held");
}

#[tokio::test]
async fn a_black_hole_swallows_both_ways_and_new_connections_too() {
    let mut line = Line::lay().await;
    line.proxy.black_hole();
    says(&mut line.client, "lost").await;
    says(&mut line.server, "lost").await;
    let (mut client, server) = connect(&line.proxy, &line.listener).await;
    says(&mut client, "lost too").await;
    hears_nothing(&line.server).await;
    hears_nothing(&line.client).await;
    hears_nothing(&server).await;
    line.proxy.cut();
    line.proxy.release();
    assert!(hears_the_end(&mut line.server).await.is_empty());
}

#[tokio::test]
async fn a_delay_makes_each_way_late_and_keeps_the_order() {
    const DELAY: Duration = Duration::from_millis(200);
    let mut line = Line::lay().await;
    line.proxy.delay(DELAY);
    let begun = Instant::now();
    says(&mut line.client, "one").await;
    says(&mut line.client, " two").await;
    hears(&mut line.server, "one two").await;
    assert!(begun.elapsed() >= DELAY, "{:?}", begun.elapsed());
    says(&mut line.server, "answer").await;
    hears(&mut line.client, "answer").await;
    assert!(begun.elapsed() >= 2 * DELAY, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_budget_lets_so_many_bytes_pass_and_cuts_once() {
    let mut line = Line::lay().await;
    line.proxy.cut_after(Way::ToClient, 8);
    says(&mut line.client, "a long question").await;
    hears(&mut line.server, "a long question").await;
    says(&mut line.server, "five!").await;
    hears(&mut line.client, "five!").await;
    assert_eq!(line.proxy.sprung(), 0);
    says(&mut line.server, "seven..").await;
    assert_eq!(hears_the_end(&mut line.client).await, b"sev");
    assert_eq!(line.proxy.sprung(), 1);
    let (mut client, mut server) = connect(&line.proxy, &line.listener).await;
    says(&mut server, "as much as it likes").await;
    hears(&mut client, "as much as it likes").await;
}

#[tokio::test]
async fn a_lost_answer_is_lost_after_its_request_has_arrived() {
    let mut line = Line::lay().await;
    line.proxy.lose_answer_to(b"COMMIT");
    says(&mut line.client, "BEGIN").await;
    hears(&mut line.server, "BEGIN").await;
    says(&mut line.server, "ok").await;
    hears(&mut line.client, "ok").await;
    says(&mut line.client, "COM").await;
    hears(&mut line.server, "COM").await;
    says(&mut line.client, "MIT").await;
    hears(&mut line.server, "MIT").await;
    assert_eq!(line.proxy.sprung(), 1);
    says(&mut line.server, "committed").await;
    assert!(hears_the_end(&mut line.client).await.is_empty());
    hears_the_end(&mut line.server).await;
}

#[tokio::test]
async fn postgresql_is_reached_through_its_proxy_alone() {
    let outbox = Outbox::create().await;
    let (proxy, url) = outbox.proxied().await;
    let mut through = PgConnection::connect(&url).await.unwrap();
    through.ping().await.unwrap();
    proxy.cut();
    through.ping().await.unwrap_err();
    outbox.pool.acquire().await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn kafka_leads_those_who_come_through_the_proxy_to_the_proxy() {
    let (kafka, proxy) = Kafka::proxied(&[]).await;
    let topic = kafka.topic("proxied", 1).await;
    let through = Kafka::at(proxy.address());
    send(&through, &topic, "through").await.unwrap();
    proxy.refuse(true);
    proxy.cut();
    assert_eq!(cluster_id(&through, A_WHILE).await, None);
    send(&kafka, &topic, "beside").await.unwrap();
    let receiver = Receiver::start(&kafka, &[&topic]).await;
    assert_eq!(receiver.read_to_end(SOON).await.len(), 2);
}

#[tokio::test]
async fn a_proxy_that_leads_elsewhere_leaves_what_is_open_where_it_is() {
    let mut line = Line::lay().await;
    let heir = TcpListener::bind("127.0.0.1:0").await.unwrap();
    line.proxy.lead_to(&heir.local_addr().unwrap().to_string());
    let (mut client, mut server) = connect(&line.proxy, &heir).await;
    says(&mut client, "new").await;
    hears(&mut server, "new").await;
    says(&mut line.client, "old").await;
    hears(&mut line.server, "old").await;
    assert_eq!(line.proxy.accepted(), 2);
}

#[tokio::test]
async fn a_trap_holds_one_request_or_loses_it_and_no_other() {
    let mut line = Line::lay().await;
    line.proxy.trap(b"prepare", 1, Deed::HoldRequest);
    says(&mut line.client, "prepare").await;
    hears(&mut line.server, "prepare").await;
    says(&mut line.client, "execute").await;
    hears_nothing(&line.server).await;
    line.proxy.release();
    hears(&mut line.server, "execute").await;
    says(&mut line.client, "execute").await;
    hears(&mut line.server, "execute").await;

    line.proxy.trap(b"again", 0, Deed::HoldAnswer);
    says(&mut line.client, "again").await;
    hears(&mut line.server, "again").await;
    says(&mut line.server, "answer").await;
    hears_nothing(&line.client).await;
    line.proxy.release();
    hears(&mut line.client, "answer").await;

    line.proxy.trap(b"lost", 0, Deed::LoseRequest);
    says(&mut line.client, "lost").await;
    assert!(hears_the_end(&mut line.server).await.is_empty());
    assert_eq!(line.proxy.sprung(), 3);
}
