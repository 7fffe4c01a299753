//! What NetworkManager is told of a connection: its dictionaries on the bus, compared as a whole.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, ensure};
use lab::world::BusMessage;
use serde_json::{Map, Value, json};

/// The signals that carry configuration, in the order of the contract.
const SIGNALS: [&str; 3] = ["Config", "Ip4Config", "Ip6Config"];

/// An IPv4 address as the contract has it: a number whose bytes in memory are the address.
pub(crate) fn v4(address: Ipv4Addr) -> Value {
    json!(u32::from_ne_bytes(address.octets()))
}

/// An IPv6 address as the contract has it: sixteen bytes.
pub(crate) fn v6(address: Ipv6Addr) -> Value {
    json!(address.octets())
}

/// The number of an IPv4 address in text.
pub(crate) fn number(address: &str) -> Result<Value> {
    Ok(v4(address
        .parse()
        .with_context(|| format!("reading {address}"))?))
}

/// A route as `Ip4Config` has it, from `network/prefix`, next hop and source; the metric is none.
pub(crate) fn route(network: &str, next_hop: &str, source: Option<&str>) -> Result<Value> {
    let (network, prefix) = network.split_once('/').context("a network without prefix")?;
    let prefix: u32 = prefix.parse()?;
    let mut route = vec![number(network)?, json!(prefix), number(next_hop)?, json!(0)];
    if let Some(source) = source {
        route.push(number(source)?);
    }
    Ok(Value::Array(route))
}

/// Compares the last dictionaries that were sent with `expected`, an object of objects by signal. What is not
/// expected must not have been sent: neither a signal nor an entry.
pub(crate) fn ensure_told(messages: &[BusMessage], expected: &Value) -> Result<()> {
    let mut told = Map::new();
    for name in SIGNALS {
        if let Some(message) = messages.iter().rev().find(|message| message.name() == name) {
            told.insert(name.to_owned(), without_types(message.argument(0)));
        }
    }
    let told = Value::Object(told);
    ensure!(
        told == *expected,
        "NetworkManager was told\n{told:#}\nand not\n{expected:#}"
    );
    let failures: Vec<&str> = messages
        .iter()
        .map(BusMessage::name)
        .filter(|name| *name == "Failure")
        .collect();
    ensure!(failures.is_empty(), "NetworkManager was told of a failure");
    Ok(())
}

/// A dictionary as busctl writes it, each value without its D-Bus type.
fn without_types(dictionary: &Value) -> Value {
    let entries = dictionary.as_object().into_iter().flatten();
    entries
        .map(|(key, value)| (key.clone(), value["data"].clone()))
        .collect::<Map<String, Value>>()
        .into()
}
