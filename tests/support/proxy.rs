//! A TCP proxy between a client and a server, which does to their connections what networks do.
//!
//! Owns the wires. Knows no protocol: what it recognises is bytes.
//!
//! Invariants:
//! - the bytes of one way come out in the order in which they went in, each once, or not at all;
//! - what is held is read and kept here, so that the sender may be gone when it is released.

mod traps;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

pub(crate) use self::traps::Deed;
use self::traps::{Recogniser, Trap, Traps};

/// A direction on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// What is done to all connections.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    refuses: bool,
    holds_to_server: bool,
    holds_to_client: bool,
    delay: Duration,
}

impl Weather {
    fn holds(&self, way: Way) -> bool {
        match way {
            Way::ToServer => self.holds_to_server,
            Way::ToClient => self.holds_to_client,
        }
    }
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    weather: watch::Sender<Weather>,
    /// Each change ends the connections that are open.
    cuts: watch::Sender<usize>,
    /// Each change lets pass what a trap holds.
    releases: watch::Sender<usize>,
    traps: Mutex<Traps>,
    server: Mutex<String>,
    accepted: AtomicUsize,
}

impl Shared {
    fn server(&self) -> MutexGuard<'_, String> {
        self.server.lock().expect("no wire panics")
    }

    fn traps(&self) -> MutexGuard<'_, Traps> {
        self.traps.lock().expect("no wire panics")
    }
}

/// A proxy; it ends when it is dropped, and every connection with it.
pub(crate) struct Proxy {
    address: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy before this server (`host:port`), which need not listen yet.
    pub(crate) async fn before(server: &str) -> Self {
        Self::at(&format!("127.0.0.1:{}", super::free_port()), server).await
    }

    /// A proxy that listens here (`host:port`).
    pub(crate) async fn at(address: &str, server: &str) -> Self {
        let listener = TcpListener::bind(address).await.expect("the port is free");
        let shared = Arc::new(Shared {
            weather: watch::Sender::new(Weather::default()),
            cuts: watch::Sender::new(0),
            releases: watch::Sender::new(0),
            traps: Mutex::default(),
            server: Mutex::new(server.to_owned()),
            accepted: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address: address.to_owned(),
            shared,
            accepting,
        }
    }

    /// Where clients reach it (`host:port`).
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Leads later connections to another server, as a name does after a fail-over.
    pub(crate) fn lead_to(&self, server: &str) {
        server.clone_into(&mut self.shared.server());
    }

    /// How many connections clients have made.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Closes every connection that is open.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Closes new connections at once, too, until told otherwise.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.change(|weather| weather.refuses = refuses);
    }

    /// Keeps back what comes on this way, on connections old and new.
    pub(crate) fn hold(&self, way: Way) {
        self.set_held(way, true);
    }

    /// Nothing comes through on either way, and nobody is told.
    pub(crate) fn black_hole(&self) {
        self.hold(Way::ToServer);
        self.hold(Way::ToClient);
    }

    /// Lets everything pass that was kept back, and all that follows.
    pub(crate) fn release(&self) {
        self.set_held(Way::ToServer, false);
        self.set_held(Way::ToClient, false);
        self.shared.releases.send_modify(|releases| *releases += 1);
    }

    /// What comes from now on is late by so much, on each way.
    pub(crate) fn delay(&self, delay: Duration) {
        self.change(|weather| weather.delay = delay);
    }

    /// Lets so many bytes more pass on this way, over all connections, and cuts the connection of
    /// the last one; later ones pass.
    pub(crate) fn cut_after(&self, way: Way, bytes: usize) {
        self.shared.traps().budget = Some((way, bytes));
    }

    /// The server gets the next request that contains these bytes, and its answer is lost with the
    /// connection.
    pub(crate) fn lose_answer_to(&self, bytes: &[u8]) {
        self.trap(bytes, 0, Deed::LoseAnswer);
    }

    /// Does this once: to the next request that contains these bytes, or to one that comes so many
    /// requests later on the same connection. A request is what comes at once.
    pub(crate) fn trap(&self, bytes: &[u8], later: usize, deed: Deed) {
        self.shared.traps().request = Some(Trap::new(bytes, later, deed));
    }

    /// How many traps were sprung and budgets spent.
    pub(crate) fn sprung(&self) -> usize {
        self.shared.traps().sprung
    }

    fn set_held(&self, way: Way, holds: bool) {
        self.change(|weather| match way {
            Way::ToServer => weather.holds_to_server = holds,
            Way::ToClient => weather.holds_to_client = holds,
        });
    }

    fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.shared.weather.send_modify(change);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        if shared.weather.borrow().refuses {
            continue;
        }
        let (server, shared) = (shared.server().clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let mut cuts = shared.cuts.subscribe();
            let connection = connect(client, &server, &shared);
            // A cut comes before what is released right after it.
            tokio::select! {
                biased;
                _cut = cuts.changed() => {}
                _over = connection => {}
            }
        });
    }
}

/// Carries one connection to its end.
async fn connect(client: TcpStream, server: &str, shared: &Arc<Shared>) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let deed = watch::Sender::new(None);
    let wire = |way| Wire {
        way,
        shared: Arc::clone(shared),
        deed: deed.clone(),
    };
    tokio::try_join!(
        wire(Way::ToServer).carry(from_client, to_server),
        wire(Way::ToClient).carry(from_server, to_client),
    )?;
    Ok(())
}

/// One way of one connection.
struct Wire {
    way: Way,
    shared: Arc<Shared>,
    /// What is done to this connection's next bytes; both ways share it.
    deed: watch::Sender<Option<Deed>>,
}

impl Wire {
    async fn carry(self, from: OwnedReadHalf, to: OwnedWriteHalf) -> io::Result<()> {
        let (kept, due) = mpsc::unbounded_channel();
        tokio::try_join!(self.read(from, kept), self.write(due, to))?;
        Ok(())
    }

    async fn read(
        &self,
        mut from: OwnedReadHalf,
        kept: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
    ) -> io::Result<()> {
        let mut reader = Recogniser::default();
        loop {
            let mut bytes = Vec::with_capacity(64 * 1024);
            if from.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
            if self.way == Way::ToServer {
                let deed = reader.recognise(&mut self.shared.traps(), &bytes);
                if deed.is_some() {
                    self.deed.send_replace(deed);
                }
            }
            let delay = self.shared.weather.borrow().delay;
            // The writer is gone only when the connection is.
            let _over = kept.send((Instant::now() + delay, bytes));
        }
    }

    async fn write(
        &self,
        mut due: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
        mut to: OwnedWriteHalf,
    ) -> io::Result<()> {
        let mut weather = self.shared.weather.subscribe();
        while let Some((at, bytes)) = due.recv().await {
            sleep_until(at).await;
            let released = weather.wait_for(|weather| !weather.holds(self.way)).await;
            released.map_err(io::Error::other)?;
            self.suffer().await?;
            let (passes, last) = self.shared.traps().spend(self.way, bytes.len());
            to.write_all(&bytes[..passes]).await?;
            if last {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        to.shutdown().await
    }

    /// Does to this way what a trap says.
    async fn suffer(&self) -> io::Result<()> {
        let mut released = self.shared.releases.subscribe();
        let deed = self.deed.borrow().filter(|deed| deed.way() == self.way);
        match deed {
            None => Ok(()),
            Some(deed) if deed.holds() => {
                released.changed().await.map_err(io::Error::other)?;
                self.deed.send_replace(None);
                Ok(())
            }
            Some(_) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}
