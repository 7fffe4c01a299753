//! Modes, switches and numbers of a connection.

use std::{fmt, str::FromStr};

use super::{Expected, keywords};

keywords! {
    /// What is to be done with the connection when it is activated (`nm-connect-mode`).
    ConnectMode, "up or ondemand" {
        /// Negotiate at once.
        Up = "up",
        /// Negotiate when there is traffic for it.
        OnDemand = "ondemand" | "on-demand",
    }
}

keywords! {
    /// The mode of the connection (`type`). libreswan's `passthrough`, `drop` and `reject` have no place in a VPN profile.
    ConnType, "tunnel or transport" {
        /// Packets are wrapped whole.
        Tunnel = "tunnel",
        /// Payloads are wrapped, host to host.
        Transport = "transport",
    }
}

keywords! {
    /// What to do with a peer that is gone (`dpdaction`). libreswan 5 has no such choice and always negotiates again as
    /// far as its other settings say.
    DpdAction, "hold, clear or restart" {
        /// Keep the policy and wait for traffic.
        Hold = "hold",
        /// Remove everything.
        Clear = "clear",
        /// Negotiate again.
        Restart = "restart" | "restart_by_peer",
    }
}

keywords! {
    /// Whether IKE messages may be fragmented (`fragmentation`).
    Fragmentation, "yes, no or force" {
        /// When large.
        Yes = "yes",
        /// Never.
        No = "no",
        /// From the first message on.
        Force = "force" | "insist",
    }
}

keywords! {
    /// Whether ESP travels in UDP (`encapsulation`).
    Encapsulation, "auto, yes or no" {
        /// When there is address translation on the way.
        Auto = "auto",
        /// Always.
        Yes = "yes",
        /// Never.
        No = "no",
    }
}

keywords! {
    /// What the network card does (`nic-offload`). libreswan 4 knows `auto`, `yes` and `no`; 5 knows `crypto`, `packet` and `no`.
    NicOffload, "no, auto, yes, crypto or packet" {
        /// Nothing.
        No = "no",
        /// What it can.
        Auto = "auto",
        /// Encryption, or the connection fails.
        Yes = "yes",
        /// Encryption.
        Crypto = "crypto",
        /// All of ESP.
        Packet = "packet",
    }
}

keywords! {
    /// Whether IKE and ESP travel over TCP (`enable-tcp`).
    EnableTcp, "no, yes or fallback" {
        /// UDP alone.
        No = "no",
        /// TCP alone.
        Yes = "yes",
        /// TCP when UDP gets no answer.
        Fallback = "fallback",
    }
}

keywords! {
    /// How a secret is come by (`pskinputmodes`, `xauthpasswordinputmodes`).
    InputMode, "save, ask or unused" {
        /// It is stored.
        Save = "save" | "saved",
        /// It is asked for.
        Ask = "ask",
        /// There is none.
        Unused = "unused",
    }
}

/// The virtual interface that the tunnel's traffic is routed through (`ipsec-interface`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IpsecInterface {
    /// None: the kernel's policies decide alone.
    No,
    /// `ipsec<number>`; `yes` is number 1.
    Number(u32),
}

impl IpsecInterface {
    /// The interface's name, such as `ipsec1`.
    pub fn device_name(self) -> Option<String> {
        match self {
            Self::No => None,
            Self::Number(number) => Some(format!("ipsec{number}")),
        }
    }
}

impl FromStr for IpsecInterface {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match text {
            "no" | "false" | "off" => Ok(Self::No),
            "yes" | "true" | "on" => Ok(Self::Number(1)),
            // A number must leave room for "ipsec" in an interface's 15 characters; ten digits do.
            _ => match number(text) {
                Some(0) => Ok(Self::No),
                Some(number) => Ok(Self::Number(number)),
                None => Err(Expected("yes, no or a number")),
            },
        }
    }
}

impl fmt::Display for IpsecInterface {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => formatter.write_str("no"),
            Self::Number(number) => number.fmt(formatter),
        }
    }
}

/// A mark on the kernel's policies and states (`mark`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// `-1`: a new mark, unique on this host.
    Unique,
    /// A mark and the bits of it that count.
    Value {
        /// The mark.
        mark: u32,
        /// The bits that count.
        mask: u32,
    },
}

impl FromStr for Mark {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let (mark, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
        if text == "-1" {
            return Ok(Self::Unique);
        }
        match (number_or_hex(mark), number_or_hex(mask)) {
            (Some(mark), Some(mask)) => Ok(Self::Value { mark, mask }),
            _ => Err(Expected("a mark or mark/mask, such as 5 or 0x5/0xff, or -1")),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unique => formatter.write_str("-1"),
            Self::Value { mark, mask } => write!(formatter, "{mark:#x}/{mask:#010x}"),
        }
    }
}

/// How often to try to negotiate (`keyingtries`); 0 is without end. libreswan 5 does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyingTries(pub u32);

impl FromStr for KeyingTries {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match text {
            "%forever" => Ok(Self(0)),
            _ => number(text).map(Self).ok_or(Expected("a number or %forever")),
        }
    }
}

impl fmt::Display for KeyingTries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Declares a number with bounds.
macro_rules! bounded {
    ($(#[$meta:meta])* $name:ident, $range:expr, $expected:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u32);

        impl $name {
            /// The number.
            pub fn number(self) -> u32 {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = Expected;

            fn from_str(text: &str) -> Result<Self, Expected> {
                match number(text) {
                    Some(number) if $range.contains(&number) => Ok(Self(number)),
                    _ => Err(Expected($expected)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

bounded!(
    /// Largest packet on the routes through the tunnel, in bytes (`mtu`).
    Mtu, 68..=65535, "a number of bytes from 68 to 65535"
);
bounded!(
    /// Priority of the kernel's policies, the lowest first; 0 lets libreswan choose (`priority`).
    Priority, 0..=u32::MAX, "a number"
);
bounded!(
    /// How many packets may come out of order; 0 switches the check off (`replay-window`).
    ReplayWindow, 0..=65535, "a number of packets from 0 to 65535"
);
bounded!(
    /// Flags of a secret as NetworkManager keeps them: 1 owned by an agent, 2 not saved, 4 not required.
    SecretFlags, 0..=7, "a sum of 1 (kept by an agent), 2 (not saved) and 4 (not required)"
);

impl SecretFlags {
    /// Whether the secret is not required.
    pub fn is_not_required(self) -> bool {
        self.0 & 4 != 0
    }

    /// Whether the secret comes from the user, each time or by way of an agent, and not from the profile.
    pub fn is_of_the_user(self) -> bool {
        self.0 & 3 != 0
    }
}

fn number(text: &str) -> Option<u32> {
    let is_number = (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

fn number_or_hex(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits)
            if (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            u32::from_str_radix(digits, 16).ok()
        }
        Some(_) => None,
        None => number(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_numbered() {
        for (text, value, device) in [
            ("no", IpsecInterface::No, None),
            ("0", IpsecInterface::No, None),
            ("yes", IpsecInterface::Number(1), Some("ipsec1")),
            ("99", IpsecInterface::Number(99), Some("ipsec99")),
        ] {
            let parsed: IpsecInterface = text.parse().unwrap();
            assert_eq!(parsed, value, "{text}");
            assert_eq!(parsed.device_name().as_deref(), device);
            assert_eq!(parsed.to_string().parse(), Ok(value));
        }
        for text in ["", "-1", "ipsec1", "4294967296", "1 ", "+1"] {
            assert!(text.parse::<IpsecInterface>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn marks_have_masks() {
        for (text, rendered) in [
            ("5", "0x5/0xffffffff"),
            ("0x5/0xff", "0x5/0x000000ff"),
            ("5/255", "0x5/0x000000ff"),
            ("-1", "-1"),
        ] {
            assert_eq!(text.parse::<Mark>().unwrap().to_string(), rendered, "{text}");
            assert_eq!(rendered.parse::<Mark>(), text.parse::<Mark>());
        }
        for text in ["", "-2", "5/", "/5", "0x", "0x123456789", "5/5/5", "-1/5", "0x+1"] {
            assert!(text.parse::<Mark>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!("1400".parse::<Mtu>().map(Mtu::number), Ok(1400));
        assert!("67".parse::<Mtu>().is_err());
        assert!("65536".parse::<Mtu>().is_err());
        assert!("-1".parse::<Priority>().is_err());
        assert_eq!("%forever".parse(), Ok(KeyingTries(0)));
        assert!("4".parse::<SecretFlags>().unwrap().is_not_required());
        assert!(!"3".parse::<SecretFlags>().unwrap().is_not_required());
        assert!("8".parse::<SecretFlags>().is_err());
    }

    #[test]
    fn modes_without_protection_are_refused() {
        for text in ["passthrough", "drop", "reject", "", "Tunnel"] {
            assert!(text.parse::<ConnType>().is_err(), "{text:?}");
        }
    }
}
