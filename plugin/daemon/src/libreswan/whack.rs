//! whack: tells a running pluto what to do (`ipsec_pluto(8)`).

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use nmstate_ipsec_core::{
    command::{Command, CommandError},
    reason::Reason,
    render::PlutoName,
};

use super::{
    LOCAL_TIME_OUT, Libreswan, SOON, local,
    outcome::{self, Initiated},
    status::Status,
};

/// How long pluto may hope on after a refusal that anybody on the way could have forged: the true peer's
/// answer has a few retransmissions to arrive.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(5);

/// A pluto that has deleted a connection or told of all within this does not hang. A deletion may take half of it.
const LATELY: Duration = Duration::from_secs(10);

/// How much longer such a pluto may take until it tells of its connections, though NetworkManager does not wait for it.
const BUSY_TIME_OUT: Duration = Duration::from_secs(10);

/// Most bytes that pluto may say of all its connections, two kilobytes of each.
const STATUS_LIMIT: usize = 16 << 20;

impl Libreswan {
    /// Has pluto look at the host's addresses and secrets again. Tells whether pluto runs at all.
    ///
    /// # Errors
    /// whack could not be run.
    pub async fn listen(&self) -> Result<bool, Reason> {
        let listen = async || Ok(self.whack(["--listen"]).run().await.map_err(local)?.succeeded());
        self.listening.run(listen).await
    }

    /// Has pluto read the secrets files again.
    ///
    /// # Errors
    /// whack could not be run.
    pub async fn reread_secrets(&self) -> Result<(), Reason> {
        let reread = async || {
            self.whack(["--rereadsecrets"])
                .run()
                .await
                .map(drop)
                .map_err(local)
        };
        self.rereading.run(reread).await
    }

    /// Has pluto negotiate the connection `name` with `peer`, for `time_out` at most.
    ///
    /// # Errors
    /// The reason why pluto did not come to an end, as far as its words tell.
    pub async fn initiate(
        &self,
        name: &PlutoName,
        peer: IpAddr,
        time_out: Duration,
    ) -> Result<Initiated, Reason> {
        let whack = self
            .program("whack", time_out)
            .args(["--name", name.as_str(), "--initiate"])
            .hasten(outcome::UNAUTHENTICATED_REFUSALS, REFUSAL_PATIENCE);
        match whack.run().await {
            Ok(output) => outcome::of_initiate(output.succeeded(), &output.said(), peer, time_out),
            Err(CommandError::TimedOut { said, .. }) => outcome::of_initiate(false, &said, peer, time_out),
            Err(error) => Err(local(error)),
        }
    }

    /// Has pluto set a trap that negotiates the connection `name` when there is traffic for it.
    ///
    /// # Errors
    /// pluto refused.
    pub async fn route(&self, name: &PlutoName) -> Result<(), Reason> {
        let output = self
            .whack(["--name", name.as_str(), "--route"])
            .run()
            .await
            .map_err(local)?;
        if output.succeeded() {
            return Ok(());
        }
        Err(Reason::ConfigurationRefused {
            detail: outcome::last_words(&output.said()),
        })
    }

    /// Has pluto negotiate the connection `name` again, without waiting for what comes of it.
    ///
    /// # Errors
    /// whack could not be run.
    pub async fn initiate_in_background(&self, name: &str) -> Result<(), Reason> {
        let whack = self.whack(["--name", name, "--initiate", "--asynchronous"]);
        whack.run().await.map_err(local)?;
        Ok(())
    }

    /// The connections that pluto knows; none of them if it does not run.
    ///
    /// # Errors
    /// whack could not be run, or pluto hangs.
    pub async fn status(&self) -> Result<Arc<Status>, Reason> {
        self.status_within(LOCAL_TIME_OUT).await
    }

    /// The same for whoever has little time.
    ///
    /// # Errors
    /// As for [`Self::status`].
    pub async fn status_soon(&self) -> Result<Arc<Status>, Reason> {
        self.status_by(SOON).await
    }

    /// In all, also behind somebody who has more time.
    async fn status_by(&self, time_out: Duration) -> Result<Arc<Status>, Reason> {
        let asked = tokio::time::timeout(time_out, self.status_within(time_out)).await;
        asked.unwrap_or_else(|_| {
            Err(Reason::Local {
                detail: "pluto does not say what it has".into(),
            })
        })
    }

    /// The same for whoever has little time, and more of it if pluto has done something for anybody of late: it does not hang
    /// then, and has much to do.
    ///
    /// # Errors
    /// As for [`Self::status`].
    pub async fn status_unless_hung(&self) -> Result<Arc<Status>, Reason> {
        match self.status_soon().await {
            Err(_) if self.did_something_lately() => self.status_by(BUSY_TIME_OUT).await,
            soon => soon,
        }
    }

    fn did_something_lately(&self) -> bool {
        let last = *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < LATELY)
    }

    fn note_answer(&self) {
        *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    async fn status_within(&self, time_out: Duration) -> Result<Arc<Status>, Reason> {
        self.asking
            .run(async || self.ask_for_status(time_out).await)
            .await
    }

    async fn ask_for_status(&self, time_out: Duration) -> Result<Arc<Status>, Reason> {
        let whack = self
            .program("whack", time_out)
            .args(["--status"])
            .keep(STATUS_LIMIT);
        let output = whack.run().await.map_err(local)?;
        self.note_answer();
        Ok(Arc::new(Status::read(&output.stdout)))
    }

    /// Takes the connection `name` and its SAs out of pluto; one that pluto does not know is gone already.
    ///
    /// # Errors
    /// whack could not be run, or pluto hangs; it then mostly finds the request when it goes on.
    pub async fn delete(&self, name: &str, time_out: Duration) -> Result<(), Reason> {
        // It lasts as long as this.
        let _place = self.deleting.acquire().await;
        let whack = self.program("whack", time_out);
        whack
            .args(["--name", name, "--delete"])
            .run()
            .await
            .map_err(local)?;
        self.note_answer();
        Ok(())
    }

    /// Has pluto delete the IKE SA of this number, with what was negotiated by it, and tell the peer. pluto goes on by itself
    /// when the peer does not answer soon.
    ///
    /// # Errors
    /// whack could not be run.
    pub async fn delete_ike_sa(&self, number: u32) -> Result<(), Reason> {
        let whack = self.program("whack", SOON);
        match whack.args(["--deletestate", &number.to_string()]).run().await {
            Ok(_) | Err(CommandError::TimedOut { .. }) => Ok(()),
            Err(error) => Err(local(error)),
        }
    }

    fn whack<const N: usize>(&self, arguments: [&str; N]) -> Command {
        self.program("whack", LOCAL_TIME_OUT).args(arguments)
    }
}
