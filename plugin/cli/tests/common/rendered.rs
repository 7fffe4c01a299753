//! What the command renders, and bundles for it.

use std::collections::BTreeMap;

use openssl::base64::decode_block;
use serde::Deserialize;
use serde_json::Value;

use super::Scene;

impl Scene {
    pub fn render(&self, arguments: &[&str]) -> (i32, String, String) {
        self.run(&[&["render", "machine-config", "--role", "worker"], arguments].concat())
    }

    /// The MachineConfig and the policy.
    pub fn rendered(&self, arguments: &[&str]) -> (Value, Value) {
        let (status, stdout, stderr) = self.render(arguments);
        assert_eq!(status, 0, "{stderr}");
        let mut documents = serde_yaml::Deserializer::from_str(&stdout);
        let mut next = || Value::deserialize(documents.next().unwrap()).unwrap();
        (next(), next())
    }

    /// A bundle of the friendly name `left_server`, of `name`'s certificate.
    pub fn left_server(&self, name: &str, password: &str) {
        self.shell(&format!(
            "openssl pkcs12 -export -in {name}.pem -inkey {name}.key -name left_server -out left_server.p12 -passout pass:{password}"
        ));
    }

    /// One more certificate that the authority has issued.
    pub fn issue(&self, name: &str, subject: &str) {
        self.shell(&format!(
            "test -e {name}.key || openssl genrsa -out {name}.key 2048\n\
             openssl req -new -key {name}.key -out {name}.csr -subj '{subject}'\n\
             openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 90 -extfile left.ext -out {name}.pem"
        ));
    }

    pub fn authority(&self, name: &str) {
        self.shell(&format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.pem -days 900 \
             -subj '/O=Ex/CN={name}' -addext basicConstraints=critical,CA:true"
        ));
    }
}

fn files(machine_config: &Value) -> &Vec<Value> {
    machine_config["spec"]["config"]["storage"]["files"]
        .as_array()
        .unwrap()
}

/// Contents and mode of each file, by its path.
pub fn decoded(machine_config: &Value) -> BTreeMap<String, (Vec<u8>, u64)> {
    let decoded = |file: &Value| {
        let source = file["contents"]["source"].as_str().unwrap();
        let contents = decode_block(source.strip_prefix("data:;base64,").unwrap()).unwrap();
        let path = file["path"].as_str().unwrap().to_owned();
        (path, (contents, file["mode"].as_u64().unwrap()))
    };
    files(machine_config).iter().map(decoded).collect()
}
