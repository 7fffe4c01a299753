//! whack: tells a running pluto what to do (`ipsec_pluto(8)`).

use std::{net::IpAddr, time::Duration};

use nmstate_ipsec_core::{
    command::{Command, CommandError},
    reason::Reason,
    render::PlutoName,
};

use super::{
    LOCAL_TIME_OUT, Libreswan, local,
    outcome::{self, Initiated},
};

/// How long pluto may hope on after a refusal that anybody on the way could have forged: the true peer's
/// answer has a few retransmissions to arrive.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(5);

impl Libreswan {
    /// Has pluto look at the host's addresses and secrets again. Tells whether pluto runs at all.
    ///
    /// # Errors
    /// whack could not be run.
    pub async fn listen(&self) -> Result<bool, Reason> {
        Ok(self.whack(["--listen"]).run().await.map_err(local)?.succeeded())
    }

    /// Has pluto read the secrets files again.
    ///
    /// # Errors
    /// whack could not be run.
    pub async fn reread_secrets(&self) -> Result<(), Reason> {
        self.whack(["--rereadsecrets"]).run().await.map_err(local)?;
        Ok(())
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
            .hasten(outcome::UNAUTHENTICATED_REFUSAL, REFUSAL_PATIENCE);
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

    /// Whether pluto has a child SA of the connection `name`.
    pub async fn is_established(&self, name: &PlutoName) -> bool {
        let Ok(output) = self.whack(["--trafficstatus"]).run().await else {
            return false;
        };
        outcome::established(&output.stdout).any(|established| name.owns(established))
    }

    /// Takes the connection `name` and its SAs out of pluto; one that pluto does not know is gone already.
    ///
    /// # Errors
    /// whack could not be run.
    pub async fn delete(&self, name: &PlutoName) -> Result<(), Reason> {
        self.whack(["--name", name.as_str(), "--delete"])
            .run()
            .await
            .map_err(local)?;
        Ok(())
    }

    fn whack<const N: usize>(&self, arguments: [&str; N]) -> Command {
        self.program("whack", LOCAL_TIME_OUT).args(arguments)
    }
}
