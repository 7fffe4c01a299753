//! What is filled in for keys that a profile leaves out.

use super::{
    AuthBy, ConnType, Connection, IkeVersion, Interval, Lifetime, Proposal, RsaSigKey, YesNo,
    value::policy::KeyingTries,
};

impl Connection {
    /// Fills in missing keys.
    ///
    /// With `nm-auto-defaults=no` only `authby=secret` is, where nothing else can authenticate: libreswan's own default is
    /// signatures, with which such a profile could never come up.
    pub(super) fn fill_in(&mut self) {
        let is_auth_given = self.authby.is_some() || self.leftauth.is_some() || self.rightauth.is_some();
        if !is_auth_given && self.wants_psk() {
            self.authby = Some(AuthBy::secret());
        }
        if !self.auto_defaults {
            return;
        }
        self.ikev2.get_or_insert(IkeVersion::V1);
        self.fill_in_identities();
        self.rekey.get_or_insert(YesNo::Yes);
        self.keyingtries.get_or_insert(KeyingTries(1));
        if self.conn_type() == ConnType::Tunnel {
            self.leftmodecfgclient.get_or_insert(YesNo::Yes);
        }
        if self.ike_version() == IkeVersion::V1 {
            self.fill_in_ikev1();
        } else {
            self.dpddelay.get_or_insert(Interval::LIVENESS);
        }
    }

    fn fill_in_identities(&mut self) {
        self.leftid = self.leftid.take().map(super::Identity::literal);
        self.rightid = self.rightid.take().map(super::Identity::literal);
        if self.leftcert.is_some() {
            self.leftrsasigkey.get_or_insert(RsaSigKey::Certificate);
        }
        if self.leftcert.is_some() || self.rightcert.is_some() {
            self.rightrsasigkey.get_or_insert(RsaSigKey::Certificate);
        }
    }

    fn fill_in_ikev1(&mut self) {
        self.ikelifetime.get_or_insert(Lifetime::DAY);
        self.salifetime.get_or_insert(Lifetime::DAY);
        if self.is_aggressive() {
            self.ike.get_or_insert_with(Proposal::aggressive_ike);
            self.esp.get_or_insert_with(Proposal::aggressive_esp);
        }
    }

    /// Whether IKEv1's aggressive mode is used: the one in which the gateway learns the group's name, `leftid`, in time.
    pub fn is_aggressive(&self) -> bool {
        self.auto_defaults && self.ike_version() == IkeVersion::V1 && self.leftid.is_some()
    }
}
