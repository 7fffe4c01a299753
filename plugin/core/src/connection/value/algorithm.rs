//! Names of algorithms as libreswan 4 and 5 know them.

/// Ciphers; a key length may follow, with or without `_`.
const CIPHERS: &[&str] = &[
    "3des",
    "3des_cbc",
    "aes",
    "aes_cbc",
    "aes_ccm",
    "aes_ccm_12",
    "aes_ccm_16",
    "aes_ccm_8",
    "aes_ccm_a",
    "aes_ccm_b",
    "aes_ccm_c",
    "aes_ctr",
    "aes_gcm",
    "aes_gcm_12",
    "aes_gcm_16",
    "aes_gcm_8",
    "aes_gcm_a",
    "aes_gcm_b",
    "aes_gcm_c",
    "aes_gmac",
    "aesctr",
    "camellia",
    "camellia_cbc",
    "camellia_ctr",
    "cast",
    "cast_cbc",
    "chacha20_poly1305",
    "chacha20poly1305",
    "null_auth_aes_gmac",
    "serpent",
    "serpent_cbc",
    "twofish",
    "twofish_cbc",
    "twofish_cbc_ssh",
    "twofish_ssh",
];

/// Hashes, and what stands for nothing. `hmac_` may precede.
const HASHES: &[&str] = &[
    "aes128_xcbc",
    "aes128_xcbc_96",
    "aes_cmac",
    "aes_cmac_96",
    "aes_xcbc",
    "aes_xcbc_96",
    "identity",
    "md5",
    "md5_96",
    "none",
    "null",
    "ripemd",
    "ripemd_160_96",
    "sha",
    "sha1",
    "sha1_96",
    "sha2",
    "sha256",
    "sha2_256",
    "sha2_256_128",
    "sha2_256_truncbug",
    "sha2_384",
    "sha2_384_192",
    "sha2_512",
    "sha2_512_256",
    "sha2_truncbug",
    "sha384",
    "sha512",
];

/// Groups of the key exchange with names of their own; the others are `modp<bits>` and `dh<number>`.
const GROUPS: &[&str] = &[
    "curve25519",
    "ecp256",
    "ecp384",
    "ecp521",
    "ecp_256",
    "ecp_384",
    "ecp_521",
];

/// Lengths of groups of the form `modp<bits>`.
const MODP_BITS: &[&str] = &["768", "1024", "1536", "2048", "3072", "4096", "6144", "8192"];

/// Whether libreswan, some version of it, knows an algorithm of this name. Key lengths are names too: `aes-256`.
///
/// What this host's libreswan supports and its cryptographic policy allows is for libreswan to say.
pub(super) fn is_known(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let without_hmac = name.strip_prefix("hmac_").unwrap_or(&name);
    CIPHERS.contains(&name.as_str())
        || CIPHERS.contains(&without_key_length(&name))
        || HASHES.contains(&without_hmac)
        || GROUPS.contains(&name.as_str())
        || name.strip_prefix("modp").is_some_and(|bits| MODP_BITS.contains(&bits))
        || name.strip_prefix("dh").is_some_and(|number| is_number(number, 2))
        // Those that withstand quantum computers, in versions to come.
        || ["ml_kem", "mlkem"].iter().any(|family| name.starts_with(family))
        || is_number(&name, 3)
}

/// A cipher of ESP as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EspCipher {
    /// Its name in the kernel.
    pub kernel_name: &'static str,
    /// The length of its key in bits with the salt, as the kernel counts it; nothing if any length will do.
    pub key_bits: Option<u32>,
}

/// The cipher of ESP with this name of libreswan's; nothing for names that are not ciphers or not the kernel's.
pub(super) fn esp_cipher(name: &str) -> Option<EspCipher> {
    let name = name.to_ascii_lowercase();
    let base = if CIPHERS.contains(&name.as_str()) {
        &name
    } else {
        without_key_length(&name)
    };
    let (kernel_name, salt_bits) = match base {
        "aes" | "aes_cbc" => ("cbc(aes)", 0),
        "aes_ctr" | "aesctr" => ("rfc3686(ctr(aes))", 32),
        "3des" | "3des_cbc" => ("cbc(des3_ede)", 0),
        "camellia" | "camellia_cbc" => ("cbc(camellia)", 0),
        "chacha20_poly1305" | "chacha20poly1305" => ("rfc7539esp(chacha20,poly1305)", 32),
        _ if base.starts_with("aes_gcm") => ("rfc4106(gcm(aes))", 32),
        _ if base.starts_with("aes_ccm") => ("rfc4309(ccm(aes))", 24),
        _ => return None,
    };
    let length = name.len().checked_sub(3).and_then(|start| name.get(start..));
    let key_bits = length
        .filter(|_| base.len() < name.len())
        .and_then(|bits| bits.parse::<u32>().ok())
        .map(|bits| bits + salt_bits);
    Some(EspCipher {
        kernel_name,
        key_bits,
    })
}

/// `name` without a key length, which has three digits, and the `_` before it.
fn without_key_length(name: &str) -> &str {
    match name
        .len()
        .checked_sub(3)
        .and_then(|end| name.split_at_checked(end))
    {
        Some((cipher, length)) if is_number(length, 3) => cipher.strip_suffix('_').unwrap_or(cipher),
        _ => name,
    }
}

fn is_number(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `algparse` of libreswan 5.2 takes them.
    #[test]
    fn names_are_those_of_libreswan() {
        for name in [
            "aes",
            "AES256",
            "aes_256",
            "256",
            "aes_gcm256",
            "aes_gcm_256",
            "aes_gcm_16",
            "aes_gcm_16_256",
            "aes_gcm_c256",
            "aes_gcm_c_256",
            "aes_ctr",
            "3des",
            "null",
            "null_auth_aes_gmac_256",
            "camellia256",
            "chacha20_poly1305",
            "none",
            "sha2",
            "sha256",
            "sha2_256",
            "hmac_sha2_256",
            "hmac_sha2_256_truncbug",
            "aes_xcbc",
            "aes_cmac",
            "md5",
            "modp2048",
            "modp1024",
            "dh14",
            "dh22",
            "ecp_256",
            "ecp256",
            "curve25519",
        ] {
            assert!(is_known(name), "{name}");
        }
        for name in [
            "",
            "rot13",
            "default",
            "sha9",
            "sha9_256",
            "modp31337",
            "modp",
            "dh",
            "dh_14",
            "dh314",
            "ecp",
            "_256",
            "aes_gcm_16_2560",
            "aess",
            "1234",
            "hmac_",
            "aes_gcm_17",
        ] {
            assert!(!is_known(name), "{name}");
        }
    }
}
