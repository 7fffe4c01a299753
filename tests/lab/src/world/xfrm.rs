//! Reading what `ip xfrm` prints.

/// The SPI of an SA that the kernel has asked for and waits for: it remembers so for a while that it has.
const AWAITED: &str = "0x00000000";

/// The SPIs in the output of `ip xfrm state`, sorted.
pub(super) fn spis(listed: &str) -> Vec<String> {
    let esp = listed
        .lines()
        .filter_map(|line| line.trim().strip_prefix("proto esp spi "));
    let mut spis: Vec<String> = esp
        .filter_map(|rest| rest.split(' ').next())
        .filter(|spi| *spi != AWAITED)
        .map(str::to_owned)
        .collect();
    spis.sort();
    spis
}

/// Those policies in the output of `ip xfrm policy` that have a template, which are the ones that demand
/// IPsec; others let traffic through or drop it.
pub(super) fn demanding_policies(listed: &str) -> String {
    let mut demanding = String::new();
    let mut policy = String::new();
    // One line more ends the last policy as every other.
    for line in listed.lines().chain(["src"]) {
        if line.starts_with("src") {
            if policy.contains("tmpl") {
                demanding.push_str(&policy);
            }
            policy.clear();
        }
        policy.push_str(line);
        policy.push('\n');
    }
    demanding
}

#[cfg(test)]
mod tests {
    use super::{demanding_policies, spis};

    #[test]
    fn spis_are_found_and_sorted() {
        let listed = "\
src 192.0.2.251 dst 192.0.2.252
\tproto esp spi 0xd4443c1d reqid 16397 mode transport
\treplay-window 0 flag esn
src 192.0.2.252 dst 192.0.2.251
\tproto esp spi 0x530ca0e3 reqid 16397 mode transport
src 192.0.2.251 dst 192.0.2.252
\tproto esp spi 0x00000000 reqid 0 mode transport
";
        assert_eq!(spis(listed), ["0x530ca0e3", "0xd4443c1d"]);
        assert!(spis("").is_empty());
    }

    #[test]
    fn exceptions_are_no_demand() {
        let demand = "\
src 192.0.2.251/32 dst 192.0.2.252/32 
\tdir out priority 1753281 ptype main 
\ttmpl src 0.0.0.0 dst 0.0.0.0
\t\tproto esp reqid 16397 mode transport
";
        let exception = "\
src ::/0 dst ::/0 proto ipv6-icmp type 135 
\tdir out priority 1 ptype main 
";
        assert_eq!(
            demanding_policies(&format!("{exception}{demand}{exception}")),
            demand
        );
        assert_eq!(demanding_policies(exception), "");
    }
}
