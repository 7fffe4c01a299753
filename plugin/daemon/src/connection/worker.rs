//! The worker of one connection: takes requests one after the other, performs the effects of
//! [`super::machine`], and is the only one that touches the connection in pluto.

mod telling;

use std::{pin::pin, sync::Arc, time::Duration};

use nmstate_ipsec_core::{
    connection::{ConnectMode, IpsecInterface, Nickname},
    daemon_api::ConnectionStatus,
    profile::{Profile, Uuid},
    updown::{Action, Updown},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use zbus::names::OwnedUniqueName;

use super::{
    Host, Listener,
    activation::{Activation, Background},
    describe,
    machine::{self, After, Effect, Event, Phase, State},
    places::Place,
    surplus, unload, verify, work,
};
use crate::{
    backoff,
    client::Client,
    history::now,
    kernel::{self, KernelFacts, Traces},
    networkmanager, resolve,
};

/// A listing that was taken this soon after a tunnel came up may be older than pluto's last step of it.
const YOUTH: Duration = Duration::from_secs(1);

/// A loss that is made good sooner is no news for NetworkManager: it would call the connection `activating`, run everybody's
/// dispatcher scripts, and do it all again when the connection is back.
const PASSING: Duration = Duration::from_secs(10);

/// Where pluto was restarted under very many connections, that would take the processors from their negotiations: it waits for
/// their end, so long at most.
const BUSY: Duration = Duration::from_secs(20);

/// A negotiation that takes longer waits for its peer.
const SILENT: Duration = Duration::from_secs(5);

/// What is asked of a worker.
#[derive(Debug)]
pub(super) enum Request {
    /// Bring the profile up for the client.
    Activate(Box<Profile>, Client),
    /// Take the profile for one that is up already, or was, and do for the client what is due.
    Register(Box<Profile>, Client),
    /// Have pluto answer the peer's calls until somebody asks for the connection.
    Listen(Box<Profile>, Listener),
    /// Begin to negotiate what pluto was given for a transaction.
    Call,
    /// What nobody has asked for need not be there any more.
    Leave(Listener),
    /// Take the connection down as far as the client wanted it, and tell when that is done.
    Deactivate(Option<OwnedUniqueName>, oneshot::Sender<()>),
    /// Tell when pluto has nothing left of the connection, which NetworkManager is taking down.
    AwaitEnd(oneshot::Sender<()>),
    /// The client of the activation with this number has left the bus.
    ClientGone(u64),
    /// The updown helper has reported.
    Report(Box<Updown>),
    /// What the kernel has now.
    Kernel(Arc<KernelFacts>),
    /// These certificates are others now.
    Renewed(Arc<[String]>),
    /// Its IKE SA has gone with another connection.
    Orphaned,
    /// pluto has started, or ended.
    Pluto(bool),
    /// Is it up, and in the kernel as declared?
    Inspect(oneshot::Sender<Result<(), String>>),
    /// What is it doing?
    Describe(oneshot::Sender<ConnectionStatus>),
    /// It has been lost for so long that the client is to know.
    LossLasts,
    /// Work in the background has ended; the number tells which.
    Ended(u64, Box<Event>),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Worker {
    host: Arc<Host>,
    uuid: Uuid,
    state: State,
    /// The activation that pluto knows of or is about to.
    current: Option<Activation>,
    /// The one that follows when the current one has been taken down.
    next: Option<Activation>,
    /// Who waits for the connection to be down.
    waiting: Vec<oneshot::Sender<()>>,
    background: Option<Background>,
    /// What the kernel's SAs and policies of it are known by, for the case that pluto cannot remove them.
    traces: Traces,
    /// Whether it was up under an earlier daemon, and pluto has not said yet what it has of it.
    is_unknown: bool,
    /// Whether a certificate of it was renewed before that.
    is_renewed: bool,
    /// Runs as long as the client has not been told that it is lost.
    passing: Option<Background>,
    /// Since when there are more SAs than are of use.
    surplus_since: Option<Instant>,
    /// Whether what is being taken out of pluto leaves its secrets for the next try.
    keeps_secrets: bool,
    /// The profile's name, also when it is idle.
    name: String,
    /// When the phase has changed last, in microseconds since 1970.
    changed: u64,
    /// When the next try begins, likewise; 0 if none is waited for.
    next_try: u64,
    /// Since when the tunnel is up.
    up_since: Instant,
    /// Number of the latest activation.
    activations: u64,
    /// Number of the latest background work; what an earlier one brings is late news.
    works: u64,
    to_self: mpsc::UnboundedSender<Request>,
}

impl Worker {
    /// Starts a worker. It lives as long as the daemon, for the price of an idle task.
    pub(super) fn start(host: Arc<Host>, uuid: Uuid) -> mpsc::UnboundedSender<Request> {
        let (sender, mut requests) = mpsc::unbounded_channel();
        let mut worker = Self {
            host,
            uuid,
            state: State::default(),
            current: None,
            next: None,
            waiting: Vec::new(),
            background: None,
            traces: Traces::default(),
            is_unknown: false,
            is_renewed: false,
            passing: None,
            surplus_since: None,
            keeps_secrets: false,
            name: String::new(),
            changed: now(),
            next_try: 0,
            up_since: Instant::now(),
            activations: 0,
            works: 0,
            to_self: sender.clone(),
        };
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                worker.take(request).await;
            }
        });
        sender
    }

    async fn take(&mut self, request: Request) {
        match request {
            Request::Activate(profile, client) => self.wish(*profile, client, Event::Activate).await,
            Request::Register(profile, client) => self.wish(*profile, client, Event::Register).await,
            Request::Listen(profile, listener) => self.listen(*profile, listener).await,
            Request::Call => self.call().await,
            Request::Leave(listener) => self.leave(listener).await,
            Request::Deactivate(client, done) => self.deactivate(client.as_ref(), done).await,
            Request::AwaitEnd(done) => self.waiting.push(done),
            Request::ClientGone(number) => self.client_gone(number).await,
            Request::Report(report) => {
                self.trace(&report);
                self.step(Event::Reported(report)).await;
            }
            Request::Inspect(answer) => {
                // Whoever asked may have left meanwhile.
                let _ = answer.send(self.verify().await);
            }
            Request::Describe(answer) => {
                let _ = answer.send(self.describe().await);
            }
            Request::Kernel(facts) => self.compare(&facts).await,
            // What pluto had is gone.
            Request::Pluto(false) => self.step(Event::Lost).await,
            Request::Orphaned => self.orphaned().await,
            Request::Renewed(nicknames) => self.renewed(&nicknames).await,
            Request::Pluto(true) => {
                // The next pluto gives the old one's request ids to whoever comes first.
                self.traces = Traces::default();
                // What was waited for is there: the next try is not to wait for the failures before it.
                self.state.lost = self.state.lost.map(|_| 0);
                self.step(Event::Lost).await;
                self.step(Event::Retry).await;
            }
            Request::LossLasts => {
                if self.passing.take().is_some() {
                    self.tell_state().await;
                }
            }
            Request::Ended(number, event) if number == self.works => self.ended(*event).await,
            Request::Ended(..) => {}
        }
        if self.state.phase == Phase::Idle {
            self.host.holds.end(&self.uuid);
            self.current = None;
            self.traces = Traces::default();
            self.is_unknown = false;
            self.passing = None;
            self.answer();
        }
    }

    /// Work in the background has come to its end.
    async fn ended(&mut self, event: Event) {
        let is_adopted = matches!(event, Event::Adopted(_));
        self.is_unknown &= !is_adopted;
        if let Event::Adopted(Some((_, reports))) = &event {
            for report in reports {
                self.trace(report);
            }
        }
        if matches!(event, Event::Unloaded | Event::WithoutPluto) {
            self.take_device_away().await;
            if self.keeps_secrets && !self.comes_again() {
                unload::forget_secrets(&self.host, &self.uuid, true).await;
            }
            self.answer();
        }
        self.step(event).await;
        if is_adopted && std::mem::take(&mut self.is_renewed) {
            self.authenticate_anew().await;
        }
    }

    async fn describe(&self) -> ConnectionStatus {
        let described = describe::of(&self.uuid, &self.name, &self.state, self.profile(), &self.traces);
        ConnectionStatus {
            since: self.changed,
            failed_tries: self.state.lost.unwrap_or_default(),
            next_try: self.next_try,
            ..described.await
        }
    }

    /// The device goes with the connection, unless that is to be up again: until then what is routed into it is
    /// dropped there.
    async fn take_device_away(&self) {
        let ends = matches!(self.state.phase, Phase::Unloading(After::Rest | After::Fail(_)));
        if ends && let Some(device) = self.host.devices.forget(&self.uuid) {
            unload::take_device_away(&self.host, &device).await;
        }
    }

    /// Keeps in mind what a report says of the kernel.
    fn trace(&mut self, report: &Updown) {
        self.traces.reqids.extend(report.reqid.map(kernel::reqid_group));
        if report.verb.action == Action::Route {
            self.traces.traps.extend(report.my_client.zip(report.peer_client));
        }
    }

    /// Tells whoever waited for the connection to be out of pluto that it is.
    fn answer(&mut self) {
        for done in self.waiting.drain(..) {
            // Whoever waited may have left meanwhile.
            let _ = done.send(());
        }
    }

    async fn deactivate(&mut self, client: Option<&OwnedUniqueName>, done: oneshot::Sender<()>) {
        if self.next.take_if(|next| next.client.is(client)).is_some() {
            self.withdraw().await;
        }
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.client.is(client))
            && self.next.is_none()
        {
            self.step(Event::Deactivate).await;
        }
        // The last of a client that was superseded is over when the old activation is out of pluto.
        match self.state.phase {
            Phase::Idle | Phase::Unloading(_) => self.waiting.push(done),
            _ => drop(done.send(())),
        }
    }

    /// Has pluto answer the peer for a connection that is down.
    async fn listen(&mut self, profile: Profile, listener: Listener) {
        if self.state.phase != Phase::Idle || self.next.is_some() {
            if let (Listener::Keeper, Some(current)) = (listener, &mut self.current) {
                current.ahead = None;
            }
            return;
        }
        self.name = profile.id.to_string();
        self.activations += 1;
        let nobody = Client::nobody(self.host.bus.clone());
        let mut activation = Activation::begin(self.activations, profile, nobody, || {});
        activation.ahead = (listener == Listener::Transaction).then(|| self.host.addresses.subscribe());
        self.current = Some(activation);
        self.step(Event::Listen).await;
    }

    /// Negotiates while NetworkManager stores the profile and starts an adapter for it. Whoever comes to ask for it finds it so far.
    async fn call(&mut self) {
        let is_called_for = matches!(self.state.phase, Phase::Opening(_) | Phase::Listening(_));
        if let Some(current) = &mut self.current
            && self.next.is_none()
            && is_called_for
            && current.is_ahead()
            && current.is_fresh()
        {
            // What came before it in the transaction has not taken of its time.
            current.since = Instant::now();
            self.step(Event::Asked).await;
        }
    }

    /// Lets go of what nobody has asked for.
    async fn leave(&mut self, listener: Listener) {
        // What was up when NetworkManager went, nobody has asked for either.
        let may_go = |current: &Activation| match listener {
            Listener::Keeper => current.client.is_nobody(),
            Listener::Transaction => current.is_ahead(),
        };
        if self.next.is_none() && self.current.as_ref().is_some_and(may_go) {
            self.step(Event::Deactivate).await;
        }
    }

    /// NetworkManager has gone, and with it whoever asked for the connection. It asks again when it is back, or the keeper of
    /// connections says that nobody is going to.
    async fn is_orphan_of_networkmanager(&self) -> bool {
        matches!(self.state.phase, Phase::Up(..)) && !networkmanager::is_there(&self.host.bus).await
    }

    /// The activation that was to follow is not wanted any more.
    async fn withdraw(&mut self) {
        if self.state.phase == Phase::Unloading(After::Activate) {
            self.step(Event::Deactivate).await;
        }
    }

    async fn wish(&mut self, profile: Profile, client: Client, wish: Event) {
        self.name = profile.id.to_string();
        self.activations += 1;
        let (number, to_self) = (self.activations, self.to_self.clone());
        let activation = Activation::begin(number, profile, client, move || {
            // The worker ends only with the daemon.
            let _ = to_self.send(Request::ClientGone(number));
        });
        if let (Phase::Up(ends, reports), Some(current)) = (&self.state.phase, &mut self.current)
            && current.profile.has_tunnel_of(&activation.profile)
        {
            // A client that registers again, not a new wish: the tunnel stays as it is.
            *current = activation;
            let (ends, reports) = (*ends, reports.clone());
            return self.announce(&ends, &reports).await;
        }
        if let Some(current) = &mut self.current
            && matches!(wish, Event::Activate)
            && self.state.lost.is_none()
            && current.is_ahead_of(&activation)
            && match &self.state.phase {
                Phase::Opening(_) | Phase::Listening(_) => current.is_fresh(),
                Phase::Preparing | Phase::Loading(_) | Phase::Negotiating(..) => true,
                _ => false,
            }
        {
            *current = activation;
            return self.step(Event::Asked).await;
        }
        // Whatever the one before has not been told is not for this one.
        self.passing = None;
        self.next = Some(activation);
        self.step(wish).await;
    }

    /// Whether the connection is up and the kernel has it as declared; if not, what is not.
    async fn verify(&self) -> Result<(), String> {
        let (Phase::Up(ends, reports), Some(current)) = (&self.state.phase, &self.current) else {
            return Err("it is not up".into());
        };
        let reqids = self.traces.reqids.clone();
        let listed = tokio::task::spawn_blocking(move || Ok((kernel::list()?, kernel::found(&reqids)?)));
        let (facts, found) = match listed.await {
            Ok(Ok(listed)) => listed,
            Ok(Err(error)) => return Err(listing_failed(&error)),
            Err(error) => return Err(listing_failed(&error.into())),
        };
        match verify::fault(&current.profile, ends, reports, &facts, &found) {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    /// Compares what the kernel has with what it should have of this connection.
    async fn compare(&mut self, facts: &KernelFacts) {
        let (Phase::Up(ends, reports), Some(current)) = (&self.state.phase, &self.current) else {
            return;
        };
        if work::is_in_kernel(&current.profile, ends, reports, facts) {
            let is_surplus = surplus::is_there(reports, facts);
            return self.take_surplus_away(is_surplus, facts.taken);
        }
        if facts.taken >= self.up_since + YOUTH {
            tracing::warn!(
                ipsec_connection = %current.profile.id,
                ipsec_uuid = %self.uuid,
                nm_connection = %self.uuid,
                "the kernel has lost the SAs or policies of '{}'",
                current.profile.id
            );
            return self.step(Event::Lost).await;
        }
        self.look_again(self.up_since + YOUTH);
    }

    /// Has what the kernel has looked at then.
    fn look_again(&self, then: Instant) {
        let host = self.host.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(then).await;
            host.recheck.notify_one();
        });
    }

    /// What is there twice for longer than a rekey takes is deleted.
    fn take_surplus_away(&mut self, is_there: bool, now: Instant) {
        let since = match self.surplus_since {
            _ if !is_there => return self.surplus_since = None,
            Some(since) => since,
            None => {
                self.surplus_since = Some(now);
                return self.look_again(now + surplus::LINGERS);
            }
        };
        if now < since + surplus::LINGERS {
            return;
        }
        self.surplus_since = None;
        if let Some(current) = &self.current {
            let (host, profile) = (self.host.clone(), current.profile.clone());
            tokio::spawn(async move { surplus::take_away(&host, &profile).await });
        }
    }

    /// Whether it is being taken out of pluto only to be tried again.
    fn comes_again(&self) -> bool {
        self.state.phase == Phase::Unloading(After::Retry)
    }

    async fn orphaned(&mut self) {
        let connect_mode = self.profile().map(|profile| profile.connection.connect_mode);
        self.step(match connect_mode {
            // As long as its useless SAs are there, no packet meets the trap.
            Some(ConnectMode::OnDemand) => Event::Lost,
            _ => Event::Orphaned,
        })
        .await;
    }

    async fn renewed(&mut self, nicknames: &[String]) {
        let Some(profile) = self.profile() else { return };
        let is_changed = |used: &&Nickname| nicknames.iter().any(|name| name == used.as_str());
        let Some(nickname) = profile.connection.nicknames().find(is_changed) else {
            return;
        };
        tracing::info!(
            ipsec_connection = %profile.id,
            ipsec_uuid = %self.uuid,
            nm_connection = %self.uuid,
            "connection '{}' authenticates with its new certificate '{nickname}'",
            profile.id
        );
        // What pluto has is not known yet.
        self.is_renewed = self.state.phase == Phase::Adopting;
        self.authenticate_anew().await;
    }

    async fn authenticate_anew(&mut self) {
        // pluto takes the device away with the connection, and the routes into it go along.
        let has_device = self
            .profile()
            .is_some_and(|profile| profile.connection.ipsec_interface.is_some());
        let is_up = matches!(self.state.phase, Phase::Up(..));
        self.step(if has_device && is_up {
            Event::Lost
        } else {
            Event::Renewed
        })
        .await;
    }

    async fn client_gone(&mut self, number: u64) {
        if self.next.take_if(|next| next.number == number).is_some() {
            self.withdraw().await;
        }
        let is_current = |current: &Activation| current.number == number;
        // One that is being replaced goes anyway.
        if self.next.is_none() && self.current.as_ref().is_some_and(is_current) {
            if self.is_orphan_of_networkmanager().await
                && let Some(current) = &mut self.current
            {
                tracing::warn!(ipsec_uuid = %self.uuid, nm_connection = %self.uuid, "NetworkManager has gone; the tunnel stays until it is back");
                current.client = Client::nobody(self.host.bus.clone());
                return;
            }
            tracing::warn!(ipsec_uuid = %self.uuid, nm_connection = %self.uuid, "whoever asked for the connection has left the bus; taking it down");
            self.step(Event::Deactivate).await;
        }
    }

    fn profile(&self) -> Option<&Profile> {
        self.current.as_ref().map(|current| &*current.profile)
    }

    async fn step(&mut self, event: Event) {
        let one_pair = self
            .current
            .as_ref()
            .is_some_and(|current| work::has_one_pair(&current.profile));
        let before = std::mem::discriminant(&self.state.phase);
        let described = describe::state(&self.state, self.profile());
        let (state, effects) = machine::step(std::mem::take(&mut self.state), event, one_pair);
        let is_elsewhere = before != std::mem::discriminant(&state.phase)
            || described != describe::state(&state, self.profile());
        self.state = state;
        if is_elsewhere {
            self.changed = now();
            self.next_try = 0;
            self.tell_change(described).await;
        }
        for effect in effects {
            self.perform(effect).await;
        }
    }

    async fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Announce(ends, reports) => {
                self.passing = None;
                self.up_since = Instant::now();
                for after in surplus::LOOKS {
                    self.look_again(self.up_since + after);
                }
                if self
                    .current
                    .as_ref()
                    .is_some_and(|current| current.client.is_nobody() && !current.is_ahead())
                {
                    // The keeper of connections has NetworkManager ask for it.
                    let _ = self.host.called.send(self.uuid.to_string());
                }
                self.announce(&ends, &reports).await;
                // Of several pairs of subnets some may yet come; those holds end by themselves.
                if self.profile().is_some_and(work::has_one_pair) {
                    self.host.holds.end(&self.uuid);
                }
                self.warn_of_expiry();
            }
            Effect::TellLost => self.tell_lost().await,
            // NetworkManager is about to ask for it, and hears what comes of that.
            Effect::Fail(_) if self.current.as_ref().is_some_and(Activation::is_ahead) => {}
            Effect::Fail(reason) => {
                self.note(&reason, "failed");
                if let Some(current) = &self.current {
                    current.client.tell_failure(&self.uuid, &reason).await;
                }
            }
            Effect::Note(reason) => {
                self.note(&reason, "is still down");
                // NetworkManager may have come to think otherwise meanwhile; the adapter knows how to insist.
                if self.passing.is_none() {
                    self.tell_state().await;
                }
            }
            background => self.begin(background),
        }
    }

    /// Begins what runs in the background.
    fn begin(&mut self, effect: Effect) {
        if matches!(effect, Effect::Prepare | Effect::Adopt) {
            self.current = self.next.take().or(self.current.take());
            // NetworkManager measures a first start from its wish; after a loss there is no such limit.
            if let (Some(current), Some(_)) = (&mut self.current, self.state.lost) {
                current.since = Instant::now();
            }
        }
        // The peer has as long as for a connection that was lost.
        if let (Some(current), Effect::Reload(_), _)
        | (Some(current), Effect::Negotiate(_), Phase::Renegotiating(..)) =
            (&mut self.current, &effect, &self.state.phase)
        {
            current.since = Instant::now();
        }
        let pause = match effect {
            Effect::Wait(failed) => backoff::pause(failed),
            _ => Duration::ZERO,
        };
        if !pause.is_zero() {
            self.next_try = now().saturating_add(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX));
        }
        self.is_unknown |= effect == Effect::Adopt;
        let is_unknown = self.is_unknown;
        let mut traces = self.traces_with_interface();
        let me = match &self.state.phase {
            Phase::Up(_, reports) => reports.iter().find_map(|report| report.me),
            _ => None,
        };
        let is_lost = self.state.lost.is_some();
        let again = self.comes_again();
        self.keeps_secrets = again;
        self.run(async move |host, profile, since| match effect {
            Effect::Adopt => Event::Adopted(work::adopt(&host, &profile).await),
            Effect::Prepare => Event::Prepared(work::prepare(&host, &profile).await),
            Effect::Open => Event::Opened(work::open(&host, &profile).await),
            Effect::Load(ends, may_start) => {
                let _place = host.places.take().await;
                Event::Loaded(work::load(&host, &profile, &ends, may_start).await)
            }
            Effect::Reload(ends) => Event::Loaded(work::reload(&host, &profile, &ends, traces).await),
            Effect::Negotiate(ends) => {
                let place = host.places.take().await;
                // Who waited for a place is not to have less time for it.
                let since = if is_lost { Instant::now() } else { since };
                let negotiated = work::negotiate(&host, &profile, &ends, since);
                Event::Negotiated(with_place(place, negotiated).await)
            }
            Effect::AwaitReport(ends, progress) => {
                Event::Negotiated(Err(work::report_is_late(&profile, &ends, since, progress).await))
            }
            Effect::Wait(_) => {
                tokio::time::sleep(pause).await;
                Event::Retry
            }
            Effect::Watch(ends) => {
                let me = me.or(ends.left.address());
                resolve::until_moved(&profile.connection, &ends, me, since, &host.addresses).await;
                Event::Lost
            }
            _ => {
                if is_unknown {
                    traces = work::recognise(&profile, traces).await;
                }
                unload::unload(&host, &profile, traces, again).await
            }
        });
    }

    /// What its SAs and policies are known by, its device included.
    fn traces_with_interface(&self) -> Traces {
        let interface = match self
            .profile()
            .and_then(|profile| profile.connection.ipsec_interface)
        {
            Some(IpsecInterface::Number(number)) => Some(number),
            _ => None,
        };
        Traces {
            interface,
            ..self.traces.clone()
        }
    }

    /// Runs `work` on the current activation in the background, in place of what ran there before.
    fn run<W, F>(&mut self, work: W)
    where
        W: FnOnce(Arc<Host>, Arc<Profile>, Instant) -> F,
        F: Future<Output = Event> + Send + 'static,
    {
        let Some(current) = &self.current else { return };
        self.works += 1;
        let (number, to_self) = (self.works, self.to_self.clone());
        let future = work(self.host.clone(), current.profile.clone(), current.since);
        self.background = Some(Background(tokio::spawn(async move {
            // The worker ends only with the daemon.
            let _ = to_self.send(Request::Ended(number, Box::new(future.await)));
        })));
    }
}

/// Does `work` with a place among those who negotiate, and without it when that takes long: the peer is silent, and costs
/// nothing.
async fn with_place<T>(place: Place<'_>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(SILENT) => drop(place),
    }
    work.await
}

fn listing_failed(error: &std::io::Error) -> String {
    format!("the kernel does not list its SAs and policies: {error}")
}
