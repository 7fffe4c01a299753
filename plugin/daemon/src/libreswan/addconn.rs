//! addconn: reads a configuration and hands one connection of it to pluto (`ipsec.conf(5)`).

use nmstate_ipsec_core::{reason::Reason, render::PlutoName};

use super::{LOCAL_TIME_OUT, Libreswan, local, outcome};

impl Libreswan {
    /// Adds the connection `name`, as written in `configuration`, a whole `ipsec.conf`, if `check` finds nothing
    /// against it; addconn is started meanwhile. One of the same name is replaced.
    ///
    /// # Errors
    /// That of `check`; or addconn or pluto does not accept it, and libreswan 4 does not say why.
    pub async fn add(
        &self,
        name: &PlutoName,
        configuration: String,
        check: impl Future<Output = Result<(), Reason>>,
    ) -> Result<(), Option<Reason>> {
        let addconn = self
            .program("addconn", LOCAL_TIME_OUT)
            .args(["--config", "-", name.as_str()])
            .input(configuration);
        let ran = addconn.run_after(check).await.map_err(Some)?;
        let output = ran.map_err(|error| Some(local(error)))?;
        outcome::of_add(output.succeeded(), &output.said())
    }
}
