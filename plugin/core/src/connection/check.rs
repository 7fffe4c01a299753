//! Keys that contradict one another.

use super::{ConnType, Connection, EndAuth, Family, HostAddress, IkeVersion, Selectors, Subnet, Subnets};
use crate::profile::InvalidProfile;

type Checked = Result<(), InvalidProfile>;

/// Checks what the profile says, before anything is filled in.
pub(super) fn as_written(connection: &Connection) -> Checked {
    host_families(connection)?;
    source_address(connection)?;
    subnet_spelling(connection)?;
    authentication(connection)
}

/// Checks what holds only of the whole connection.
pub(super) fn as_filled_in(connection: &Connection) -> Checked {
    client_families(connection)?;
    transport(connection)?;
    version(connection)
}

fn host_families(connection: &Connection) -> Checked {
    let ends = [
        ("left", connection.left.family()),
        ("right", connection.right.family()),
    ];
    if let [(_, Some(left)), (_, Some(right))] = ends
        && left != right
    {
        return Err(InvalidProfile::conflict(
            "left",
            "right",
            "must be addresses of one family",
        ));
    }
    for (key, family) in ends {
        if family.is_some() && connection.hostaddrfamily.is_some() && family != connection.hostaddrfamily {
            return Err(InvalidProfile::conflict(
                key,
                "hostaddrfamily",
                "must agree on the address family",
            ));
        }
    }
    Ok(())
}

/// The protected traffic is of one family on both sides, whatever the family of the ends.
fn client_families(connection: &Connection) -> Checked {
    let left = Side::new(
        ["leftsubnet", "leftsubnets", "left"],
        connection.leftsubnet.as_ref(),
        connection.leftsubnets.as_ref(),
        // An address from the peer is of the family that is asked for.
        connection
            .host_family()
            .filter(|_| !connection.is_mode_config_client()),
    );
    let right = Side::new(
        ["rightsubnet", "rightsubnets", "right"],
        connection.rightsubnet.as_ref(),
        connection.rightsubnets.as_ref(),
        // What is filled in is of the other side's family.
        connection
            .host_family()
            .filter(|_| !connection.fills_in_remote_subnet()),
    );
    if let Some(wanted) = connection.clientaddrfamily {
        let source = connection.leftsourceip.map(|address| Family::of(address.0));
        let source = Side {
            key: "leftsourceip",
            families: source.into_iter().collect(),
        };
        for side in [&right, &left, &source] {
            if side.families.iter().any(|family| *family != wanted) {
                let reason = "must agree on the address family of the protected traffic";
                return Err(InvalidProfile::conflict(side.key, "clientaddrfamily", reason));
            }
        }
    }
    if !left.families.is_empty() && !right.families.is_empty() && left.families != right.families {
        let reason = "must agree on the address families of the protected traffic";
        return Err(InvalidProfile::conflict(right.key, left.key, reason));
    }
    Ok(())
}

/// One side of the protected traffic: the key that decides, and the families; none if they are not known yet.
struct Side {
    key: &'static str,
    families: Vec<Family>,
}

impl Side {
    fn new(
        [one, several, host]: [&'static str; 3],
        selectors: Option<&Selectors>,
        subnets: Option<&Subnets>,
        host_family: Option<Family>,
    ) -> Self {
        match (selectors, subnets) {
            (Some(_), _) => Self {
                key: one,
                families: families(selector_subnets(selectors)),
            },
            (None, Some(list)) => Self {
                key: several,
                families: families(list.as_slice().iter().copied()),
            },
            (None, None) => Self {
                key: host,
                families: host_family.into_iter().collect(),
            },
        }
    }
}

/// The address that packets come from is one of this host's side of the protected traffic.
fn source_address(connection: &Connection) -> Checked {
    let Some(source) = connection.leftsourceip.map(|address| address.0) else {
        return Ok(());
    };
    let local = connection.local_subnets();
    if !local.is_empty() && !local.iter().any(|subnet| subnet.contains(source)) {
        let key = if connection.leftsubnet.is_some() {
            "leftsubnet"
        } else {
            "leftsubnets"
        };
        return Err(InvalidProfile::conflict(
            "leftsourceip",
            key,
            "exclude each other: the address is not in the subnet",
        ));
    }
    match connection.left {
        HostAddress::Ip(address) if local.is_empty() && address != source => {
            let reason = "exclude each other: without leftsubnet, packets come from the host's own address";
            Err(InvalidProfile::conflict("leftsourceip", "left", reason))
        }
        _ => Ok(()),
    }
}

fn selector_subnets(selectors: Option<&Selectors>) -> impl Iterator<Item = Subnet> + '_ {
    selectors
        .into_iter()
        .flat_map(Selectors::as_slice)
        .map(|selector| selector.subnet)
}

fn families(subnets: impl Iterator<Item = Subnet>) -> Vec<Family> {
    let mut families: Vec<_> = subnets.map(Subnet::family).collect();
    families.sort_unstable();
    families.dedup();
    families
}

fn subnet_spelling(connection: &Connection) -> Checked {
    let sides = [
        (
            "leftsubnet",
            "leftsubnets",
            connection.leftsubnet.as_ref(),
            connection.leftsubnets.is_some(),
        ),
        (
            "rightsubnet",
            "rightsubnets",
            connection.rightsubnet.as_ref(),
            connection.rightsubnets.is_some(),
        ),
    ];
    for (one, several, selectors, has_several) in sides {
        if selectors.is_some() && has_several {
            return Err(InvalidProfile::conflict(one, several, "cannot be given together"));
        }
    }
    let protoports = [
        (
            "leftsubnet",
            "leftprotoport",
            connection.leftsubnet.as_ref(),
            connection.leftprotoport.is_some(),
        ),
        (
            "rightsubnet",
            "rightprotoport",
            connection.rightsubnet.as_ref(),
            connection.rightprotoport.is_some(),
        ),
    ];
    for (subnet, protoport, selectors, has_protoport) in protoports {
        if has_protoport && selectors.is_some_and(|selectors| !selectors.is_simple()) {
            let reason = "can be given together only if the former is a single subnet without protocol";
            return Err(InvalidProfile::conflict(subnet, protoport, reason));
        }
    }
    Ok(())
}

fn authentication(connection: &Connection) -> Checked {
    match (connection.leftauth, connection.rightauth) {
        (None, None) => return Ok(()),
        (Some(left), Some(right)) => {
            let kinds = [left, right];
            if kinds.contains(&EndAuth::Secret) && kinds.contains(&EndAuth::Null) {
                return Err(InvalidProfile::conflict(
                    "leftauth",
                    "rightauth",
                    "cannot be secret and null",
                ));
            }
        }
        _ => {
            return Err(InvalidProfile::conflict(
                "leftauth",
                "rightauth",
                "must be given together",
            ));
        }
    }
    if connection.authby.is_some() {
        return Err(InvalidProfile::conflict(
            "leftauth",
            "authby",
            "cannot be given together",
        ));
    }
    Ok(())
}

/// Transport mode protects packets between the ends themselves.
fn transport(connection: &Connection) -> Checked {
    if connection.conn_type() != ConnType::Transport {
        return Ok(());
    }
    let sides = [
        (
            "leftsubnet",
            selector_subnets(connection.leftsubnet.as_ref()).collect::<Vec<_>>(),
            &connection.left,
        ),
        (
            "rightsubnet",
            selector_subnets(connection.rightsubnet.as_ref()).collect(),
            &connection.right,
        ),
    ];
    for (key, subnets, end) in sides {
        if subnets.iter().any(|subnet| !subnet.is_host()) {
            return Err(InvalidProfile::conflict(
                key,
                "type",
                "exclude each other: transport mode is from host to host",
            ));
        }
        if let HostAddress::Ip(address) = end
            && subnets.iter().any(|subnet| subnet.network() != *address)
        {
            let reason = "exclude each other: transport mode protects the ends themselves, and this is another address";
            return Err(InvalidProfile::conflict(key, "type", reason));
        }
    }
    if connection.leftsubnets.is_some() || connection.rightsubnets.is_some() {
        let key = if connection.leftsubnets.is_some() {
            "leftsubnets"
        } else {
            "rightsubnets"
        };
        return Err(InvalidProfile::conflict(
            key,
            "type",
            "exclude each other: transport mode is from host to host",
        ));
    }
    if connection.is_mode_config_client() {
        let reason = "exclude each other: a host in transport mode gets no address from its peer";
        return Err(InvalidProfile::conflict("leftmodecfgclient", "type", reason));
    }
    Ok(())
}

/// What IKEv1 does not know.
fn version(connection: &Connection) -> Checked {
    if connection.ike_version() == IkeVersion::V2 {
        return Ok(());
    }
    for (key, selectors) in [
        ("leftsubnet", &connection.leftsubnet),
        ("rightsubnet", &connection.rightsubnet),
    ] {
        if selectors.as_ref().is_some_and(|selectors| !selectors.is_simple()) {
            return Err(InvalidProfile::conflict(
                key,
                "ikev2",
                "exclude each other: IKEv1 knows one subnet an end",
            ));
        }
    }
    if connection.leftauth.is_some() {
        return Err(InvalidProfile::conflict(
            "leftauth",
            "ikev2",
            "exclude each other: IKEv1 has one method for both ends",
        ));
    }
    Ok(())
}
