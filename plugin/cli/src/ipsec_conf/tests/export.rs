//! What a section says, and what it does not.

use super::super::{left_out, section};
use crate::document::{self, IpsecInterface};

fn interface(lines: &str) -> IpsecInterface {
    let text = format!("interfaces:\n- name: Office VPN\n  type: ipsec\n  {lines}\n");
    let mut documents = document::read_text_of(&text, "test.yaml").unwrap();
    documents.remove(0).state.ipsec.remove(0)
}

#[test]
fn what_is_filled_in_is_marked_and_no_secret_is_written() {
    let interface = interface(
        "libreswan: {right: 192.0.2.2, leftid: group, ikev2: insist, leftmodecfgclient: false, \
         ipsec-interface: 9, psk: verysecret, xauthpassword: othersecret}",
    );
    let expected = "conn Office-VPN
\t# nm-name=Office VPN
\t# nm-auto-defaults=yes
\tauto=start
\tleft=\"%defaultroute\"
\tright=\"192.0.2.2\"
\tikev2=\"insist\"
\tleftid=\"@group\"
\tleftmodecfgclient=\"no\"
\tauthby=\"secret\" # nm-auto-defaults
\trekey=\"yes\" # nm-auto-defaults
\tkeyingtries=1 # nm-auto-defaults
\tdpddelay=\"30s\" # nm-auto-defaults
\tipsec-interface=9
\trightsubnet=\"0.0.0.0/0\" # nm-auto-defaults
\t# For the pre-shared key, a file /etc/ipsec.d/*.secrets needs the line
\t#   @group 192.0.2.2 : PSK \"...\"
";
    assert_eq!(section(&interface).as_deref(), Ok(expected));
    assert!(left_out(&interface).is_empty());
}

#[test]
fn what_is_no_connection_is_no_section() {
    for lines in ["state: absent", "state: ignore", "state: down"] {
        assert!(section(&interface(lines)).is_err(), "{lines}");
    }
}

#[test]
fn what_a_section_cannot_tell_is_named() {
    let interface = interface("description: x\n  ipv4: {enabled: true, dhcp: true}\n  wait-ip: any");
    assert_eq!(left_out(&interface), ["description", "ipv4", "wait-ip"]);
}
