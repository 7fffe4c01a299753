//! The arguments that NetworkManager gives a VPN plugin.

use nmstate_ipsec_core::contract::PLUGIN_NAME;

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The bus name to take; one for each connection, `<service>.Connection_<N>`.
    pub bus_name: String,
    /// Stay when there is nothing to do.
    pub persist: bool,
    /// Say more on standard error.
    pub debug: bool,
}

/// Reads the arguments, without the program's own name.
///
/// # Errors
/// An option is unknown or lacks its value.
pub fn parse<I>(arguments: I) -> Result<Arguments, lexopt::Error>
where
    I: IntoIterator,
    I::Item: Into<std::ffi::OsString>,
{
    use lexopt::prelude::{Long, ValueExt};
    let mut parsed = Arguments {
        bus_name: PLUGIN_NAME.to_owned(),
        persist: false,
        debug: false,
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("bus-name") => parsed.bus_name = parser.value()?.string()?,
            Long("persist") => parsed.persist = true,
            Long("debug") => parsed.debug = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_network_manager_calls_it() {
        let parsed = parse([
            "--bus-name",
            "org.freedesktop.NetworkManager.libreswan.Connection_7",
        ])
        .unwrap();
        assert_eq!(
            parsed.bus_name,
            "org.freedesktop.NetworkManager.libreswan.Connection_7"
        );
        assert!(!parsed.persist && !parsed.debug);
        assert!(parse(["--bus-name"]).is_err());
        assert!(parse(["--frobnicate"]).is_err());
    }
}
